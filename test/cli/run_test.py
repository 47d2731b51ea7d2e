# SPDX-License-Identifier: Apache-2.0
"""`berth run`, `berth doctor`, `berth detach`, with an agent that is played by the test."""

import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import pytest

OK = {"version": 1, "ok": True}


def cgroup_mount():
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, kind = line.partition(" - ")
        if kind.split()[0] == "cgroup2":
            return Path(fields.split()[4])
    pytest.skip("cgroup2 is not mounted")


class Agent:
    """Answers each request with what `answers` has for its verb (None: hangs up), and notes it."""

    def __init__(self, run_dir, answers):
        self.answers = answers
        self.requests = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(run_dir / "berthd.sock"))
        self.listener.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer, peer.makefile("rb") as stream:
                size, = struct.unpack("!I", stream.read(4))
                request = json.loads(stream.read(size))
                self.requests.append(request)
                reply = self.answers[request["verb"]]
                reply = reply(request) if callable(reply) else reply
                if reply is None:
                    continue
                reply = json.dumps(reply).encode()
                peer.sendall(struct.pack("!I", len(reply)) + reply)

    def verbs(self):
        return [request["verb"] for request in self.requests]

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def agent(berth):
    agents = []

    def start(**answers):
        defaults = {"run": {**OK, "policy": 7}, "run-end": OK, "detach": OK, "status": OK}
        agents.append(Agent(berth.run_dir, {**defaults, **{verb.replace("_", "-"): answer
                                                           for verb, answer in answers.items()}}))
        return agents[-1]
    yield start
    for each in agents:
        each.close()


@pytest.fixture
def root(berth):
    """A cgroup that the agent judges, with a caller's in it."""
    if os.geteuid():
        pytest.skip("making cgroups needs root")
    directory = cgroup_mount() / f"berth-cli-test-{os.getpid()}"
    (directory / "caller").mkdir(parents=True)
    (berth.run_dir / "paths.json").write_text(json.dumps({"cgroup_root": str(directory)}))
    yield directory
    (directory / "cgroup.kill").write_text("1")
    deadline = time.monotonic() + 10
    while "populated 1" in (directory / "cgroup.events").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    for left in sorted(directory.rglob("*"), reverse=True):
        if left.is_dir():
            left.rmdir()
    directory.rmdir()


def inside(cgroup):
    """Words before a command that put it into a cgroup."""
    return ["/bin/sh", "-c", 'echo 0 > "$1/cgroup.procs"; shift; exec "$@"', "sh", str(cgroup)]


def run(berth, root, *command, code=0, **more):
    return berth("run", "--select", "country=DE", "--", *command, code=code, wrap=inside(root / "caller"), **more)


def made(root):
    return [path for path in root.rglob("berth-run-*") if path.is_dir()]


def test_cgroup_and_policy_come_first(berth, agent, root):
    player = agent(run=lambda request: {**OK, "policy": 7} if Path(f"{root}{request['cgroup']}").is_dir() else {})
    shown = run(berth, root, "grep", "^0::", "/proc/self/cgroup").stdout.strip()
    begin, end = player.requests
    assert (begin["verb"], begin["select"], begin["version"]) == ("run", "country=DE", 1)
    assert (end["verb"], end["cgroup"]) == ("run-end", begin["cgroup"])
    assert begin["cgroup"].startswith("/caller/berth-run-")
    assert shown.endswith(f"/{root.name}{begin['cgroup']}")
    assert made(root) == []


def test_exit_codes(berth, agent, root):
    player = agent()
    run(berth, root, "true")
    run(berth, root, "sh", "-c", "exit 42", code=42)
    run(berth, root, "sh", "-c", "kill -KILL $$", code=128 + signal.SIGKILL)
    assert "/nonexistent" in run(berth, root, "/nonexistent", code=127).stderr
    run(berth, root, "no-such-command", code=127)
    run(berth, root, "/etc/passwd", code=126)
    assert player.verbs() == ["run", "run-end"] * 6
    assert made(root) == []


def test_no_slice(berth, agent, root):
    player = agent(run={"version": 1, "error": {"code": "ENOENT", "text": "no policy here selects country=DE"}})
    result = run(berth, root, "echo", "ran", code=3)
    assert "no policy here selects country=DE" in result.stderr
    assert result.stdout == "" and made(root) == []
    assert player.verbs()[0] == "run"


@pytest.mark.parametrize("reply", [{"version": 1, "error": {"code": "EAGAIN", "text": "not yet"}}, {}, {"ok": True},
                                   {"version": 2, "ok": True}, {"version": 1, "ok": False}, []])
def test_without_the_agent_s_word_nothing_runs(berth, agent, root, reply):
    agent(run=reply)
    result = run(berth, root, "echo", "ran", code=1)
    assert result.stdout == "" and result.stderr and made(root) == []


def test_without_an_agent_nothing_runs(berth, root):
    result = run(berth, root, "echo", "ran", code=1)
    assert "no agent runs here" in result.stderr and "berthd" in result.stderr
    assert result.stdout == "" and made(root) == []


def test_outside_the_agent_s_root(berth, agent, root):
    player = agent()
    result = berth("run", "--select", "country=DE", "--", "echo", "ran", code=1)
    assert str(root) in result.stderr and "not below" in result.stderr
    assert result.stdout == "" and player.requests == []


def test_neighbour_with_a_longer_name_is_outside(berth, agent, root):
    agent()
    other = root.with_name(root.name + "-more")
    other.mkdir()
    try:
        berth("run", "--select", "country=DE", "--", "true", code=1, wrap=inside(other))
    finally:
        other.rmdir()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_go_on(berth, agent, root, number):
    agent()
    script = f"trap 'echo got; exit 9' {number.value}; echo ready; while :; do sleep 0.05; done"
    child = subprocess.Popen([*inside(root / "caller"), *berth.argv("run", "--select", "country=DE", "--", "sh", "-c",
                                                                     script)],
                             stdout=subprocess.PIPE, text=True, env=berth.environment)
    assert child.stdout.readline() == "ready\n"
    child.send_signal(number)
    assert child.communicate(timeout=20) == ("got\n", None)
    assert child.returncode == 9
    assert made(root) == []


def test_caller_that_ignores_children(berth, agent, root):
    agent()
    code = ("import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
            "os.execv(sys.argv[1], sys.argv[1:])")
    berth("run", "--select", "country=DE", "--", "sh", "-c", "exit 5", code=5,
          wrap=[*inside(root / "caller"), "/usr/bin/python3", "-c", code])


def test_processes_left_behind_keep_their_policy(berth, agent, root):
    player = agent()
    result = run(berth, root, "sh", "-c", "sleep 3 > /dev/null 2>&1 &")
    assert "left processes behind" in result.stderr
    assert player.verbs() == ["run"]
    assert len(made(root)) == 1
    events = made(root)[0] / "cgroup.events"
    deadline = time.monotonic() + 10
    while "populated 1" in events.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)


def as_nobody(berth, *words, code, which=("--policy", "guest")):
    """In a user namespace without ids: nobody, who may open what root may."""
    return berth("run", *which, "--", *words, code=code, wrap=["unshare", "--user"])


def error(code):
    return {"version": 1, "error": {"code": code, "text": f"words of {code}"}}


def test_users_become_the_command(berth, agent):
    player = agent(enter={**OK, "policy": 7})
    assert as_nobody(berth, "sh", "-c", "echo ran; exit 9", code=9).stdout == "ran\n"
    as_nobody(berth, "true", code=0, which=("--select", "country=DE"))
    as_nobody(berth, "no-such-command", code=127)
    as_nobody(berth, "/etc/passwd", code=126)
    assert player.requests[:2] == [{"version": 1, "verb": "enter", "policy": "guest"},
                                   {"version": 1, "verb": "enter", "select": "country=DE"}]


def test_users_ask_again_when_they_are_cut(berth, agent):
    """None: the agent hangs up, as it does with who has too many connections."""
    answers = [{**OK, "policy": 7}, None, None]
    player = agent(enter=lambda request: answers.pop())
    assert as_nobody(berth, "echo", "ran", code=0).stdout == "ran\n"
    assert player.verbs() == ["enter"] * 3


def test_users_ask_again(berth, agent):
    answers = [{**OK, "policy": 7}] + [error("EAGAIN")] * 3
    player = agent(enter=lambda request: answers.pop())
    assert as_nobody(berth, "echo", "ran", code=0).stdout == "ran\n"
    assert player.verbs() == ["enter"] * 4


@pytest.mark.parametrize("reply, code", [(error("EPERM"), 3), (error("ENOENT"), 3), (error("EBUSY"), 1),
                                         (error("EAGAIN"), 1), ({}, 1), ({"ok": True}, 1), ([], 1),
                                         ({"version": 2, "ok": True}, 1), ({"version": 1, "ok": False}, 1)])
def test_without_the_agent_s_word_users_run_nothing(berth, agent, reply, code):
    agent(enter=reply)
    result = as_nobody(berth, "echo", "ran", code=code)
    assert result.stdout == "" and result.stderr
    if reply and "error" in reply:
        assert reply["error"]["text"] in result.stderr


def test_users_without_an_agent(berth):
    result = as_nobody(berth, "echo", "ran", code=1)
    assert result.stdout == "" and "no agent runs here" in result.stderr and "berthd" in result.stderr


def test_root_names_a_policy(berth, agent, root):
    player = agent()
    berth("run", "--policy", "web", "--", "true", wrap=inside(root / "caller"))
    assert player.requests[0] == {"version": 1, "verb": "run", "cgroup": player.requests[0]["cgroup"], "policy": "web"}


@pytest.mark.parametrize("which", [[], ["--policy", "a", "--select", "*"], ["--policy", ""], ["--select", "country="]])
def test_one_of_policy_and_select(berth, agent, which):
    player = agent()
    berth("run", *which, "--", "true", code=2)
    assert player.requests == []


STATUS = {
    **OK, "server": "fra-1", "site": "fra", "instance": "9f2c", "pid": 1, "agent": "0", "applied": 3, "since": 1,
    "adopted": False, "uplinks": [{"name": "lo", "mode": "generic"}], "slices": [], "policies": [],
    "hops": [{"target": "ams", "kind": "site", "address": "10.0.2.254", "device": "", "mac": "", "mtu": 1500,
              "state": "no_route"}],
    "degraded": ["the store is away"],
}


def test_doctor(berth, agent, fleet):
    berth("apply", fleet())
    agent(status=STATUS)
    found = json.loads(berth("doctor", "--json", code=3).stdout)
    assert (found["schema"], found["state"]) == (1, "fail")
    rows = {row["name"]: row for row in found["findings"]}
    assert "fra-1" in rows["agent"]["detail"] and rows["agent"]["state"] == "ok"
    assert rows["agent_version"]["state"] == "warn"
    assert rows["store"]["state"] == "ok"
    assert rows["forwarder"]["state"] == rows["allocator"]["state"] == "fail"  # by the pins, whatever the agent says
    assert "no_route" in rows["hop"]["detail"] and rows["hop"]["state"] == "fail"
    assert rows["degraded"]["detail"] == "the store is away"
    assert len(rows) > 8  # the kernel's as well
    text = berth("doctor", code=3).stdout
    assert "the store is away" in text and "mend:" in text


def test_doctor_is_for_root(berth):
    """In a user namespace without ids everybody is nobody."""
    assert "doctor needs root" in berth("doctor", code=1, wrap=["unshare", "--user"]).stderr


def test_doctor_without_an_agent(berth):
    found = json.loads(berth("doctor", "--json", code=3).stdout)
    rows = {row["name"]: row for row in found["findings"]}
    assert rows["agent"]["state"] == "fail" and rows["agent"]["remedy"]
    assert rows["store"]["state"] == "fail" and "berth apply FILE" in rows["store"]["remedy"]


def test_doctor_with_a_false_agent(berth, agent):
    agent(status={**STATUS, "hops": [{"target": 7}]})
    rows = {row["name"]: row for row in json.loads(berth("doctor", "--json", code=3).stdout)["findings"]}
    assert "target" in rows["agent"]["detail"]


def test_detach_by_the_agent(berth, agent):
    player = agent()
    assert "by the agent" in berth("detach").stdout
    assert player.requests == [{"version": 1, "verb": "detach"}]


def test_detach_that_fails(berth, agent):
    agent(detach={"version": 1, "error": {"code": "EBUSY", "text": "net0 is stuck"}})
    assert "net0 is stuck" in berth("detach", code=1).stderr


def test_detach_without_an_agent(berth):
    """In a network namespace of its own, where there is nothing to take down; and again."""
    for _ in range(2):
        result = berth("detach", "--bpffs", "/sys/fs/bpf/berth-test-none", wrap=["unshare", "--net"])
        assert "no agent" in result.stdout
