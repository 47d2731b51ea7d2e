# SPDX-License-Identifier: Apache-2.0
"""Runs programs in a node, and finds them again.

Every process of a lab, the short-lived ones that build it too, enters a cgroup below the lab's before it does
anything else, and stops when that can't be entered. So killing the lab's cgroup ends all that the lab started and
nothing else, whoever started it and whatever became of that one.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

from lab.paths import LabError

# Writing 0 moves the writer. `exec` keeps the process id through sh and nsenter. Not `ip netns exec`: it remounts
# /sys, and cgroups and pins would be out of sight.
_ENTER = 'echo 0 >"$1/cgroup.procs" || exit 125; shift; exec "$@"'


def entered(cgroup, namespace, argv):
    """The command line that runs argv in a cgroup (made when only it is missing) and a network namespace (None: this
    one)."""
    try:
        cgroup.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise LabError(f"{cgroup.parent} is gone: the lab is not up") from None
    into = ["nsenter", f"--net={namespace}", "--"] if namespace else []
    return ["/bin/sh", "-c", _ENTER, "sh", str(cgroup), *into, *map(str, argv)]


def wait_until(condition, seconds, what, interval=0.01):
    """Polls until `condition()` is true and returns what it gave; LabError("... not within ...") at the deadline.

    `what`: the words, or a function that finds them then.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise LabError(f"{what() if callable(what) else what}: not within {seconds:g} s")
        time.sleep(interval)
    return value


def start_time(pid):
    """A process's start in clock ticks since boot, which with its id names it for good; None: it is gone or dead."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


class Daemon:
    """A program that runs in a node until it is stopped.

    `pid_file`: one that the program itself writes once it is ready (it forks, and its first process then exits 0);
    None: a program that stays in the foreground. What became of it stands in RUN/LABEL.started as "PID START", so that
    another process than the one that started it can stop it.
    """

    def __init__(self, node, label, argv, cgroup, pid_file=None):
        self.node, self.label, self.argv, self.cgroup, self.pid_file = node, label, argv, cgroup, pid_file
        self.log = node.run_dir / f"{label}.log"
        self.record = node.run_dir / f"{label}.started"
        self.child = None

    def start(self):
        if self.pid():
            raise LabError(f"{self.label} runs already on {self.node.name}")
        if self.pid_file:
            self.pid_file.unlink(missing_ok=True)
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(entered(self.cgroup, self.node.namespace, self.argv), stdin=subprocess.DEVNULL,
                                          stdout=log, stderr=log, start_new_session=True)
        if not self.pid_file:
            self._recorded(self.child.pid)

    def started(self):
        """Waits for a program that forks; for any other it only looks whether it is still there."""
        if not self.pid_file:
            if not self.pid():
                raise LabError(f"{self.label} on {self.node.name} ended at once: {self.last_words()}")
            return
        code = self.child.wait(30)
        self.child = None
        if code:
            raise LabError(f"{self.label} on {self.node.name} exited {code}: {self.last_words()}")
        self._recorded(wait_until(self._pid_written, 5, f"{self.label} on {self.node.name} writes {self.pid_file}"))

    def _pid_written(self):
        try:
            return int(self.pid_file.read_text())
        except (OSError, ValueError):
            return None

    def _recorded(self, pid):
        self.record.write_text(f"{pid} {start_time(pid)}\n")

    def pid(self):
        """Its process id while it runs, else None."""
        if self.child:
            self.child.poll()  # a dead child is a zombie until somebody asks
        try:
            pid, start = self.record.read_text().split()
        except (OSError, ValueError):
            return None
        now = start_time(pid)
        return int(pid) if now is not None and str(now) == start else None

    def send_signal(self, number):
        pid = self.pid()
        if not pid:
            raise LabError(f"{self.label} does not run on {self.node.name}")
        os.kill(pid, number)

    def stop(self, number=signal.SIGTERM, seconds=10):
        """Ends it and waits until it is gone; fine when it does not run."""
        if self.pid():
            self.send_signal(number)
            wait_until(lambda: not self.pid(), seconds, f"{self.label} on {self.node.name} ends")

    def kill(self):
        self.stop(signal.SIGKILL)

    def last_words(self):
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        return "; ".join(lines[-5:]) or f"{self.log} is empty"
