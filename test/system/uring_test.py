# SPDX-License-Identifier: Apache-2.0
"""Programs that connect by io_uring are judged like all others, whichever thread of the kernel does it for them."""

import errno
import subprocess
from pathlib import Path

import pytest

from lab.fleet import CRAWLER_ADDRESS
from lab.paths import BUILD
from lab.process import wait_until

SOURCE = Path(__file__).parent / "programs" / "uring.c"
UNAVAILABLE = 77
WAYS = ("plain", "async", "sqpoll")

# Opens connections to ADDRESS PORT until one is refused, says why, and holds them until its input ends.
FILL = """
import socket, sys
held = []
while True:
    s = socket.socket()
    try:
        s.connect((sys.argv[1], int(sys.argv[2])))
    except OSError as error:
        print(error.errno, flush=True)
        break
    held.append(s)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def program():
    program = BUILD / "test" / "programs" / "uring"
    program.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cc", "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, SOURCE], check=True)
    return program


def ask(server, program, way, address, policy="crawler"):
    result = server.run([program, way, address, "9003"], policy=policy, check=False)
    if result.returncode == UNAVAILABLE:
        pytest.skip(f"no io_uring with sockets on this kernel, or none allowed: {result.stderr.strip()}")
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


@pytest.mark.parametrize("way", WAYS)
def test_connects_from_the_slice(lab, program, way):
    server, origin = lab.servers[0], lab.origins[0]
    mark, before = origin.mark(), server.verdicts()
    address, port = ask(server, program, way, origin.address)
    assert address == CRAWLER_ADDRESS
    assert any(int(port) in ports for ports in server.slices(CRAWLER_ADDRESS))
    row, = origin.records(mark)
    assert (row["src"], row["src_port"]) == (address, int(port))
    assert server.verdicts()["allocated"] - before["allocated"] == 1
    assert ask(server, program, way, origin.address, policy=None)[0] == server.underlay


@pytest.mark.parametrize("way", WAYS)
def test_refusal_is_the_request_s_result(lab, program, way):
    """A slice that is full towards the destination: the request ends with the errno that connect() has."""
    server, origin = lab.servers[2], lab.origins[0]
    filler = server.popen(["/usr/bin/python3", "-c", FILL, origin.address, "9003"], policy="crawler", stdin=-1)
    try:
        assert filler.stdout.readline() == f"{errno.EADDRNOTAVAIL}\n", "the slice is full"
        mark, before = origin.mark(), server.verdicts()["refused_full"]
        assert ask(server, program, way, origin.address) == ["refused", str(errno.EADDRNOTAVAIL)]
        assert server.verdicts()["refused_full"] - before == 1
        # Some of those that filled it may be accepted only now.
        assert {row["src"] for row in origin.records(mark)} <= {CRAWLER_ADDRESS}
    finally:
        filler.communicate("", timeout=20)
    # FIN and its answer of 2,048 connections take a moment.
    wait_until(lambda: ask(server, program, way, origin.address)[0] == CRAWLER_ADDRESS, 10, "there is room again")
