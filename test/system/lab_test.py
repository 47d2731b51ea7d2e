# SPDX-License-Identifier: Apache-2.0
"""The lab as a tool: quick up, quicker down, and nothing left, whatever happened in between."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from lab import routing
from lab.fleet import fleet_text
from lab.paths import BPFFS, BUILD, REPOSITORY, LabError, Paths, lab_names
from lab.process import wait_until
from lab.running import Lab
from lab.topology import SERVER, TOPOLOGIES

TOOL = REPOSITORY / "lab" / "lab"


def tool(*words, **more):
    return subprocess.run([TOOL, *words], capture_output=True, text=True, timeout=60, **more)


def traces(name):
    """Everything on the machine that belongs to a lab of that name."""
    paths = Paths(name)
    found = [str(path) for path in (paths.run, paths.lock, paths.cgroup, paths.bpffs) if path.exists()]
    found += [str(path) for path in paths.namespaces()]
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    found += [line for line in listed.splitlines() if line.startswith(paths.namespace_prefix)]
    for process in os.listdir("/proc"):
        if process.isdigit():
            try:
                with open(f"/proc/{process}/cmdline") as file:
                    words = file.read().split("\0")
            except OSError:
                continue
            if any(str(part) + "/" in word for word in words for part in (paths.run, paths.cgroup)):
                found.append(f"process {process}: {' '.join(words)}")
    return found


def shared_state():
    """What labs could leave behind without their name on it."""
    devices = {end.device for topology in TOPOLOGIES.values() for link in topology.links for end in (link.a, link.b)}
    links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True).stdout)
    return {
        "links": sorted({link["ifname"] for link in links} & devices),
        "pins": sorted(path.name for path in BPFFS.iterdir() if not path.name.startswith("berth-lab-")),
    }


def test_up_and_down_leave_nothing(fresh_name):
    before = shared_state()
    up = tool("up", "two-sites", "--name", fresh_name)
    assert up.returncode == 0, up.stderr
    assert len(Paths(fresh_name).namespaces()) == 14
    down = tool("down", "--name", fresh_name)
    assert (down.returncode, down.stdout, down.stderr) == (0, "", "")
    assert traces(fresh_name) == []
    assert shared_state() == before
    assert tool("down", "--name", fresh_name).returncode == 0, "down of what is not there is fine"
    assert traces(fresh_name) == []


# From the first lines of `up` to the wait for BGP.
@pytest.mark.parametrize("delay", [0.03, 0.06, 0.09, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4, 0.7, 1.0])
def test_down_after_up_was_killed(fresh_name, delay):
    before = shared_state()
    up = subprocess.Popen([TOOL, "up", "two-sites", "--name", fresh_name], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL)
    time.sleep(delay)
    up.kill()
    up.wait()
    down = tool("down", "--name", fresh_name)
    assert down.returncode == 0, down.stderr
    assert traces(fresh_name) == []
    assert shared_state() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_up_cleans_up(fresh_name, number):
    up = subprocess.Popen([TOOL, "up", "two-sites", "--name", fresh_name], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)
    while not Paths(fresh_name).namespaces():
        assert up.poll() is None
        time.sleep(0.01)
    up.send_signal(number)
    _, errors = up.communicate(timeout=20)
    assert (up.returncode, errors) == (1, "lab/lab up: interrupted\n")
    assert traces(fresh_name) == []


def test_failed_up_says_why_and_cleans_up(fresh_name, monkeypatch):
    monkeypatch.setattr(routing, "config", lambda topology, node: "nonsense;\n")
    with pytest.raises(LabError, match="bird on .* exited 1: .*syntax error"):
        Lab("two-sites", fresh_name).up()
    assert traces(fresh_name) == []


def test_up_waits_for_convergence_and_names_what_is_missing(fresh_name, monkeypatch):
    monkeypatch.setattr("lab.running.CONVERGENCE_SECONDS", 3)
    monkeypatch.setattr(routing, "server_config", lambda topology, node: "protocol device { }\n")
    with pytest.raises(LabError, match="fra-1 learns its routes: not within .* lacking .*default"):
        Lab("two-sites", fresh_name).up()
    assert traces(fresh_name) == []


def test_a_second_up_of_the_same_name_is_refused(network):
    again = tool("up", "two-sites", "--name", network.name)
    assert again.returncode == 1
    assert f"there is a lab {network.name} already" in again.stderr
    assert network.servers[0].run(["true"]).returncode == 0, "and does not harm the first"


@pytest.mark.parametrize("words", [["up", "no-such-topology"], ["up"], ["exec", "fra-1"], ["down", "--", "true"], []])
def test_wrong_usage(words):
    assert tool(*words).returncode == 2


@pytest.mark.parametrize("name", ["", "UPPER", "a.b", "a/b", "..", "x" * 32])
def test_names_that_can_not_be(name):
    refused = tool("up", "two-sites", "--name", name)
    assert refused.returncode == 1
    assert "can't name a lab" in refused.stderr


def test_list(network):
    rows = {line.split()[0]: line.split() for line in tool("list").stdout.splitlines()}
    assert rows[network.name][1:3] == ["two-sites", "up"]


def test_exec(network):
    def on(node, *command, policy=()):
        return tool("exec", node, "--name", network.name, *policy, "--", *command)
    assert "10.0.2.3/31" in on("ams-2", "ip", "-4", "addr", "show", "net0").stdout
    assert on("fra-1", "sh", "-c", "exit 7").returncode == 7
    assert on("fra-1", "cat", "/proc/self/cgroup").stdout.endswith(f"/berth-lab/{network.name}/fra-1\n")
    under = on("fra-1", "cat", "/proc/self/cgroup", policy=("--policy", "crawler"))
    assert under.stdout.endswith(f"/berth-lab/{network.name}/fra-1/crawler\n")
    assert on("origin-1", "true", policy=("--policy", "crawler")).returncode == 1
    missing = on("nowhere", "true")
    assert missing.returncode == 1
    assert "no node 'nowhere'" in missing.stderr


def test_daemons_hold_nothing_of_their_parent(fresh_name, tmp_path):
    """tool() itself proves it for stdout and stderr: it reads both to their end."""
    held = open(tmp_path / "lock", "w")
    fcntl.flock(held, fcntl.LOCK_EX)
    assert tool("up", "two-sites", "--name", fresh_name, pass_fds=[held.fileno()]).returncode == 0
    held.close()
    with open(tmp_path / "lock") as again:
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_two_labs_do_not_disturb_each_other(make_lab):
    one, other = make_lab(), make_lab("two-sites-1500")
    assert {one.name, other.name} <= set(lab_names())
    for server in one.servers:
        server.announce("203.0.113.0/24")
    one.wait_announced()
    assert all(router.next_hops("203.0.113.0/24") == [] for router in other.routers)
    reached = one.node("fra-1").run(["curl", "-s", "http://198.51.100.1/source"]).stdout
    assert reached.startswith("10.0.1.1 ")
    assert other.node("origin-1").http_records() == [], "the same address, another machine"

    one.down()
    assert traces(one.name) == []
    assert other.node("fra-1").run(["curl", "-s", "http://198.51.100.129/source"]).stdout.startswith("10.0.1.1 ")
    assert all(daemon.pid() for node in other.nodes.values() if node.kind == SERVER for daemon in node.daemons())


def test_nothing_runs_in_a_lab_that_is_down(make_lab):
    lab = make_lab()
    lab.down()
    with pytest.raises(LabError, match="the lab is not up"):
        lab.node("fra-2").run(["true"])
    assert traces(lab.name) == []


def test_down_ends_what_runs_on_the_nodes(make_lab):
    lab = make_lab()
    program = lab.node("fra-2").popen(["sh", "-c", "echo there; exec sleep 1000"], policy="crawler")
    assert program.stdout.readline() == "there\n"
    lab.down()
    assert program.wait(5) == -signal.SIGKILL


# --- agents, by a berthd that is a shell script ---

ANNOUNCER = """#!/bin/sh
echo "$@" >&2
ip route add blackhole 203.0.113.0/24 table 6080 proto 60 2>/dev/null
exec sleep 1000
"""


@pytest.fixture
def fake_build(tmp_path):
    """A build directory with the lab's own programs, `berth` that is always content, and the berthd that the test
    gives."""
    def make(berthd):
        (tmp_path / "lab").symlink_to(BUILD / "lab")
        for name, script in (("berth", "#!/bin/sh\necho \"$@\" >>/dev/stderr\n"), ("berthd", berthd)):
            (tmp_path / name).write_text(script)
            (tmp_path / name).chmod(0o755)
        return os.environ | {"BERTH_BUILD": str(tmp_path)}
    return make


def test_up_with_agents(fresh_name, fake_build):
    environment = fake_build(ANNOUNCER)
    up = tool("up", "two-sites", "--agents", "--name", fresh_name, env=environment)
    assert up.returncode == 0, up.stderr
    lab = Lab.running(fresh_name)
    assert lab.node("ams-router").next_hops("203.0.113.0/24") == ["ams-1", "ams-2", "ams-3"]
    agent = lab.node("ams-2").agent
    run, pins = lab.paths.run / "ams-2", lab.paths.bpffs / "ams-2"
    assert agent.log.read_text().split() == [
        "--server", "ams-2", "--store", f"sqlite://{lab.paths.run}/berth.db", "--cgroup-root",
        str(lab.paths.cgroup / "ams-2"), "--bpffs", str(pins), "--run-dir", str(run)]
    assert pins.is_dir() and run.is_dir()
    with open(f"/proc/{agent.pid()}/cgroup") as file:
        assert file.read().endswith(f"/berth-lab/{fresh_name}/ams-2/system\n")

    agent.kill()
    assert agent.pid() is None
    assert lab.node("ams-1").agent.pid(), "only that one"
    lab.node("ams-2").stop_agent()  # nothing to stop, which is fine


def test_an_agent_that_dies_fails_up(fresh_name, fake_build):
    up = tool("up", "two-sites", "--agents", "--name", fresh_name, env=fake_build("#!/bin/sh\necho boom\nexit 3\n"))
    assert up.returncode == 1
    assert "berthd on fra-1 ended: boom" in up.stderr
    assert traces(fresh_name) == []


def test_a_missing_berth_fails_up(fresh_name, fake_build, tmp_path):
    environment = fake_build(ANNOUNCER)
    (tmp_path / "berth").unlink()
    up = tool("up", "two-sites", "--agents", "--name", fresh_name, env=environment)
    assert up.returncode == 1
    assert "berth apply" in up.stderr and "not found" in up.stderr
    assert traces(fresh_name) == []


# --- pytest sessions ---

# The file is closed where it stands: left to the destructor, a warning is issued there, and in a destructor Python
# swallows the exception that a signal turns into.
SESSION = """
import os, pathlib, time
def test_session(make_lab):
    name = make_lab().name
    pathlib.Path(os.environ["NAME_FILE"]).write_text(name)
    time.sleep(60)
"""


def interrupted_session(tmp_path, number):
    """Starts a session that has a lab, sends it a signal; returns the lab's name."""
    (tmp_path / "session_test.py").write_text(SESSION)
    name_file = tmp_path / "name"
    name_file.unlink(missing_ok=True)
    here = str(REPOSITORY / "test" / "system")
    session = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "conftest", "-p", "no:cacheprovider", "session_test.py"],
        cwd=tmp_path, env=os.environ | {"NAME_FILE": str(name_file), "PYTHONPATH": here},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_until(lambda: name_file.exists() and name_file.read_text(), 20, "the session has its lab")
    session.send_signal(number)
    session.wait(20)
    return name_file.read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_session_takes_its_labs_down(tmp_path, number):
    assert traces(interrupted_session(tmp_path, number)) == []


def test_the_next_session_takes_a_killed_one_s_labs_down(tmp_path):
    name = interrupted_session(tmp_path, signal.SIGKILL)
    assert traces(name) != []
    interrupted_session(tmp_path, signal.SIGINT)
    assert traces(name) == []


@pytest.mark.parametrize("topology", TOPOLOGIES.values(), ids=lambda topology: topology.name)
def test_fleet_file(topology):
    fleet = yaml.safe_load(fleet_text(topology, "lab"))
    assert fleet["underlay_mtu"] == topology.underlay_mtu
    servers = {server["name"]: server["underlay"] for site in fleet["sites"] for server in site["servers"]}
    assert servers == {"fra-1": "10.0.1.1", "fra-2": "10.0.1.3", "fra-3": "10.0.1.5",
                       "ams-1": "10.0.2.1", "ams-2": "10.0.2.3", "ams-3": "10.0.2.5"}
    assert [site["tunnel"] for site in fleet["sites"]] == ["10.0.1.254", "10.0.2.254"]
    assert len({policy["cgroup"] for policy in fleet["policies"]}) == len(fleet["policies"])

