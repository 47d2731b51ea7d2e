# SPDX-License-Identifier: Apache-2.0
"""BIRD on servers, site routers and internet routers: eBGP everywhere, so that the shortest AS path decides.

A server gets all routes from its router, and announces what berthd asks for by the
configuration that ships with Berth (packaging/bird/berth.conf). The servers of a site share an AS number, and the
router spreads the pool over them by addresses and ports. Packets to the pool enter at the site that is nearest: an
internet router prefers its own site's router, one AS nearer than the way over another internet router.
"""

from lab.paths import REPOSITORY
from lab.topology import INTERNET, INTERNET_MTU, ORIGIN, POOL, ROUTER, SERVER, UNDERLAY

SHIPPED = REPOSITORY / "packaging" / "bird" / "berth.conf"

# Detects a hung peer in a second. A dozen BIRDs on two busy processors may have to wait for their turn.
_BFD = "interval 200 ms; multiplier 5;"
# A session that fails comes back within a second or two. BIRD waits for no less.
_IMPATIENT = "connect delay time 1; connect retry time 1; error wait time 1, 2;"
# What is not the fleet's own leaves at the site where it arises, by the internet and not by the backbone.
_HOT_POTATO = f"filter {{ if net ~ [ {POOL}, {UNDERLAY}+ ] then reject; bgp_local_pref = 200; accept; }}"


def _as_number(node):
    return {SERVER: node.site.servers_as, ROUTER: node.site.router_as, INTERNET: node.site.internet_as}[node.kind]


def _head(router_id, bfd_devices):
    bfd = "".join(f'\tinterface "{device}" {{ {_BFD} }};\n' for device in bfd_devices)
    return f"router id {router_id};\nprotocol device {{ }}\nprotocol bfd {{\n{bfd}}}\n"


def server_config(topology, node):
    near, far = topology.uplink(node.name)
    return _head(near.address, ["net0"]) + f"""
include "{SHIPPED}";

protocol direct {{ ipv4; }}

protocol kernel {{
	ipv4 {{
		import none;
		export filter {{
			if berth_route() || source = RTS_DEVICE then reject;
			if net !~ {UNDERLAY} then {{ krt_mtu = {INTERNET_MTU}; krt_lock_mtu = true; }}
			accept;
		}};
	}};
}}

protocol bgp uplink from berth_upstream {{
	local {near.address} as {_as_number(node)};
	neighbor {far.address} as {_as_number(topology.nodes[far.node])};
	{_IMPATIENT}
	ipv4 {{ import all; }};
}}
"""


def _filters(topology, node, peer):
    """What a router takes from a peer, and what it tells it."""
    underlay = f"{node.site.underlay}+"
    tunnel = f"{node.site.tunnel}/32"
    if node.kind == ROUTER:
        return {
            SERVER: (f"where net ~ [ {POOL}, {tunnel} ]", "all"),
            ROUTER: ("all", "all"),
            INTERNET: (_HOT_POTATO, f"where net ~ [ {POOL}, {underlay} ]"),
        }[peer.kind]
    return {
        ROUTER: (f"where net ~ [ {POOL}, {underlay} ]", f"where net !~ [ {POOL}, {UNDERLAY}+ ]"),
        INTERNET: ("where net != 0.0.0.0/0", "where net != 0.0.0.0/0"),
    }[peer.kind]


def router_config(topology, node):
    """Of a site router or an internet router."""
    ends = topology.ends_of(node.name)
    router_id = min(near.address for near, _, _ in ends)
    parts = [_head(router_id, [near.device for near, far, _ in ends if topology.kind_of(far.node) != ORIGIN]), f"""
protocol direct {{ ipv4; }}

# Merging paths makes equal routes of a site's servers one route with several next hops.
protocol kernel {{
	merge paths on limit 64;
	ipv4 {{ import none; export where source = RTS_BGP || (source = RTS_STATIC && net != 0.0.0.0/0); }};
}}

template bgp peer {{
	graceful restart off;
	bfd on;
	check link;
	hold time 9;
	{_IMPATIENT}
}}
"""]
    if node.kind == INTERNET:
        parts.append(_internet_routes(topology, ends))
    for near, far, _ in ends:
        peer = topology.nodes[far.node]
        if peer.kind == ORIGIN:
            continue
        imports, exports = _filters(topology, node, peer)
        parts.append(f"""
protocol bgp to_{near.device.replace("-", "_")} from peer {{
	local {near.address} as {_as_number(node)};
	neighbor {far.address} as {_as_number(peer)};
	ipv4 {{ import {imports}; export {exports}; }};
}}
""")
    return "".join(parts)


def _internet_routes(topology, ends):
    """An internet router's own: the prefixes of its origins, and the default route that it tells its customer (and
    does not use)."""
    lines = [f"\troute {topology.nodes[far.node].prefix} via {far.address};\n" for _, far, _ in ends
             if topology.kind_of(far.node) == ORIGIN]
    return "\nprotocol static {\n\tipv4;\n\troute 0.0.0.0/0 unreachable;\n" + "".join(lines) + "}\n"


def config(topology, node):
    return server_config(topology, node) if node.kind == SERVER else router_config(topology, node)


def expected_prefixes(topology, node):
    """The routes a node has once BGP has converged, without what servers announce for berthd."""
    underlay = {f"{near.address}/31" for link in topology.links for near, far in link.ends()
                if topology.kind_of(far.node) == SERVER}
    connected = {f"{min(near.address, far.address)}/31" for near, far, _ in topology.ends_of(node.name)}
    origins = {str(plan.prefix) for plan in topology.of_kind(ORIGIN)}
    wanted = underlay | origins if node.kind == INTERNET else underlay | origins | {"default"}
    return wanted - connected
