# SPDX-License-Identifier: Apache-2.0
"""`berth run --select SELECTOR -- COMMAND`."""

import signal

from lab.fleet import CRAWLER_ADDRESS
from lab.paths import BUILD
from lab.process import wait_until


def run(server, selector, *command, flags=(), **more):
    more.setdefault("check", False)
    return server.run([BUILD / "berth", "run", "--select", selector, *server.pin_flags, *flags, "--", *command], **more)


def test_command_leaves_by_tag(lab):
    server, origin = lab.servers[0], lab.origins[2]
    url = f"http://{origin.address}/source"
    result = run(server, "country=DE,product=crawler", "curl", "-sS", "-m", "10", url)
    assert result.returncode == 0, result.stderr
    address, port = result.stdout.split()
    assert address == CRAWLER_ADDRESS
    assert any(int(port) in ports for ports in server.slices(CRAWLER_ADDRESS))
    # The cgroup that it ran in is gone again.
    assert [path for path in server.cgroup.rglob("*run*") if path.is_dir()] == []


def test_exit_status_is_the_command_s(lab):
    server = lab.servers[0]
    assert run(server, "country=NL", "sh", "-c", "exit 42").returncode == 42
    assert run(server, "country=NL", "sh", "-c", "kill -TERM $$").returncode == 128 + signal.SIGTERM
    assert run(server, "country=NL", "/nonexistent").returncode == 127


def test_selector_without_a_slice(lab):
    result = run(lab.servers[0], "country=JP", "curl", "http://198.51.100.1/")
    assert result.returncode == 3
    assert "country=JP" in result.stderr


def test_wrong_selector(lab):
    result = run(lab.servers[0], "country=", "true")
    assert result.returncode == 2
    assert "country=" in result.stderr


def test_child_stays_under_its_caller_s_limits(lab):
    """rlimits are inherited, and the child's cgroup lies below the caller's."""
    server = lab.servers[0]
    script = ('ulimit -n 77; exec "$0" run --select country=NL "$@" -- '
              "sh -c 'ulimit -n; grep ^0:: /proc/self/cgroup'")
    caller = server.cgroup / "caller"
    result = server.run(["/bin/sh", "-c", 'mkdir -p "$1"; echo 0 > "$1/cgroup.procs"; shift; exec "$@"', "sh",
                         str(caller), "/bin/sh", "-c", script, str(BUILD / "berth"), *server.pin_flags])
    limit, cgroup = result.stdout.splitlines()
    assert limit == "77"
    assert "/caller/" in cgroup
    wait_until(lambda: not list(caller.glob("*/")), 5, "the child's cgroup is gone")
    caller.rmdir()


def test_without_an_agent_nothing_is_run(lab):
    server = lab.servers[3]
    server.kill_agent()
    try:
        result = run(server, "country=NL", "echo", "ran")
        assert (result.returncode, result.stdout) == (1, "")
        assert "berthd" in result.stderr or "agent" in result.stderr
    finally:
        server.start_agent()
        server.wait_loaded()


def test_command_survives_its_agent_s_restart(lab):
    """The agent that comes back knows of commands that are under way."""
    server, origin = lab.servers[4], lab.origins[1]
    script = (f"read line; curl -sS -m 10 http://{origin.address}/source; "
              f"read line; curl -sS -m 10 http://{origin.address}/source")
    child = server.popen([str(BUILD / "berth"), "run", "--select", "country=NL", *server.pin_flags, "--", "sh", "-c",
                          script], stdin=-1)
    wait_until(lambda: [path for path in server.cgroup.rglob("*run*") if path.is_dir()], 10, "the command is started")
    child.stdin.write("\n")
    child.stdin.flush()
    first = child.stdout.readline().split()[0]
    server.kill_agent()
    server.start_agent()
    server.wait_loaded()
    child.stdin.write("\n")
    child.stdin.flush()
    second = child.stdout.readline().split()[0]
    child.stdin.close()
    assert child.wait(timeout=20) == 0
    assert first == second != server.underlay
