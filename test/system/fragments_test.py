# SPDX-License-Identifier: Apache-2.0
"""Datagrams too long for one packet, on their way back."""

import json

import pytest

from lab.fleet import CRAWLER_ADDRESS
from traffic_test import verdicts

PORT = 7007
SOCKETS, LENGTH = 100, 3000  # bytes of an answer: three fragments

# ADDRESS PORT LENGTH: answers each datagram with what it said, repeated up to LENGTH bytes, in fragments, until its input
# ends.
ANSWER = """
import select, socket, sys
IP_MTU_DISCOVER, IP_PMTUDISC_DONT = 10, 0
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
s.bind((sys.argv[1], int(sys.argv[2])))
print("ready", flush=True)
while s in select.select([s, sys.stdin], [], [])[0]:
    said, peer = s.recvfrom(100)
    s.sendto((said * int(sys.argv[3]))[:int(sys.argv[3])], peer)
"""

# ADDRESS PORT COUNT LENGTH: asks from so many sockets at once, then reads all answers.
ASK = """
import json, socket, sys
address, port, count, length = sys.argv[1], *map(int, sys.argv[2:])
sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
for number, s in enumerate(sockets):
    s.settimeout(5)
    s.connect((address, port))
    s.send(b"%04d" % number)
whole = 0
for number, s in enumerate(sockets):
    try:
        whole += s.recv(65536) == (b"%04d" % number * length)[:length]
    except TimeoutError:
        pass
print(json.dumps({"whole": whole, "addresses": sorted({s.getsockname()[0] for s in sockets})}))
"""


@pytest.mark.parametrize("near", ["fra", "ams"])
def test_answers_in_fragments(lab, near):
    """They enter at either site, and every piece of each comes to the socket that asked."""
    origin, before = lab.origins_near(near)[0], verdicts(lab)
    answering = origin.popen(["/usr/bin/python3", "-c", ANSWER, origin.address, str(PORT), str(LENGTH)], stdin=-1)
    try:
        assert answering.stdout.readline() == "ready\n"
        for server in lab.servers:
            asked = server.run(["/usr/bin/python3", "-c", ASK, origin.address, str(PORT), str(SOCKETS), str(LENGTH)],
                               policy="crawler", timeout=60)
            assert json.loads(asked.stdout) == {"whole": SOCKETS, "addresses": [CRAWLER_ADDRESS]}
    finally:
        _, errors = answering.communicate("", timeout=20)
    assert errors == ""
    after = verdicts(lab)
    assert after["fragment_unknown"] == before["fragment_unknown"]
    assert after["wrap"] - before["wrap"] > SOCKETS * 3, "most of them entered at another server than the owner"
