# SPDX-License-Identifier: Apache-2.0
"""The data plane outlives its agents; agents come and go, and nothing breaks, leaks or stays behind."""

import json
import signal
import subprocess

import pytest
import yaml

from lab.connections import forge, hold_open, open_many, release
from lab.fleet import CRAWLER_ADDRESS
from lab.paths import BUILD, LabError
from lab.process import wait_until


def usage(server):
    """What the allocator's table holds, read from the pins: works with a dead agent."""
    return json.loads(server.berth("show", "usage", "--top", "1000", "--json", *server.pin_flags).stdout)


def reservations(server):
    """In words, for each destination: "tcp 192.0.2.1:9000: 3 ports"."""
    return [f"{row['proto']} {row['address']}:{row['port']}: {row['used']} ports" for row in usage(server)["top"]]


def ports_in_use(server):
    return usage(server)["connections"]


@pytest.mark.deadline(300)
def test_kill_9_of_every_agent(make_lab):
    lab = make_lab(agents=True)
    targets = [f"{origin.address}:9000" for origin in lab.origins]
    held = {server: hold_open(server, targets, 50, 50) for server in lab.servers}
    for server, (_, rows) in held.items():
        assert [row for row in rows if row["error"]] == []
    for server in lab.servers:
        server.kill_agent()

    # New connections from a program that starts now, and old ones, with no agent anywhere.
    fresh = [target.replace("9000", "9001") for target in targets]
    for server in lab.servers:
        rows = open_many(server, fresh, 50, 50)
        assert [row for row in rows if row["error"]] == []
        assert {row["seen"] for row in rows} == {CRAWLER_ADDRESS}

    for server in lab.servers:
        server.start_agent()
    for server in lab.servers:
        assert server.wait_loaded()["adopted"] is True

    assert ports_in_use(lab.servers[0]) == 100 * len(targets)
    for server, (child, _) in held.items():
        assert release(child) == [], f"connections of {server} broke"
    for server in lab.servers:
        try:
            wait_until(lambda server=server: not reservations(server), 10, f"{server} has every port back")
        except LabError as error:
            sockets = server.run(["ss", "-tuane"]).stdout
            pytest.fail(f"{error}: {reservations(server)}, sockets:\n{sockets}")


def test_traffic_through_a_restart(lab):
    """Connections are opened all the time while the agents of the way are ended and started."""
    server, target = lab.servers_of("fra")[0], f"{lab.origins_near('ams')[0].address}:9002"
    before = server.status()["instance"]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for each in lab.servers:
            each.stop_agent(number) if number != signal.SIGKILL else each.kill_agent()
        rows = open_many(server, [target], 100, 100)
        for each in lab.servers:
            each.start_agent()
        rows += open_many(server, [target], 200, 200)
        assert [row for row in rows if row["error"]] == []
        for each in lab.servers:
            each.wait_loaded()
    assert server.status()["instance"] != before


def test_second_agent_is_refused(lab):
    server = lab.servers[0]
    words = [BUILD / "berthd", "--server", server.name, "--store", lab.paths.store_url, "--cgroup-root", server.cgroup,
             "--bpffs", server.bpffs, "--run-dir", server.run_dir]
    second = server.run(words, check=False)
    assert second.returncode == 1
    assert "another agent runs in" in second.stderr
    assert server.status()["ok"]


def test_control_socket_asks_for_root(lab):
    server = lab.servers[0]
    script = """
import json, os, socket, struct, sys
os.chmod(sys.argv[1], 0o666)
os.setuid(65534)
def ask(verb):
    request = json.dumps({"version": 1, "verb": verb}).encode()
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[1])
    client.sendall(struct.pack("!I", len(request)) + request)
    stream = client.makefile("rb")
    return json.loads(stream.read(*struct.unpack("!I", stream.read(4))))
print(json.dumps([ask("status").get("ok"), ask("detach")["error"]["code"]]))
"""
    answer = server.run(["/usr/bin/python3", "-c", script, str(server.run_dir / "berthd.sock")]).stdout
    (server.run_dir / "berthd.sock").chmod(0o660)
    assert json.loads(answer) == [True, "EPERM"]


@pytest.mark.deadline(200)
@pytest.mark.parametrize("dead", [False, True], ids=["agent-alive", "agent-dead"])
def test_detach_takes_everything_down(make_lab, dead):
    lab = make_lab(agents=False)
    server, origin = lab.servers[0], lab.origins[0]
    server.run(["sysctl", "-qw", "net.ipv4.ip_local_reserved_ports=30000-30010,50000"])
    before = server.host_state()
    lab.start_agents()
    assert server.host_state() != before
    reserved = server.run(["sysctl", "-n", "net.ipv4.ip_local_reserved_ports"]).stdout
    assert "30000-30010" in reserved, "what was reserved stays so"
    if dead:
        server.kill_agent()
    gone = server.berth("detach", *server.pin_flags)
    assert gone.returncode == 0, gone.stderr
    wait_until(lambda: not server.agent.pid(), 5, "the agent ends")
    assert server.host_state() == before
    lab.wait_announced(servers=[each for each in lab.servers if each != server])
    again = server.berth("detach", *server.pin_flags)
    assert again.returncode == 0, again.stderr

    # The program has the host's address again; the others have theirs still, and replies find their way without it.
    words = ["curl", "-sS", "-m", "10", f"http://{origin.address}/source"]
    assert server.run(words, policy="crawler").stdout.split()[0] == server.underlay
    rows = open_many(lab.servers[1], [f"{each.address}:9000" for each in lab.origins], 50, 50)
    assert [row for row in rows if row["error"]] == []
    # And it comes back.
    server.start_agent()
    lab.wait_announced()
    wait_until(lambda: server.run(words, policy="crawler").stdout.split()[0] == CRAWLER_ADDRESS, 10,
               "its programs egress again")


@pytest.mark.deadline(200)
def test_fleet_file_changes_are_followed(make_lab):
    """A policy and an address come and go while agents run; every server reports the revision it has loaded."""
    lab = make_lab(agents=True)
    server, origin = lab.servers[5], lab.origins[0]
    words = ["curl", "-sS", "-m", "10", f"http://{origin.address}/source"]
    fleet = yaml.safe_load(lab.paths.fleet_file.read_text())
    fleet["addresses"].append({"range": "203.0.113.64", "tags": {"country": "AT"}})
    fleet["policies"].append({"name": "late", "cgroup": "/late", "select": "country=AT"})
    lab.paths.fleet_file.write_text(yaml.safe_dump(fleet))
    lab.apply_fleet()

    wait_until(lambda: lab.all_loaded(lab.servers), 20, "every server has the new revision")
    late = server.cgroup / "late"
    assert not late.exists()
    late.mkdir()  # the kernel gives it its policy as it is made
    argv = ["/bin/sh", "-c", 'echo 0 > "$1/cgroup.procs"; shift; exec "$@"', "sh", str(late), *words]
    assert server.run(argv).stdout.split()[0] == "203.0.113.64"

    # The policy leaves: what is started there now keeps the host's address.
    fleet["policies"].pop()
    lab.paths.fleet_file.write_text(yaml.safe_dump(fleet))
    lab.apply_fleet("--yes")
    wait_until(lambda: lab.all_loaded(lab.servers), 20, "every server has the new revision")
    assert server.run(argv).stdout.split()[0] == server.underlay


@pytest.mark.deadline(200)
def test_server_that_left_the_fleet_opens_nothing(make_lab):
    """Its slices may become another's: what is judged is refused, nothing is announced, the others go on."""
    lab = make_lab(agents=True)
    gone, others = lab.servers[2], [server for server in lab.servers if server != lab.servers[2]]
    targets = [f"{origin.address}:9000" for origin in lab.origins]
    port = gone.slices(CRAWLER_ADDRESS)[0][5]
    fleet = yaml.safe_load(lab.paths.fleet_file.read_text())
    for site in fleet["sites"]:
        site["servers"] = [server for server in site["servers"] if server["name"] != gone.name]
    lab.paths.fleet_file.write_text(yaml.safe_dump(fleet))
    unasked = lab.berth("apply", lab.paths.fleet_file, check=False)
    assert unasked.returncode == 1 and "--yes" in unasked.stderr
    lab.apply_fleet("--yes")
    lab.wait_announced(servers=others)
    wait_until(lambda: lab.all_loaded(others), 20, "the others have the new revision")
    rows = open_many(gone, targets, 3, 3)
    assert {row["error"] for row in rows} == {"EADDRNOTAVAIL"}
    assert any("no server 'fra-3'" in text for text in gone.status()["degraded"])
    for server in others:
        assert {row["error"] for row in open_many(server, targets, 10, 10)} == {None}
    # Nor does root there leave from the old slice: neither by bind(), nor past all hooks of sockets.
    before = gone.verdicts()
    source, dest = (CRAWLER_ADDRESS, port), (lab.origins[0].address, 9000)
    assert forge(gone, "bind", source, dest) == "refused"
    forge(gone, "raw", source, dest)
    wait_until(lambda: gone.verdicts()["foreign_source"] == before["foreign_source"] + 1, 5, "the guard counts the drop")
    assert gone.verdicts()["refused_foreign"] == before["refused_foreign"] + 1


def test_guard_is_put_back(lab):
    """Somebody clears the uplink's qdiscs: the agent finds the guard gone and puts it back."""
    server = lab.servers[1]
    filters = ["tc", "filter", "show", "dev", "net0", "egress"]
    assert "bpf" in server.run(filters).stdout
    server.run(["tc", "qdisc", "del", "dev", "net0", "clsact"])
    wait_until(lambda: "bpf" in server.run(filters, check=False).stdout, 20, "the guard is back")


def test_apply_twice_changes_nothing(lab):
    result = lab.apply_fleet()
    assert "nothing to change" in (result.stdout + result.stderr).lower()


def stop_telling_of_ends(server):
    """Nothing of a dead agent sees any more that a socket ends. Waits: the kernel detaches a link that is unpinned in
    the background."""
    (server.bpffs / "links" / "cgroup_sock_release").unlink()
    show = ["bpftool", "cgroup", "show", server.cgroup]
    attached = lambda: subprocess.run(show, capture_output=True, text=True, check=True).stdout
    assert "cgroup_inet_sock_create" in attached()
    wait_until(lambda: "cgroup_inet_sock_release" not in attached(), 10, "the link is detached")


def test_ports_that_were_lost_come_back(make_lab):
    """Sockets that end while nothing sees it, agent and hooks being gone, leave their ports behind: the next agent finds
    them, and takes none of those that are held."""
    lab = make_lab(agents=True)
    server = lab.servers[0]
    targets = [f"{lab.origins[0].address}:9000"]
    lost, _ = hold_open(server, targets, 0, 20)
    held, rows = hold_open(server, targets, 0, 10)
    server.kill_agent()
    stop_telling_of_ends(server)
    assert not release(lost)
    assert ports_in_use(server) == 30
    server.start_agent()
    wait_until(lambda: ports_in_use(server) == 10, 30, "what no socket holds is given back")
    assert server.verdicts()["mended"] == 20
    assert not release(held)
    wait_until(lambda: ports_in_use(server) == 0, 10, "the others are given back as ever")
    assert server.verdicts()["mended"] == 20
