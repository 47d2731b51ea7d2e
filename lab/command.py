# SPDX-License-Identifier: Apache-2.0
"""The command line of lab/lab."""

import argparse
import os
import signal
import subprocess
import sys
import time

from lab.fleet import POLICIES
from lab.paths import LabError, Paths, lab_names
from lab.running import Lab, describe, locked, remove
from lab.topology import SERVER, TOPOLOGIES


def _say(text):
    print(text, file=sys.stderr)


def _up(args):
    began = time.monotonic()
    lab = Lab(args.topology, args.name, say=_say)
    lab.up(agents=args.agents)
    print(f"lab {lab.name} is up ({time.monotonic() - began:.1f} s): {', '.join(lab.nodes)}")


def _down(args):
    paths = Paths(args.name)
    with locked(paths):
        remove(paths)


def _exec(args):
    lab = Lab.running(args.name)
    node = lab.node(args.node)
    if args.policy and node.kind != SERVER:
        raise LabError(f"{node.name} is no server: policies are for servers")
    argv = node.argv(args.command, args.policy)
    os.execvp(argv[0], argv)


def _list(args):
    rows = [("LAB", "TOPOLOGY", "STATE", "UP FOR")]
    for name in lab_names():
        try:
            seen = describe(name)
        except LabError:
            rows.append((name, "?", "left over", "-"))
            continue
        rows.append((name, seen["topology"], seen["state"], f"{max(0, int(time.time()) - seen['since'])} s"))
    for row in rows if len(rows) > 1 else []:
        print("{:<20} {:<16} {:<10} {}".format(*row))


def _parser():
    parser = argparse.ArgumentParser(prog="lab/lab", description="Fleets in network namespaces, on this machine.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    topologies = "\n".join(f"  {topology.name:<16} {topology.summary}" for topology in TOPOLOGIES.values())
    up = verbs.add_parser("up", help="bring a lab up", formatter_class=argparse.RawDescriptionHelpFormatter,
                          epilog=f"topologies:\n{topologies}")
    up.add_argument("topology", choices=TOPOLOGIES, metavar="TOPOLOGY")
    up.add_argument("--agents", action="store_true", help="apply the fleet file and start berthd on every server")
    up.set_defaults(act=_up)

    down = verbs.add_parser("down", help="take a lab down, whatever state it is in")
    down.set_defaults(act=_down)

    run = verbs.add_parser("exec", help="run a command on a node",
                           usage="lab/lab exec [--policy POLICY] [--name NAME] NODE -- COMMAND [ARGS]")
    run.add_argument("node", metavar="NODE")
    run.add_argument("--policy", choices=POLICIES, help="in the cgroup of this policy")
    run.set_defaults(act=_exec)

    show = verbs.add_parser("list", help="the labs of this machine")
    show.set_defaults(act=_list)

    for verb in (up, down, run):
        verb.add_argument("--name", default="lab", help="of the lab, when there are several (default: lab)")
    return parser


def _parse(argv):
    """What follows `--` is the command for a node, options and all."""
    at = argv.index("--") if "--" in argv else len(argv)
    parser = _parser()
    args = parser.parse_args(argv[:at])
    args.command = argv[at + 1:]
    if args.verb == "exec" and not args.command:
        parser.error("exec NODE -- COMMAND: the command is missing")
    if args.verb != "exec" and args.command:
        parser.error(f"{args.verb} takes no command")
    return args


def _interrupted(number, _):
    raise KeyboardInterrupt


def main(argv):
    args = _parse(argv)
    if os.geteuid():
        print("lab/lab makes network namespaces: run it as root", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        args.act(args)
    except (LabError, OSError, subprocess.SubprocessError) as error:
        print(f"lab/lab {args.verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"lab/lab {args.verb}: interrupted", file=sys.stderr)
        return 1
    return 0
