# SPDX-License-Identifier: Apache-2.0
"""Nobody listens on an egress address: nothing arrives there."""

import json

import pytest

from lab.fleet import CRAWLER_ADDRESS
from lab.process import wait_until

# Listens on ADDRESS, a port of the policy's, says so, and then what became of accept().
LISTEN = """
import json, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family)
s.bind((sys.argv[1], int(sys.argv[2])))
s.listen()
print(json.dumps(s.getsockname()[:2]), flush=True)
s.settimeout(30)
try:
    s.accept()[0].send(b"hello")
    print("accepted")
except OSError as error:
    print(type(error).__name__, error.errno, flush=True)
"""


GREETED = """
import socket, sys
print(socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5).recv(100).decode())
"""


class Listener:
    def __init__(self, server, address, port=0, policy="crawler"):
        self.child = server.popen(["/usr/bin/python3", "-c", LISTEN, address, str(port)], policy=policy)
        self.address, self.port = json.loads(self.child.stdout.readline())

    def outcome(self):
        said = self.child.stdout.read().strip()  # accept() has a time limit
        self.child.wait(timeout=10)
        return said


def strays(server):
    rows = json.loads(server.berth("show", "refusals", "--json", *server.pin_flags).stdout)["refusals"]
    return {(row["address"], row["port"]): row for row in rows if row["verdict"] == "stray_listener"}


@pytest.mark.parametrize("address", [CRAWLER_ADDRESS, f"::ffff:{CRAWLER_ADDRESS}", "0.0.0.0"])
def test_a_listener_on_an_egress_address_is_closed(lab, address):
    """Also one that got it from a bind() to any address and port 0. The program is told by accept()."""
    server = lab.servers_of("fra")[2]
    listener = Listener(server, address)
    assert listener.address.endswith(CRAWLER_ADDRESS)
    assert listener.outcome() == "OSError 22"
    row = strays(server)[CRAWLER_ADDRESS, listener.port]
    assert (row["policy"], row["name"], row["count"]) == ("crawler", "python3", 1)
    assert f"on {CRAWLER_ADDRESS} port {listener.port} closed" in server.agent.log.read_text()


def test_a_listener_on_the_hosts_address_stays(lab):
    server, neighbour = lab.servers_of("fra")[2], lab.servers_of("fra")[1]
    listeners = [Listener(server, "0.0.0.0", 3000), Listener(server, server.underlay, 3001)]
    before = server.verdicts()["stray_listener"]
    closed = Listener(server, CRAWLER_ADDRESS)
    assert closed.outcome() == "OSError 22"
    for listener in listeners:
        assert neighbour.run(["/usr/bin/python3", "-c", GREETED, server.underlay, listener.port]).stdout == "hello\n"
        assert listener.outcome() == "accepted"
    assert server.verdicts()["stray_listener"] == before + 1


def test_one_that_began_without_an_agent_is_closed_by_the_next(make_lab):
    lab = make_lab("two-sites")
    lab.start_agents()
    server = lab.servers[0]
    server.kill_agent()
    listener = Listener(server, CRAWLER_ADDRESS)
    assert server.verdicts()["stray_listener"] == 1
    server.start_agent()
    assert listener.outcome() == "OSError 22"
    wait_until(lambda: (CRAWLER_ADDRESS, listener.port) in strays(server), 10, "the next agent tells of it")
