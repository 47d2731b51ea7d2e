# SPDX-License-Identifier: Apache-2.0
"""The main job: every server to every origin, from its own slices, with replies coming in anywhere."""

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.fleet import CRAWLER_ADDRESS
from lab.paths import REPOSITORY
from lab.process import wait_until
from lab.topology import POOL, internet_name

OPENER = REPOSITORY / "lab" / "opener.py"
EACH = 500


def open_many(server, targets, tcp=0, udp=0, policy="crawler"):
    argv = [OPENER, "--tcp", str(tcp), "--udp", str(udp), *targets]
    return [json.loads(line) for line in server.run(argv, policy=policy, timeout=240).stdout.splitlines()]


def verdicts(lab):
    total = Counter()
    for server in lab.servers:
        total.update(server.verdicts())
    return total


class EntryCount:
    """Counts, outside of Berth, the packets that routers bring from the internet to the pool."""

    TABLE = "berth-test"

    def __init__(self, lab):
        self.routers = lab.routers

    def __enter__(self):
        for router in self.routers:
            rules = f"""table ip {self.TABLE} {{
                counter entered {{ }}
                chain entering {{
                    type filter hook forward priority 0;
                    iifname "{internet_name(router.site)}" ip daddr {POOL} counter name entered
                }}
            }}"""
            router.run(["nft", "-f", "-"], input=rules)
        return self

    def __exit__(self, *_):
        for router in self.routers:
            router.run(["nft", "delete", "table", "ip", self.TABLE])

    def packets(self):
        total = 0
        for router in self.routers:
            rows = json.loads(router.run(["nft", "-j", "list", "counters", "table", "ip", self.TABLE]).stdout)
            total += sum(row["counter"]["packets"] for row in rows["nftables"] if "counter" in row)
        return total


DROPS = ("tunnel_stranger", "tunnel_malformed", "inner_stranger", "malformed", "fragment_unknown", "no_port",
         "unsolicited", "slice_unowned", "hop_limit", "hop_unresolved", "too_big", "no_socket")


@pytest.mark.deadline(300)
def test_every_server_to_every_origin(lab):
    targets = [f"{origin.address}:{9000 + i}" for i, origin in enumerate(lab.origins)]
    wait_until(lambda: at_rest(lab), 20, "earlier connections are over")
    retries = {server: server.kernel_counters()["TcpExtTCPSynRetrans"] for server in lab.servers}
    marks = {origin: origin.mark() for origin in lab.origins}

    with EntryCount(lab) as entered, ThreadPoolExecutor(len(lab.servers)) as pool:
        start = wait_until(lambda: reading(lab, entered), 20, "no packet is on its way")
        opened = dict(zip(lab.servers, pool.map(
            lambda server: open_many(server, targets, tcp=EACH, udp=EACH), lab.servers)))
        wait_until(lambda: settled(lab, start, entered), 20, lambda: f"the last packets arrive: {rise(lab, start, entered)}")
        entries, total = rise(lab, start, entered)

    for server, rows in opened.items():
        slices = server.slices(CRAWLER_ADDRESS)
        assert len(rows) == 2 * EACH * len(targets)
        assert [row for row in rows if row["error"]] == []
        assert {row["seen"] for row in rows} == {CRAWLER_ADDRESS}
        assert all(row["seen_port"] == row["source_port"] for row in rows)
        assert all(any(row["seen_port"] in ports for ports in slices) for row in rows)
        again = server.kernel_counters()["TcpExtTCPSynRetrans"] - retries[server]
        assert again <= total["lost"], f"{server} sent a SYN twice"

    # As the origins saw it: nobody else, and no two connections of all six servers with the same four numbers.
    for origin in lab.origins:
        records = origin.records(marks[origin])
        assert len(records) == 2 * EACH * len(lab.servers)
        assert {row["src"] for row in records} == {CRAWLER_ADDRESS}
        assert len({(row["proto"], row["src_port"]) for row in records}) == len(records)

    # Nothing unexplained: what came in was wrapped or delivered, what was wrapped was unwrapped.
    assert entries > 4 * EACH * len(targets)
    assert total["drops"] == {}
    assert 0 <= missing(entries, total) <= total["lost"]
    assert total["wrap"] >= total["deliver_unwrap"]
    assert 0 < total["relay"] <= total["wrap"]
    assert total["wrap"] > total["deliver_direct"], "most replies come in at another server than the owner"


def reading(lab, entered):
    """(packets from the internet, verdicts, packets that devices dropped), read twice with nothing between; None:
    something moved meanwhile.

    Only so can one be held against the other: a packet of an earlier test, between two readings, would be in one alone.
    """
    first = entered.packets(), verdicts(lab), device_drops(lab)
    return first if first == (entered.packets(), verdicts(lab), device_drops(lab)) else None


def device_drops(lab):
    """What the devices of servers and site routers dropped before anybody saw it: a veth's ring holds 256 packets."""
    stats = [row["stats64"] for node in lab.servers + lab.routers for row in node.json(["ip", "-j", "-s", "link", "show"])]
    return sum(row["rx"]["dropped"] + row["tx"]["dropped"] for row in stats)


def rise(lab, start, entered):
    """(packets that came since `start`, what became of them). "lost": by devices."""
    now = verdicts(lab)
    rose = {name: now[name] - start[1][name] for name in now}
    return entered.packets() - start[0], {
        "drops": {name: rose[name] for name in DROPS if rose[name]}, "lost": device_drops(lab) - start[2],
        **{name: rose[name] for name in ("wrap", "relay", "deliver_direct", "deliver_unwrap")}}


def missing(entries, total):
    """Packets without a verdict where they entered, and wraps without one where they were to end."""
    return entries - total["wrap"] - total["deliver_direct"] + max(total["wrap"] - total["deliver_unwrap"], 0)


def settled(lab, start, entered):
    """No packet is on its way any more: the last ones of a connection come after its end."""
    entries, total = rise(lab, start, entered)
    dropped = sum(total["drops"].values())
    return (missing(entries, total) <= dropped + total["lost"] and (entries, total) == rise(lab, start, entered))


def at_rest(lab):
    """Every server's verdicts, once none has changed for a while: connections end after those who had them."""
    found = {each: each.verdicts() for each in lab.servers}
    time.sleep(0.3)
    return found if found == {each: each.verdicts() for each in lab.servers} else None


def test_replies_enter_at_the_nearest_site(lab):
    """For an origin near ams, a fra server's replies cross the backbone; for one near fra they never leave fra."""
    server = lab.servers_of("fra")[0]
    for site in ("fra", "ams"):
        before = wait_until(lambda: at_rest(lab), 20, "earlier connections are over")
        open_many(server, [f"{lab.origins_near(site)[0].address}:9000"], tcp=50)
        entered = {each.site.name for each in lab.servers
                   for verdict in ("wrap", "deliver_direct") if each.verdicts()[verdict] > before[each][verdict]}
        assert entered == {site}


def test_checksums_arrive_whole(lab):
    """A wrap must not carry a packet whose checksum was still to be filled in. GRO would hide it: it is off."""
    names = ("TcpInCsumErrors", "UdpInCsumErrors")
    server, origin = lab.servers_of("ams")[1], lab.origins_near("fra")[0]
    server.run(["ethtool", "-K", "net0", "gro", "off"])
    try:
        before = {name: server.kernel_counters().get(name, 0) for name in names}
        rows = open_many(server, [f"{origin.address}:9000"], tcp=200, udp=200)
        assert [row for row in rows if row["error"]] == []
        assert {name: server.kernel_counters().get(name, 0) for name in names} == before
    finally:
        server.run(["ethtool", "-K", "net0", "gro", "on"])


def test_a_port_serves_many_destinations(lab):
    server = lab.servers[2]
    rows = open_many(server, [f"{origin.address}:9000" for origin in lab.origins], tcp=700)
    assert [row for row in rows if row["error"]] == []
    pairs = Counter((row["dest"], row["source_port"]) for row in rows)
    ports = Counter(port for _, port in pairs)
    assert max(pairs.values()) == 1
    assert max(ports.values()) == len(lab.origins)


def test_full_slice_is_refused_and_said(lab):
    """2,048 connections to one destination fill the slice; the next fails at once, and nothing leaves otherwise."""
    server, target = lab.servers[1], f"{lab.origins[1].address}:9003"
    before = server.verdicts()
    rows = open_many(server, [target], tcp=2048 + 10)
    errors = Counter(row["error"] for row in rows)
    assert errors == {None: 2048, "EADDRNOTAVAIL": 10}
    assert len({row["source_port"] for row in rows if not row["error"]}) == 2048
    assert server.verdicts()["refused_full"] - before["refused_full"] == 10
    rows = open_many(server, [target], tcp=5)
    assert [row["error"] for row in rows] == [None] * 5, "ports are given back when connections end"


def test_next_hop_that_changes_its_mac_is_followed(lab):
    """The router's port gets another address: hops are built anew without a packet having to ask."""
    server, router = lab.servers_of("fra")[0], lab.router_of("fra")
    peers = lab.servers_of("fra")
    macs = {peer: json.loads(router.run(["ip", "-j", "link", "show", peer.name]).stdout)[0]["address"]
            for peer in peers}
    try:
        for i, peer in enumerate(peers):
            router.run(["ip", "link", "set", peer.name, "address", f"02:00:00:00:aa:{i:02x}"])
        for i, peer in enumerate(peers):
            wait_until(lambda peer=peer, mac=f"02:00:00:00:aa:{i:02x}": {hop["mac"] for hop in peer.status()["hops"]}
                       == {mac}, 10, f"{peer.name} sees its router's new address")
        rows = open_many(server, [f"{origin.address}:9000" for origin in lab.origins], tcp=50, udp=50)
        assert [row for row in rows if row["error"]] == []
    finally:
        for peer in peers:
            router.run(["ip", "link", "set", peer.name, "address", macs[peer]])
        for peer in peers:
            wait_until(lambda peer=peer: {hop["mac"] for hop in peer.status()["hops"]} == {macs[peer]}, 10,
                       f"{peer.name} sees its router's old address")
