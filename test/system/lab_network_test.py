# SPDX-License-Identifier: Apache-2.0
"""The lab as a network: what the tests of Berth take for granted about it. No agents here; what berthd does, a route
in table 6080, is done by hand."""

import hashlib
import re
import signal
import subprocess
import time

import pytest

from lab.node import CommandFailed
from lab.origin import BIG_FILE, BIG_FILE_SHA256, BIG_FILE_SIZE
from lab.paths import REPOSITORY
from lab.process import wait_until
from lab.topology import POOL

POOL_TEXT = str(POOL)


@pytest.fixture
def announced(network):
    for server in network.servers:
        server.announce(POOL)
    network.wait_announced()
    yield network
    for server in network.servers:
        server.run(["ip", "route", "flush", "table", "6080"], check=False)
    wait_until(lambda: not any(router.next_hops(POOL) for router in network.routers), 10, "the pool is withdrawn")


def seconds_until(condition):
    began = time.monotonic()
    wait_until(condition, 20, "it happens", interval=0)
    return time.monotonic() - began


def test_every_server_of_a_site_is_a_next_hop(announced):
    wanted = {"fra-router": ["fra-1", "fra-2", "fra-3"], "ams-router": ["ams-1", "ams-2", "ams-3"],
              "fra-internet": ["fra-router"], "ams-internet": ["ams-router"]}
    # The longer way, heard first, may still be there beside the shorter one.
    wait_until(lambda: {name: announced.node(name).next_hops(POOL) for name in wanted} == wanted, 10, str(wanted))


def test_servers_do_not_blackhole_what_they_announce(announced):
    assert announced.node("fra-1").routes("exact", POOL_TEXT) == []


def count_pool_packets(server):
    server.run(["nft", "-f", "-"], input="table ip lab_test { chain entry { type filter hook prerouting priority -300; "
               f"ip daddr {POOL} udp dport >= 2048 counter; }}; }}")


def pool_packets(server):
    rules = server.json(["nft", "-j", "list", "table", "ip", "lab_test"])["nftables"]
    [count] = [part["counter"]["packets"] for item in rules if "rule" in item
               for part in item["rule"]["expr"] if "counter" in part]
    return count


SENDER = """
import socket, sys
for port in range(4000, 4300):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.sendto(b"x", ("203.0.113.5", port))
    s.close()
"""


def test_replies_enter_at_the_nearest_site_and_spread_over_its_servers(announced):
    for site, other in (("fra", "ams"), ("ams", "fra")):
        for origin in announced.origins_near(site):
            for server in announced.servers:
                count_pool_packets(server)
            origin.run(["/usr/bin/python3", "-c", SENDER])
            near = announced.servers_of(site)
            wait_until(lambda: sum(map(pool_packets, near)) == 300, 5, f"300 packets from {origin.name} enter in {site}")
            counts = [pool_packets(server) for server in near]
            assert min(counts) > 50, f"spread over {counts}"
            assert [pool_packets(server) for server in announced.servers_of(other)] == [0, 0, 0]
            for server in announced.servers:
                server.run(["nft", "delete", "table", "ip", "lab_test"])


def test_a_site_that_withdraws_is_served_by_the_other(announced):
    for server in announced.servers_of("fra"):
        server.withdraw(POOL)
    wait_until(lambda: announced.node("fra-router").next_hops(POOL) == ["ams-router"], 5, "fra falls back to ams")


# Without a withdrawal, or BFD, it is BGP's hold time that ends a route.
HOLD_SECONDS = 9


def test_a_withdrawn_route_is_gone_before_the_hold_time(announced):
    server, router = announced.node("fra-2"), announced.node("fra-router")
    server.withdraw(POOL)
    assert seconds_until(lambda: router.next_hops(POOL) == ["fra-1", "fra-3"]) < HOLD_SECONDS / 2
    server.announce(POOL)
    assert seconds_until(lambda: router.next_hops(POOL) == ["fra-1", "fra-2", "fra-3"]) < HOLD_SECONDS / 2


def test_routes_of_others_in_the_table_are_not_announced(announced):
    """Protocol 4 is `static`: somebody else's, in berthd's table."""
    server, router = announced.node("fra-2"), announced.node("fra-router")
    server.withdraw(POOL)
    server.run(["ip", "route", "add", "blackhole", POOL_TEXT, "table", "6080", "proto", "4"])
    wait_until(lambda: router.next_hops(POOL) == ["fra-1", "fra-3"], 5, "the withdrawal arrives")
    time.sleep(0.2)  # for an announcement that must not come
    assert router.next_hops(POOL) == ["fra-1", "fra-3"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP], ids=["killed", "stopped", "hanging"])
def test_a_server_without_its_bird_draws_no_packets(make_lab, number):
    lab = make_lab()
    for server in lab.servers:
        server.announce(POOL)
    lab.wait_announced()
    server, router = lab.node("ams-2"), lab.node("ams-router")
    server.bird.send_signal(number)
    assert seconds_until(lambda: router.next_hops(POOL) == ["ams-1", "ams-3"]) < HOLD_SECONDS / 2
    server.bird.kill()
    server.bird.start()
    server.bird.started()
    wait_until(lambda: router.next_hops(POOL) == ["ams-1", "ams-2", "ams-3"], 20, "the server is back")


def test_the_tunnel_address_reaches_other_sites(network):
    server = network.node("ams-3")
    server.announce("10.0.2.254/32")
    wait_until(lambda: network.node("fra-1").next_hops("10.0.2.254") == ["net0"], 5, "fra-1 learns the tunnel address")
    server.withdraw("10.0.2.254/32")
    wait_until(lambda: network.node("fra-1").next_hops("10.0.2.254") == [], 5, "and loses it")


def test_requests_leave_at_their_own_site(network):
    for site in ("fra", "ams"):
        for origin in network.origins:
            assert network.router_of(site).next_hops(origin.prefix) == [f"{site}-internet"]


PROBE = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO: may not be fragmented
s.settimeout(2)
s.connect((sys.argv[1], 1))
try:
    s.send(bytes(int(sys.argv[2]) - 28))
    s.recv(1)
except OSError as error:
    print(type(error).__name__ if not error.errno else __import__("errno").errorcode[error.errno])
"""


def fits(node, address, size):
    """Whether an IPv4 packet of `size` bytes arrives: nobody has port 1 open, and an arrival makes the peer say so."""
    answer = node.run(["/usr/bin/python3", "-c", PROBE, address, str(size)]).stdout.strip()
    assert answer in ("ECONNREFUSED", "EMSGSIZE"), answer
    return answer == "ECONNREFUSED"


@pytest.mark.parametrize("topology, underlay", [("two-sites", 1600), ("two-sites-1500", 1500)])
def test_mtu(make_lab, topology, underlay):
    lab = make_lab(topology)
    server = lab.node("fra-1")
    for other in ("10.0.1.3", "10.0.2.1"):
        assert fits(server, other, underlay)
        assert not fits(server, other, underlay + 1)
    for address in ("198.51.100.1", "192.0.2.129"):
        assert fits(server, address, 1500)
        assert not fits(server, address, 1501)


ADVERTISED_MSS = """
import socket, struct
s = socket.create_connection(("198.51.100.1", 9000))
s.recv(100)
print(struct.unpack_from("I", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192), 84)[0])
"""


def test_servers_advertise_what_the_internet_carries(network):
    """TCP_INFO's tcpi_advmss, 12 bytes of timestamps left out by the kernel."""
    server = network.node("fra-1")
    assert int(server.run(["/usr/bin/python3", "-c", ADVERTISED_MSS]).stdout) == 1448
    assert "mtu lock 1500" in server.run(["ip", "route", "show", "default"]).stdout


def test_router_ports_act_like_a_switch(network):
    """An XDP program, or XDP_TX goes nowhere; no offloads, or a wrapped packet has a wrong inner checksum."""
    router = network.node("fra-router")
    for port in ("fra-1", "fra-2", "fra-3"):
        [link] = router.json(["ip", "-j", "link", "show", port])
        assert link["xdp"]["mode"] == 1, "native"
        features = router.run(["ethtool", "-k", port]).stdout
        assert "generic-receive-offload: off" in features
        assert "tx-checksumming: off" in features


def test_whole_checksums_arrive_at_a_server(network):
    server = network.node("fra-3")
    before = server.kernel_counters()
    server.run(["curl", "-sf", "-o", "/dev/null", "http://192.0.2.129/"])
    after = server.kernel_counters()
    assert after["TcpInSegs"] > before["TcpInSegs"]
    assert after["TcpInCsumErrors"] == before["TcpInCsumErrors"]


def test_ipv6_reaches_everything(network):
    for origin in network.origins:
        for server in ("fra-1", "ams-3"):
            seen = network.node(server).run(["curl", "-sf", f"http://[{origin.address6}]/source"]).stdout
            assert seen.startswith("2001:db8:")


# --- origins ---

def test_download(network):
    digest = network.node("ams-1").run(["sh", "-c", f"curl -sf http://198.51.100.1/{BIG_FILE} | sha256sum"]).stdout
    assert digest.split()[0] == BIG_FILE_SHA256
    [row] = [row for row in network.node("origin-1").http_records() if row[4] == f"/{BIG_FILE}"]
    assert (row[0], row[2], row[5], row[6]) == ("10.0.2.1", "198.51.100.1", 200, BIG_FILE_SIZE)


def test_big_file_is_what_its_checksum_says(network):
    with open(network.paths.www / BIG_FILE, "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == BIG_FILE_SHA256


DATAGRAM = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect((sys.argv[1], int(sys.argv[2])))
s.send(bytes.fromhex(sys.argv[3]))
answer = s.recv(65536)
print(s.getsockname()[1], answer.hex())
"""


def ask(node, address, port, payload):
    """(own port, answer); the socket is connected, so the answer came from the very address that was asked."""
    own, *answer = node.run(["/usr/bin/python3", "-c", DATAGRAM, address, str(port), payload.hex()]).stdout.split()
    return int(own), bytes.fromhex(answer[0] if answer else "")


def test_udp_echo_from_any_address_of_the_prefix(network):
    origin = network.node("origin-3")
    for address in ("198.51.100.129", "198.51.100.180"):
        mark = origin.mark()
        own, answer = ask(network.node("fra-1"), address, 7, b"hello")
        assert answer == b"hello"
        [seen] = origin.records(mark)
        assert (seen["proto"], seen["src"], seen["src_port"], seen["dst"], seen["dst_port"], seen["size"]) == \
            ("udp", "10.0.1.1", own, address, 7, 5)


def test_udp_source(network):
    own, answer = ask(network.node("ams-2"), "192.0.2.1", 9003, b"?")
    assert answer == f"10.0.2.3 {own}\n".encode()


def test_large_datagrams_come_back_whole(network):
    payload = bytes(range(256)) * 40
    assert ask(network.node("fra-2"), "192.0.2.129", 7, payload)[1] == payload


def test_dns(network):
    question = b"\x07example\x03com\x00" + bytes([0, 1, 0, 1])
    additional = bytes([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0])  # EDNS, which the answer leaves out
    query = b"\x12\x34" + bytes([1, 0, 0, 1, 0, 0, 0, 0, 0, 1]) + question + additional
    record = bytes([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53])
    assert ask(network.node("fra-1"), "198.51.100.1", 53, query)[1] == \
        b"\x12\x34" + bytes([0x85, 0, 0, 1, 0, 1, 0, 0, 0, 0]) + question + record


@pytest.mark.parametrize("query", [b"", b"\x00" * 12, b"\x12\x34" + bytes([0x80]) + b"\x00" * 30,
                                   b"\x12\x34" + bytes([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + b"\x3fshort", b"x" * 513],
                         ids=["empty", "header", "answer", "cut", "long"])
def test_dns_says_nothing_to_what_is_no_query(network, query):
    origin = network.node("origin-1")
    mark = origin.mark()
    with pytest.raises(CommandFailed, match="TimeoutError"):
        origin.run(["/usr/bin/python3", "-c",
                    DATAGRAM.replace("settimeout(5)", "settimeout(0.3)"), "198.51.100.1", "53", query.hex()])
    assert [row["size"] for row in origin.records(mark)] == [len(query)], "it arrived"
    assert origin.daemons()[1].pid(), "and the origin lives on"


MANY = """
import socket, sys
sockets = []
for number in range(int(sys.argv[2])):
    s = socket.create_connection((sys.argv[1], 9000 + number % 8))
    sockets.append(s)
for s in sockets:
    line = s.makefile("rb").readline().decode().split()
    assert line == [s.getsockname()[0], str(s.getsockname()[1])], line
    s.sendall(b"still there?")
for s in sockets:
    assert s.recv(100) == b"still there?"
    print(s.getsockname()[1], s.getpeername()[1])
"""


def test_the_recorder_sees_every_one_of_many_connections(network):
    origin = network.node("origin-2")
    mark = origin.mark()
    printed = network.node("fra-3").run(["/usr/bin/python3", "-c", MANY, "192.0.2.1", "3000"]).stdout
    opened = {tuple(map(int, line.split())) for line in printed.splitlines()}
    records = origin.records(mark)
    assert len(records) == 3000
    assert {(row["src_port"], row["dst_port"]) for row in records} == opened
    assert {(row["proto"], row["src"], row["dst"]) for row in records} == {("tcp", "10.0.1.5", "192.0.2.1")}
    assert records[0]["time"] <= records[-1]["time"] <= time.monotonic()


SLOW_READER = """
import socket
s = socket.create_connection(("198.51.100.1", 9000))
s.recv(100)
payload = bytes(range(256)) * 4096
s.setblocking(False)
sent = 0
while sent < len(payload):
    try:
        sent += s.send(payload[sent:])
    except BlockingIOError:
        break
s.setblocking(True)
s.settimeout(10)
got = b""
while len(got) < sent:
    got += s.recv(65536)
assert got == payload[:sent]
print(sent)
"""


def test_the_recorder_sends_back_more_than_fits_its_buffers(network):
    assert int(network.node("fra-1").run(["/usr/bin/python3", "-c", SLOW_READER]).stdout) > 100_000


# --- the BIRD configuration that ships ---

def test_the_example_configuration_is_accepted(tmp_path):
    shipped = REPOSITORY / "packaging" / "bird"
    text = (shipped / "example.conf").read_text()
    installed = 'include "/etc/bird/berth.conf";'
    assert installed in text
    config = tmp_path / "bird.conf"
    config.write_text(text.replace(installed, f'include "{shipped / "berth.conf"}";'))
    subprocess.run(["bird", "-p", "-c", config], check=True, capture_output=True)


def test_no_graceful_restart_is_offered(network):
    """A router keeps the routes of a server that offers it, after its death."""
    for server in network.servers:
        told = server.birdc("show", "protocols", "all", "uplink")
        [local] = re.findall(r"Local capabilities\n(.*?)\n    Neighbor", told, re.S)
        assert "raceful" not in local, local


def test_bfd_watches_every_session(network):
    for router in network.routers:
        sessions = router.birdc("show", "bfd", "sessions")
        assert len(re.findall(r"\bUp\b", sessions)) == 5, sessions
        assert "Down" not in sessions
