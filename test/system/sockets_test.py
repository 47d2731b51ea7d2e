# SPDX-License-Identifier: Apache-2.0
"""Ways of opening a connection in which several processes, or the first data, have a part: TCP Fast Open, descriptors
that are passed on, descriptors that are inherited."""

import errno
import json

import pytest

from lab.fleet import CRAWLER_ADDRESS
from lab.process import wait_until

# WAY ADDRESS PORT: sends "early" with its SYN if it has a cookie. What came of it, held until its input ends.
FAST_OPEN = """
import json, socket, struct, sys
way, address, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
MSG_FASTOPEN, TCP_FASTOPEN_CONNECT, TCPI_OPT_SYN_DATA = 0x20000000, 30, 32
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
if way == "bound":
    s.bind(("127.0.0.1", 0))
try:
    if way in ("connect", "silent"):
        s.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        s.connect((address, port))
        early = s.send(b"early") if way == "connect" else 0
    else:
        early = s.sendto(b"early", MSG_FASTOPEN, (address, port))
    s.settimeout(5)
    source, source_port = s.getsockname()[:2]
    answer = b""
    while way != "silent" and not answer.endswith(b"early"):
        if not (part := s.recv(100)):
            break
        answer += part
    options = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5]
    print(json.dumps({"source": source, "port": source_port, "answer": answer.decode(), "error": None,
                      "syn_data": bool(options & TCPI_OPT_SYN_DATA)}), flush=True)
except OSError as error:
    print(json.dumps({"error": error.errno}), flush=True)
sys.stdin.read()
"""

# PATH TYPE: makes a socket and gives it away.
GIVE = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if sys.argv[2] == "udp" else socket.SOCK_STREAM)
way = socket.socket(socket.AF_UNIX)
way.connect(sys.argv[1])
socket.send_fds(way, [b"x"], [s.fileno()])
way.recv(1)
"""

# PATH ADDRESS PORT: connects the socket that it is given, and asks from where it is seen.
TAKE = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
way, _ = listener.accept()
_, [fd], _, _ = socket.recv_fds(way, 1, 1)
s = socket.socket(fileno=fd)
s.settimeout(5)
s.connect((sys.argv[2], int(sys.argv[3])))
if s.type == socket.SOCK_DGRAM:
    s.send(b"?")
print(s.recv(100).decode(), end="", flush=True)
"""

# TYPE ADDRESS PORT: makes a socket that its child connects; each says so when it is told to close it.
FORK = """
import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM)
here, there = socket.socketpair()
if os.fork() == 0:
    here.close()
    s.connect((sys.argv[2], int(sys.argv[3])))
    there.send(b"c")
    there.recv(1)
    s.close()
    there.send(b"d")
    there.recv(1)
    os._exit(0)
here.recv(1)
print("connected", flush=True)
for line in sys.stdin:
    if line == "child\\n":
        here.send(b"x")
        here.recv(1)
    else:
        s.close()
    print("closed", flush=True)
"""


def python(server, script, *words, policy="crawler"):
    return server.popen(["/usr/bin/python3", "-c", script, *words], policy=policy, stdin=-1)


def used_towards(server, address, port):
    rows = json.loads(server.berth("show", "usage", "--top", "1000", "--json", *server.pin_flags).stdout)["top"]
    return sum(row["used"] for row in rows if (row["address"], row["port"]) == (address, port))


def in_slice(server, port):
    return any(port in ports for ports in server.slices(CRAWLER_ADDRESS))


# --- TCP Fast Open ---

class FastOpen:
    """An attempt, which stays open while it is in its `with`."""

    def __init__(self, server, way, address, port):
        self.child = python(server, FAST_OPEN, way, address, str(port))

    def __enter__(self):
        return json.loads(self.child.stdout.readline())

    def __exit__(self, *_):
        self.child.communicate("", timeout=20)


@pytest.fixture
def opened_fast(lab):
    """A server and an address that it has no cookie of."""
    server, address = lab.servers_of("fra")[1], str(lab.origins_near("ams")[0].prefix[40])
    server.run(["ip", "tcp_metrics", "flush", "all"])
    return server, address


@pytest.mark.parametrize("way", ["sendto", "connect"])
def test_fast_open_with_a_cookie(lab, opened_fast, way):
    """The first connection fetches the cookie, the second one's data comes with its SYN: both from the slice."""
    (server, address), origin, port = opened_fast, lab.origins_near("ams")[0], 9001
    counters = server.kernel_counters(), origin.kernel_counters()
    before, mark = server.verdicts(), origin.mark()
    for cookie in (False, True):
        with FastOpen(server, way, address, port) as seen:
            assert seen["error"] is None
            assert (seen["source"], seen["syn_data"]) == (CRAWLER_ADDRESS, cookie)
            assert in_slice(server, seen["port"])
            assert seen["answer"] == f"{CRAWLER_ADDRESS} {seen['port']}\nearly"
            assert used_towards(server, address, port) == 1
        wait_until(lambda: used_towards(server, address, port) == 0, 5, "the port is given back")
    assert server.kernel_counters()["TcpExtTCPFastOpenActive"] - counters[0]["TcpExtTCPFastOpenActive"] == 1
    assert origin.kernel_counters()["TcpExtTCPFastOpenPassive"] - counters[1]["TcpExtTCPFastOpenPassive"] == 1
    assert server.verdicts()["allocated"] - before["allocated"] == 2
    assert {row["src"] for row in origin.records(mark)} == {CRAWLER_ADDRESS}


def test_fast_open_that_never_sends(opened_fast):
    """With a cookie connect() sends nothing yet: the socket has its port all the same, and gives it back."""
    (server, address), port = opened_fast, 9001
    with FastOpen(server, "connect", address, port):
        pass
    sent = server.kernel_counters()["TcpActiveOpens"]
    wait_until(lambda: used_towards(server, address, port) == 0, 5, "the first one's port is given back")
    with FastOpen(server, "silent", address, port) as seen:
        assert seen["source"] == CRAWLER_ADDRESS and in_slice(server, seen["port"])
        assert used_towards(server, address, port) == 1
    wait_until(lambda: used_towards(server, address, port) == 0, 5, "the port is given back")
    assert server.kernel_counters()["TcpActiveOpens"] == sent, "it opened no connection"


@pytest.mark.parametrize("way, verdict, error", [("bound", "refused_bound", errno.EADDRNOTAVAIL),
                                                 ("sendto", "refused_ipv6", errno.ENETUNREACH)])
def test_fast_open_is_refused_like_connect(lab, way, verdict, error):
    server, origin = lab.servers_of("fra")[1], lab.origins_near("ams")[0]
    address = origin.address6 if verdict == "refused_ipv6" else origin.address
    mark, before = origin.mark(), server.verdicts()[verdict]
    with FastOpen(server, way, address, 9001) as seen:
        assert seen == {"error": error}
    assert server.verdicts()[verdict] - before == 1
    assert origin.records(mark) == []


# --- descriptors that others have ---

# With country=NL, at the site ams.
WEB = {"203.0.113.8", "203.0.113.9", "203.0.113.17"}


@pytest.mark.parametrize("proto", ["tcp", "udp"])
@pytest.mark.parametrize("maker, taker, counts", [("crawler", "web", "crawler"), ("web", "crawler", "web"),
                                                  ("crawler", None, "crawler"), (None, "crawler", "crawler"),
                                                  (None, None, None)])
def test_passed_on_socket(lab, proto, maker, taker, counts):
    """The policy that counts is its maker's; where that has none, its connecter's."""
    server, origin = lab.servers_of("ams")[1], lab.origins_near("fra")[1]
    path, mark = server.run_dir / "passing.sock", origin.mark()
    taking = python(server, TAKE, path, origin.address, "9002", policy=taker)
    try:
        assert taking.stdout.readline() == "ready\n"
        giving = python(server, GIVE, path, proto, policy=maker)
        out, errors = taking.communicate(timeout=20)
        giving.communicate(timeout=20)
    finally:
        path.unlink(missing_ok=True)
    assert errors == ""
    address, port = out.split()
    assert address in {"crawler": {CRAWLER_ADDRESS}, "web": WEB, None: {server.underlay}}[counts]
    assert counts is None or any(int(port) in ports for ports in server.slices(address))
    row, = origin.records(mark)
    assert (row["proto"], row["src"], row["src_port"]) == (proto, address, int(port))


@pytest.mark.parametrize("proto", ["tcp", "udp"])
@pytest.mark.parametrize("first, last", [("parent", "child"), ("child", "parent")])
def test_inherited_socket(lab, proto, first, last):
    """A child connects its parent's socket: the port is in use until neither has it any more."""
    server, address, port = lab.servers_of("ams")[1], str(lab.origins_near("fra")[1].prefix[41]), 9002
    family = python(server, FORK, proto, address, str(port))

    def close(who):
        family.stdin.write(f"{who}\n")
        family.stdin.flush()
        assert family.stdout.readline() == "closed\n"
    assert family.stdout.readline() == "connected\n"
    assert used_towards(server, address, port) == 1
    close(first)
    assert used_towards(server, address, port) == 1
    close(last)
    wait_until(lambda: used_towards(server, address, port) == 0, 5, "the port is given back")
    family.communicate("", timeout=20)
