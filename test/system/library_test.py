# SPDX-License-Identifier: Apache-2.0
"""libberth as a program meets it: installed, found by pkg-config, linked, and asked for policies, use and reasons."""

import array
import json
import os
import re
import signal
import socket
import struct
import subprocess
from pathlib import Path

import pytest

from lab.fleet import CRAWLER_ADDRESS, WEB_ADDRESSES
from lab.paths import BUILD
from lab.process import wait_until

ROOT = Path(__file__).resolve().parents[2]
DRIVER = Path(__file__).parent / "programs" / "library.py"
EXPORTED = {"berth_choose", "berth_choose_policy", "berth_close", "berth_error", "berth_open", "berth_policies",
            "berth_slices", "berth_why"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where `make install` put everything."""
    place = tmp_path_factory.mktemp("installed")
    subprocess.run(["make", "-s", "-C", ROOT, "install", f"BUILD={BUILD}", f"DESTDIR={place}", "PREFIX=/usr"], check=True,
                   capture_output=True)
    return place / "usr"


@pytest.fixture(scope="module")
def egress(installed):
    """examples/egress.c, built by what its first lines say."""
    env = os.environ | {"PKG_CONFIG_PATH": str(installed / "lib/pkgconfig"), "PKG_CONFIG_SYSROOT_DIR": str(installed.parent)}
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "berth"], env=env, check=True, capture_output=True,
                           text=True).stdout.split()
    subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", ROOT / "examples/egress.c", *flags, "-o", installed / "egress"],
                   check=True)
    return installed / "egress"


@pytest.fixture
def library(lab, installed):
    """library(server, *calls): what came of each call, made by a process of that server."""
    def drive(server, *calls, port=9000, **more):
        argv = ["/usr/bin/python3", DRIVER, installed / "lib/libberth.so.1", server.run_dir, lab.origins[0].address, port]
        return json.loads(server.run(argv, input=json.dumps(calls) + "\n", **more).stdout)
    return drive


def run_egress(lab, server, egress, *words, **more):
    env = os.environ | {"BERTH_RUN_DIR": str(server.run_dir), "LD_LIBRARY_PATH": str(egress.parent / "lib")}
    return server.run([egress, *words], env=env, check=False, **more)


def owned(server, source, address):
    return source[0] == address and any(source[1] in ports for ports in server.slices(address))


def test_what_is_exported(installed):
    """With its version, and nothing else: a program that was linked yesterday runs tomorrow."""
    library = installed / "lib/libberth.so.1"
    listed = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", library], check=True,
                            capture_output=True, text=True).stdout
    assert set(re.findall(r" T (\S+)", listed)) == {f"{name}@@LIBBERTH_1" for name in EXPORTED}
    dynamic = subprocess.run(["readelf", "-d", library], check=True, capture_output=True, text=True).stdout
    assert "soname: [libberth.so.1]" in dynamic
    assert set(re.findall(r"NEEDED.*\[(.*)\]", dynamic)) == {"libjansson.so.4", "libc.so.6"}
    assert (installed / "lib/libberth.so").readlink() == Path("libberth.so.1")


def test_header_is_c_and_cplusplus(installed):
    for compiler, standard in (("cc", "c99"), ("clang++-19", "c++98")):
        subprocess.run([compiler, f"-std={standard}", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "-x",
                        "c" if compiler == "cc" else "c++", installed / "include/berth/berth.h"], check=True)


def test_manual_names_every_function(installed):
    manual = (installed / "share/man/man3/berth.3").read_text()
    assert {name for name in EXPORTED if f"{name}" in manual} == EXPORTED
    header = (installed / "include/berth/berth.h").read_text()
    assert set(re.findall(r"\b(berth_\w+)\(", header)) == EXPORTED


def test_example(lab, egress):
    server, origin = lab.servers[0], lab.origins[0]
    result = run_egress(lab, server, egress, "country=DE,product=crawler", origin.address, 9000)
    assert result.returncode == 0, result.stderr
    address, port = result.stdout.splitlines()[0].split()
    assert owned(server, (address, int(port)), CRAWLER_ADDRESS)
    wait_until(lambda: any((row["src"], row["src_port"]) == (address, int(port)) for row in origin.records()), 10,
               "the origin saw that source")


def test_example_tells_why_it_was_refused(lab, egress):
    server, origin = lab.servers[0], lab.origins[0]
    result = run_egress(lab, server, egress, "country=XX", origin.address, 9000)
    assert (result.returncode, result.stdout) == (1, "")
    assert "no policy that this user may use has the selector 'country=XX'" in result.stderr
    assert run_egress(lab, server, egress, "country", origin.address, 9000).stderr.count("selector 'country'") == 1


def test_each_kind_of_socket(lab, library):
    """Under no policy, under another one, and with a mark of another one's."""
    server = lab.servers[1]
    for policy in (None, "crawler"):
        rows = library(server, *(["choose", kind, "selector", "country = NL"] for kind in ("tcp", "udp", "tcp6")),
                       ["connect", "tcp"], policy=policy)
        for row in rows[:3]:
            assert row["err"] is None, row
            assert any(owned(server, row["source"], address) for address in WEB_ADDRESSES)
        assert rows[3]["source"][0] == (CRAWLER_ADDRESS if policy else server.underlay)


def test_by_name(lab, library):
    server = lab.servers[1]
    named, unknown = library(server, ["choose", "tcp", "policy", "crawler"], ["choose", "tcp", "policy", "nobody's"])
    assert owned(server, named["source"], CRAWLER_ADDRESS)
    assert unknown["err"] == os.strerror(2) and "no policy is called 'nobody's'" in unknown["error"]


REFUSED = {
    "bound": "has an address already", "listening": "has an address already", "connected tcp": "is connected already",
    "connected udp": "is connected already", "unix": "not IPv4 or IPv6", "raw": "not TCP or UDP", "mptcp": "MPTCP",
    "file": "is no socket",
}


def test_sockets_that_it_is_too_late_for(lab, library):
    rows = library(lab.servers[1], *(["choose", kind, "policy", "crawler"] for kind in REFUSED), policy="crawler")
    for (kind, words), row in zip(REFUSED.items(), rows):
        assert row["err"] == os.strerror(22) and words in row["error"], (kind, row)
    closed, = library(lab.servers[1], ["choose", "closed", "policy", "crawler"])
    assert closed["err"] == os.strerror(9) and "1000" in closed["error"]


def test_a_socket_of_another_network_namespace(lab, library, installed):
    server = lab.servers[1]
    argv = ["unshare", "--net", "/usr/bin/python3", DRIVER, installed / "lib/libberth.so.1", server.run_dir,
            lab.origins[0].address, 9000]
    row, = json.loads(server.run(argv, input='[["choose", "tcp", "policy", "crawler"]]\n').stdout)
    assert row["err"] == os.strerror(22) and "another network namespace" in row["error"]


def test_slices_and_policies(lab, library):
    server = lab.servers[2]
    filled, slices, policies = library(server, ["fill", "product=wide", 5], ["slices"], ["policies"])
    assert filled == 5
    shown = json.loads(server.berth("show", "usage", "--json", *server.pin_flags).stdout)
    assert [(socket.inet_ntoa(struct.pack(">I", row["address"])), row["first"], row["count"]) for row in slices["items"]] \
        == [(row["address"], row["first"], row["count"]) for row in shown["slices"]]
    assert sum(row["connections"] for row in slices["items"]) >= 5
    found = {row["name"]: row for row in policies["items"]}
    assert set(found) == {row["name"] for row in shown["policies"]}
    wide = found["wide"]
    assert (wide["slices"], wide["connections"]) == (2, 5) and 1 <= wide["fullest"] <= 5
    assert not any(row["reserved"][0] for row in slices["items"] + policies["items"])


def test_why(lab, library):
    """A slice filled to the last port that UDP may have towards one destination."""
    server, origin = lab.servers[2], lab.origins[0]
    count = len(server.slices(CRAWLER_ADDRESS)[0])
    filled, why, other = library(server, ["fill", "country=DE,product=crawler", count + 1], ["why", origin.address, 9005],
                                 ["why", origin.address, 9006], port=9005, timeout=120)
    assert count - 8 < filled <= count
    refusal = why["refusal"]
    assert (refusal["policy"], refusal["reason"]) == ("crawler", "refused_full")
    assert (refusal["used"], refusal["ports"]) == (count, count)  # those that UDP may not have are not free
    assert "every port towards the destination is in use" in refusal["meaning"]
    assert refusal["count"] == 1 and refusal["first"] == refusal["last"] > 1_700_000_000
    assert other["err"] == os.strerror(2) and "refused nothing" in other["error"]


def test_a_choice_outlives_the_agent(lab, installed):
    server = lab.servers[2]
    argv = ["/usr/bin/python3", DRIVER, installed / "lib/libberth.so.1", server.run_dir, lab.origins[0].address, "9000"]
    child = server.popen(argv, stdin=subprocess.PIPE)
    child.stdin.write(json.dumps([["choose", "tcp", "policy", "crawler", True], ["choose", "tcp", "policy", "web"]]) + "\n")
    child.stdin.flush()
    assert child.stdout.readline() == "chosen\n"
    server.kill_agent()
    child.stdin.write("go on\n")
    child.stdin.flush()
    chosen, late = json.loads(child.stdout.readline())
    assert child.wait(timeout=20) == 0
    server.start_agent()
    server.wait_loaded()
    assert owned(server, chosen["source"], CRAWLER_ADDRESS)
    assert late["err"] == os.strerror(111) and "no agent runs here" in late["error"]


class Control:
    """The control socket, by hand."""

    def __init__(self, server):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(server.run_dir / "berthd.sock"))

    def ask(self, passed=(), **request):
        self.send(passed, **request)
        return self.reply()

    def send(self, passed=(), **request):
        body = json.dumps({"version": 1, **request}).encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", passed))] if passed else []
        self.socket.sendmsg([struct.pack(">I", len(body)) + body], rights)

    def reply(self):
        try:
            size, = struct.unpack(">I", self.socket.recv(4, socket.MSG_WAITALL) or b"\0\0\0\0")
            return json.loads(self.socket.recv(size, socket.MSG_WAITALL)) if size else None
        except ConnectionResetError:
            return None


def descriptors(server):
    return len(os.listdir(f"/proc/{server.agent.pid()}/fd"))


CHOOSE = {"verb": "choose", "policy": "crawler"}


def test_descriptors_that_nobody_asked_for(lab):
    """More than one, none, on the wrong request: answered or hung up on, and nothing is kept."""
    server = lab.servers[2]
    before = descriptors(server)
    pipe = os.pipe()
    control = Control(server)
    assert control.ask(**CHOOSE)["error"]["code"] == "EINVAL"
    assert control.ask(pipe[:1], verb="status")["ok"]
    assert "no socket" in control.ask(**CHOOSE)["error"]["text"]  # it waited for the one that takes it
    assert "none was" in control.ask(**CHOOSE)["error"]["text"]
    assert Control(server).ask(pipe, **CHOOSE) is None
    several = Control(server)
    assert several.ask(pipe[:1], verb="status")["ok"]
    assert several.ask(pipe[:1], verb="status") is None
    assert Control(server).ask(pipe * 100, verb="status") is None
    left = Control(server)
    assert left.ask(pipe[:1], verb="status")["ok"]
    for end in (control.socket, several.socket, left.socket):
        end.close()
    for fd in pipe:
        os.close(fd)
    wait_until(lambda: descriptors(server) <= before, 10, "the agent closes what it was passed")


def test_many_choices_leave_nothing_behind(lab, library):
    server = lab.servers[2]
    before = descriptors(server)
    filled, = library(server, ["fill", "product=wide", 300], timeout=120)
    assert filled == 300
    wait_until(lambda: descriptors(server) <= before, 10, "the agent closes what it was passed")


def threads(server):
    return len(os.listdir(f"/proc/{server.agent.pid()}/task"))


def test_a_close_that_waits_holds_nobody_up(lab):
    """A connection with SO_LINGER whose peer takes nothing: its last close waits, and that is the agent's."""
    server = lab.servers[2]
    before = threads(server)
    listener = socket.create_server(("127.0.0.1", 0))
    stuck = socket.create_connection(listener.getsockname())
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 60))
    stuck.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            stuck.send(b"x" * 65536)
    control = Control(server)
    os.kill(server.agent.pid(), signal.SIGSTOP)
    try:
        control.send([stuck.fileno()], **CHOOSE)
        stuck.close()
    finally:
        os.kill(server.agent.pid(), signal.SIGCONT)
    assert "another network namespace" in control.reply()["error"]["text"]
    assert Control(server).ask(verb="status")["ok"]
    assert threads(server) == before + 1  # it is still at it
    peer, _ = listener.accept()
    peer.close()
    listener.close()
    wait_until(lambda: threads(server) == before, 10, "the close has ended")


def test_marks_and_choices(lab, library):
    """The choice counts for more: the mark is anybody's with the right to set one, the choice is this socket's."""
    row, = library(lab.servers[1], ["choose", "marked", "policy", "crawler"])
    assert owned(lab.servers[1], row["source"], CRAWLER_ADDRESS)
