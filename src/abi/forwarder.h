/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: the forwarder's tables
 *
 * Address and port -> directory slot of the address's /24 -> slice entry -> hop. Every step is an index computed by
 * arithmetic. The tables are global variables of the BPF programs, which the kernel keeps in one-element array maps
 * that the agent maps into its memory and writes with plain stores.
 *
 * How a reader never sees half a change: a slice entry is one aligned 32-bit word, stored at once. Directory and hops
 * are kept twice; the agent fills the copy that is not live, then stores the word that says which one is.
 *
 * Addresses and ports in these tables are in host byte order unless the type says __be.
 */
#ifndef BERTH_ABI_FORWARDER_H
#define BERTH_ABI_FORWARDER_H

#include <linux/types.h>

#include "slice.h"
#include "wrap.h"

/*
 * Bumped with every change to a map's layout. Layout of all maps, in the first word of `config` once the agent has
 * written the tables. A version that finds another one takes it over (abi/takeover.h), if it is at least
 * BERTH_LAYOUT_TAKEOVER. Overridden by tests of that.
 */
#ifndef BERTH_LAYOUT_VERSION
#define BERTH_LAYOUT_VERSION 5
#endif

#define DIRECTORY_BITS 12u
#define DIRECTORY_SLOTS (1u << DIRECTORY_BITS)
#define SLICES_MAX (2u << 20)
#define HOPS_MAX 4096u
#define SERVERS_MAX (1u << WRAP_SERVER_ID_BITS)

/* One /24 with pool addresses in it. */
struct directory_slot {
	__u32 key; /* DIRECTORY_USED | address >> 8; 0: empty */
	__u32 base; /* index of the slice entry of (first address of the /24, column 0) */
	__u32 shift; /* base-2 logarithm of the /24's slice_ports */
};

#define DIRECTORY_USED (1u << 24)

struct directory {
	__u32 multiplier; /* odd; chosen so that no two /24s of the fleet share a slot */
	struct directory_slot slots[DIRECTORY_SLOTS];
};

struct directories {
	__u32 live; /* 0 or 1: the copy that readers use */
	struct directory copy[2];
};

/* The slot that the /24 of an address would be in. */
static inline __u32 directory_index(__u32 multiplier, __u32 addr)
{
	return ((addr >> 8) * multiplier) >> (32 - DIRECTORY_BITS);
}

/* The key that slot has when it is that /24's. */
static inline __u32 directory_key(__u32 addr)
{
	return DIRECTORY_USED | addr >> 8;
}

/* Index of the slice entry of an address and port, for the /24's slot. */
static inline __u32 directory_slice(__u32 base, __u32 shift, __u32 addr, __u32 port)
{
	return base + ((addr & 0xffu) << (16 - shift)) + slice_column(port, shift);
}

/*
 * A slice entry: low 16 bits say where packets for the slice go, high bits are flags. 0 is what fresh memory holds,
 * and means that the address is in no pool: such a packet is none of ours.
 */
#define SLICE_NOT_OURS 0u
#define SLICE_FREE 1u
#define SLICE_LOCAL 2u
#define SLICE_HOP 16u /* SLICE_HOP + index of the hop */
#define SLICE_WHERE_MASK 0xffffu
#define SLICE_INBOUND (1u << 31) /* connections may be opened towards it */

/*
 * The wrap of one hop, built by the agent, with everything in it that does not change from packet to packet. Left 0
 * for the program to fill: the IPv4 total length, TOS and checksum, UDP source port and length, forwardings, steering
 * port and entry site.
 */
struct hop_wrap {
	__u8 header[WRAP_INNER_OFFSET]; /* Ethernet, IPv4, UDP, GUE: network byte order */
	__u16 check; /* one's complement sum of the IPv4 header with length and TOS 0, folded, not inverted, as stored
			in memory (network order words read natively) */
	__u32 ifindex; /* device to send from; 0: the hop has no route or no MAC address */
	__u16 mtu; /* largest outer IPv4 packet that fits the way, bytes */
	__u16 reserved;
};

_Static_assert(sizeof(struct hop_wrap) == 64, "a hop's wrap fills one cache line");

/* Who a hop leads to: HOP_SITE | site id, HOP_SERVER | server id; 0: the index is unused. */
#define HOP_SERVER (1u << 30)
#define HOP_SITE (1u << 31)
#define HOP_ID_MASK (HOP_SERVER - 1)

struct hops {
	struct hop_wrap wrap[HOPS_MAX][2];
	__u32 live[HOPS_MAX]; /* 0 or 1: the copy that readers use */
	__u32 target[HOPS_MAX]; /* for the agent, which finds its indexes again by it */
};

struct slices {
	__u32 entry[SLICES_MAX];
};

/* Underlay address of each server of the fleet, by server id; 0: no such server. */
struct members {
	__be32 underlay[SERVERS_MAX];
};

struct forwarder_config {
	__u32 layout; /* BERTH_LAYOUT_VERSION once the agent has written the tables; 0: not yet */
	__u32 server_id;
	__u32 site_id;
	__be32 underlay; /* this server's */
	__be32 tunnel; /* this server's site's; 0: none */
	__be16 wrap_port;
	__u8 max_hops;
	__u8 reserved;
};

#endif
