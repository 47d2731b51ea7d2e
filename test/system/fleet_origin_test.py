# SPDX-License-Identifier: Apache-2.0
"""Servers of the fleet as destinations: one that serves is an origin to another's egress, though it has the egress
address itself; and connections to an egress address lead nowhere, and do not go round."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from lab.connections import open_many
from lab.fleet import CRAWLER_ADDRESS
from lab.origin import PROGRAM
from lab.process import Daemon, wait_until
from lab.topology import POOL, internet_name

EACH = 20
# A documentation range that no origin of the lab has.
SERVICE = "192.0.2.{}".format


class Service:
    """A server's public address, and a recorder on it. Routers learn the way to it by hand."""

    def __init__(self, lab, server, number):
        self.lab, self.server, self.address = lab, server, SERVICE(64 + number)
        self.records_file = server.run_dir / "service.jsonl"
        pid_file = server.run_dir / "service.pid"
        argv = [PROGRAM, "--records", self.records_file, "--pid-file", pid_file]
        self.daemon = Daemon(server, "service", argv, server.cgroup / "system", pid_file)

    def _ways(self):
        """(router, next hop): to the server, from the other site by the backbone."""
        near, far = self.lab.topology.uplink(self.server.name)
        own = self.lab.node(far.node)
        yield own, near.address
        for router in self.lab.routers:
            for end, other, _ in router.links:
                if router.name != own.name and other.node == own.name:
                    yield router, other.address

    def __enter__(self):
        self.server.run(["ip", "address", "add", f"{self.address}/32", "dev", "lo"])
        for router, hop in self._ways():
            router.run(["ip", "route", "add", self.address, "via", str(hop)])
        self.records_file.unlink(missing_ok=True)
        self.daemon.start()
        self.daemon.started()
        return self

    def __exit__(self, *_):
        self.daemon.stop()
        for router, hop in self._ways():
            router.run(["ip", "route", "del", self.address, "via", str(hop)], check=False)
        self.server.run(["ip", "address", "del", f"{self.address}/32", "dev", "lo"], check=False)

    def sources(self):
        rows = [json.loads(line) for line in self.records_file.read_text().splitlines()]
        return sorted((row["proto"], row["src"], row["src_port"]) for row in rows if row["dst"] == self.address)


@pytest.mark.parametrize("sites", [("fra", "ams"), ("fra", "fra")], ids=["two-sites", "one-site"])
def test_two_servers_are_each_other_s_origin(lab, sites):
    """Both open connections to the other at once; what the other answers enters at the other's site."""
    pair = [lab.servers_of(sites[0])[0], lab.servers_of(sites[1])[1]]
    before = {server: server.verdicts() for server in lab.servers}
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        services = [stack.enter_context(Service(lab, server, i)) for i, server in enumerate(pair)]
        opened = list(pool.map(lambda one: open_many(pair[one], [f"{services[1 - one].address}:9000"], EACH, EACH),
                               (0, 1)))
        seen = [service.sources() for service in services]
    for i, rows in enumerate(opened):
        assert [row for row in rows if row["error"]] == []
        assert {row["seen"] for row in rows} == {CRAWLER_ADDRESS}
        assert all(any(row["seen_port"] in ports for ports in pair[i].slices(CRAWLER_ADDRESS)) for row in rows)
        assert seen[1 - i] == sorted((row["proto"], row["source"], row["source_port"]) for row in rows)

    rose = {server: {name: value - before[server][name] for name, value in server.verdicts().items()}
            for server in lab.servers}
    for server in pair:
        assert rose[server]["deliver_direct"] + rose[server]["deliver_unwrap"] >= 2 * EACH
        assert rose[server]["allocated"] == 2 * EACH
    for site in {"fra", "ams"} - set(sites):
        assert sum(rose[server]["wrap"] for server in lab.servers_of(site)) == 0
    if sites[0] != sites[1]:
        for site in sites:
            assert sum(rose[server]["wrap"] for server in lab.servers_of(site)) >= 2 * EACH, "answers enter at both sites"


# --- connections to the pool ---

# ADDRESS PORT...: TCP and UDP to each, all at once; what came of them.
TRY = """
import select, socket, sys
address, *ports = sys.argv[1:]
waiting = []
for port in map(int, ports):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        s = socket.socket(socket.AF_INET, kind)
        s.setblocking(False)
        s.connect_ex((address, port))
        if kind == socket.SOCK_DGRAM:
            s.send(b"x")
        waiting.append(s)
poll = select.poll()
for s in waiting:
    poll.register(s, select.POLLIN)
print(len(waiting), len(poll.poll(700)))
"""


@contextmanager
def passes(lab):
    """Counts, at the routers, every packet to the pool and every tunnel packet: what goes round is seen often."""
    rules = f"""table ip berth-passes {{
        counter passed {{ }}
        chain passing {{
            type filter hook prerouting priority 0;
            ip daddr {POOL} counter name passed
            udp dport 6080 counter name passed
        }}
    }}"""

    def count():
        rows = [json.loads(router.run(["nft", "-j", "list", "counters", "table", "ip", "berth-passes"]).stdout)["nftables"]
                for router in lab.routers]
        return sum(row["counter"]["packets"] for each in rows for row in each if "counter" in row)
    for router in lab.routers:
        router.run(["nft", "-f", "-"], input=rules)
    yield count
    for router in lab.routers:
        router.run(["nft", "delete", "table", "ip", "berth-passes"])


@pytest.mark.parametrize("policy", [None, "crawler"])
def test_connections_to_an_egress_address_go_nowhere(lab, policy):
    """They leave from the host's address, pools being excepted, and end at the first forwarder or at the owner's: to
    an own port, a neighbour's, and one that nobody owns."""
    server, neighbour = lab.servers_of("fra")[:2]
    ports = [server.slices(CRAWLER_ADDRESS)[0][700], neighbour.slices(CRAWLER_ADDRESS)[0][700], 80]
    before = {each: each.verdicts() for each in lab.servers}
    with passes(lab) as passed:
        outcome = server.run(["/usr/bin/python3", "-c", TRY, CRAWLER_ADDRESS, *map(str, ports)], policy=policy).stdout
        packets = passed()
    after = {each: each.verdicts() for each in lab.servers}
    rose = {name: total for name in before[server]
            if (total := sum(after[each][name] - before[each][name] for each in lab.servers))}
    assert outcome == "6 0\n", "no answer, no reset"
    assert rose.pop("excepted", 0) == (6 if policy else 0)
    wraps = rose.pop("wrap", 0)
    assert wraps <= 2, "the two datagrams that have an owner, when they come to another server of its site"
    assert packets == 6 + wraps
    assert rose == {"unsolicited": 3, "no_socket": 2, "slice_unowned": 1}
