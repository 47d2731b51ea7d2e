# SPDX-License-Identifier: Apache-2.0
"""What a refused program and whoever runs the server are told; and how much of the ports is in use."""

import errno
import json
import time

import pytest

from lab.fleet import CRAWLER_ADDRESS
from lab.process import wait_until

SLICE = 2048

# Opens COUNT sockets to ADDRESS PORT, says what came of it, and holds them until its input ends.
HOLD = """
import json, socket, sys
count, address, port, proto, more = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
kind = socket.SOCK_DGRAM if proto == "udp" else socket.SOCK_STREAM
held, refused = [], []
for _ in range(count + more):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    try:
        s.connect((address, port))
        held.append(s)
    except OSError as error:
        refused.append(error.errno)
        s.close()
print(json.dumps({"held": len(held), "ports": sorted({s.getsockname()[1] for s in held}), "refused": refused}),
      flush=True)
sys.stdin.read()
"""


def open_to_udp(lab, ports):
    avoided = json.loads(lab.berth("show", "fleet", "--json").stdout)["avoid_ports"]
    return [port for port in ports if port not in avoided]


class Holder:
    """A program under a policy that holds connections while it is in its `with`."""

    def __init__(self, server, count, address, port=9000, proto="udp", more=0, policy="crawler"):
        self.child = server.popen(["/usr/bin/python3", "-c", HOLD, str(count), address, str(port), proto, str(more)],
                                  policy=policy, stdin=-1)
        self.outcome = json.loads(self.child.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.communicate("", timeout=20)


def show(server, subject, *words):
    return json.loads(server.berth("show", subject, "--json", *words, *server.pin_flags).stdout)


def refusals(server, verdict, address):
    return [row for row in show(server, "refusals")["refusals"] if (row["verdict"], row["address"]) == (verdict, address)]


def log_lines(server, *parts):
    return [line for line in server.agent.log.read_text().splitlines() if all(part in line for part in parts)]


@pytest.fixture(scope="module")
def server(lab):
    """One in whose slice BIRD has no port: BFD's lie in the first two."""
    return lab.servers_of("fra")[2]


def test_full_slice_tells_everything(lab, server):
    """Which policy, slices, destination, how full, who asked, and who holds the ports."""
    address, ports = "198.51.100.77", server.slices(CRAWLER_ADDRESS)[0]
    usable = len(open_to_udp(lab, ports))
    with Holder(server, usable, address) as most, Holder(server, 0, address, more=1) as asking:
        assert most.outcome["ports"] == open_to_udp(lab, ports)
        assert asking.outcome["refused"] == [errno.EADDRNOTAVAIL]
        row, = wait_until(lambda: [row for row in refusals(server, "refused_full", address) if row["holders"]], 10,
                          "the refusal is told, with holders")
        assert (row["policy"], row["port"], row["proto"], row["count"]) == ("crawler", 9000, "udp", 1)
        assert row["slices"] == [{"address": CRAWLER_ADDRESS, "first": ports[0], "count": SLICE}]
        assert (row["used"], row["busy"], row["ports"]) == (SLICE, 0, SLICE)
        assert (row["name"], row["pid"], row["uid"]) == ("python3", asking.child.pid, 0)
        assert row["holders"] == [{"name": "python3", "pid": most.child.pid, "ports": usable}]
        assert abs(row["last"] - time.time()) < 60
        line, = log_lines(server, "refused_full", address)
        for part in ("policy crawler", f"{CRAWLER_ADDRESS}:{ports[0]}-{ports[-1]}", f"{SLICE} of {SLICE}",
                     f"python3[{most.child.pid}] {usable}", "port 9000", "EADDRNOTAVAIL"):
            assert part in line
        text = server.berth("show", "refusals", *server.pin_flags).stdout
        assert f"{address}:9000 udp" in text and f"{SLICE} of {SLICE}" in text


def test_who_holds_tcp_ports(lab, server):
    """Several processes, most first; of TCP sockets, IPv4 and IPv6 ones."""
    origin = lab.origins[0]
    half = SLICE // 2
    with Holder(server, half + 100, origin.address, 9000, "tcp") as most, \
            Holder(server, half - 100, f"::ffff:{origin.address}", 9000, "tcp") as other, \
            Holder(server, 0, origin.address, 9000, "tcp", more=1) as asking:
        assert asking.outcome["refused"] == [errno.EADDRNOTAVAIL]
        row, = wait_until(lambda: [row for row in refusals(server, "refused_full", origin.address) if row["holders"]],
                          10, "the refusal is told, with holders")
        assert [(holder["pid"], holder["ports"]) for holder in row["holders"]] == [
            (most.child.pid, half + 100), (other.child.pid, half - 100)]


def test_flood_is_summed_up(lab, server):
    """5,000 refusals at once: few events, one line, a row that counts nearly all of them."""
    address, flood = "198.51.100.78", 5000
    lost = server.verdicts()["event_lost"]
    full = server.verdicts()["refused_full"]
    usable = len(open_to_udp(lab, server.slices(CRAWLER_ADDRESS)[0]))
    with Holder(server, usable, address, more=flood) as holder:
        assert holder.outcome["refused"] == [errno.EADDRNOTAVAIL] * flood
        assert server.verdicts()["refused_full"] - full == flood
        lost = server.verdicts()["event_lost"] - lost
        assert lost > flood * 9 // 10
        wait_until(lambda: refusals(server, "refused_full", address), 10, "the refusals are told")
        time.sleep(0.3)
        row, = refusals(server, "refused_full", address)
        assert flood - lost <= row["count"] <= flood
        wait_until(lambda: log_lines(server, address), 10, "it is logged")
        assert len(log_lines(server, address)) == 1


@pytest.mark.parametrize("words, verdict, error", [
    ("s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM); s.connect(('2001:db8:ffff::1', 443))", "refused_ipv6",
     errno.ENETUNREACH),
    ("s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('198.51.100.79', 443))",
     "refused_unconnected", errno.EPERM),
    ("s = socket.socket(); s.bind(('127.0.0.1', 0)); s.connect(('198.51.100.79', 443))", "refused_bound",
     errno.EADDRNOTAVAIL),
])
def test_errno_is_as_documented(server, words, verdict, error):
    script = f"import socket\ntry:\n    {words}\nexcept OSError as e:\n    print(e.errno)\n"
    assert server.run(["/usr/bin/python3", "-c", script], policy="crawler").stdout == f"{error}\n"
    address = "2001:db8:ffff::1" if verdict == "refused_ipv6" else "198.51.100.79"
    row, = wait_until(lambda: refusals(server, verdict, address), 10, "the refusal is told")
    assert (row["policy"], row["port"], row["used"], row["holders"]) == ("crawler", 443, 0, [])


def destination(server, address, port):
    return [row for row in show(server, "usage", "--top", "1000")["top"] if (row["address"], row["port"]) == (address, port)]


def test_usage_while_open_and_after(lab, server):
    origin = lab.origins[1]
    before = show(server, "usage")
    with Holder(server, 500, origin.address, 9000, "tcp") as holder:
        assert holder.outcome["held"] == 500
        during = show(server, "usage")
        assert during["connections"] - before["connections"] == 500
        row, = destination(server, origin.address, 9000)
        assert (row["used"], row["proto"], row["policy"], row["policy_used"], row["policy_ports"]) == (
            500, "tcp", "crawler", 500, SLICE)
        assert row["policy_percent"] == 24 and row["percent"] == 500 * 100 // during["ports"]
        mine, = [row for row in during["slices"] if row["address"] == CRAWLER_ADDRESS]
        assert (mine["count"], mine["fullest"], mine["percent"]) == (SLICE, 500, 24)
        crawler, = [row for row in during["policies"] if row["name"] == "crawler"]
        assert (crawler["ports"], crawler["fullest"], crawler["percent"]) == (SLICE, 500, 24)
        text = server.berth("show", "usage", *server.pin_flags).stdout
        assert f"{origin.address}:9000 tcp" in text and f"500 of {SLICE}" in text
    wait_until(lambda: show(server, "usage")["connections"] == before["connections"], 10, "all ports are given back")
    assert destination(server, origin.address, 9000) == []


def test_top_is_limited_and_sorted(server):
    counts = {"198.51.100.81": 3, "198.51.100.82": 30, "198.51.100.83": 10}
    holders = [Holder(server, count, address) for address, count in counts.items()]
    try:
        assert [(row["address"], row["used"]) for row in show(server, "usage", "--top", "2")["top"]] == [
            ("198.51.100.82", 30), ("198.51.100.83", 10)]
    finally:
        for holder in holders:
            holder.__exit__()
    for wrong in ("0", "1001", "x", "-1", "1x"):
        assert server.berth("show", "usage", "--top", wrong, *server.pin_flags, check=False).returncode == 2


def test_wasters_by_name(server):
    script = ("import socket\nopen('/proc/self/comm', 'w').write('port-hog')\nfor _ in range(3):\n"
              "    s = socket.socket()\n    s.bind(('127.0.0.1', 0))\n"
              "    assert s.connect_ex(('198.51.100.84', 443)) == 99\n")
    server.run(["/usr/bin/python3", "-c", script], policy="crawler")
    row, = [row for row in show(server, "wasters")["wasters"] if row["name"] == "port-hog"]
    assert (row["policy"], row["count"]) == ("crawler", 3)
    assert abs(row["last"] - time.time()) < 60
    assert "port-hog" in server.berth("show", "wasters", *server.pin_flags).stdout


def test_without_an_agent(lab):
    """Usage and wasters come from the pins; what is refused meanwhile is told once an agent is back."""
    server, address = lab.servers_of("ams")[0], "198.51.100.85"
    server.kill_agent()
    try:
        with Holder(server, 7, address):
            row, = destination(server, address, 9000)
            assert (row["used"], row["policy"]) == (7, "crawler")
        assert "wasters" in show(server, "wasters")
        result = server.berth("show", "refusals", *server.pin_flags, check=False)
        assert result.returncode == 1 and "no agent" in result.stderr
        script = f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('{address}', 53))"
        assert server.run(["/usr/bin/python3", "-c", script], policy="crawler", check=False).returncode != 0
    finally:
        server.start_agent()
        server.wait_loaded()
    row, = wait_until(lambda: refusals(server, "refused_unconnected", address), 10, "the new agent tells it")
    assert row["policy"] == "crawler" and abs(row["last"] - time.time()) < 60
