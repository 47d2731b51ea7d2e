# SPDX-License-Identifier: Apache-2.0
"""What an agent's surroundings do to it: uplinks go and come, the store is away, it is killed again and again. What is
loaded goes on, what cannot work is not announced, and nothing piles up."""

import os
import re
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
import yaml

from lab.connections import hold_open, open_many, release
from lab.fleet import CRAWLER_ADDRESS
from lab.process import wait_until
from lab.topology import POOL

TICK_SECONDS = 5  # an agent looks at everything as often


def targets(lab, port=9000):
    return [f"{origin.address}:{port}" for origin in lab.origins]


def assert_all_open(server, to, tcp=20, udp=20):
    rows = open_many(server, to, tcp, udp)
    assert [row for row in rows if row["error"]] == []
    assert {row["seen"] for row in rows} == {CRAWLER_ADDRESS}


def hold_on(servers, to):
    held = {server: hold_open(server, to, 20, 20) for server in servers}
    for _, rows in held.values():
        assert [row for row in rows if row["error"]] == []
    return held


def assert_unbroken(held):
    for server, (child, _) in held.items():
        assert release(child) == [], f"connections of {server} broke"


@pytest.mark.deadline(200)
def test_uplink_down_and_up(make_lab):
    """A server without its uplink announces nothing, and is back with it; the others' connections never notice."""
    lab = make_lab(agents=True)
    server, others = lab.servers[1], [each for each in lab.servers if each != lab.servers[1]]
    held = hold_on(others, targets(lab))
    server.run(["ip", "link", "set", "net0", "down"])
    wait_until(lambda: not server.announced(), 2, "it takes its announcement back")
    lab.wait_announced(servers=others)
    for each in others:
        assert_all_open(each, targets(lab, 9001))

    server.run(["ip", "link", "set", "net0", "up"])
    lab.wait_announced()
    assert {hop["state"] for hop in server.status()["hops"]} == {"ready"}
    for each in lab.servers:
        assert_all_open(each, targets(lab, 9002))
    assert_unbroken(held)
    assert server.status()["degraded"] == []


@pytest.mark.deadline(200)
@pytest.mark.parametrize("other_number", [False, True], ids=["same-ifindex", "other-ifindex"])
def test_uplink_made_anew(make_lab, other_number):
    """The device goes, with everything that was attached to it, and one of its name comes back."""
    lab = make_lab(agents=True)
    server, others = lab.servers[1], [each for each in lab.servers if each != lab.servers[1]]
    near, _ = lab.topology.uplink(server.name)
    [link] = server.json(["ip", "-j", "link", "show", "net0"])
    elsewhere = server.popen(["unshare", "--net", "sleep", "100"])
    wait_until(lambda: Path(f"/proc/{elsewhere.pid}/comm").read_text() == "sleep\n", 5, "there is another namespace")
    server.run(["ip", "link", "set", "net0", "netns", str(elsewhere.pid)])
    wait_until(lambda: not server.announced(), 2, "it takes its announcement back")
    lab.wait_announced(servers=others)
    if other_number:
        server.run(["ip", "link", "add", "taken", "index", str(link["ifindex"]), "type", "veth", "peer", "taken-too"])
    server.run(["nsenter", f"--net=/proc/{elsewhere.pid}/ns/net", "ip", "link", "set", "net0", "netns",
                server.namespace.name])
    elsewhere.kill()
    server.run(["ip", "address", "add", f"{near.address}/31", "dev", "net0"])
    server.run(["ip", "link", "set", "net0", "up"])
    [again] = server.json(["ip", "-j", "link", "show", "net0"])
    assert (again["ifindex"] == link["ifindex"]) is not other_number

    lab.wait_announced()
    wait_until(lambda: "bpf" in server.run(["tc", "filter", "show", "dev", "net0", "egress"]).stdout, 1,
               "the guard is on the new device")
    for each in lab.servers:
        assert_all_open(each, targets(lab))
    pins = [path.name for path in (server.bpffs / "links").glob("xdp_*")]
    assert f"xdp_{again['ifindex']}" in pins


def test_routes_that_somebody_removed_come_back(lab):
    """As network managers do with routes and rules that they don't know."""
    server = lab.servers[0]
    before = server.host_state()
    server.run(["ip", "route", "flush", "table", "local", "proto", "60"])
    wait_until(lambda: server.host_state()["local routes"] == before["local routes"], 2, "the local route is back")
    server.run(["ip", "rule", "del", "pref", "50"])
    wait_until(lambda: server.host_state() == before, TICK_SECONDS + 3, "the rule is back")


class Store:
    """The lab's store file, to be moved about under the agents."""

    def __init__(self, lab):
        self.path = lab.paths.run / "berth.db"
        self.aside = lab.paths.run / "aside"

    def files(self, directory):
        return [directory / (self.path.name + end) for end in ("", "-wal", "-shm")]

    def away(self):
        self.aside.mkdir(exist_ok=True)
        for here, there in zip(self.files(self.path.parent), self.files(self.aside)):
            if here.exists():
                os.rename(here, there)

    def back(self):
        # The file last: with it, the others count.
        for here, there in reversed(list(zip(self.files(self.path.parent), self.files(self.aside)))):
            if there.exists():
                os.rename(there, here)

    def copy(self, to):
        with closing(sqlite3.connect(self.path)) as source, closing(sqlite3.connect(to)) as copy:
            source.backup(copy)


def trouble(server):
    """What an agent says of itself; "" as well while it does not answer yet."""
    with suppress(OSError):
        return " / ".join(server.status()["degraded"])
    return ""


def add_policy(lab, name):
    fleet = yaml.safe_load(lab.paths.fleet_file.read_text())
    fleet["policies"].append({"name": name, "cgroup": f"/{name}", "select": "country=DE"})
    lab.paths.fleet_file.write_text(yaml.safe_dump(fleet))
    lab.apply_fleet()


@pytest.mark.deadline(200)
def test_store_is_away(make_lab):
    lab = make_lab(agents=True)
    store = Store(lab)
    held = hold_on(lab.servers, targets(lab))
    before = {server: server.host_state() for server in lab.servers}
    store.away()
    for server in lab.servers:
        wait_until(lambda server=server: "store: " in trouble(server), 10, f"{server} says that the store is gone")
        assert "berth.db is gone" in trouble(server)
    for server in lab.servers:
        assert_all_open(server, targets(lab, 9001))
        assert server.host_state() == before[server]
    store.back()
    for server in lab.servers:
        wait_until(lambda server=server: not trouble(server), 10, f"{server} reads the store again")
    add_policy(lab, "later")
    wait_until(lambda: lab.all_loaded(lab.servers), 20, "every server has the new revision")
    assert_unbroken(held)


@pytest.mark.deadline(200)
def test_agent_starts_while_the_store_is_away(make_lab):
    """It knows nothing then, least of all a reason to take anything down."""
    lab = make_lab(agents=True)
    store, server = Store(lab), lab.servers[0]
    held = hold_on(lab.servers, targets(lab))
    before = server.host_state()
    server.kill_agent()
    store.away()
    server.start_agent()
    wait_until(lambda: "nothing was applied" in trouble(server), 10, "the new agent says what it lacks")
    assert server.status()["adopted"] is True
    end = time.monotonic() + TICK_SECONDS + 2
    while time.monotonic() < end:
        assert str(POOL) in server.announced()
        time.sleep(0.05)
    for each in lab.servers:
        assert_all_open(each, targets(lab, 9001))
    assert server.host_state() == before
    assert not store.path.exists(), "an agent makes no store"
    store.back()
    server.wait_loaded()
    wait_until(lambda: not trouble(server), 10, "nothing is amiss")
    assert server.host_state() == before
    assert_unbroken(held)


@pytest.mark.deadline(200)
def test_older_store_is_put_back(make_lab):
    """What changed since may be in others' hands: nothing moves."""
    lab = make_lab(agents=True)
    store, server = Store(lab), lab.servers[0]
    older = lab.paths.run / "older.db"
    store.copy(older)
    add_policy(lab, "later")
    wait_until(lambda: lab.all_loaded(lab.servers), 20, "every server has the new revision")
    applied = server.status()["applied"]
    store.away()
    os.rename(older, store.path)
    for each in lab.servers:
        wait_until(lambda each=each: "an older copy was put back" in trouble(each), 15, f"{each} says so")
        assert_all_open(each, targets(lab))
    assert [policy["name"] for policy in server.status()["policies"]].count("later") == 1
    assert server.status()["applied"] == applied
    # Who restarts the agent says that the copy counts.
    server.stop_agent()
    server.start_agent()
    assert 0 < server.wait_loaded()["applied"] < applied
    assert [policy["name"] for policy in server.status()["policies"]].count("later") == 0


@pytest.mark.deadline(200)
def test_many_restarts_leave_nothing_behind(make_lab):
    lab = make_lab(agents=True)
    server = lab.servers[0]
    held = hold_on([server], targets(lab))

    def descriptors():
        # Not sockets: the connection that asked for the status may not have been closed at the other end yet.
        try:
            links = [os.readlink(path) for path in Path(f"/proc/{server.agent.pid()}/fd").iterdir()]
        except FileNotFoundError:
            return None  # one was closed meanwhile
        return sorted(re.sub(r"\d+", "N", link) for link in links if not link.startswith("socket:"))

    def kept_descriptors():
        """Those that are there twice: a thread of the agent's has some open for a moment, now and then."""
        found = descriptors()
        time.sleep(0.1)
        return found if found == descriptors() else None

    def things():
        return server.host_state() | {"descriptors": wait_until(kept_descriptors, 20, "its descriptors stay the same"),
                                      "journal": journal.read_text()}
    journal = server.run_dir / "host-settings"
    server.kill_agent()
    server.start_agent()
    server.wait_loaded()
    before = things()
    for _ in range(10):
        server.kill_agent()
        server.start_agent()
        server.wait_loaded()
    assert things() == before
    assert server.status()["degraded"] == []
    assert_unbroken(held)
