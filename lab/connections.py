# SPDX-License-Identifier: Apache-2.0
"""Many connections at once from a server, opened by lab/opener.py: one dict a connection, as that file describes. And
attempts to leave from where it may not, by lab/forger.py."""

import json
import subprocess

from lab.paths import REPOSITORY

_OPENER = REPOSITORY / "lab" / "opener.py"
_FORGER = REPOSITORY / "lab" / "forger.py"


def _words(targets, tcp, udp):
    return [str(_OPENER), "--tcp", str(tcp), "--udp", str(udp), *targets]


def _rows(lines):
    return [json.loads(line) for line in lines]


def open_many(server, targets, tcp, udp, policy="crawler"):
    """Opens them, and closes them again."""
    return _rows(server.run(_words(targets, tcp, udp), policy=policy, timeout=100).stdout.splitlines())


def hold_open(server, targets, tcp, udp, policy="crawler"):
    """The child that keeps them open, for release(), and their rows."""
    child = server.popen([*_words(targets, tcp, udp), "--hold"], policy=policy, stdin=subprocess.PIPE)
    lines = []
    while (line := child.stdout.readline()) and line != "holding\n":
        lines.append(line)
    return child, _rows(lines)


def release(child):
    """Closes them; those that had broken."""
    lost, errors = child.communicate(timeout=60)
    assert child.returncode == 0, errors
    return _rows(lost.splitlines())


def forge(server, act, source, dest, policy=None):
    """act: as lab/forger.py has it; source, dest: (address, port). "done" or "refused"."""
    words = [str(word) for word in (_FORGER, act, *source, *dest)]
    return server.run(["/usr/bin/python3", *words], policy=policy).stdout.strip()
