# SPDX-License-Identifier: Apache-2.0
"""The fleet file of a topology: what `berth apply` gets."""

from lab.topology import POOL, SERVER

SLICE_PORTS = 2048
# The address that all servers share under the policy `crawler`.
CRAWLER_ADDRESS = str(POOL[1])
# Those of the policy `web`.
WEB_ADDRESSES = (str(POOL[8]), str(POOL[9]))

# SO_MARK of sockets that are under the policy `web` wherever they are made.
WEB_MARK = 77
# Of the policy `guest` alone, which user games and group staff may use: every Debian has both.
GUEST_ADDRESS = str(POOL[24])

# Policy: (its selector, further keys). Its cgroup is /NAME below the server's cgroup root.
POLICIES = {
    "crawler": ("country=DE,product=crawler", ""),
    "web": ("country=NL", f", mark: {WEB_MARK}"),
    "local": ("country=$site.country,product=local", ""),
    "wide": ("product=wide", ", address: spread, slices: 2, other_netns: host_address"),
    "guest": ("product=guest", ", allow: {users: [games], groups: [staff]}"),
    "overflow": ("country=NL", ', fallback: ["country=DE,product=crawler"]'),
}

_ADDRESSES = (
    (f"{POOL[1]}", "country: DE, city: Frankfurt, product: crawler"),
    (" - ".join(WEB_ADDRESSES), "country: NL, city: Amsterdam"),
    (f"{POOL[16]}", "country: DE, city: Frankfurt, product: local"),
    (f"{POOL[17]}", "country: NL, city: Amsterdam, product: local"),
    (GUEST_ADDRESS, "country: FI, product: guest"),
    (f"{POOL[32]} - {POOL[35]}", "country: SE, product: wide"),
)


def policy_cgroup(policy):
    """Below the server's cgroup root, without the slash."""
    if policy not in POLICIES:
        raise KeyError(f"no policy {policy!r} in the lab's fleet: there are {', '.join(POLICIES)}")
    return policy


def fleet_text(topology, name):
    lines = ["version: 1", f"fleet: {name}", f"underlay_mtu: {topology.underlay_mtu}", "pools:",
             f"  - {{prefix: {POOL}, slice_ports: {SLICE_PORTS}}}", "addresses:"]
    for addresses, tags in _ADDRESSES:
        lines.append(f"  - {{range: {addresses}, tags: {{{tags}}}}}")
    lines.append("sites:")
    for site in topology.sites:
        lines += [f"  - name: {site.name}", f"    place: {{country: {site.country}, city: {site.city}}}",
                  f"    tunnel: {site.tunnel}", "    servers:"]
        for node in topology.of_kind(SERVER):
            if node.site == site:
                lines.append(f"      - {{name: {node.name}, underlay: {topology.uplink(node.name)[0].address}}}")
    lines.append("policies:")
    for policy, (selector, more) in POLICIES.items():
        lines.append(f'  - {{name: {policy}, cgroup: /{policy_cgroup(policy)}, select: "{selector}"{more}}}')
    lines += ["timers: {drain: 5s, cooling: 5s}", "evict: manual"]
    return "\n".join(lines) + "\n"
