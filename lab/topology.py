# SPDX-License-Identifier: Apache-2.0
"""Which nodes and links a lab has, and every address in it.

Site number S (from 1), server k of the site (from 1):

  underlay      10.0.S.0/24: server k has the odd end of the k-th /31, its router the even one
  tunnel        10.0.S.254
  backbone      10.0.0.0/24, a /31 for each pair of site routers
  transit       10.255.S.0/31: internet router and site router
  internet      10.255.0.0/24, a /31 for each pair of internet routers
  origins       a documentation /26 each; the origin answers on every address of it
  pool          203.0.113.0/24

IPv6 (2001:db8::/32) is routed everywhere as well, so that a refused IPv6 destination is one that could be reached.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import combinations

POOL = IPv4Network("203.0.113.0/24")
UNDERLAY = IPv4Network("10.0.0.0/16")
INTERNET_MTU = 1500

SERVER, ROUTER, INTERNET, ORIGIN = "server", "router", "internet", "origin"


@dataclass(frozen=True)
class Site:
    name: str
    number: int
    country: str
    city: str
    servers: int
    origins: tuple  # the prefixes (text) of the origins that are nearest to this site

    @property
    def underlay(self):
        return IPv4Network((UNDERLAY[self.number << 8], 24))

    @property
    def tunnel(self):
        return self.underlay[254]

    @property
    def router_as(self):
        return 65000 + self.number

    @property
    def servers_as(self):
        return 65100 + self.number

    @property
    def internet_as(self):
        return 64496 + self.number


@dataclass(frozen=True)
class NodePlan:
    name: str
    kind: str
    site: Site
    prefix: IPv4Network = None  # an origin's


@dataclass(frozen=True)
class End:
    node: str
    device: str
    address: IPv4Address
    address6: IPv6Address


@dataclass(frozen=True)
class Link:
    a: End
    b: End
    mtu: int

    def ends(self):
        """Both ways to look at the link: (near end, far end)."""
        return (self.a, self.b), (self.b, self.a)


@dataclass
class Topology:
    name: str
    summary: str
    underlay_mtu: int
    sites: tuple
    nodes: dict = field(default_factory=dict)
    links: list = field(default_factory=list)

    def of_kind(self, kind):
        return [node for node in self.nodes.values() if node.kind == kind]

    def ends_of(self, node):
        """(near end, far end, link) of each of a node's links."""
        return [(near, far, link) for link in self.links for near, far in link.ends() if near.node == node]

    def uplink(self, node):
        """The two ends of a server's or origin's only link."""
        [(near, far, _)] = self.ends_of(node)
        return near, far

    def kind_of(self, name):
        return self.nodes[name].kind


def router_name(site):
    return f"{site.name}-router"


def internet_name(site):
    return f"{site.name}-internet"


def ipv6_site(site):
    return IPv6Network(f"2001:db8:{site.number:x}::/48")


def ipv6_origins(site):
    return IPv6Network(f"2001:db8:{0x100 + site.number:x}::/48")


def _pair(first, index):
    """The two addresses of the index-th /31 (or /127) of the block that starts at `first`."""
    return first + 2 * index, first + 2 * index + 1


class _Builder:
    def __init__(self, topology):
        self.topology = topology

    def node(self, name, kind, site, prefix=None):
        self.topology.nodes[name] = NodePlan(name, kind, site, prefix)

    def link(self, node_a, device_a, node_b, device_b, pair, pair6, mtu):
        ends = (End(node_a, device_a, pair[0], pair6[0]), End(node_b, device_b, pair[1], pair6[1]))
        self.topology.links.append(Link(*ends, mtu))

    def site(self, site, first_origin):
        self.node(router_name(site), ROUTER, site)
        self.node(internet_name(site), INTERNET, site)
        self.link(internet_name(site), router_name(site), router_name(site), internet_name(site),
                  _pair(IPv4Address("10.255.0.0") + (site.number << 8), 0),
                  _pair(IPv6Address("2001:db8:fe::"), site.number), INTERNET_MTU)
        for k in range(1, site.servers + 1):
            name = f"{site.name}-{k}"
            self.node(name, SERVER, site)
            self.link(router_name(site), name, name, "net0", _pair(site.underlay[0], k - 1),
                      _pair(ipv6_site(site)[0], k - 1), self.topology.underlay_mtu)
        for k, prefix in enumerate(site.origins):
            name = f"origin-{first_origin + k}"
            prefix = IPv4Network(prefix)
            self.node(name, ORIGIN, site, prefix)
            self.link(internet_name(site), name, name, "net0", _pair(prefix[0], 0),
                      _pair(ipv6_origins(site)[0], k), INTERNET_MTU)

    def mesh(self, name_of, first, first6, mtu):
        for k, (one, other) in enumerate(combinations(self.topology.sites, 2)):
            self.link(name_of(one), name_of(other), name_of(other), name_of(one),
                      _pair(IPv4Address(first), k), _pair(IPv6Address(first6), k), mtu)


def build(name, summary, underlay_mtu, sites):
    topology = Topology(name, summary, underlay_mtu, sites)
    builder = _Builder(topology)
    first_origin = 1
    for site in sites:
        builder.site(site, first_origin)
        first_origin += len(site.origins)
    builder.mesh(router_name, "10.0.0.0", "2001:db8:ff::", underlay_mtu)
    builder.mesh(internet_name, "10.255.0.0", "2001:db8:fd::", INTERNET_MTU)
    return topology


_TWO_SITES = (
    Site("fra", 1, "DE", "Frankfurt", 3, ("198.51.100.0/26", "192.0.2.0/26")),
    Site("ams", 2, "NL", "Amsterdam", 3, ("198.51.100.128/26", "192.0.2.128/26")),
)

TOPOLOGIES = {topology.name: topology for topology in (
    build("two-sites", "2 sites of 3 servers, 4 origins; underlay and backbone take 1,600 bytes", 1600, _TWO_SITES),
    build("two-sites-1500", "the same with an underlay of 1,500 bytes: wrapped packets must be smaller", 1500, _TWO_SITES),
)}
