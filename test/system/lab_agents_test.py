# SPDX-License-Identifier: Apache-2.0
"""The lab with real agents: what berthd loads into the kernel goes with the lab, and agents come and go singly."""

import json
import subprocess

from lab.fleet import CRAWLER_ADDRESS, POLICIES
from lab.process import wait_until
from lab.topology import POOL


def loaded_programs():
    shown = subprocess.run(["bpftool", "-j", "prog", "show"], capture_output=True, text=True, check=True).stdout
    return {program["id"] for program in json.loads(shown)}


def pinned_programs(lab):
    """The ids of the programs that the lab's servers have pinned, links' programs too."""
    ids = set()
    for pin in filter(lambda path: path.is_file(), lab.paths.bpffs.rglob("*")):
        for kind, key in (("prog", "id"), ("link", "prog_id")):
            shown = subprocess.run(["bpftool", "-j", kind, "show", "pinned", pin], capture_output=True, text=True)
            if shown.returncode == 0:
                found = json.loads(shown.stdout)
                ids.update(item[key] for item in (found if isinstance(found, list) else [found]) if key in item)
                break
    return ids


def test_down_unloads_what_agents_loaded(make_lab):
    lab = make_lab(agents=True)
    programs = pinned_programs(lab)
    assert len(programs) > len(lab.servers)
    assert programs <= loaded_programs()
    lab.down()
    assert not lab.paths.bpffs.exists()
    wait_until(lambda: not programs & loaded_programs(), 10, "the kernel lets the programs go")


def test_every_policy_reaches_every_origin(lab):
    """From every server, with the origin's own log as witness; wide and web as well, which the planner serves from
    more addresses than one."""
    for policy in POLICIES:
        for server in lab.servers:
            for origin in lab.origins:
                seen = server.run(["curl", "-sf", "-m", "10", f"http://{origin.address}/source"], policy=policy).stdout
                address, port = seen.split()
                assert any(int(port) in ports for ports in server.slices(address)), f"{server.name} {policy} {seen}"
                # nginx writes its line after the answer has left.
                wait_until(lambda: any(row[:2] == (address, int(port)) for row in origin.http_records()), 10,
                           f"{origin.name} logs {seen}")
                if policy == "crawler":
                    assert address == CRAWLER_ADDRESS


def test_one_agent_is_killed_and_comes_back(lab):
    server = lab.node("ams-1")
    others = {other: other.agent.pid() for other in lab.servers if other != server}
    server.kill_agent()
    assert server.agent.pid() is None
    server.start_agent()
    lab.wait_announced(prefix=POOL)
    wait_until(lambda: (server.run_dir / "berthd.sock").exists(), 10, "its control socket is back")
    assert {other: other.agent.pid() for other in others} == others
