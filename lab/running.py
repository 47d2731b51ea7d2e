# SPDX-License-Identifier: Apache-2.0
"""Brings labs up and down.

`up` makes, in this order: run directory and cgroup, namespaces and links, everything inside the namespaces at once,
daemons at once, and then waits until BGP has converged. `down` needs no record of any of it: what belongs to a lab
shows by its name or stands in its cgroup. So it also clears away what a killed `up` left, and doing it twice is fine.
"""

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import time

from lab import network, origin, routing
from lab.fleet import fleet_text
from lab.node import KINDS, wait_routes
from lab.paths import BUILD, RUN, LabError, Paths, bpffs_mount
from lab.process import entered, start_time, wait_until
from lab.topology import INTERNET, ORIGIN, POOL, ROUTER, SERVER, TOPOLOGIES

CONVERGENCE_SECONDS = 30
ANNOUNCE_SECONDS = 30


class Lab:
    """A lab by name and topology, whether it is up or not. `with Lab(...)` brings it up and down."""

    def __init__(self, topology="two-sites", name="lab", say=lambda text: None):
        if topology not in TOPOLOGIES:
            raise LabError(f"no topology {topology!r}: there are {', '.join(TOPOLOGIES)}")
        self.name, self.topology, self.paths, self.say = name, TOPOLOGIES[topology], Paths(name), say
        self.nodes = {plan.name: KINDS[plan.kind](self, plan) for plan in self.topology.nodes.values()}

    @classmethod
    def running(cls, name):
        """A lab that somebody brought up."""
        return cls(describe(name)["topology"], name)

    def __enter__(self):
        self.up()
        return self

    def __exit__(self, *_):
        self.down()

    def node(self, name):
        if name not in self.nodes:
            raise LabError(f"lab {self.name} has no node {name!r}: there are {', '.join(self.nodes)}")
        return self.nodes[name]

    def _of_kind(self, kind):
        return [node for node in self.nodes.values() if node.kind == kind]

    @property
    def servers(self):
        return self._of_kind(SERVER)

    @property
    def routers(self):
        """The site routers."""
        return self._of_kind(ROUTER)

    @property
    def origins(self):
        return self._of_kind(ORIGIN)

    def servers_of(self, site):
        return [server for server in self.servers if server.site.name == site]

    def origins_near(self, site):
        """Those whose replies enter at this site."""
        return [node for node in self.origins if node.site.name == site]

    def router_of(self, site):
        [router] = [router for router in self.routers if router.site.name == site]
        return router

    # --- up ---

    def up(self, agents=False):
        """Whatever goes wrong, nothing stays behind."""
        with locked(self.paths):
            if self.paths.run.exists() or self.paths.cgroup.exists():
                raise LabError(f"there is a lab {self.name} already: lab/lab down --name {self.name}")
            try:
                self._up()
                if agents:
                    self.start_agents()
                self._describe("up")
            except BaseException:
                remove(self.paths)
                raise

    def _up(self):
        self._prepare()
        self._make_network()
        self._start_daemons()
        self._wait_converged()

    def _describe(self, state):
        description = {"topology": self.topology.name, "state": state, "since": int(time.time()),
                       "pid": os.getpid(), "pid_start": start_time(os.getpid())}
        self.paths.description.write_text(json.dumps(description) + "\n")

    def _prepare(self):
        for program in (BUILD / "lab" / "pass.bpf.o", origin.PROGRAM):
            if not program.exists():
                raise LabError(f"{program} is missing: make lab")
        self.paths.run.mkdir()
        self._describe("starting")
        _make_cgroup(self.paths.cgroup)
        self.paths.fleet_file.write_text(fleet_text(self.topology, self.name))
        self.paths.www.mkdir()
        origin.make_big_file(self.paths.www / origin.BIG_FILE)
        (self.paths.www / "index.html").write_text("hello\n")
        if bpffs_mount():
            self.say("mounted the BPF file system at /sys/fs/bpf")
        self.paths.bpffs.mkdir()
        for node in self.nodes.values():
            node.cgroup.mkdir()
            node.run_dir.mkdir()
        for server in self.servers:
            server.bpffs.mkdir()

    def _tool(self, argv, script=None):
        """Runs a program outside the namespaces, but in the lab's cgroup, so that `down` ends it too."""
        result = subprocess.run(entered(self.paths.cgroup, None, argv), input=script, text=True, capture_output=True)
        if result.returncode:
            raise LabError(f"{' '.join(map(str, argv))}: {result.stderr.strip() or result.returncode}")

    def _make_network(self):
        self._tool(["bpftool", "prog", "load", BUILD / "lab" / "pass.bpf.o", self.paths.pass_program])
        self._tool(["ip", "-batch", "-"], network.links_batch(self.paths, self.topology))
        shells = {}
        for node in self.nodes.values():
            script = network.node_script(self.topology, node.plan, self.paths.pass_program)
            shells[node] = node.popen(["/bin/sh", "-c", script], stdout=subprocess.DEVNULL)
        for node, shell in shells.items():
            _, errors = shell.communicate()
            if shell.returncode:
                raise LabError(f"setting up {node.name}: {errors.strip()}")

    def _start_daemons(self):
        for node in self.nodes.values():
            if node.kind in (SERVER, ROUTER, INTERNET):
                (node.run_dir / "bird.conf").write_text(routing.config(self.topology, node.plan))
        daemons = [daemon for node in self.nodes.values() for daemon in node.daemons()]
        for daemon in daemons:
            daemon.start()
        for daemon in daemons:
            daemon.started()

    def _wait_converged(self):
        deadline = time.monotonic() + CONVERGENCE_SECONDS
        for node in self.nodes.values():
            if node.kind != ORIGIN:
                wait_routes(node, routing.expected_prefixes(self.topology, node.plan), deadline - time.monotonic())

    # --- agents ---

    def berth(self, *words, check=True):
        """Runs `berth VERB ...` outside the namespaces, with the lab's store."""
        argv = entered(self.paths.cgroup, None, [BUILD / "berth", *words])
        result = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                env=os.environ | {"BERTH_STORE": self.paths.store_url})
        if check and result.returncode:
            raise LabError(f"berth {' '.join(map(str, words))} exited {result.returncode}: {result.stderr.strip()}")
        return result

    def apply_fleet(self, *flags):
        return self.berth("apply", self.paths.fleet_file, "--store", self.paths.store_url, *flags)

    def start_agents(self):
        """Applies the fleet file, starts every berthd, waits until all of them announce."""
        self.apply_fleet()
        for server in self.servers:
            server.start_agent()
        self.wait_announced()

    def wait_announced(self, servers=None, prefix=POOL, seconds=ANNOUNCE_SECONDS):
        """Until each site's router sends packets for the prefix to all these servers of its site and no others."""
        wanted = {router: sorted(server.name for server in self.servers if server.site == router.site
                                 and (servers is None or server in servers)) for router in self.routers}

        def announced():
            for server in servers or self.servers:
                if server.agent.child and not server.agent.pid():
                    raise LabError(f"berthd on {server.name} ended: {server.agent.last_words()}")
            return all(self._local_hops(router, prefix) == names for router, names in wanted.items())
        try:
            wait_until(announced, seconds, f"all servers announce {prefix}")
        except LabError as error:
            seen = "; ".join(f"{router.name} has {', '.join(router.next_hops(prefix)) or 'no route'}"
                             for router in self.routers)
            raise LabError(f"{error}: {seen}") from None

    def all_loaded(self, servers):
        """Whether all these servers report the store's revision as loaded."""
        answer = json.loads(self.berth("show", "servers", "--json").stdout)
        return all(row["applied"] == answer["revision"] for row in answer["servers"]
                   if row["name"] in {server.name for server in servers})

    def _local_hops(self, router, prefix):
        """Next hops in the router's own site: without any it falls back to another site's."""
        return [hop for hop in router.next_hops(prefix) if hop in self.nodes and self.nodes[hop].kind == SERVER]

    # --- down ---

    def down(self):
        with locked(self.paths):
            remove(self.paths)


def describe(name):
    """What `up` wrote down about a lab. LabError: there is none, or `up` did not get that far."""
    try:
        return json.loads(Paths(name).description.read_text())
    except (OSError, ValueError):
        raise LabError(f"there is no lab {name}: lab/lab up TOPOLOGY --name {name}") from None


def orphaned(name):
    """True when the process that brought the lab up is gone."""
    with contextlib.suppress(LabError):
        description = describe(name)
        return start_time(description["pid"]) != description["pid_start"]
    return True


@contextlib.contextmanager
def locked(paths, seconds=60):
    """One process at a time brings a lab up or down. The lock goes with its holder, however that ends."""
    deadline = time.monotonic() + seconds
    while True:
        with _lock_file(paths.lock) as lock:
            wait_until(lambda: _try_lock(lock), max(0, deadline - time.monotonic()),
                       f"another process brings lab {paths.name} up or down")
            if not _same_file(lock, paths.lock):
                continue  # its last holder removed it
            try:
                yield
                return
            finally:
                paths.lock.unlink(missing_ok=True)
                with contextlib.suppress(OSError):
                    RUN.rmdir()  # when this was the last lab


def _lock_file(path):
    while True:
        RUN.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # the last lab went away just then
            return open(path, "w")


def _make_cgroup(path):
    while True:
        with contextlib.suppress(FileNotFoundError):  # likewise
            return path.mkdir(parents=True)


def _try_lock(lock):
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _same_file(file, path):
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def remove(paths):
    """Ends everything of a lab and removes every trace. Fine when there is none."""
    _end_processes(paths.cgroup)
    namespaces = paths.namespaces()
    if namespaces:
        batch = "".join(f"netns del {namespace.name}\n" for namespace in namespaces)
        subprocess.run(["ip", "-force", "-batch", "-"], input=batch, text=True, check=True, capture_output=True)
    for directory in (paths.bpffs, paths.run):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(directory)
    with contextlib.suppress(OSError):
        paths.cgroup.parent.rmdir()  # when this was the last lab


def _end_processes(cgroup, seconds=10):
    """Kills all in a cgroup tree and removes it; again while somebody is still on the way in."""
    def gone():
        if not cgroup.exists():
            return True
        (cgroup / "cgroup.kill").write_text("1")
        for directory, _, _ in os.walk(cgroup, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        return not cgroup.exists()
    wait_until(gone, seconds, f"the processes in {cgroup} end", interval=0.005)

