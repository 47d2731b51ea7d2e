# SPDX-License-Identifier: Apache-2.0
"""Where a lab's things are. Everything carries the lab's name, so that several labs live side by side, and so that
`down` knows what is the lab's even when `up` was killed before it could write anything down."""

import os
import re
import subprocess
from functools import lru_cache
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
BUILD = REPOSITORY / os.environ.get("BERTH_BUILD", "build")
RUN = Path("/run/berth-lab")
NETNS = Path("/run/netns")
BPFFS = Path("/sys/fs/bpf")

# No dot: it parts the lab's name from the node's in the name of a namespace.
NAME_RE = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


class LabError(Exception):
    """One sentence for people: what could not be done, and what to do."""


@lru_cache(maxsize=None)
def cgroup_root():
    """The mount of the cgroup2 hierarchy: /sys/fs/cgroup, or beside the version 1 ones."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, source = line.partition(" - ")
        if source.startswith("cgroup2 "):
            return Path(fields.split()[4])
    raise LabError("no cgroup2 hierarchy is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified")


def bpffs_mount():
    """Mounts the BPF file system when it is missing; says whether it did."""
    if any(line.split()[1:3] == [str(BPFFS), "bpf"] for line in Path("/proc/self/mounts").read_text().splitlines()):
        return False
    subprocess.run(["mount", "-t", "bpf", "bpf", str(BPFFS)], check=True)
    return True


class Paths:
    """Those of one lab."""

    def __init__(self, name):
        if not NAME_RE.fullmatch(name):
            raise LabError(f"{name!r} can't name a lab: up to 31 small letters, digits and '-'")
        self.name = name
        self.run = RUN / name
        self.lock = RUN / f".{name}.lock"
        self.description = self.run / "lab.json"
        self.fleet_file = self.run / "fleet.yaml"
        self.store_url = f"sqlite://{self.run}/berth.db"
        self.www = self.run / "www"
        self.cgroup = cgroup_root() / "berth-lab" / name
        self.bpffs = BPFFS / f"berth-lab-{name}"
        self.pass_program = self.bpffs / "pass"
        self.namespace_prefix = f"berth-{name}."

    def namespace(self, node):
        return NETNS / f"{self.namespace_prefix}{node}"

    def node_run(self, node):
        return self.run / node

    def node_cgroup(self, node):
        return self.cgroup / node

    def node_bpffs(self, node):
        return self.bpffs / node

    def namespaces(self):
        """Those that exist now."""
        if not NETNS.is_dir():
            return []
        return sorted(path for path in NETNS.iterdir() if path.name.startswith(self.namespace_prefix))


def lab_names():
    """Labs of which anything is left, running or not."""
    names = set()
    for directory in (RUN, cgroup_root() / "berth-lab"):
        if directory.is_dir():
            names.update(path.name for path in directory.iterdir() if path.is_dir())
    return sorted(names)
