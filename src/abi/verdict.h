/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: verdicts
 *
 * Everything that forwarder, guard and allocator can decide, numbered once. The number is the index of the counter,
 * the name is what counters, metrics, messages and docs say. A number is never given a second meaning: a retired one
 * stays in the list as `unused_N`.
 */
#ifndef BERTH_ABI_VERDICT_H
#define BERTH_ABI_VERDICT_H

/* clang-format off */
#define VERDICTS(X) \
	/* forwarder: where a packet went */ \
	X(0,  WRAP,                "wrap",                "wrapped and sent to another server or site") \
	X(1,  RELAY,               "relay",               "tunnel packet rewrapped and sent on") \
	X(2,  DELIVER_DIRECT,      "deliver_direct",      "entered at its owner, given to the stack") \
	X(3,  DELIVER_UNWRAP,      "deliver_unwrap",      "tunnel packet unwrapped at its owner, given to the stack") \
	/* forwarder: drops */ \
	X(4,  TUNNEL_STRANGER,     "tunnel_stranger",     "tunnel packet from an address that is no server of the fleet") \
	X(5,  TUNNEL_MALFORMED,    "tunnel_malformed",    "tunnel packet cut short or not in our format") \
	X(6,  INNER_STRANGER,      "inner_stranger",      "tunnel packet with an inner packet that is not for a pool") \
	X(7,  MALFORMED,           "malformed",           "packet to a pool, cut short or lying about its lengths") \
	X(8,  FRAGMENT_UNKNOWN,    "fragment_unknown",    "later fragment without its first") \
	X(9,  NO_PORT,             "no_port",             "protocol without a steering port") \
	X(10, UNSOLICITED,         "unsolicited",         "opens a connection to a slice that is not inbound") \
	X(11, SLICE_UNOWNED,       "slice_unowned",       "nobody owns the slice") \
	X(12, HOP_LIMIT,           "hop_limit",           "forwarded max_hops times already") \
	X(13, HOP_UNRESOLVED,      "hop_unresolved",      "next hop has no route or MAC address") \
	X(14, TOO_BIG,             "too_big",             "wrap does not fit the underlay MTU") \
	X(15, NO_SOCKET,           "no_socket",           "UDP at the owner without a socket bound to the address") \
	/* guard */ \
	X(16, FOREIGN_SOURCE,      "foreign_source",      "left from an egress address and port that this server does not own") \
	/* allocator: what became of a program's call */ \
	X(17, ALLOCATED,           "allocated",           "connection given an egress address and port") \
	X(18, EXCEPTED,            "excepted",            "destination under except, left alone") \
	X(19, PORT_BUSY,           "port_busy",           "free in our table, held by another socket: next port tried") \
	X(20, REFUSED_FULL,        "refused_full",        "every port towards the destination is in use (EADDRNOTAVAIL)") \
	X(21, REFUSED_NO_SLICE,    "refused_no_slice",    "policy holds no slice (EADDRNOTAVAIL)") \
	X(22, REFUSED_IPV6,        "refused_ipv6",        "IPv6 destination, no IPv6 pool (ENETUNREACH)") \
	X(23, REFUSED_BOUND,       "refused_bound",       "socket was bound outside the policy's slices (EADDRNOTAVAIL)") \
	X(24, REFUSED_UNCONNECTED, "refused_unconnected", "UDP sent without connect (EPERM)") \
	X(25, REFUSED_NO_POLICY,   "refused_no_policy",   "policy of the socket is gone (EPERM)") \
	X(26, REFUSED_TABLE_FULL,  "refused_table_full",  "no memory for the socket's storage (EADDRNOTAVAIL)") \
	X(27, REFUSED_EGRESS,      "refused_egress",      "packet stopped on its way out, source not the socket's own (EPERM)") \
	/* forwarder: further drops */ \
	X(28, ECN_MISMATCH,        "ecn_mismatch",        "congestion marked on the wrap of a packet that cannot carry the mark") \
	X(29, NO_HEADROOM,         "no_headroom",         "driver left no room in front of the packet for the wrap") \
	/* allocator: further refusals */ \
	X(30, REFUSED_BIND,        "refused_bind",        "the egress address cannot be bound here: not a local address (EADDRNOTAVAIL)") \
	/* telling of refusals */ \
	X(31, EVENT_LOST,          "event_lost",          "refusal without an event: many alike at once, or nobody read them") \
	/* allocator: beside the table */ \
	X(32, PORT_PROBED,         "port_probed",         "port chosen beside the table: no room, the policy's limit, or claims in the way") \
	/* allocator: what became of a program's bind() */ \
	X(33, CLAIMED,             "claimed",             "bind() given an egress address and port, the socket's alone") \
	X(34, REFUSED_CLAIM,       "refused_claim",       "bind() found no port of the policy's that nobody uses (EADDRINUSE)") \
	X(35, REFUSED_FOREIGN,     "refused_foreign",     "bind() to an egress address outside the policy's slices (EPERM)") \
	X(36, MENDED,              "mended",              "port that no socket held any more, given back by the agent's scrub") \
	/* allocator: several tiers of slices */ \
	X(37, FALLBACK,            "fallback",            "port of a fallback's slice: those before it were full, or not held") \
	/* allocator: further refusals */ \
	X(38, REFUSED_NETNS,       "refused_netns",       "socket of another network namespace (EPERM)") \
	/* listeners */ \
	X(39, STRAY_LISTENER,      "stray_listener",      "listens on an egress address, where no connection arrives") \
	/* while another version takes over */ \
	X(40, REFUSED_TAKEOVER,    "refused_takeover",    "another version takes over just now: ports are closed (EADDRNOTAVAIL)")
/* clang-format on */

enum verdict {
#define X(number, symbol, name, meaning) VERDICT_##symbol = number,
	VERDICTS(X)
#undef X
		VERDICT_COUNT
};

#endif
