/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: the guard
 *
 * Runs last on the way out of every uplink (tc clsact, egress). A packet whose source is an egress address leaves only
 * if the slice that it claims is this server's; what the forwarder sends never comes here, and other packets pass.
 *
 * Where a packet may be fragmented on its way, its identification is moved into this server's part of the 16 bits, so
 * that servers which share an address never collide (RFC 6864, RFC 7597): the part is the server's lowest column on
 * that address, as wide as a slice has ports. All fragments of a datagram are moved alike.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "counters.h"
#include "ipv4.h"
#include "tables.h"

#define COLUMNS_MAX (BERTH_PORT_SPACE >> BERTH_SLICE_SHIFT_MIN)
#define COLUMN_NONE COLUMNS_MAX

_Static_assert((SLICES_MAX & (SLICES_MAX - 1)) == 0, "a mask keeps an index inside");

/* The part of the identifications that is this server's, for one address. */
struct id_part {
	__u32 column; /* lowest column of this server; COLUMN_NONE: it has none */
	__u32 shift;
};

/*
 * Goes through the columns of an address: 32 loads from two cache lines for slices of 2,048 ports. A global function
 * and a mask instead of a comparison, so that the verifier follows one way through the loop and not all their sums.
 */
__noinline __u32 column_lowest(__be32 address)
{
	__u32 addr = bpf_ntohl(address);
	const struct directory_slot *slot = directory_find(addr);
	__u32 column, columns, first;

	if (!slot)
		return COLUMN_NONE;
	first = directory_slice(slot->base, slot_shift(slot), addr, 0);
	columns = slice_columns(slot_shift(slot));
	for (column = 0; column < COLUMNS_MAX && column < columns; column++) {
		__u32 entry = LOAD_ONCE(slices.entry[(first + column) & (SLICES_MAX - 1)]);

		if ((entry & SLICE_WHERE_MASK) == SLICE_LOCAL)
			return column;
	}
	return COLUMN_NONE;
}

static __always_inline struct id_part id_part_find(__be32 address)
{
	const struct directory_slot *slot = directory_find(bpf_ntohl(address));

	return (struct id_part){.column = column_lowest(address), .shift = slot ? slot_shift(slot) : 0};
}

/*
 * The identification within the part. A packet that the device cuts into segments counts up from it, one a segment,
 * and none of them may leave the part.
 */
static __always_inline __u32 id_within(struct id_part part, __u32 id, __u32 segments)
{
	__u32 size = 1u << part.shift;
	__u32 low = id & (size - 1);

	if (low + segments > size)
		low = segments < size ? size - segments : 0;
	return part.column << part.shift | low;
}

static __always_inline int id_move(struct __sk_buff *skb, const struct iphdr *ip, struct id_part part)
{
	__be16 from = ip->id;
	__be16 to = bpf_htons(id_within(part, bpf_ntohs(from), skb->gso_segs));

	if (to == from)
		return 0;
	if (bpf_l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check), from, to, sizeof(to)))
		return -1;
	return bpf_skb_store_bytes(skb, ETH_HLEN + offsetof(struct iphdr, id), &to, sizeof(to), 0);
}

/* By source port where the packet has one; else a slice on that address is enough. */
static __always_inline bool source_owned(struct __sk_buff *skb, const struct iphdr *ip)
{
	bool has_port = ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP;
	__be16 port;

	if (!has_port || (ip->frag_off & bpf_htons(IPV4_OFFSET)))
		return column_lowest(ip->saddr) != COLUMN_NONE;
	if (ip->ihl < 5 || bpf_skb_load_bytes(skb, ETH_HLEN + ip->ihl * 4, &port, sizeof(port)))
		return false;
	return (slice_find(ip->saddr, bpf_ntohs(port)) & SLICE_WHERE_MASK) == SLICE_LOCAL;
}

static __always_inline int drop(enum verdict verdict)
{
	count(verdict);
	return TC_ACT_SHOT;
}

/* What passes goes on to the next filter of the device, if there is one. */
SEC("tc")
int guard(struct __sk_buff *skb)
{
	struct iphdr ip;

	if (config.layout != BERTH_LAYOUT_VERSION || skb->protocol != bpf_htons(ETH_P_IP))
		return TC_ACT_UNSPEC;
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || !pool_contains(ip.saddr))
		return TC_ACT_UNSPEC;
	if (!source_owned(skb, &ip))
		return drop(VERDICT_FOREIGN_SOURCE);
	if (!(ip.frag_off & bpf_htons(IPV4_DF)) && id_move(skb, &ip, id_part_find(ip.saddr)))
		return drop(VERDICT_FOREIGN_SOURCE);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
