# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the system tests: labs with agents, kept for the whole session.

    lab          topology two-sites, fleet applied, every berthd announcing
    lab_1500     the same with an underlay of 1,500 bytes
    make_lab     makes labs of a test's own: make_lab(topology="two-sites", agents=False)

BERTH_BUILD says where the programs are (default: build). A test gets 120 seconds, or what it says by
@pytest.mark.deadline(SECONDS). Whatever ends the session, the labs end with it; what a killed session left is removed
by the next.
"""

import os
import re
import signal
import sys
from itertools import count
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lab.paths import lab_names, Paths  # noqa: E402
from lab.running import Lab, locked, orphaned, remove  # noqa: E402

DEADLINE_SECONDS = 120
_PREFIX = "test-"
_numbers = count(1)
_labs = []


def pytest_configure(config):
    config.addinivalue_line("markers", "deadline(seconds): how long the test may take")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)


def pytest_sessionstart():
    if os.geteuid():
        pytest.exit("system tests make network namespaces: run them as root", returncode=4)
    for name in lab_names():
        if name.startswith(_PREFIX) and orphaned(name):
            with locked(Paths(name)):
                remove(Paths(name))


def pytest_sessionfinish():
    """For a session that ended before its fixtures could."""
    while _labs:
        _labs.pop().down()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    """A failed test shows what the daemons of its labs said last."""
    report = (yield).get_result()
    if not report.failed:
        return
    for lab in _labs:
        for node in lab.nodes.values():
            for log in sorted(node.run_dir.glob("*.log")):
                if log.name != "access.log" and (words := log.read_text(errors="replace").splitlines()):
                    report.sections.append((f"{lab.name} {node.name} {log.name}", "\n".join(words[-20:])))


@pytest.fixture(autouse=True)
def deadline(request):
    marker = request.node.get_closest_marker("deadline")
    seconds = marker.args[0] if marker else DEADLINE_SECONDS

    def expired(*_):
        pytest.fail(f"not done within {seconds} s")
    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def lab_name():
    return f"{_PREFIX}{os.getpid()}-{next(_numbers)}"


def bring_up(topology, agents):
    lab = Lab(topology, lab_name())
    _labs.append(lab)
    lab.up(agents=agents)
    return lab


def sanitizer_reports(lab):
    """What AddressSanitizer and UBSan wrote into the agents' logs, when the programs are built with them."""
    return {server.name: server.agent.log.read_text(errors="replace") for server in lab.servers
            if server.agent.log.exists() and re.search(r"Sanitizer|runtime error", server.agent.log.read_text())}


def take_down(lab):
    reports = sanitizer_reports(lab)
    lab.down()
    if lab in _labs:
        _labs.remove(lab)
    assert reports == {}


@pytest.fixture(scope="session")
def lab():
    lab = bring_up("two-sites", agents=True)
    yield lab
    take_down(lab)


@pytest.fixture(scope="session")
def lab_1500():
    lab = bring_up("two-sites-1500", agents=True)
    yield lab
    take_down(lab)


@pytest.fixture
def make_lab():
    made = []

    def make(topology="two-sites", agents=False):
        made.append(bring_up(topology, agents))
        return made[-1]
    yield make
    for lab in made:
        take_down(lab)


@pytest.fixture(scope="module")
def network():
    """A lab without agents, shared by a module's tests: leave it as you found it."""
    lab = bring_up("two-sites", agents=False)
    yield lab
    take_down(lab)


@pytest.fixture
def fresh_name():
    """A name for a lab that the test brings up by itself."""
    name = lab_name()
    yield name
    with locked(Paths(name)):
        remove(Paths(name))
