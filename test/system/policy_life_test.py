# SPDX-License-Identifier: Apache-2.0
"""Policies and cgroups that come and go beneath programs, with and without an agent: no connection is ever opened from
an address that is wrong."""

import errno
import json

import pytest
import yaml

from lab.connections import hold_open, open_many, release
from lab.fleet import CRAWLER_ADDRESS
from lab.process import wait_until

# ADDRESS PORT: sockets that were made under the policy, one of each kind; each line of input connects a pair, and one
# that is made just then: errno or source address of each.
OLD_AND_NEW = """
import json, socket, sys
kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
old = [socket.socket(socket.AF_INET, kind) for kind in kinds]

def attempt(s):
    try:
        s.settimeout(5)
        s.connect((sys.argv[1], int(sys.argv[2])))
        return s.getsockname()[0]
    except OSError as error:
        return error.errno
print("ready", flush=True)
for _ in sys.stdin:
    new = [socket.socket(socket.AF_INET, kind) for kind in kinds]
    print(json.dumps({"old": [attempt(s) for s in old], "new": [attempt(s) for s in new]}), flush=True)
"""


def apply(lab, change):
    """Changes the fleet file by change(fleet), and waits until all agents have it."""
    fleet = yaml.safe_load(lab.paths.fleet_file.read_text())
    change(fleet)
    lab.paths.fleet_file.write_text(yaml.safe_dump(fleet))
    lab.apply_fleet("--yes")
    wait_until(lambda: lab.all_loaded(lab.servers), 20, "every server has the new revision")


def in_cgroup(server, cgroup, argv):
    """Enters it first, and becomes the program then."""
    words = ["/bin/sh", "-c", 'echo 0 > "$1/cgroup.procs"; shift; exec "$@"', "sh", str(cgroup), *map(str, argv)]
    return server.run(words).stdout


@pytest.mark.deadline(200)
def test_policy_is_removed_while_its_sockets_live(make_lab):
    """Connections go on, on their ports. Its other sockets open nothing more: EPERM. New ones are under no policy."""
    lab = make_lab(agents=True)
    server, origin = lab.servers[0], lab.origins[0]
    held, rows = hold_open(server, [f"{origin.address}:9000"], 10, 10)
    assert {row["seen"] for row in rows} == {CRAWLER_ADDRESS}
    program = server.popen(["/usr/bin/python3", "-c", OLD_AND_NEW, origin.address, "9001"], policy="crawler", stdin=-1)
    assert program.stdout.readline() == "ready\n"

    def remove(fleet):
        fleet["policies"] = [policy for policy in fleet["policies"] if policy["name"] != "crawler"]
    apply(lab, remove)
    mark, before = origin.mark(), server.verdicts()["refused_no_policy"]
    out, errors = program.communicate("go\n", timeout=20)
    assert errors == ""
    assert json.loads(out) == {"old": [errno.EPERM] * 2, "new": [server.underlay] * 2}
    assert server.verdicts()["refused_no_policy"] - before == 2
    assert {row["src"] for row in origin.records(mark)} <= {server.underlay}
    assert release(held) == [], "connections broke"
    assert {row["seen"] for row in open_many(server, [f"{origin.address}:9000"], 5, 5)} == {server.underlay}


def test_unit_s_cgroup_is_made_again_without_an_agent(lab):
    """As a service manager does when a unit restarts: another cgroup of the same path, in place before its first
    socket."""
    server, origin = lab.servers[3], lab.origins[0]
    cgroup = server.cgroup_of("wide")
    curl = ["curl", "-sS", "-m", "10", f"http://{origin.address}/source"]
    wide = {f"203.0.113.{number}" for number in range(32, 36)}
    server.kill_agent()
    try:
        seen = []
        for _ in range(3):
            if cgroup.exists():
                inode = cgroup.stat().st_ino
                wait_until(lambda: not (cgroup / "cgroup.procs").read_text(), 5, "the cgroup is empty")
                cgroup.rmdir()
                cgroup.mkdir()
                assert cgroup.stat().st_ino != inode
            else:
                cgroup.mkdir()
            address, port = in_cgroup(server, cgroup, curl).split()
            assert any(int(port) in ports for ports in server.slices(address))
            seen.append(address)
        assert set(seen) <= wide
        # One below it, as deep as units have them, and one of another name beside it.
        below = cgroup / "worker"
        below.mkdir()
        assert in_cgroup(server, below, curl).split()[0] in wide
        below.rmdir()
        beside = server.cgroup / "wide-not"
        beside.mkdir()
        assert in_cgroup(server, beside, curl).split()[0] == server.underlay
        beside.rmdir()
    finally:
        server.start_agent()
        server.wait_loaded()
    assert in_cgroup(server, cgroup, curl).split()[0] in wide, "the next agent knows of the cgroup"


def test_selector_nobody_has_addresses_for(lab):
    """A policy that can't be satisfied is refused at plan and apply, and changes nothing."""
    fleet = yaml.safe_load(lab.paths.fleet_file.read_text())
    fleet["policies"].append({"name": "nowhere", "cgroup": "/nowhere", "select": "country=JP"})
    proposal = lab.paths.run / "nowhere.yaml"
    proposal.write_text(yaml.safe_dump(fleet))
    before = lab.berth("show", "fleet", "--json").stdout
    result = lab.berth("apply", "--yes", proposal, check=False)
    assert result.returncode == 2
    assert "country=JP" in result.stderr
    assert lab.berth("show", "fleet", "--json").stdout == before
