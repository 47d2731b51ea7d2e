# SPDX-License-Identifier: Apache-2.0
"""Nodes of a running lab. Nothing is kept in memory that is not on the machine too, so that any process can make
these objects for a lab that another one brought up."""

import contextlib
import json
import re
import signal
import socket
import struct
import subprocess

from lab import origin
from lab.fleet import policy_cgroup
from lab.paths import BUILD, LabError
from lab.process import Daemon, entered, wait_until
from lab.topology import INTERNET, ORIGIN, POOL, ROUTER, SERVER


class CommandFailed(subprocess.CalledProcessError):
    """Says what the command said."""

    def __str__(self):
        return f"exit status {self.returncode}: {' '.join(self.cmd)}\n{self.stdout}{self.stderr}"


class Node:
    """A network namespace, a cgroup, a directory."""

    def __init__(self, lab, plan):
        self.lab, self.plan = lab, plan
        self.name, self.kind, self.site = plan.name, plan.kind, plan.site
        self.namespace = lab.paths.namespace(self.name)
        self.cgroup = lab.paths.node_cgroup(self.name)
        self.run_dir = lab.paths.node_run(self.name)

    def __repr__(self):
        return f"<{self.kind} {self.name} of lab {self.lab.name}>"

    @property
    def links(self):
        """(near end, far end, link) of each link."""
        return self.lab.topology.ends_of(self.name)

    def cgroup_of(self, policy):
        if policy is None:
            return self.cgroup
        if self.kind != SERVER:
            raise ValueError(f"{self.name} is no server and has no policies")
        return self.cgroup / policy_cgroup(policy)

    def argv(self, argv, policy=None):
        """The command line that runs argv here, under a policy of the fleet file or under none."""
        return entered(self.cgroup_of(policy), self.namespace, argv)

    def run(self, argv, policy=None, check=True, timeout=60, **more):
        """subprocess.run() here, with the output captured as text. `check`: CommandFailed unless it exits 0."""
        if "input" not in more:
            more.setdefault("stdin", subprocess.DEVNULL)
        argv = list(map(str, argv))
        done = subprocess.run(self.argv(argv, policy), timeout=timeout, capture_output=True, text=True, **more)
        if check and done.returncode:
            raise CommandFailed(done.returncode, argv, done.stdout, done.stderr)
        return done

    def popen(self, argv, policy=None, **more):
        """subprocess.Popen() here, in text mode. The lab's end is its end too."""
        for stream, default in (("stdin", subprocess.DEVNULL), ("stdout", subprocess.PIPE),
                                ("stderr", subprocess.PIPE)):
            more.setdefault(stream, default)
        return subprocess.Popen(self.argv(argv, policy), text=True, **more)

    def json(self, argv):
        return json.loads(self.run(argv).stdout or "[]")

    def routes(self, *words):
        """`ip route show WORDS`, parsed."""
        return self.json(["ip", "-j", "route", "show", *words])

    def next_hops(self, prefix):
        """Names of the devices that packets to exactly this prefix leave by, sorted; [] when there is no route."""
        devices = []
        for route in self.routes("exact", str(prefix)):
            devices += [hop["dev"] for hop in route.get("nexthops", [route]) if "dev" in hop]
        return sorted(devices)

    def kernel_counters(self):
        """`nstat`'s counters of the namespace since it began, by name ("TcpInCsumErrors")."""
        return {name: int(value) for name, value in self.json(["nstat", "-a", "-s", "-z", "-j"])["kernel"].items()}

    def device_counters(self, device="net0"):
        """Packets, bytes, errors and drops of a device: {"rx": {...}, "tx": {...}}."""
        [link] = self.json(["ip", "-j", "-s", "link", "show", device])
        return link["stats64"]

    def daemons(self):
        return []


class RoutingNode(Node):
    """A node with a BIRD."""

    def __init__(self, lab, plan):
        super().__init__(lab, plan)
        argv = ["bird", "-c", self.run_dir / "bird.conf", "-s", self.run_dir / "bird.ctl", "-P",
                self.run_dir / "bird.pid"]
        self.bird = Daemon(self, "bird", argv, self.cgroup / "system", self.run_dir / "bird.pid")

    def daemons(self):
        return [self.bird]

    def birdc(self, *words):
        return self.run(["birdc", "-r", "-s", str(self.run_dir / "bird.ctl"), *words]).stdout


class Server(RoutingNode):
    """A server of the fleet: where berthd runs, and the programs that it serves."""

    def __init__(self, lab, plan):
        super().__init__(lab, plan)
        self.bpffs = lab.paths.node_bpffs(self.name)
        near, _ = lab.topology.uplink(self.name)
        self.underlay = str(near.address)
        argv = [BUILD / "berthd", "--server", self.name, "--store", lab.paths.store_url, "--cgroup-root", self.cgroup,
                "--bpffs", self.bpffs, "--run-dir", self.run_dir]
        self.agent = Daemon(self, "berthd", argv, self.cgroup / "system")

    def berth(self, *words, check=True, **more):
        """Runs `berth VERB ...` here with this server's store; pins and run directory by pin_flags."""
        return self.run([BUILD / "berth", *words], check=check, **more)

    @property
    def pin_flags(self):
        """For the verbs that read this server's pins or talk to its agent."""
        return ["--run-dir", str(self.run_dir), "--bpffs", str(self.bpffs)]

    def counters(self):
        """`berth show counters --json` as it is."""
        return json.loads(self.berth("show", "counters", "--json", *self.pin_flags).stdout)

    def verdicts(self):
        """The counters by name: {"wrap": 3, ...}."""
        return self.counters()["counters"]

    def slices(self, address):
        """The ports of each slice that this server owns of an egress address, as ranges."""
        rows = json.loads(self.lab.berth("show", "slices", "--json").stdout)["slices"]
        return [range(row["first"], row["first"] + row["count"]) for row in rows
                if (row["address"], row["owner"], row["state"]) == (str(address), self.name, "owned")]

    def status(self):
        """What the agent says of itself on its control socket."""
        request = json.dumps({"version": 1, "verb": "status"}).encode()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(self.run_dir / "berthd.sock"))
            client.sendall(struct.pack("!I", len(request)) + request)
            with client.makefile("rb") as stream:
                size, = struct.unpack("!I", stream.read(4))
                return json.loads(stream.read(size))

    def wait_loaded(self, seconds=30):
        """Until this server's agent answers and has loaded what the store has; its status."""
        def loaded():
            if self.agent.child and not self.agent.pid():
                raise LabError(f"berthd on {self.name} ended: {self.agent.last_words()}")
            with contextlib.suppress(OSError):
                status = self.status()
                return status if status["applied"] else None
        return wait_until(loaded, seconds, f"the agent of {self.name} loads its tables")

    def host_state(self):
        """What an agent changes of its host, whatever numbers its programs have."""
        names = ["net.ipv4.conf.all.accept_local", "net.ipv4.conf.all.arp_ignore", "net.ipv4.conf.all.arp_announce",
                 "net.ipv4.ip_local_reserved_ports"]
        return {
            "sysctls": self.run(["sysctl", *names]).stdout,
            "rules": self.run(["ip", "rule"]).stdout,
            "local routes": [route for route in self.routes("table", "local") if str(POOL) in route["dst"]],
            "announced": self.announced(),
            "neighbours": [neighbour["dst"] for neighbour in self.json(["ip", "-j", "neigh", "show", "nud", "all"])
                           if "managed" in neighbour],
            "qdiscs": self.run(["tc", "qdisc", "show", "dev", "net0"]).stdout,
            "filters": re.sub(r"\[\d+\]|id \d+", "", self.run(["tc", "filter", "show", "dev", "net0", "egress"],
                                                                check=False).stdout),
            "xdp": [(link["xdp"]["mode"], link["xdp"]["prog"]["tag"])
                    for link in self.json(["ip", "-j", "link", "show", "net0"]) if "xdp" in link],
            "pins": sorted(path.name for path in self.bpffs.rglob("*")) if self.bpffs.exists() else [],
            "cgroup programs": [line.split()[1:] for line in
                                self.run(["bpftool", "cgroup", "show", str(self.cgroup)]).stdout.splitlines()],
        }

    def announced(self):
        """The table that BIRD announces from, as text; "" before there ever was one."""
        return self.run(["ip", "route", "show", "table", "6080"], check=False).stdout

    def announce(self, prefix):
        """Does by hand what berthd does when its data plane is healthy."""
        self.run(["ip", "route", "replace", "blackhole", str(prefix), "table", "6080", "proto", "60"])

    def withdraw(self, prefix):
        self.run(["ip", "route", "del", "blackhole", str(prefix), "table", "6080", "proto", "60"])

    def start_agent(self):
        """Starts berthd; lab.wait_announced() tells when it is up."""
        self.agent.start()

    def stop_agent(self, number=signal.SIGTERM):
        self.agent.stop(number)

    def kill_agent(self):
        self.agent.kill()


class Origin(Node):
    """A server on the internet."""

    def __init__(self, lab, plan):
        super().__init__(lab, plan)
        self.prefix = plan.prefix
        near, _ = lab.topology.uplink(self.name)
        self.address, self.address6 = str(near.address), str(near.address6)

    def daemons(self):
        return origin.daemons(self, self.lab.paths.www)

    def mark(self):
        """A place in the record: records(mark) gives what came after it."""
        return (self.run_dir / "sources.jsonl").stat().st_size

    def records(self, since=0):
        """Every connection to the recorder, and every datagram, as dicts: time (time.monotonic()), proto, src,
        src_port, dst, dst_port, size."""
        with open(self.run_dir / "sources.jsonl") as file:
            file.seek(since)
            return [json.loads(line) for line in file]

    def http_records(self):
        """nginx's access log: (source address, source port, own address, method, path, status, bytes)."""
        rows = []
        for line in (self.run_dir / "access.log").read_text().splitlines():
            source, own, method, path, status, size = line.split(" ")
            address, _, port = source.rpartition(":")
            rows.append((address, int(port), own, method, path, int(status), int(size)))
        return rows


KINDS = {SERVER: Server, ROUTER: RoutingNode, INTERNET: RoutingNode, ORIGIN: Origin}


def wait_routes(node, prefixes, seconds):
    """Until the node has a route to each of the prefixes."""
    def missing():
        return prefixes - {route["dst"] for route in node.routes()}
    try:
        wait_until(lambda: not missing(), seconds, f"{node.name} learns its routes")
    except Exception as error:
        error.args = (f"{error}; lacking {', '.join(sorted(missing()))}",)
        raise
