# SPDX-License-Identifier: Apache-2.0
"""docs/wire.md and what is on the wire, read by somebody else's decoder."""

import json
import re
import signal
import subprocess

import pytest
from scapy.all import IP, TCP, UDP, Ether, Raw, raw, wrpcap

from lab.fleet import CRAWLER_ADDRESS
from lab.paths import REPOSITORY
from lab.process import wait_until
from traffic_test import at_rest, open_many

DISSECTOR = REPOSITORY / "packaging/wireshark/berth.lua"
PAGE = (REPOSITORY / "docs/wire.md").read_text()
WRAP = ("berth.gue.version", "berth.gue.control", "berth.gue.words", "berth.gue.protocol", "berth.gue.flags",
        "berth.format", "berth.flags")
FIELDS = WRAP + ("berth.forwardings", "berth.steering", "berth.sender", "berth.site", "ip.src", "ip.dst", "ip.flags.df",
                 "ip.ttl", "ip.id", "ip.checksum.status", "ip.len", "udp.dstport", "udp.srcport", "udp.length",
                 "udp.checksum", "tcp.dstport")


def decode(capture, *more):
    """A dict a packet: field -> the list of its values, outermost first."""
    argv = ["tshark", "-r", capture, "-X", f"lua_script:{DISSECTOR}", "-o", "ip.check_checksum:TRUE", "-T", "json", *more]
    for field in FIELDS:
        argv += ["-e", field]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    return [{field: row["_source"]["layers"].get(field, []) for field in FIELDS} for row in json.loads(done.stdout)]


def page_example():
    """The bytes that the page shows: outer headers, GUE, and how the inner packet begins."""
    block = re.search(r"inner packet has 140 bytes:\n\n((?:    .*\n)+)", PAGE).group(1)
    rows = [re.match(r"((?:[0-9a-f]{2} ?)+)", line.strip()).group(1) for line in block.splitlines()]
    return bytes.fromhex(" ".join(rows[:3])), bytes.fromhex(rows[3])


def inner():
    return IP(src="192.0.2.7", dst="203.0.113.5", flags="DF") / TCP(sport=443, dport=4100) / Raw(b"x" * 100)


@pytest.fixture
def written(tmp_path):
    """written(bytes, ...): a capture of IPv4 packets."""
    def write(*packets):
        path = tmp_path / "packets.pcap"
        wrpcap(str(path), [Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", type=0x800) / Raw(packet)
                           for packet in packets])
        return path
    return write


def test_example_of_the_page(written):
    outer, begins = page_example()
    packet = raw(inner())
    assert len(outer) == 40 and packet.startswith(begins)
    row, = decode(written(outer + packet))
    assert row["ip.src"] == ["10.0.1.7", "192.0.2.7"] and row["ip.dst"] == ["10.0.1.8", "203.0.113.5"]
    assert row["ip.checksum.status"] == ["1", "1"]
    assert (row["berth.sender"], row["berth.site"], row["berth.steering"]) == (["7"], ["3"], ["4100"])
    assert (row["berth.forwardings"], row["tcp.dstport"]) == (["0"], ["4100"])


@pytest.mark.parametrize("at, value", [(28, 0x42), (28, 0x22), (28, 0x03), (29, 41), (31, 1), (32, 0x24)])
def test_what_is_no_wrap_is_not_shown_as_one(written, at, value):
    packet = bytearray(page_example()[0] + raw(inner()))
    packet[at] = value
    row, = decode(written(bytes(packet)))
    assert row["berth.steering"] == [] and row["ip.src"] == ["10.0.1.7"]


def test_another_port(written):
    packet = IP(page_example()[0] + raw(inner()))
    packet[UDP].dport = 7000
    del packet.chksum
    path = written(raw(packet))
    assert decode(path)[0]["berth.steering"] == []
    assert decode(path, "-o", "berth.port:7000")[0]["berth.steering"] == ["4100"]


def captured(lab, folder, run):
    """What the site routers forward while `run` runs: a capture file for each of them."""
    paths = [folder / f"{router.name}.pcap" for router in lab.routers]
    dumps = [router.popen(["tcpdump", "-i", "any", "-U", "--immediate-mode", "-Z", "root", "-w", path, "udp port 6080"])
             for router, path in zip(lab.routers, paths)]
    try:
        for path in paths:
            wait_until(lambda path=path: path.exists() and path.stat().st_size, 10, "tcpdump listens")
        run()
        wait_until(lambda: at_rest(lab), 20, "the last packets have come")
    finally:
        for dump in dumps:
            dump.send_signal(signal.SIGINT)
            dump.communicate(timeout=20)
    return paths


def test_wraps_of_a_fleet(lab, tmp_path):
    """Both hops of a reply that enters at the other site than the owner's: each field as the page says."""
    server, origin = lab.servers_of("fra")[0], lab.origins_near("ams")[0]
    servers = json.loads(lab.berth("show", "servers", "--json").stdout)["servers"]
    ids = {row["underlay"]: str(row["id"]) for row in servers}
    sites = json.loads(lab.berth("show", "fleet", "--json").stdout)["sites"]
    entry, = (str(row["id"]) for row in sites if row["name"] == "ams")
    paths = captured(lab, tmp_path, lambda: open_many(server, [f"{origin.address}:9000"], tcp=60, udp=60))
    rows = [row for path in paths for row in decode(path)]
    assert len(rows) > 200
    for row in rows:
        assert [row[field][0] for field in WRAP] == ["0", "0", "2", "4", "0x0000", "1", "0x00"]
        assert row["berth.sender"] == [ids[row["ip.src"][0]]], "the sender's id belongs to its underlay address"
        assert row["berth.site"] == [entry]
        assert row["ip.dst"][1] == CRAWLER_ADDRESS
        assert row["berth.steering"][0] == (row["tcp.dstport"] or row["udp.dstport"][1:])[0]
        assert any(int(row["berth.steering"][0]) in ports for ports in server.slices(CRAWLER_ADDRESS))
        assert (row["ip.flags.df"][0], row["ip.id"][0]) == ("1", "0x0000")
        assert int(row["ip.len"][0]) == int(row["ip.len"][1]) + 40 == int(row["udp.length"][0]) + 20
        assert (row["udp.dstport"][0], row["udp.checksum"][0]) == ("6080", "0x0000")
        assert 0xc000 <= int(row["udp.srcport"][0]) <= 0xffff
    assert {row["berth.forwardings"][0] for row in rows} == {"0", "1"}
    first = {(row["ip.src"][1], row["berth.steering"][0]): row["udp.srcport"][0] for row in rows
             if row["berth.forwardings"] == ["0"]}
    for row in rows:
        assert first[row["ip.src"][1], row["berth.steering"][0]] == row["udp.srcport"][0], "kept by those that relay"
