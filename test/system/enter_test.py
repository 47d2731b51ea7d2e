# SPDX-License-Identifier: Apache-2.0
"""`berth run` and libberth by users who are not root. The lab's policy `guest` allows user games and group staff."""

import contextlib
import errno
import grp
import json
import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from lab.fleet import GUEST_ADDRESS
from lab.paths import BUILD, cgroup_root
from lab.process import wait_until

GAMES, NOBODY, OTHER = pwd.getpwnam("games").pw_uid, pwd.getpwnam("nobody").pw_uid, 61234
STAFF = grp.getgrnam("staff").gr_gid
BERTH = 61235  # the group `berth` of the agent under test
FEW = 16  # connections of one user
# What a mount namespace of its own shows as /etc/group.
WITH_GROUP_FILE = 'mount --bind "$0" /etc/group && exec "$@"'


@pytest.fixture(scope="module")
def program():
    """berth where everybody may execute it."""
    directory = Path("/tmp") / f"berth-enter-{os.getpid()}"
    directory.mkdir(mode=0o755)
    shutil.copy(BUILD / "berth", directory / "berth")
    yield directory / "berth"
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def server(lab, program):
    """A server whose host has a group `berth`, by another /etc/group for its agent."""
    node = lab.servers[1]
    groups = program.parent / "group"
    groups.write_text(Path("/etc/group").read_text() + f"berth:x:{BERTH}:\n")
    argv = node.agent.argv
    node.kill_agent()
    node.agent.argv = ["unshare", "--mount", "/bin/sh", "-c", WITH_GROUP_FILE, groups, *argv]
    node.start_agent()
    node.wait_loaded()
    yield node
    if not node.run_dir.exists():
        return  # the session ends early, and the lab before its fixtures
    node.kill_agent()
    node.agent.argv = argv
    node.start_agent()
    node.wait_loaded()


@pytest.fixture
def user(server, program):
    """user(uid, *command): `berth run --policy guest` as that user."""
    def start(uid, *command, groups=(BERTH,), gid=None, which=("--policy", "guest"), wrap=(), **more):
        more.setdefault("check", False)
        return server.run([*wrap, *as_user(uid, groups, gid), program, "run", *which, "--run-dir", server.run_dir, "--",
                           *command], **more)
    return start


def as_user(uid, groups=(BERTH,), gid=None):
    return ["setpriv", "--reuid", uid, "--regid", uid if gid is None else gid, "--groups", ",".join(map(str, groups)),
            "--"]


def runs(server):
    """Some may go while this looks."""
    return [Path(path) for path, _, _ in os.walk(server.cgroup) if Path(path).name.startswith("berth-run-")]


def under_way(cgroup):
    with contextlib.suppress(OSError):
        return "populated 1" in (cgroup / "cgroup.events").read_text()


@pytest.fixture(scope="module")
def library(program):
    """libberth and what drives it, where everybody may read them."""
    for path in (BUILD / "libberth.so", Path(__file__).parent / "programs" / "library.py"):
        shutil.copy(path, program.parent / path.name)
    return program.parent


@pytest.fixture
def choose(lab, server, library):
    """choose(uid, how, text): what becomes of a TCP socket of that user's, chosen a policy for."""
    def call(uid, how, text, groups=(BERTH,), **more):
        argv = [*as_user(uid, groups), "/usr/bin/python3", library / "library.py", library / "libberth.so",
                server.run_dir, lab.origins[0].address, 9000]
        row, = json.loads(server.run(argv, input=json.dumps([["choose", "tcp", how, text]]) + "\n", **more).stdout)
        return row
    return call


def begun(server, program, lab, times=1):
    """A command of user games that waits for a line before it asks for its source, so often."""
    script = "echo begun; for i in $(seq $0); do read line; \"$@\"; done"
    child = server.popen([*as_user(GAMES), program, "run", "--policy", "guest", "--run-dir", server.run_dir, "--", "sh",
                          "-c", script, str(times), *source(lab)], stdin=-1)
    assert child.stdout.readline() == "begun\n"
    return child


def assert_left_from_guest(server, answer):
    address, port = answer.split()
    assert address == GUEST_ADDRESS
    assert any(int(port) in ports for ports in server.slices(GUEST_ADDRESS))


def source(lab):
    return ["curl", "-sS", "-m", "10", f"http://{lab.origins[2].address}/source"]


def test_the_socket_is_the_group_s(lab, server):
    its = os.stat(server.run_dir / "berthd.sock")
    assert (its.st_uid, its.st_gid, stat.S_IMODE(its.st_mode)) == (0, BERTH, 0o660)
    its = os.stat(lab.servers[2].run_dir / "berthd.sock")  # whose host has no such group
    assert (its.st_uid, its.st_gid, stat.S_IMODE(its.st_mode)) == (0, 0, 0o600)


def test_allowed_user_leaves_by_the_policy(lab, server, user):
    result = user(GAMES, *source(lab))
    assert result.returncode == 0, result.stderr
    assert_left_from_guest(server, result.stdout)
    wait_until(lambda: not runs(server), 12, "the agent removes the cgroup of the run")


def test_member_of_an_allowed_group(lab, server, user):
    for more in ({"groups": (BERTH, 61000, STAFF)}, {"gid": STAFF}):
        result = user(OTHER, *source(lab), **more)
        assert result.returncode == 0, result.stderr
        assert_left_from_guest(server, result.stdout)


def test_selector_of_an_allowed_policy(lab, server, user):
    result = user(GAMES, *source(lab), which=("--select", "product=guest"))
    assert result.returncode == 0, result.stderr
    assert_left_from_guest(server, result.stdout)


@pytest.mark.parametrize("which", ["country=NL", "country=FI", "product=guest,country=FI", "*"])
def test_any_other_selector_is_refused(user, which):
    result = user(GAMES, "echo", "ran", which=("--select", which))
    assert (result.returncode, result.stdout) == (3, "")
    assert "may use: guest (product=guest)" in result.stderr


def test_user_without_rights(server, user):
    before = runs(server)
    result = user(NOBODY, "echo", "ran")
    assert (result.returncode, result.stdout) == (3, "")
    assert f"policy guest does not allow user {NOBODY}: its `allow` names user games, group staff" in result.stderr
    assert "you are nobody" in result.stderr
    assert set(runs(server)) <= set(before)


def test_policy_for_root_alone(user):
    result = user(GAMES, "echo", "ran", which=("--policy", "crawler"))
    assert (result.returncode, result.stdout) == (3, "")
    assert "for root alone" in result.stderr and "may use: guest" in result.stderr
    result = user(GAMES, "echo", "ran", which=("--policy", "nonesuch"))
    assert (result.returncode, result.stdout) == (3, "")
    assert "no policy is called 'nonesuch'" in result.stderr


def test_who_is_not_in_the_group_berth(server, user, program):
    without = program.parent / "group-without"
    without.write_text("root:x:0:\n")
    for groups, advice in ((server.agent.argv[5], "usermod -aG berth games"), (without, "groupadd --system berth")):
        result = user(GAMES, "echo", "ran", groups=(61000,),
                      wrap=["unshare", "--mount", "/bin/sh", "-c", WITH_GROUP_FILE, groups])
        assert (result.returncode, result.stdout) == (1, "")
        assert "Permission denied" in result.stderr and advice in result.stderr


def test_user_and_groups_stay_as_they_are(user):
    result = user(GAMES, "sh", "-c", "id -u; id -g; id -G; exit 7", groups=(BERTH, 61000))
    assert result.returncode == 7
    assert result.stdout.split("\n")[:3] == [str(GAMES), str(GAMES), f"{GAMES} 61000 {BERTH}"]
    assert user(GAMES, "/nonexistent").returncode == 127
    assert user(GAMES, "sh", "-c", "kill -KILL $$").returncode in (-9, 137)


def test_there_is_no_way_out(server, user):
    """Neither into the cgroup above nor into another's."""
    script = ('own=$(grep ^0:: /proc/self/cgroup); for to in "$@"; do echo 0 > "$to/cgroup.procs" && echo moved; done; '
              'grep -q "^$own$" /proc/self/cgroup && echo "$own"')
    result = user(GAMES, "sh", "-c", script, "sh", server.cgroup, server.cgroup / "system")
    assert "moved" not in result.stdout and "/berth-run-" in result.stdout
    assert result.stderr.count("ermission denied") == 2


def test_setuid_program_is_under_the_policy_too(lab, server, user, program):
    """It is root and still leaves from the policy's address."""
    copy = program.parent / "curl"
    shutil.copy(shutil.which("curl"), copy)
    copy.chmod(0o4755)
    result = user(GAMES, "sh", "-c", '"$@"', "sh", copy, *source(lab)[1:])
    copy.unlink()
    assert result.returncode == 0, result.stderr
    assert_left_from_guest(server, result.stdout)


def test_limits_stay(server, user):
    """The run's cgroup lies below the caller's own."""
    caller = server.cgroup / "limited"
    caller.mkdir()
    into = ["/bin/sh", "-c", 'echo 0 > "$0/cgroup.procs"; exec "$@"', caller]
    shown = user(GAMES, "grep", "^0::", "/proc/self/cgroup", wrap=into).stdout
    assert "/limited/berth-run-" in shown
    wait_until(lambda: not list(caller.glob("*/")), 12, "the agent removes the cgroup of the run")
    caller.rmdir()


def test_another_network_namespace(server, user):
    before = runs(server)
    result = user(GAMES, "echo", "ran", wrap=["unshare", "--net"])
    assert (result.returncode, result.stdout) == (3, "")
    assert "network namespace" in result.stderr
    assert set(runs(server)) <= set(before)


def test_cgroup_outside_of_the_agent_s_root(server, program):
    argv = ["nsenter", f"--net={server.namespace}", "--", *as_user(GAMES), program, "run", "--policy", "guest",
            "--run-dir", server.run_dir, "--", "echo", "ran"]
    result = subprocess.run(list(map(str, argv)), capture_output=True, text=True)
    assert (result.returncode, result.stdout) == (1, "")
    assert "not below the agent's cgroup root" in result.stderr


def test_too_deep_a_cgroup(server, user):
    """The allocator looks at sixteen levels: what it would not see is not run."""
    deep = server.cgroup / "deep"
    while len(deep.relative_to(cgroup_root()).parts) < 15:
        deep = deep / "d"
    deep.mkdir(parents=True)
    into = ["/bin/sh", "-c", 'echo 0 > "$0/cgroup.procs"; exec "$@"']
    result = user(GAMES, "echo", "ran", wrap=[*into, deep])
    assert (result.returncode, result.stdout) == (1, "")
    assert "levels deep" in result.stderr
    result = user(GAMES, "echo", "ran", wrap=[*into, deep.parent])
    assert (result.returncode, result.stdout) == (0, "ran\n")
    wait_until(lambda: not runs(server), 12, "the agent removes the cgroup of the run")
    while deep != server.cgroup:
        deep.rmdir()
        deep = deep.parent


def test_root_runs_under_a_policy(lab, server):
    argv = [BUILD / "berth", "run", "--policy", "crawler", *server.pin_flags, "--", *source(lab)]
    result = server.run(argv, check=False)
    assert result.returncode == 0, result.stderr
    address, port = result.stdout.split()
    assert any(int(port) in ports for ports in server.slices(address))
    nonesuch = server.run([BUILD / "berth", "run", "--policy", "nonesuch", *server.pin_flags, "--", "true"], check=False)
    assert nonesuch.returncode == 3 and "nonesuch" in nonesuch.stderr
    for which in ([], ["--policy", "guest", "--select", "product=guest"]):
        assert server.run([BUILD / "berth", "run", *which, "--", "true"], check=False).returncode == 2
    # The policy is the fleet file's: it is there still.
    assert server.run(source(lab), policy="crawler").stdout.split()[0] == address


def ask(server, uid, request, keep=False):
    """A request by a process of that user, which sends it from Python: the reply."""
    code = ("import json, socket, struct, sys\n"
            "client = socket.socket(socket.AF_UNIX)\nclient.connect(sys.argv[1])\n"
            "client.sendall(struct.pack('!I', len(sys.argv[2])) + sys.argv[2].encode())\n"
            "size, = struct.unpack('!I', client.recv(4))\nprint(client.recv(size).decode())")
    return json.loads(server.run([*as_user(uid), "/usr/bin/python3", "-c", code, server.run_dir / "berthd.sock",
                                  json.dumps({"version": 1, **request})]).stdout)


def test_what_is_root_s_stays_root_s(server):
    assert ask(server, GAMES, {"verb": "status"})["ok"]
    for request in ({"verb": "detach"}, {"verb": "run-end", "cgroup": "/a"},
                    {"verb": "run", "cgroup": "/guest", "policy": "guest"}):
        assert ask(server, GAMES, request)["error"]["code"] == "EPERM"


@pytest.mark.deadline(60)
def test_one_user_does_not_push_out_others(server):
    """Two idle connections, root's and a user's, survive another's hundred."""
    hold = ("import socket, sys, time\nheld = []\n"
            "for i in range(int(sys.argv[2])):\n"
            "    held.append(socket.socket(socket.AF_UNIX))\n    held[-1].connect(sys.argv[1])\n"
            "print('holding', flush=True)\nsys.stdin.readline()\n"
            "cut = 0\n"
            "for client in held:\n    client.setblocking(False)\n"
            "    try:\n        cut += client.recv(1) == b''\n    except (BlockingIOError, ConnectionError) as e:\n"
            "        cut += isinstance(e, ConnectionError)\n"
            "print(cut)")
    path = server.run_dir / "berthd.sock"
    holders = []
    try:
        for uid, count in ((0, 3), (OTHER, 2), (GAMES, 100)):
            holders.append(server.popen([*as_user(uid), "/usr/bin/python3", "-c", hold, path, str(count)], stdin=-1))
            assert holders[-1].stdout.readline() == "holding\n"
        assert server.status()["ok"]  # everything before is accepted
        cut = [int(holder.communicate("\n", timeout=20)[0]) for holder in holders]
    finally:
        for holder in holders:
            holder.kill()
            holder.wait()
    assert cut == [0, 0, 100 - FEW]


def test_run_outlives_the_agent(lab, server, user, program):
    """The policy holds with the agent dead; the next agent knows the run, and removes its cgroup."""
    child = begun(server, program, lab, times=2)

    def next_source():
        child.stdin.write("\n")
        child.stdin.flush()
        return child.stdout.readline()
    server.kill_agent()
    assert_left_from_guest(server, next_source())
    dead = user(GAMES, "echo", "ran")
    assert (dead.returncode, dead.stdout) == (1, "")
    assert "no agent runs here" in dead.stderr and "berthd" in dead.stderr
    server.start_agent()
    server.wait_loaded()
    assert_left_from_guest(server, next_source())
    child.stdin.close()
    assert child.wait(timeout=20) == 0
    wait_until(lambda: not runs(server), 12, "the agent removes the cgroup of the run")
    assert json.loads((server.run_dir / "runs.json").read_text()) == []


def test_damaged_list_of_runs(lab, server, user, program):
    """Runs that the list has lost stay under their policy, and new ones can begin."""
    wait_until(lambda: not runs(server), 12, "the agent removes what is over")
    child = begun(server, program, lab)
    [left] = runs(server)
    server.kill_agent()
    (server.run_dir / "runs.json").write_text('[{"cgroup": "/a", "po')
    server.start_agent()
    server.wait_loaded()
    out, _ = child.communicate("\n", timeout=20)
    assert_left_from_guest(server, out)
    assert_left_from_guest(server, user(GAMES, *source(lab)).stdout)
    left.rmdir()  # nobody knows of it
    wait_until(lambda: not runs(server), 12, "the agent removes the other's")


def test_policy_that_goes_while_a_command_runs(lab, server, program):
    """It opens no more connections: not from the host's address either."""
    fleet = lab.paths.fleet_file
    before = fleet.read_text()
    child = begun(server, program, lab)
    try:
        fleet.write_text("\n".join(line for line in before.split("\n") if "name: guest" not in line))
        lab.apply_fleet("--yes")
        wait_until(lambda: lab.all_loaded(lab.servers), 20, "the change is loaded")
        out, errors = child.communicate("\n", timeout=20)
        assert out == "" and "curl: (7)" in errors, (out, errors)
    finally:
        fleet.write_text(before)
        lab.apply_fleet("--yes")
        wait_until(lambda: lab.all_loaded(lab.servers), 20, "the change is loaded")


def test_names_that_come_later(lab, server, user):
    """An account that is made after the fleet was applied may use the policy: names are looked up again."""
    groups = Path(server.agent.argv[5])
    before, fleet = groups.read_text(), lab.paths.fleet_file
    text = fleet.read_text()
    try:
        fleet.write_text(text.replace("groups: [staff]", "groups: [staff, latecomers]"))
        lab.apply_fleet("--yes")
        wait_until(lambda: any("latecomers" in line for line in server.status()["degraded"]), 20, "a problem is told")
        assert user(OTHER, "true", groups=(BERTH, 61236)).returncode == 3
        groups.write_text(before + "latecomers:x:61236:\n")
        wait_until(lambda: user(OTHER, "true", groups=(BERTH, 61236)).returncode == 0, 20, "the group is known",
                   interval=0.5)
        assert not any("latecomers" in line for line in server.status()["degraded"])
    finally:
        groups.write_text(before)
        fleet.write_text(text)
        lab.apply_fleet("--yes")
        wait_until(lambda: lab.all_loaded(lab.servers), 20, "the change is loaded")


@pytest.mark.deadline(90)
def test_one_user_has_no_more_than_others_leave_room_for(server, user, program):
    """256 commands under way; those that have ended do not count, and another user's do not either."""
    run = f"{program} run --policy guest --run-dir {server.run_dir} --"
    before = set(runs(server))
    result = user(GAMES, "sh", "-c", f"for i in $(seq 300); do {run} true || exit; done; echo all")
    assert result.stdout == "all\n", result.stderr
    script = f"for i in $(seq 255); do {run} sleep 60 > /dev/null 2>&1 & done; echo begun; sleep 60"
    child = server.popen([*as_user(GAMES), "sh", "-c", f"{run} sh -c '{script}'"])
    try:
        assert child.stdout.readline() == "begun\n"
        wait_until(lambda: len(list(filter(under_way, set(runs(server)) - before))) == 256, 60, "all are under way",
                   interval=0.2)
        result = user(GAMES, "echo", "ran")
        assert (result.returncode, result.stdout) == (1, "") and "has 256 commands" in result.stderr
        assert user(OTHER, "true", groups=(BERTH, STAFF)).returncode == 0
    finally:
        for path in set(runs(server)) - before:
            with contextlib.suppress(OSError):
                (path / "cgroup.kill").write_text("1")
        child.wait(timeout=20)
    wait_until(lambda: not runs(server), 20, "the agent removes the cgroups")


def test_a_socket_s_policy_is_chosen_by_who_is_allowed(server, choose):
    for how, text in (("policy", "guest"), ("selector", "product=guest")):
        row = choose(GAMES, how, text)
        assert row["err"] is None, row
        assert_left_from_guest(server, f"{row['source'][0]} {row['source'][1]}")
    assert choose(OTHER, "policy", "guest", groups=(BERTH, STAFF))["err"] is None


def test_a_socket_s_policy_is_chosen_by_nobody_else(choose):
    row = choose(OTHER, "policy", "guest")
    assert row["err"] == os.strerror(errno.EPERM)
    assert "its `allow` names user games, group staff" in row["error"]
    row = choose(GAMES, "policy", "crawler")
    assert row["err"] == os.strerror(errno.EPERM) and "for root alone" in row["error"]
    assert choose(GAMES, "selector", "country=NL")["err"] == os.strerror(errno.ENOENT)
    assert choose(GAMES, "policy", "guest", groups=(61000,))["err"] == os.strerror(errno.EACCES)


def test_a_choice_leads_out_of_a_cgroup_s_policy(server, choose):
    """Whoever may use a policy may use it from wherever: a cgroup's policy is no prison."""
    row = choose(GAMES, "policy", "guest", policy="crawler")
    assert_left_from_guest(server, f"{row['source'][0]} {row['source'][1]}")
