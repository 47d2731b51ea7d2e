# SPDX-License-Identifier: Apache-2.0
"""IPv4 identifications of packets that may be fragmented: servers that share an address never use the same one, or an
origin could put pieces of two servers' datagrams together."""

import json
from collections import defaultdict

from lab.fleet import CRAWLER_ADDRESS, SLICE_PORTS

ROUNDS = 200
BIG = 3000  # bytes, three fragments

# ADDRESS PORT ROUNDS BIG: datagrams that may be fragmented, small ones and such that are at once.
SEND = """
import socket, sys
IP_MTU_DISCOVER, IP_PMTUDISC_DONT = 10, 0
address, port, rounds, big = sys.argv[1], *map(int, sys.argv[2:])
for _ in range(4):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
    s.settimeout(5)
    s.connect((address, port))
    for number in range(rounds // 4):
        s.send(b"x" * (big if number % 5 == 0 else 10))
        s.recv(100)
"""

# Says each IPv4 packet that comes in by net0 from ADDRESS with DF clear, until its input ends.
CAPTURE = """
import json, select, socket, struct, sys
SO_RCVBUFFORCE = 33
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x800))
s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)  # the usual one holds some 90 packets: a few milliseconds
s.bind(("net0", 0x800))
print("ready", flush=True)
rows = []
while True:
    ready, _, _ = select.select([s, sys.stdin], [], [])
    if s not in ready:
        break
    frame = s.recv(65536)
    number, flags = struct.unpack("!HH", frame[18:22])
    if socket.inet_ntoa(frame[26:30]) == sys.argv[1] and not flags & 0x4000:
        at = 14 + 4 * (frame[14] & 15)
        first = flags & 0x1fff == 0
        rows.append({"id": number, "offset": (flags & 0x1fff) * 8, "more": bool(flags & 0x2000),
                     "port": struct.unpack("!H", frame[at:at + 2])[0] if first else None})
print(json.dumps(rows))
"""


def capture(origin, server):
    """What the origin gets of a server's datagrams."""
    sniffer = origin.popen(["/usr/bin/python3", "-c", CAPTURE, CRAWLER_ADDRESS], stdin=-1)
    assert sniffer.stdout.readline() == "ready\n"
    server.run(["/usr/bin/python3", "-c", SEND, origin.address, "9004", str(ROUNDS), str(BIG)], policy="crawler")
    out, errors = sniffer.communicate("", timeout=20)
    assert errors == ""
    return json.loads(out)


def test_servers_of_one_address_never_share_an_identification(lab):
    parts = {}
    for server in lab.servers:
        packets, slices = capture(lab.origins[1], server), server.slices(CRAWLER_ADDRESS)
        datagrams = [packet for packet in packets if packet["port"] is not None]
        assert len(datagrams) == ROUNDS
        assert all(any(packet["port"] in ports for ports in slices) for packet in datagrams), "nobody else sent"

        # All pieces of a datagram have the number of its first one.
        pieces = defaultdict(set)
        for packet in packets:
            pieces[packet["id"]].add(packet["offset"])
        cut = {packet["id"] for packet in datagrams if packet["more"]}
        assert len(cut) > ROUNDS // 10
        assert all(len(pieces[number]) == 3 for number in cut)

        parts[server] = {packet["id"] for packet in packets}
        first = min(ports[0] for ports in slices)  # of the lowest column: a part is as wide as a slice
        assert all(first <= number < first + SLICE_PORTS for number in parts[server])
    total = set().union(*parts.values())
    assert len(total) == sum(map(len, parts.values()))
