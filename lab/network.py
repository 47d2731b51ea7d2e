# SPDX-License-Identifier: Apache-2.0
"""Namespaces, links, addresses and kernel settings, as scripts for ip(8), sysctl(8) and ethtool(8).

Routes between nodes come by BGP (lab.routing); here are only those that no router would tell: an origin's default
route, and IPv6, which is routed statically.
"""

from lab.topology import INTERNET, INTERNET_MTU, ORIGIN, ROUTER, SERVER, internet_name, ipv6_origins, ipv6_site, \
    router_name

# rp_filter: replies come in where their requests did not go out. Multipath hash 1: addresses and ports.
_SYSCTLS = {
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
    "net.ipv4.fib_multipath_hash_policy": 1,
    "net.ipv6.conf.all.accept_dad": 0,
    "net.ipv6.conf.default.accept_dad": 0,
    "net.ipv6.conf.default.accept_ra": 0,
    "net.ipv6.conf.default.router_solicitations": 0,
}
_FORWARDING = {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1}
# Tests send more errors a second than a router should.
_NO_ICMP_LIMIT = {"net.ipv4.icmp_ratelimit": 0, "net.ipv6.icmp.ratelimit": 0}
# 1: as a client, the kernel's default; 2: as a server.
_FAST_OPEN = {"net.ipv4.tcp_fastopen": 3}
_MANY_CONNECTIONS = {"net.core.somaxconn": 16384, "net.ipv4.tcp_max_syn_backlog": 16384}


def links_batch(paths, topology):
    """For `ip -batch` outside: makes every namespace, and every link with both ends where they belong."""
    lines = [f"netns add {paths.namespace(node).name}" for node in topology.nodes]
    for link in topology.links:
        a, b = (f"{end.device} mtu {link.mtu} netns {paths.namespace(end.node).name}" for end in (link.a, link.b))
        lines.append(f"link add {a} type veth peer name {b}")
    return "\n".join(lines) + "\n"


def _sysctls(node):
    settings = dict(_SYSCTLS)
    if node.kind in (ROUTER, INTERNET):
        settings |= _FORWARDING
    if node.kind in (INTERNET, ORIGIN):
        settings |= _NO_ICMP_LIMIT
    if node.kind == ORIGIN:
        settings |= _MANY_CONNECTIONS | _FAST_OPEN
    return " ".join(f"{name}={value}" for name, value in settings.items())


def _routes(topology, node):
    """ip(8) lines for the routes that BGP does not carry."""
    if node.kind == ORIGIN:
        _, far = topology.uplink(node.name)
        return [f"route add default via {far.address}",
                f"route add local {node.prefix} dev lo",
                f"route add default via {far.address6}"]
    if node.kind == SERVER:
        _, far = topology.uplink(node.name)
        # Else a server whose underlay takes more than the internet would offer an MSS that the internet can't carry.
        return [f"route add default via {far.address6} mtu lock {INTERNET_MTU}"]
    return _ipv6_routes(topology, node)


def _ipv6_routes(topology, node):
    far = {end.node: end.address6 for _, end, _ in topology.ends_of(node.name)}
    others = [site for site in topology.sites if site != node.site]
    if node.kind == ROUTER:
        lines = [f"route add {ipv6_site(site)} via {far[router_name(site)]}" for site in others]
        return lines + [f"route add default via {far[internet_name(node.site)]}"]
    lines = [f"route add {ipv6_site(node.site)} via {far[router_name(node.site)]}"]
    for site in others:
        via = far[internet_name(site)]
        lines += [f"route add {ipv6_site(site)} via {via}", f"route add {ipv6_origins(site)} via {via}"]
    return lines


def node_script(topology, node, pass_program):
    """For a shell inside the node's namespace: everything but daemons."""
    batch = ["link set lo up"]
    for near, _, _ in topology.ends_of(node.name):
        batch += [f"addr add {near.address}/31 dev {near.device}",
                  f"addr add {near.address6}/127 dev {near.device} nodad",
                  f"link set {near.device} up"]
    batch += _routes(topology, node)
    lines = ["set -e", f"sysctl -q -w {_sysctls(node)}", "ip -batch - <<END", *batch, "END"]
    if node.kind == ROUTER:
        lines += _server_ports(topology, node, pass_program)
    return "\n".join(lines) + "\n"


def _server_ports(topology, node, pass_program):
    """What a veth port needs to behave like a switch's: whole checksums towards the server, which would wrap a packet
    as it is; and an XDP program, without which the server's XDP_TX goes nowhere."""
    for near, far, _ in topology.ends_of(node.name):
        if topology.kind_of(far.node) == SERVER:
            yield f"ethtool -K {near.device} gro off tx off >/dev/null"
            yield f"ip link set dev {near.device} xdpdrv pinned {pass_program}"
