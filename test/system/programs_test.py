# SPDX-License-Identifier: Apache-2.0
"""Real programs under a policy, as Debian ships them. docs/programs.md has a line for each; what it says of errno,
counter and remedy is what these tests hold it to.

Every packet that leaves the server under test, and every one that reaches an origin, is seen by nftables outside of
Berth: at the end of a test each source was in a slice of that server, or answered a client from a port that serves.
"""

import json
import os
import re
import shutil
import subprocess
from collections import defaultdict
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lab.fleet import CRAWLER_ADDRESS
from lab.origin import BIG_FILE, BIG_FILE_SIZE
from lab.paths import BUILD
from lab.process import wait_until
from lab.topology import POOL

WIDE_ADDRESSES = {str(POOL[number]) for number in range(32, 36)}
PROGRAMS = Path(__file__).parent / "programs"
# What the origins' DNS answers to whatever question: an address of origin-2's.
ANSWER = "192.0.2.53"
NAME = "www.example.com"


# --- who is seen to send ---

def owned(server):
    """{egress address: the ports of each slice that the server owns, as ranges}."""
    slices = defaultdict(list)
    for row in json.loads(server.lab.berth("show", "slices", "--json").stdout)["slices"]:
        if (row["owner"], row["state"]) == (server.name, "owned"):
            slices[row["address"]].append(range(row["first"], row["first"] + row["count"]))
    return slices


class Sources:
    """Collects (address, protocol, port) of all that leaves a server for the internet or arrives at an origin."""

    TABLE = "berth-programs"

    def __init__(self, lab, server):
        self.server = server
        self.devices = {lab.router_of(server.site.name): server.name, **{origin: "net0" for origin in lab.origins}}

    def __enter__(self):
        for node, device in self.devices.items():
            node.run(["nft", "-f", "-"], input=f"""table inet {self.TABLE} {{
                set v4 {{ type ipv4_addr . inet_proto . inet_service; size 65535; flags dynamic; }}
                set v6 {{ type ipv6_addr . inet_proto . inet_service; size 65535; flags dynamic; }}
                set portless {{ type ipv4_addr . inet_proto; size 65535; flags dynamic; }}
                chain seen {{
                    type filter hook prerouting priority -300;
                    iifname != "{device}" return
                    ip daddr 10.0.0.0/8 return
                    ip6 daddr fe80::/10 return
                    meta l4proto {{ tcp, udp }} add @v6 {{ ip6 saddr . meta l4proto . th sport }}
                    meta l4proto {{ tcp, udp }} add @v4 {{ ip saddr . meta l4proto . th sport }}
                    meta nfproto ipv4 meta l4proto != {{ tcp, udp }} add @portless {{ ip saddr . meta l4proto }}
                }}
            }}""")
        return self

    def __exit__(self, *_):
        for node in self.devices:
            node.run(["nft", "delete", "table", "inet", self.TABLE])

    def seen(self, node):
        rows = json.loads(node.run(["nft", "-j", "list", "table", "inet", self.TABLE]).stdout)["nftables"]
        keys = [key["concat"] for row in rows if "set" in row for key in row["set"].get("elem", [])]
        return {(key[0], key[1], key[2] if len(key) == 3 else None) for key in keys}

    def check(self, served=()):
        """Fails unless each source is in a slice of the server, or the host's own address and one of the served
        ports. Returns the former."""
        slices = owned(self.server)
        seen = set().union(*map(self.seen, self.devices))
        own = {source for source in seen if any(source[2] in ports for ports in slices.get(source[0], ()))}
        served = {(self.server.underlay, proto, port) for proto in ("tcp", "udp") for port in served}
        assert seen - own - served == set()
        return own


@pytest.fixture(scope="module")
def server(lab):
    return lab.servers_of("ams")[2]


@pytest.fixture
def sources(lab, server):
    with Sources(lab, server) as sources:
        yield sources


@pytest.fixture(scope="module")
def near(lab):
    """An origin whose answers enter at the server's own site."""
    return lab.origins_near("ams")[0]


@pytest.fixture(scope="module")
def far(lab):
    """One whose answers enter at the other site."""
    return lab.origins_near("fra")[0]


@pytest.fixture(scope="module")
def client(lab):
    """A host of the internet that asks what the server serves."""
    return lab.origins_near("fra")[1]


@contextmanager
def refusals(server, **expected):
    """Fails unless these counters rise by so much: an int, or a predicate."""
    before = server.verdicts()
    yield
    rose = {name: value - before[name] for name, value in server.verdicts().items()
            if name.startswith("refused_") and value != before[name]}
    assert set(rose) == set(expected)
    for name, wanted in expected.items():
        assert wanted(rose[name]) if callable(wanted) else rose[name] == wanted, (name, rose[name])


# --- running them ---

@pytest.fixture
def directory(server, request):
    """A test's own, which unprivileged programs can reach."""
    path = server.run_dir / re.sub(r"\W+", "-", request.node.name)
    path.mkdir()
    return path


def in_private(argv, tmpfs=(), files=None):
    """The command line that runs argv where these directories are empty and these files are others ({path: the
    other}), for itself alone. The C library asks no name server."""
    files = {"/etc/nsswitch.conf": PROGRAMS / "nsswitch.conf"} | (files or {})
    lines = [f"mount --bind {other} {path}" for path, other in files.items()]
    lines += [f"mount -t tmpfs tmpfs {path}" for path in tmpfs]
    return ["unshare", "--mount", "/bin/sh", "-ec", "\n".join([*lines, 'exec "$@"']), "sh", *argv]


@contextmanager
def service(node, argv, log, port, policy=None, kind="t"):
    """Runs a program that listens on a port (kind: t or u) until the block ends."""
    def up():
        assert child.poll() is None, log.read_text()
        return node.run(["ss", "-Hn", f"-l{kind}", "sport", "=", f":{port}"]).stdout
    with open(log, "w", encoding="utf-8") as file:
        child = node.popen(argv, policy=policy, stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_until(up, 15, f"{argv[0]} listens on port {port}", interval=0.05)
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(10)


def resolving_at(origin, directory, argv):
    """argv, for which the C library asks this origin for names."""
    (directory / "resolv.conf").write_text(f"nameserver {origin.address}\n")
    (directory / "nsswitch.conf").write_text("hosts: files dns\n")
    return in_private(argv, files={f"/etc/{name}": directory / name for name in ("resolv.conf", "nsswitch.conf")})


def load(client, url):
    """One second of wrk; how many requests were answered, all of them well."""
    said = client.run(["wrk", "-t1", "-c32", "-d1s", url]).stdout
    assert "Non-2xx" not in said and "Socket errors" not in said, said
    return int(re.search(r"(\d+) requests in", said).group(1))


def counted(answers):
    """{"ADDRESS PORT\\n": times} as (sources, how many answers)."""
    return {tuple(answer.split()) for answer in answers}, sum(answers.values())


# --- curl, wget ---

@pytest.mark.parametrize("policy", ["crawler", "wide"])
def test_curl(server, near, far, sources, policy):
    urls = [f"http://{origin.address}/{path}" for origin in (near, far) for path in ("source", f"source?{policy}")]
    with refusals(server):
        said = server.run(["curl", "-sSf", "-m", "10", "-Z", *urls], policy=policy).stdout.splitlines()
        size = server.run(["curl", "-sSf", "-m", "30", "-o", "/dev/null", "-w", "%{size_download}",
                           f"http://{far.address}/{BIG_FILE}"], policy=policy).stdout
    assert int(size) == BIG_FILE_SIZE
    assert len(said) == 4
    assert {(address, int(port)) for address, port in map(str.split, said)} <= \
        {(address, port) for address, _, port in sources.check()}


def test_curl_by_name(server, near, directory, sources):
    """getaddrinfo() asks by connected UDP, so names are looked up from a slice as well."""
    url = f"http://{NAME}/source"
    with refusals(server):
        server.run(resolving_at(near, directory, ["curl", "-sSf", "-m", "10", url]), policy="crawler")
    assert {proto for _, proto, _ in sources.check()} == {"tcp", "udp"}


def test_curl_with_a_source(server, near, sources):
    """`--interface` binds with IP_BIND_ADDRESS_NO_PORT, and the policy chooses; `--local-port` insists on a port."""
    url = f"http://{near.address}/source"
    own = server.slices(CRAWLER_ADDRESS)[0]
    with refusals(server):
        for interface in ("net0", server.underlay, CRAWLER_ADDRESS):
            server.run(["curl", "-sSf", "-m", "10", "--interface", interface, url], policy="crawler")
        said = server.run(["curl", "-sSf", "-m", "10", "--interface", CRAWLER_ADDRESS, "--local-port", own[77], url],
                          policy="crawler").stdout
    assert said == f"{CRAWLER_ADDRESS} {own[77]}\n"
    with refusals(server, refused_bound=1):
        done = server.run(["curl", "-sS", "-m", "10", "--local-port", "50000", url], policy="crawler", check=False)
    assert done.returncode == 7
    assert len(sources.check()) == 4


def test_wget(server, far, directory, sources):
    argv = ["wget", "-nv", "-T", "10", "-t", "1", "-O", "-"]
    url = f"http://{far.address}/source"
    with refusals(server):
        said = server.run([*argv, url, f"{url}?again"], policy="crawler").stdout
        by_name = server.run(resolving_at(far, directory, [*argv, f"http://{NAME}/source"]), policy="crawler").stdout
    assert {line.split()[0] for line in [*said.splitlines(), by_name]} == {CRAWLER_ADDRESS}
    with refusals(server):
        bound = server.run([*argv, "--bind-address", CRAWLER_ADDRESS, url], policy="crawler").stdout
    assert bound.split()[0] == CRAWLER_ADDRESS
    with refusals(server, refused_bound=1):
        done = server.run([*argv, "--bind-address", server.underlay, url], policy="crawler", check=False)
    assert "Cannot assign requested address" in done.stderr
    sources.check()


# --- proxies ---

def nginx_config(directory, server, upstreams, resolver, more=""):
    servers = " ".join(f"server {address};" for address in upstreams)
    return f"""daemon off; user root; worker_processes 1; pid {directory}/pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {directory}/1; proxy_temp_path {directory}/2; fastcgi_temp_path {directory}/3;
    uwsgi_temp_path {directory}/4; scgi_temp_path {directory}/5;
    resolver {resolver} ipv6=off;
    upstream closing {{ {servers} }}
    upstream keeping {{ {servers} keepalive 64; }}
    server {{
        listen {server.underlay}:8080 backlog=1024;
        {more}
        location /closing/ {{ proxy_pass http://closing/; }}
        location /keeping/ {{ proxy_pass http://keeping/; proxy_http_version 1.1; proxy_set_header Connection ""; }}
        location /by-name/ {{ set $name {NAME}; proxy_pass http://$name/source; }}
    }}
}}
"""


def test_nginx_as_reverse_proxy(server, near, far, client, directory, sources):
    """A connection for each request (nginx's default), connections kept, names that nginx itself looks up."""
    config, log = directory / "nginx.conf", directory / "log"
    config.write_text(nginx_config(directory, server, (near.address, far.address), near.address))
    base = f"http://{server.underlay}:8080"
    with refusals(server), service(server, ["nginx", "-e", log, "-c", config], log, 8080, "crawler"):
        kept = load(client, f"{base}/keeping/source")
        few = len(sources.check(served=[8080]))
        closed = load(client, f"{base}/closing/source")
        by_name = client.run(["curl", "-sSf", "-m", "10", f"{base}/by-name/"]).stdout
    assert by_name.split()[0] == CRAWLER_ADDRESS
    many = sources.check(served=[8080])
    assert few < 200 < min(kept, closed)
    # Ports are taken at random and used again: one may come twice.
    assert len(many) > min(closed, 2048) / 4
    assert "udp" in {proto for _, proto, _ in many}


def test_nginx_with_a_source(server, near, client, directory, sources):
    """`proxy_bind` binds with IP_BIND_ADDRESS_NO_PORT: the policy chooses."""
    config, log = directory / "nginx.conf", directory / "log"
    config.write_text(nginx_config(directory, server, [near.address], near.address, f"proxy_bind {server.underlay};"))
    with refusals(server), service(server, ["nginx", "-e", log, "-c", config], log, 8080, "crawler"):
        said = client.run(["curl", "-sSf", "-m", "10", f"http://{server.underlay}:8080/closing/source"]).stdout
    assert said.split()[0] == CRAWLER_ADDRESS
    sources.check(served=[8080])


def test_haproxy_as_reverse_proxy(server, near, far, client, directory, sources):
    """With health checks, a name looked up by haproxy, and `source`, which binds with IP_BIND_ADDRESS_NO_PORT."""
    config, log = directory / "haproxy.cfg", directory / "log"
    config.write_text(f"""global
    maxconn 4000
    nbthread 1
    hard-stop-after 1s
resolvers lab
    nameserver origin {near.address}:53
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    default-server check inter 200ms
frontend in
    bind {server.underlay}:8080
    use_backend bound if {{ path_beg /bound }}
    use_backend named if {{ path_beg /named }}
    default_backend closing
backend closing
    option http-server-close
    http-reuse never
    server near {near.address}:80
    server far {far.address}:80
backend bound
    http-request set-path /source
    source {server.underlay}
    server far {far.address}:80
backend named
    http-request set-path /source
    server named {NAME}:80 resolvers lab resolve-prefer ipv4 init-addr none
""")
    base = f"http://{server.underlay}:8080"
    with refusals(server), service(server, ["haproxy", "-db", "-f", config], log, 8080, "wide"):
        answered = load(client, f"{base}/source")
        for path in ("bound", "named"):
            ask = ["curl", "-sSf", "-m", "10", f"{base}/{path}"]
            # It answers 503 until it knows the name's address.
            said = wait_until(lambda ask=ask: client.run(ask, check=False).stdout, 10, f"haproxy serves {path}")
            assert said.split()[0] in WIDE_ADDRESSES
    seen = sources.check(served=[8080])
    assert answered > 200 and len(seen) > min(answered, 4096) / 4
    assert len(WIDE_ADDRESSES.intersection(address for address, _, _ in seen)) == 2, "the policy has two slices"


def unbound_config(directory, interface, *lines, forward=None):
    config = directory / "unbound.conf"
    server = [f'directory: "{directory}"', 'chroot: ""', 'username: ""', "do-daemonize: no", 'pidfile: ""',
              "use-syslog: no", "verbosity: 1", f"interface: {interface}", "do-ip6: no", "num-threads: 1",
              'module-config: "iterator"', "access-control: 0.0.0.0/0 allow", *lines]
    text = ["server:", *(f"    {line}" for line in server), "remote-control:", "    control-enable: no"]
    if forward:
        text += ["forward-zone:", '    name: "."', f"    forward-addr: {forward}"]
    config.write_text("\n".join(text) + "\n")
    return ["/usr/sbin/unbound", "-c", str(config)]


def slice_ports(server):
    """What makes unbound bind in a slice of the server's."""
    ports = server.slices(CRAWLER_ADDRESS)[0]
    return [f"outgoing-interface: {CRAWLER_ADDRESS}", 'outgoing-port-avoid: "0-65535"',
            f'outgoing-port-permit: "{ports[0]}-{ports[-1]}"']


def ask_unbound(server, name):
    """What the resolver at 127.0.0.1 says; asked by nobody under a policy."""
    done = server.run(["dig", "+noall", "+comments", "+answer", "+time=5", "+tries=1", "@127.0.0.1", name], check=False)
    return re.search(r"status: (\w+)", done.stdout).group(1), re.findall(r"\bA\t(\S+)", done.stdout)


def squid_config(directory, server, resolver, more=""):
    (directory / "squid.conf").write_text(f"""http_port {server.underlay}:3128
http_access allow all
pid_filename {directory}/pid
cache_log {directory}/cache.log
access_log none
cache deny all
cache_effective_user proxy
pinger_enable off
coredump_dir {directory}
visible_hostname squid.test
dns_nameservers {resolver}
{more}
dns_timeout 1 second
dns_retransmit_interval 1 second
shutdown_lifetime 0 seconds
""")
    shutil.chown(directory, "proxy")
    return in_private(["squid", "-N", "-f", directory / "squid.conf"], tmpfs=["/dev/shm"])


def test_squid_as_forward_proxy(server, near, far, client, directory, sources):
    """Its own DNS client binds and sends without connect(): its port is its own, from a slice."""
    through = ["curl", "-sS", "-m", "10", "-x", f"http://{server.underlay}:3128"]
    with service(server, squid_config(directory, server, near.address), directory / "log", 3128, "crawler"):
        for origin in (near, far):
            for tunnel in ([], ["-p"]):
                said = client.run([*through, *tunnel, "-f", f"http://{origin.address}/source"]).stdout
                assert said.split()[0] == CRAWLER_ADDRESS
        with refusals(server):
            said = client.run([*through, "-f", f"http://{NAME}/source"]).stdout
        assert said.split()[0] == CRAWLER_ADDRESS
    assert {proto for _, proto, _ in sources.check(served=[3128])} == {"tcp", "udp"}


def test_squid_with_a_resolver_on_the_host(server, near, client, directory, sources):
    unbound = unbound_config(directory, "127.0.0.1", *slice_ports(server), forward=near.address)
    with ExitStack() as stack:
        stack.enter_context(refusals(server))
        stack.enter_context(service(server, unbound, directory / "unbound.log", 53, "crawler", "u"))
        squid = squid_config(directory, server, "127.0.0.1", "udp_outgoing_address 127.0.0.1")
        stack.enter_context(service(server, squid, directory / "log", 3128, "crawler"))
        said = client.run(["curl", "-sSf", "-m", "10", "-x", f"http://{server.underlay}:3128",
                           f"http://{NAME}/source"]).stdout
    assert said.split()[0] == CRAWLER_ADDRESS
    assert {proto for _, proto, _ in sources.check(served=[3128])} == {"tcp", "udp"}


# --- languages ---

def test_python(server, near, far, directory, sources):
    hosts = directory / "hosts"
    hosts.write_text(f"{far.address6} dual.test\n{far.address} dual.test\n")
    argv = in_private(["/usr/bin/python3", str(PROGRAMS / "client.py"), near.address, "dual.test"],
                      files={"/etc/hosts": hosts})
    with refusals(server, refused_unconnected=1, refused_ipv6=lambda rose: rose > 0):
        said = json.loads(server.run(argv, policy="crawler").stdout)
    assert {key: said[key] for key in ("unconnected", "async_connected", "async_unconnected")} == {
        "unconnected": "EPERM", "async_connected": "hello", "async_unconnected": "hello"}
    assert said["from_any"] == CRAWLER_ADDRESS
    kept, answers = counted(said["kept"])
    assert (len(kept), answers) == (1, 25)
    opened, answers = counted(said["async"])
    assert answers == 200 and len(opened) > 100
    for line in (said["by_url"], said["async_by_name"], *said["kept"], *said["async"]):
        assert line.split()[0] == CRAWLER_ADDRESS
    sources.check()


def test_node(server, far, sources):
    """HTTP, DNS and datagrams: node binds UDP sockets before they connect or send, and may be told where."""
    argv = ["node", PROGRAMS / "client.js", far.address, CRAWLER_ADDRESS, server.slices(CRAWLER_ADDRESS)[0][55]]
    with refusals(server):
        said = json.loads(server.run(argv, policy="crawler").stdout)
    assert {key: said[key] for key in ("resolved", "bound", "connected", "unconnected")} == {
        "resolved": [ANSWER], "bound": "hello", "connected": "hello", "unconnected": "hello"}
    kept, answers = counted(said["answers"])
    assert answers == 200 and 1 <= len(kept) <= 8
    assert {address for address, _ in kept} == {CRAWLER_ADDRESS}
    sources.check()


@pytest.fixture(scope="module")
def go_client():
    """Built with the standard library alone, offline; the compiler's cache is kept with what else is built."""
    program = BUILD / "test" / "programs" / "client"
    environment = {"CGO_ENABLED": "0", "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": str(BUILD / "go"),
                   "GOPROXY": "off", "GOCACHE": str(BUILD / "go" / "cache"), "GOTOOLCHAIN": "local"}
    subprocess.run(["go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, PROGRAMS / "client.go"], check=True,
                   env=os.environ | environment, timeout=100)
    headers = subprocess.run(["readelf", "-lW", program], check=True, capture_output=True, text=True).stdout
    assert "LOAD" in headers and "INTERP" not in headers, "it asks for no dynamic linker"
    return program


def test_static_go_program(server, far, go_client, sources):
    with refusals(server):
        said = json.loads(server.run([go_client, far.address], policy="crawler").stdout)
    assert (said["resolved"], said["echoed"], said["unconnected"]) == ([ANSWER], "hello", "hello")
    kept, answers = counted(said["answers"])
    assert answers == 200 and len(kept) >= 1
    assert {address for address, _ in kept} == {CRAWLER_ADDRESS}
    sources.check()


# --- DNS ---

def test_dig(server, near, sources):
    """They bind to port 0 before they connect, over UDP and TCP, and get a port of the slice there."""
    argv = ["dig", "+short", "+time=2", "+tries=1", f"@{near.address}", NAME]
    port = server.slices(CRAWLER_ADDRESS)[0][123]
    with refusals(server):
        for more in ([], ["-b", CRAWLER_ADDRESS], ["-b", f"{CRAWLER_ADDRESS}#{port}"]):
            assert server.run([*argv, *more], policy="crawler").stdout.split() == [ANSWER]
        for program in ("host", "nslookup"):
            assert ANSWER in server.run([program, NAME, near.address], policy="crawler").stdout
    seen = sources.check()
    assert {(address, proto) for address, proto, _ in seen} == {(CRAWLER_ADDRESS, "udp")}
    assert (CRAWLER_ADDRESS, "udp", port) in seen


def test_unbound_as_it_is(server, near, directory, sources):
    """It binds each outgoing UDP socket to a random port of its own, then connects: refused, SERVFAIL."""
    argv = unbound_config(directory, "127.0.0.1", forward=near.address)
    with refusals(server, refused_bound=lambda rose: rose > 0), \
            service(server, argv, directory / "log", 53, "crawler", "u"):
        assert ask_unbound(server, NAME) == ("SERVFAIL", [])
    assert sources.check() == set()


def test_unbound_in_a_slice(server, near, client, directory, sources):
    """Told address and ports of a slice, it picks a port of its own for each question. Its clients it answers from
    where they asked it."""
    argv = unbound_config(directory, "127.0.0.1", f"interface: {server.underlay}", *slice_ports(server),
                          forward=near.address)
    with refusals(server), service(server, argv, directory / "log", 53, "crawler", "u"):
        for i in range(30):
            assert ask_unbound(server, f"{i}.example.com") == ("NOERROR", [ANSWER])
        for more in ([], ["+tcp"]):
            asked = ["dig", "+short", "+time=5", "+tries=1", *more, f"@{server.underlay}", NAME]
            assert client.run(asked).stdout.split() == [ANSWER]
    seen = sources.check(served=[53])
    assert {(address, proto) for address, proto, _ in seen} == {(CRAWLER_ADDRESS, "udp")}
    assert len(seen) > 20


def test_unbound_over_tcp(server, near, directory, sources):
    """`tcp-upstream` binds nothing: the policy chooses, whatever slices it holds."""
    upstream = directory / "upstream"
    upstream.mkdir()
    there = unbound_config(upstream, f"{near.address}@5300", 'local-zone: "." redirect', f'local-data: ". A {ANSWER}"')
    here = unbound_config(directory, "127.0.0.1", "tcp-upstream: yes", forward=f"{near.address}@5300")
    with service(near, there, upstream / "log", 5300), refusals(server), \
            service(server, here, directory / "log", 53, "crawler", "u"):
        for i in range(10):
            assert ask_unbound(server, f"{i}.example.com") == ("NOERROR", [ANSWER])
    seen = sources.check()
    assert {(address, proto) for address, proto, _ in seen} == {(CRAWLER_ADDRESS, "tcp")}


# --- iperf3, ssh ---

@pytest.mark.parametrize("policy", ["crawler", "wide"])
def test_iperf3_udp(server, far, directory, sources, policy):
    """Its UDP sockets are connected: it works as it is, both ways, with several streams."""
    argv = ["iperf3", "-c", far.address, "-u", "-b", "2M", "-l", "1200", "-t", "1", "-P", "4", "-J"]
    for more in ([], ["-R"]):
        with service(far, ["iperf3", "-s", "-1"], directory / "log", 5201), refusals(server):
            said = json.loads(server.run([*argv, *more], policy=policy).stdout)
        streams = {(stream["local_host"], "udp", stream["local_port"]) for stream in said["start"]["connected"]}
        assert len(streams) == 4
        assert said["end"]["sum"]["packets"] > said["end"]["sum"]["lost_packets"] > -1
        assert streams <= sources.check()


def test_iperf3_with_a_source(server, far, directory, sources):
    with service(far, ["iperf3", "-s", "-1"], directory / "log", 5201), refusals(server, refused_bound=1):
        done = server.run(["iperf3", "-c", far.address, "-u", "-t", "1", "-B", server.underlay], policy="crawler",
                          check=False)
    assert done.returncode == 1 and "Cannot assign requested address" in done.stderr
    assert sources.check() == set()


@pytest.fixture
def sshd(far):
    """An sshd on an origin that lets root in by a key of the test's; the ssh command for it."""
    with TemporaryDirectory() as path:  # not below /run, where sshd wants a directory that the test must not make
        path = Path(path)
        for name in ("host", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path / name], check=True)
        # Not this machine's accounts: root's may be locked, and sshd then takes no key.
        (path / "shadow").write_text("".join(f"{name}:*:20000:0:99999:7:::\n" for name in ("root", "sshd")))
        (path / "config").write_text(f"""ListenAddress {far.address}
HostKey {path}/host
AuthorizedKeysFile {path}/key.pub
StrictModes no
UsePAM no
PasswordAuthentication no
PidFile none
""")
        argv = in_private(["/bin/sh", "-c", 'mkdir /run/sshd && exec "$@"', "sh", "/usr/sbin/sshd", "-D", "-e", "-f",
                           path / "config"], tmpfs=["/run"], files={"/etc/shadow": path / "shadow"})
        with service(far, argv, path / "log", 22):
            yield ["ssh", "-F", "none", "-i", path / "key", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
                   "-o", "ConnectTimeout=10", "-o", f"UserKnownHostsFile={path}/known",
                   "-o", "StrictHostKeyChecking=no"]


def test_ssh(server, far, sshd, sources):
    target = [f"root@{far.address}", "echo $SSH_CONNECTION"]
    with refusals(server):
        seen = server.run([*sshd, *target], policy="crawler").stdout.split()
    assert sources.check() == {(seen[0], "tcp", int(seen[1]))} and seen[0] == CRAWLER_ADDRESS
    for more in (["-b", server.underlay], ["-B", "net0"]):
        with refusals(server, refused_bound=1):
            done = server.run([*sshd, *more, *target], policy="crawler", check=False)
        assert done.returncode == 255 and "Cannot assign requested address" in done.stderr
    sources.check()
