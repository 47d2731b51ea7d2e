# SPDX-License-Identifier: Apache-2.0
"""What a program under a policy does beside egress goes on as if Berth were not there; what must not leave doesn't."""

import json

import pytest

from lab.connections import forge
from lab.fleet import CRAWLER_ADDRESS, WEB_ADDRESSES, WEB_MARK
from lab.process import wait_until

CONNECT = """
import json, socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM if sys.argv[3] == "udp" else socket.SOCK_STREAM)
s.settimeout(5)
try:
    s.connect((sys.argv[1], int(sys.argv[2])))
    if sys.argv[3] == "udp":
        s.send(b"hello")
    print(json.dumps({"source": s.getsockname()[0], "answer": s.recv(100).decode(), "error": None}))
except OSError as error:
    print(json.dumps({"source": None, "answer": None, "error": error.errno}))
"""


def connect(server, address, port, proto="tcp", policy="crawler"):
    return json.loads(server.run(["/usr/bin/python3", "-c", CONNECT, address, str(port), proto], policy=policy).stdout)


@pytest.fixture(scope="module")
def nginx(lab):
    """nginx on a server, under a policy: serves on port 8080 of every address of the host."""
    server = lab.servers_of("fra")[1]
    directory = server.run_dir / "own-nginx"
    directory.mkdir()
    config = directory / "nginx.conf"
    config.write_text(f"""daemon off; user root; pid {directory}/pid; error_log {directory}/error.log;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {directory}/1; proxy_temp_path {directory}/2; fastcgi_temp_path {directory}/3;
    uwsgi_temp_path {directory}/4; scgi_temp_path {directory}/5;
    server {{ listen 8080; location / {{ return 200 "$remote_addr $server_addr\\n"; }} }}
}}
""")
    child = server.popen(["nginx", "-e", f"{directory}/error.log", "-c", str(config)], policy="crawler")
    wait_until(lambda: (directory / "pid").exists() and (directory / "pid").read_text().strip(), 10, "nginx starts")
    yield server
    child.terminate()
    child.communicate(timeout=10)


def test_nginx_under_a_policy_answers_its_clients(lab, nginx):
    origin, neighbour = lab.origins[0], lab.servers_of("fra")[2]
    url = f"http://{nginx.underlay}:8080/"
    for client, seen in ((origin, origin.address), (neighbour, neighbour.underlay)):
        answer = client.run(["curl", "-sS", "-m", "10", url]).stdout.split()
        assert answer == [seen, nginx.underlay]


def test_loopback_and_private_addresses_are_left_alone(lab, nginx):
    before = nginx.verdicts()
    here = nginx.run(["curl", "-sS", "-m", "10", "http://127.0.0.1:8080/"], policy="crawler").stdout.split()
    assert here == ["127.0.0.1", "127.0.0.1"]
    neighbour = lab.servers_of("ams")[0]
    there = neighbour.run(["curl", "-sS", "-m", "10", f"http://{nginx.underlay}:8080/"], policy="crawler").stdout.split()
    assert there == [neighbour.underlay, nginx.underlay]
    after = nginx.verdicts()
    assert after["excepted"] - before["excepted"] == 1
    assert after["allocated"] == before["allocated"]


MARKED = """
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, int(sys.argv[3]))
s.settimeout(5)
s.connect((sys.argv[1], int(sys.argv[2])))
print(s.recv(100).decode())
"""


@pytest.mark.parametrize("policy", [None, "crawler"])
def test_a_mark_chooses_the_policy(lab, policy):
    server, origin = lab.servers[1], lab.origins[2]

    def source(mark):
        argv = ["/usr/bin/python3", "-c", MARKED, origin.address, "9000", str(mark)]
        return server.run(argv, policy=policy).stdout.split()[0]

    assert source(WEB_MARK) in WEB_ADDRESSES
    assert source(WEB_MARK + 1) == (CRAWLER_ADDRESS if policy else server.underlay)


CONTAINER = """
ip link set lo up && ip address add 192.0.2.9/32 dev lo && ip route add local 198.51.100.0/24 dev lo src 192.0.2.9 &&
exec /usr/bin/python3 -c '
import socket
listener = socket.create_server(("198.51.100.7", 80))
print(socket.create_connection(("198.51.100.7", 80), timeout=5).getsockname()[0])'
"""


def test_a_container_with_a_network_of_its_own(lab):
    """Egress addresses are not local there. `wide` lets such sockets keep their namespace's address."""
    server = lab.servers[2]
    before = server.verdicts()["refused_netns"]
    denied = server.run(["unshare", "--net", "sh", "-c", CONTAINER], policy="crawler", check=False)
    assert "PermissionError" in denied.stderr
    assert server.verdicts()["refused_netns"] == before + 1
    assert server.run(["unshare", "--net", "sh", "-c", CONTAINER], policy="wide").stdout.strip() == "192.0.2.9"


def test_dual_stack_origin_is_reached_over_ipv4(lab):
    server, origin = lab.servers[4], lab.origins[1]
    resolve = f"dual.test:80:[{origin.address6}],{origin.address}"
    direct = server.run(["curl", "-6", "-sS", "-m", "10", "--resolve", resolve, "http://dual.test/source"]).stdout.split()
    assert ":" in direct[0], "its IPv6 address could be reached"
    answer = server.run(["curl", "-sS", "-m", "10", "--resolve", resolve, "http://dual.test/source"],
                        policy="crawler").stdout.split()
    assert answer[0] == CRAWLER_ADDRESS


def test_ipv6_destination_is_refused(lab):
    server, origin = lab.servers[0], lab.origins[0]
    before = server.verdicts()["refused_ipv6"]
    assert connect(server, origin.address6, 9000)["error"] == 101  # ENETUNREACH
    assert connect(server, origin.address6, 9000, "udp")["error"] == 101
    assert server.verdicts()["refused_ipv6"] - before == 2


def test_v4_mapped_destination(lab):
    server, origin = lab.servers[0], lab.origins[0]
    outcome = connect(server, f"::ffff:{origin.address}", 9000)
    assert outcome["source"] == f"::ffff:{CRAWLER_ADDRESS}"
    assert outcome["answer"].startswith(CRAWLER_ADDRESS)


def test_unconnected_udp_is_refused(lab):
    server, origin = lab.servers[0], lab.origins[0]
    mark, before = origin.mark(), server.verdicts()["refused_unconnected"]
    script = ("import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
              "try:\n    s.sendto(b'x', (sys.argv[1], 9000))\nexcept PermissionError:\n    print('refused')\n")
    assert server.run(["/usr/bin/python3", "-c", script, origin.address], policy="crawler").stdout == "refused\n"
    assert origin.records(mark) == []
    assert server.verdicts()["refused_unconnected"] - before == 1


def test_without_a_policy_nothing_changes(lab):
    server, origin = lab.servers[0], lab.origins[0]
    for proto in ("tcp", "udp"):
        assert connect(server, origin.address, 9000, proto, policy=None)["source"] == server.underlay


def test_raw_sockets_are_stopped(lab):
    """Under a policy on the way out of the cgroup; by the guard for everybody else, where the port is not ours."""
    server, victim, origin = lab.servers[0], lab.servers[1], lab.origins[0]
    own, foreign = server.slices(CRAWLER_ADDRESS)[0][9], victim.slices(CRAWLER_ADDRESS)[0][9]
    mark, before = origin.mark(), server.verdicts()

    def send(port, policy):
        return forge(server, "raw", (CRAWLER_ADDRESS, port), (origin.address, 9000), policy)
    assert send(own, "crawler") == "refused"
    assert server.verdicts()["refused_egress"] - before["refused_egress"] == 1
    send(foreign, None)
    wait_until(lambda: server.verdicts()["foreign_source"] > before["foreign_source"], 5, "the guard counts the drop")
    assert origin.records(mark) == []
    # The port is this server's own: then root may.
    assert send(own, None) == "done"
    wait_until(lambda: [row["src_port"] for row in origin.records(mark)] == [own], 5, "the origin sees the datagram")


def test_ping_from_a_policy_is_stopped(lab):
    server, origin = lab.servers[0], lab.origins[0]
    assert server.run(["ping", "-c", "1", "-W", "1", origin.address], policy="crawler", check=False).returncode != 0
    assert server.run(["ping", "-c", "1", "-W", "1", origin.address]).returncode == 0


def test_what_nobody_asked_for_stops_at_the_edge(lab):
    """A SYN and an echo request to a pool address never cross the backbone; a UDP packet stops at its owner."""
    origin, owner = lab.origins_near("ams")[0], lab.servers_of("fra")[0]
    port = owner.slices(CRAWLER_ADDRESS)[0][100]
    before = {server: server.verdicts() for server in lab.servers}

    def rose(name, servers):
        return sum(server.verdicts()[name] - before[server][name] for server in servers)
    origin.run(["/usr/bin/python3", "-c", CONNECT.replace("settimeout(5)", "settimeout(0.5)"), CRAWLER_ADDRESS,
                str(port), "tcp"])
    origin.run(["ping", "-c", "1", "-W", "1", CRAWLER_ADDRESS], check=False)
    assert rose("unsolicited", lab.servers_of("ams")) == 2
    assert rose("unsolicited", lab.servers_of("fra")) == rose("wrap", lab.servers) == 0
    origin.run(["/usr/bin/python3", "-c", CONNECT.replace("settimeout(5)", "settimeout(0.5)"), CRAWLER_ADDRESS,
                str(port), "udp"])
    assert rose("no_socket", [owner]) == 1
    assert rose("no_socket", lab.servers) == 1


def test_tunnel_takes_nothing_from_strangers(lab):
    """A wrapped packet that somebody on the internet sends to a server's tunnel port is dropped and counted."""
    origin, server = lab.origins_near("fra")[0], lab.servers_of("fra")[0]
    before = server.verdicts()
    # Right in every byte (docs/wire.md) but for where it comes from: 203.0.113.1:4100, sent by server 1.
    wrap = "02040000" "1000" "1004" "00001001"
    inner = "4500002800010000400600" "00" "c0000201" "cb007101" "01bb1004" "0000000000000000" "5010000000000000"
    script = ("import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
              "s.setsockopt(socket.SOL_SOCKET, 11, 1)\n"  # SO_NO_CHECK: a wrap has none
              "s.sendto(bytes.fromhex(sys.argv[2]), (sys.argv[1], 6080))\n")
    for payload in (wrap + inner, wrap):
        origin.run(["/usr/bin/python3", "-c", script, server.underlay, payload])
    for name in ("tunnel_stranger", "tunnel_malformed"):
        wait_until(lambda name=name: server.verdicts()[name] - before[name] == 1, 5, f"one {name} is counted")
    assert server.verdicts()["deliver_unwrap"] == before["deliver_unwrap"]
    assert server.verdicts()["relay"] == before["relay"]
