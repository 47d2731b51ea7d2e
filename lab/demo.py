# SPDX-License-Identifier: Apache-2.0
"""What script/demo shows: each step does a thing on real traffic, checks it, and says in a line or two what was seen.
A step that does not hold ends the demo with exit status 1."""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

from lab.connections import forge
from lab.fleet import CRAWLER_ADDRESS
from lab.paths import LabError
from lab.node import CommandFailed
from lab.process import wait_until
from lab.running import Lab

OPENER = Path(__file__).parent / "opener.py"
POLICY = "crawler"
FORWARDED = ("wrap", "relay", "deliver_direct", "deliver_unwrap")


class StepFailed(Exception):
    pass


def hold(condition, text):
    if not condition:
        raise StepFailed(text)


def say(text=""):
    print(text, flush=True)


def counters(lab):
    """Of every server: {"fra-1": {"wrap": 3, ...}, ...}."""
    return {server.name: server.verdicts() for server in lab.servers}


def risen(before, after):
    """What rose, zeros left out."""
    rows = {}
    for server, now in after.items():
        rose = {name: value - before[server][name] for name, value in now.items() if value > before[server][name]}
        if rose:
            rows[server] = rose
    return rows


def path_text(rose):
    """Who passed replies on: "entered at ams-2 (9 wrapped) > fra-3 (9 relayed) > fra-1 (9 unwrapped)"."""
    parts = []
    for verdict, word in (("wrap", "wrapped"), ("relay", "relayed"), ("deliver_direct", "straight to its stack"),
                          ("deliver_unwrap", "unwrapped")):
        parts += [f"{server} ({rows[verdict]} {word})" for server, rows in rose.items() if verdict in rows]
    return "entered at " + " > ".join(parts)


def owns(server, port):
    return any(port in ports for ports in server.slices(CRAWLER_ADDRESS))


def open_many(server, targets, tcp=0, udp=0):
    argv = [OPENER, "--tcp", str(tcp), "--udp", str(udp), *targets]
    return [json.loads(line) for line in server.run(argv, policy=POLICY, timeout=120).stdout.splitlines()]


# --- the steps ---

def shared_address(lab):
    say(f"1. One public address, {CRAWLER_ADDRESS} (country=DE, product=crawler), shared by six servers:")
    for server in lab.servers:
        [ports] = server.slices(CRAWLER_ADDRESS)
        say(f"     {server.name:6} ports {ports[0]:5}-{ports[-1]}")


def plain_curl(lab):
    say("2. Unmodified curl on each server, and the way that each reply took:")
    used = set()
    for i, server in enumerate(lab.servers):
        origin = lab.origins[(i + i // 2) % len(lab.origins)]
        before = counters(lab)
        answer = server.run(["curl", "-sS", "-m", "10", f"http://{origin.address}/source"], policy=POLICY).stdout
        address, port = answer.split()
        hold(address == CRAWLER_ADDRESS and owns(server, int(port)),
             f"{origin.name} saw {server.name} come from {address}:{port}, which is not its slice")
        rose = risen(before, counters(lab))
        moved = Counter()
        for rows in rose.values():
            moved.update({name: rows[name] for name in FORWARDED if name in rows})
        hold(moved["wrap"] == moved["deliver_unwrap"], f"{moved} does not add up")
        used.add(server.name)
        say(f"     {server.name} > {origin.name} saw {address}:{port}; replies {path_text(rose)}")
    hold(len(used) == len(lab.servers), "not every server was shown")


def same_port_many_destinations(lab):
    server = lab.servers[0]
    targets = [f"{origin.address}:9000" for origin in lab.origins]
    rows = open_many(server, targets, tcp=1000)
    hold(not [row for row in rows if row["error"]], f"{server.name}: {rows[0]}")
    towards = defaultdict(set)
    pairs = Counter((row["source_port"], row["dest"]) for row in rows)
    for row in rows:
        towards[row["source_port"]].add(row["dest"])
    hold(max(pairs.values()) == 1, "a port was used twice towards one destination")
    shared = [port for port, dests in towards.items() if len(dests) == len(lab.origins)]
    hold(shared, "no port was used towards all origins at once")
    say(f"3. {len(rows)} connections open at once from {server.name} use {len(towards)} ports. {len(shared)} of these "
        f"ports ({shared[0]} is one)")
    say(f"   are used towards all of {', '.join(origin.address for origin in lab.origins)} at the same time.")


def two_servers_one_origin(lab):
    one, other, origin = lab.servers[0], lab.servers[3], lab.origins[0]
    mark = origin.mark()
    held = [server.popen([str(OPENER), "--tcp", "100", "--hold", f"{origin.address}:9000"], policy=POLICY,
                         stdin=-1) for server in (one, other)]
    for child in held:
        while (line := child.stdout.readline()) and line != "holding\n":
            hold(json.loads(line)["error"] is None, line)
    seen = Counter(row["src"] for row in origin.records(mark) if row["proto"] == "tcp")
    for child in held:
        lost, errors = child.communicate(timeout=30)
        hold(child.returncode == 0 and not lost, f"connections broke: {lost}{errors}")
    hold(seen == {CRAWLER_ADDRESS: 200}, f"{origin.name} saw {seen}")
    say(f"4. {one.name} and {other.name}, in two sites, hold 100 connections each to {origin.name} at once: it sees 200 "
        f"from {CRAWLER_ADDRESS}.")


def access_log(lab):
    rows = [row for origin in lab.origins for row in origin.http_records()]
    sources = Counter(row[0] for row in rows)
    hold(set(sources) == {CRAWLER_ADDRESS}, f"the origins' access logs show {dict(sources)}")
    say(f"5. All {len(rows)} lines of the origins' access logs show {CRAWLER_ADDRESS}, and nothing else.")


def killed_agent(lab):
    server, origin = lab.servers[0], lab.origins[-1]
    held = server.popen([str(OPENER), "--tcp", "200", "--udp", "200", "--hold", f"{origin.address}:9000"],
                        policy=POLICY, stdin=-1)
    while (line := held.stdout.readline()) and line != "holding\n":
        hold(json.loads(line)["error"] is None, line)
    for each in lab.servers:
        each.kill_agent()
    fresh = open_many(server, [f"{origin.address}:9001"], tcp=200, udp=200)
    hold(not [row for row in fresh if row["error"]], "a new connection failed while the agents were dead")
    lost, errors = held.communicate(timeout=60)
    hold(held.returncode == 0 and not lost, f"connections broke: {lost}{errors}")
    say(f"6. kill -9 of all six agents: 400 open connections of {server.name} live on, 400 new ones are opened meanwhile,")
    for each in lab.servers:
        each.start_agent()
    for each in lab.servers:
        hold(each.wait_loaded()["adopted"], f"the restarted agent of {each.name} did not adopt the data plane")
    say("   none failed; the restarted agents adopted what was running.")


def guard(lab):
    server, victim, origin = lab.servers[1], lab.servers[2], lab.origins[0]
    port = victim.slices(CRAWLER_ADDRESS)[0][7]
    before, mark = server.verdicts(), origin.mark()

    def rose(verdict):
        return server.verdicts()[verdict] - before[verdict]

    source, dest = (CRAWLER_ADDRESS, port), (origin.address, 9000)
    bound = forge(server, "bind", source, dest)
    hold(bound == "refused" and rose("refused_foreign") == 1, f"bind() to a port of {victim.name}: {bound}")
    forge(server, "raw", source, dest)
    wait_until(lambda: rose("foreign_source") == 1, 5, "the guard drops the packet")
    hold(not origin.records(mark), "the guard let a foreign source through")
    say(f"7. root on {server.name} wants {CRAWLER_ADDRESS}:{port}, a port of {victim.name}: bind() is refused, and a "
        f"packet\n   forged with a raw socket is dropped by the guard (foreign_source); {origin.name} saw none.")


STEPS = (shared_address, plain_curl, same_port_many_destinations, two_servers_one_origin, access_log, killed_agent, guard)


def main():
    say("Berth: 2 sites x 3 servers, 4 origins, BGP by BIRD, all in network namespaces of this machine.")
    lab = Lab("two-sites", name="demo")
    lab.down()
    try:
        lab.up(agents=True)
        for step in STEPS:
            step(lab)
    except (StepFailed, LabError, CommandFailed) as error:
        say(f"FAILED: {error}")
        return 1
    finally:
        lab.down()
    say("All of it held. The lab is gone; nothing stays behind.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
