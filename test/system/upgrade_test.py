# SPDX-License-Identifier: Apache-2.0
"""A version with another map layout takes over while connections are open and being opened, and the one before it
takes over again. The other version is this source, built under another layout's number."""

import json
import os
import re
import subprocess

import pytest

from lab.connections import hold_open, open_many, release
from lab.fleet import CRAWLER_ADDRESS
from lab.paths import BUILD, REPOSITORY
from lab.process import wait_until

OTHER = 1000
CLOSED = re.compile(r"taken over; ports were closed for ([0-9.]+) ms")

# Opens and closes UDP sockets to ADDRESS PORT until its input ends; says how often what happened.
KNOCK = """
import collections, errno, json, select, socket, sys
outcomes = collections.Counter()
print("knocking", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.connect((sys.argv[1], int(sys.argv[2])))
        outcomes["from " + s.getsockname()[0]] += 1
    except OSError as error:
        outcomes[errno.errorcode[error.errno]] += 1
    s.close()
print(json.dumps(outcomes))
"""


@pytest.fixture(scope="module")
def other_berthd():
    """Built beside the programs under test; quick when it is there already."""
    place = BUILD / "other-layout"
    subprocess.run(["make", "-s", "-j2", f"BUILD={place.relative_to(REPOSITORY)}", f"LAYOUT={OTHER}",
                    f"{place.relative_to(REPOSITORY)}/berthd"], cwd=REPOSITORY, check=True,
                   env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")})
    return place / "berthd"


def connections(server):
    return json.loads(server.berth("show", "usage", "--json", *server.pin_flags).stdout)["connections"]


def take_over(server, berthd, times):
    """Kills the agent, starts that program as the next one; what it says of its takeover."""
    server.kill_agent()
    server.agent.argv[0] = berthd
    server.start_agent()
    return wait_until(lambda: (found := CLOSED.findall(server.agent.log.read_text())) and len(found) == times and found[-1],
                      30, "the data plane is taken over")


def test_there_and_back(make_lab, other_berthd):
    lab = make_lab(agents=True)
    server, origin = lab.servers[0], lab.origins[2]
    own, targets = server.agent.argv[0], [f"{each.address}:9000" for each in lab.origins]
    child, rows = hold_open(server, targets, 50, 50)
    assert not [row for row in rows if row["error"]]
    held = connections(server)
    assert held == 100 * len(targets)
    knocking = server.popen(["/usr/bin/python3", "-c", KNOCK, origin.address, "9003"], policy="crawler", stdin=-1)
    assert knocking.stdout.readline() == "knocking\n"
    for times, berthd in enumerate([other_berthd, own, other_berthd, own], 1):
        closed = take_over(server, berthd, times)
        print(f"ports were closed for {closed} ms")
        assert not [row for row in open_many(server, [targets[0].replace("9000", "9001")], 20, 20) if row["error"]]
    outcomes = json.loads(knocking.communicate("\n", timeout=20)[0])
    assert set(outcomes) <= {f"from {CRAWLER_ADDRESS}", "EADDRNOTAVAIL"}, outcomes
    assert outcomes.get("EADDRNOTAVAIL", 0) < outcomes[f"from {CRAWLER_ADDRESS}"] / 2
    wait_until(lambda: connections(server) == held, 10, "the table has what is held")
    assert release(child) == []
    wait_until(lambda: connections(server) == 0, 10, "every port is back")


def test_without_a_store_the_other_one_goes_on(make_lab, other_berthd):
    lab = make_lab(agents=True)
    server, target = lab.servers[0], f"{lab.origins[0].address}:9000"
    server.kill_agent()
    store = server.agent.argv[server.agent.argv.index("--store") + 1]
    own, server.agent.argv[0] = server.agent.argv[0], other_berthd
    server.agent.argv[server.agent.argv.index(store)] = "sqlite:///nonexistent/berth.db"
    server.start_agent()
    wait_until(lambda: "another version's are taken over" in server.agent.log.read_text(), 20, "the agent is up")
    assert not [row for row in open_many(server, [target], 20, 20) if row["error"]]
    refused = server.berth("run", "--select", "country=DE", *server.pin_flags[:2], "--", "true", check=False)
    assert refused.returncode == 1
    server.kill_agent()
    server.agent.argv[0] = own
    server.agent.argv[server.agent.argv.index("sqlite:///nonexistent/berth.db")] = store
    server.start_agent()
    assert server.wait_loaded()["adopted"] is True
    assert not [row for row in open_many(server, [target], 20, 20) if row["error"]]
