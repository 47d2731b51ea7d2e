# SPDX-License-Identifier: Apache-2.0
"""One slice carries ten thousand connections at once, and the host's own go on beside them."""

import json

import pytest

from lab.connections import hold_open, open_many, release
from lab.fleet import CRAWLER_ADDRESS
from lab.topology import POOL

EACH = 1000
OWN = 20
TARGETS = [f"198.51.100.{20 + address}:{9000 + port}" for address in range(5) for port in range(2)]

NL_ADDRESSES = [str(POOL[8]), str(POOL[9])]


def fallbacks(server):
    usage = json.loads(server.berth("show", "usage", "--json", *server.pin_flags).stdout)
    return {row["name"]: row["fallbacks"] for row in usage["policies"]}["overflow"]


# Connections to a listener on loopback, all open at once, each from a port that the kernel chose.
LOOPBACK = """
import json, socket, sys
listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
ports = []
held = []
for _ in range(int(sys.argv[1])):
    client = socket.create_connection(listener.getsockname(), timeout=5)
    held += [client, listener.accept()[0]]
    ports.append(client.getsockname()[1])
print(json.dumps(ports))
"""


@pytest.mark.deadline(200)
def test_ten_thousand_connections_over_one_slice(lab):
    server = lab.servers_of("fra")[0]
    slices = server.slices(CRAWLER_ADDRESS)
    reserved = {port for ports in slices for port in ports}
    assert len(slices) == 1
    crowd, rows = hold_open(server, TARGETS, EACH, 0)
    assert not [row for row in rows if row["error"]]
    assert len(rows) == EACH * len(TARGETS) == 10_000
    assert {row["source"] for row in rows} == {CRAWLER_ADDRESS}
    assert {row["source_port"] for row in rows} <= set(slices[0])
    assert len({(row["dest"], row["dest_port"], row["source_port"]) for row in rows}) == len(rows)
    assert not [row for row in rows if (row["seen"], row["seen_port"]) != (row["source"], row["source_port"])]

    own = open_many(server, TARGETS, OWN, OWN, policy=None)
    assert len(own) == 2 * OWN * len(TARGETS) and not [row for row in own if row["error"]]
    assert {row["source"] for row in own} == {server.underlay}
    ports = json.loads(server.run(["/usr/bin/python3", "-c", LOOPBACK, "300"]).stdout)
    assert len(ports) == 300
    assert not reserved & ({row["source_port"] for row in own} | set(ports))
    assert release(crowd) == []


@pytest.mark.deadline(200)
def test_a_full_slice_falls_back_to_the_next_selector(lab):
    """2,048 connections to one destination fill the slices; the next ones leave from the fallback's address, and only
    those to that destination."""
    server = lab.servers_of("fra")[0]
    own = [address for address in NL_ADDRESSES if server.slices(address)]
    ports = sum(len(ports) for address in own for ports in server.slices(address))
    before = fallbacks(server)
    crowd, rows = hold_open(server, ["198.51.100.30:9000"], ports + 60, 0, policy="overflow")
    assert not [row for row in rows if row["error"]]
    first, rest = rows[:ports], rows[ports:]
    assert {row["source"] for row in first} == set(own)
    assert len({(row["source"], row["source_port"]) for row in first}) == ports
    assert {row["source"] for row in rest} == {CRAWLER_ADDRESS}
    assert not [row for row in rows if (row["seen"], row["seen_port"]) != (row["source"], row["source_port"])]
    assert fallbacks(server) - before == 60
    elsewhere = open_many(server, ["198.51.100.31:9000"], 20, 20, policy="overflow")
    assert {row["source"] for row in elsewhere} <= set(own)
    assert release(crowd) == []
    assert fallbacks(server) - before == 60
