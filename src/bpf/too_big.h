/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: telling a sender that its packet is too big
 *
 * ICMP "fragmentation needed" (RFC 792, RFC 1191), made of the packet itself and sent back the way it came. Not for
 * ICMP errors and not to addresses that name no host (RFC 1122, 3.2.2), and at most so many in a second.
 */
#ifndef BERTH_BPF_TOO_BIG_H
#define BERTH_BPF_TOO_BIG_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../abi/forwarder.h"
#include "checksum.h"
#include "icmp.h"
#include "ipv4.h"
#include "packet.h"

/* The longest IPv4 header and 8 bytes behind it. A packet shorter than this is too big for no underlay. */
#define QUOTE_LEN 68
#define REPORT_TTL 64
#define REPORT_TOS 0xc0 /* internetwork control: RFC 1812, 4.3.2.5 */

/* Each CPU sends this many at once and one more each interval: 1,000 a second. */
#define REPORT_BURST 50
#define REPORT_INTERVAL 1000000ull /* ns */

/* What the report is, behind its Ethernet header. */
struct report {
	struct iphdr ip;
	struct icmp icmp;
	__u8 quote[QUOTE_LEN];
};

#define REPORT_GROWTH offsetof(struct report, quote)

/* When the bucket will be full again, ns of CLOCK_MONOTONIC: a token bucket in one word. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} report_full SEC(".maps");

static __always_inline bool report_allowed(void)
{
	__u32 key = 0;
	__u64 *full = bpf_map_lookup_elem(&report_full, &key);
	__u64 now;

	if (!full)
		return false;
	now = bpf_ktime_get_ns();
	if (*full < now)
		*full = now;
	if (*full - now > (REPORT_BURST - 1) * REPORT_INTERVAL)
		return false;
	*full += REPORT_INTERVAL;
	return true;
}

/* False: "this network", loopback, multicast, reserved, broadcast. */
static __always_inline bool address_names_host(__be32 address)
{
	__u32 first = bpf_ntohl(address) >> 24;

	return first && first != 127 && first < 224;
}

static __always_inline void report_fill(struct report *report, __be32 from, __u32 mtu)
{
	const struct iphdr *quoted = (void *)report->quote;

	report->ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tos = REPORT_TOS,
		.tot_len = bpf_htons(sizeof(*report)),
		.frag_off = bpf_htons(IPV4_DF),
		.ttl = REPORT_TTL,
		.protocol = IPPROTO_ICMP,
		.saddr = from,
		.daddr = quoted->saddr,
	};
	report->icmp = (struct icmp){
		.type = ICMP_UNREACHABLE,
		.code = ICMP_FRAGMENTATION_NEEDED,
		.value = bpf_htons(mtu),
	};
	report->ip.check = ~sum_fold(bpf_csum_diff(NULL, 0, (void *)&report->ip, sizeof(report->ip), 0));
	report->icmp.checksum =
		~sum_fold(bpf_csum_diff(NULL, 0, (void *)&report->icmp, sizeof(report->icmp) + QUOTE_LEN, 0));
}

/* Turns the received frame into the report. from: its source address; mtu: what the sender's packets may have. */
static __noinline int report_too_big(struct xdp_md *ctx, __be32 from, __u32 mtu)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + ETH_HLEN;
	struct ethhdr received, *eth;
	struct report *report;

	if (data + ETH_HLEN + QUOTE_LEN > end || !address_names_host(ip->saddr) || !report_allowed())
		return XDP_DROP;
	__builtin_memcpy(&received, data, ETH_HLEN);
	if (bpf_xdp_adjust_tail(ctx, ETH_HLEN + QUOTE_LEN - (int)distance(data, end)) ||
	    bpf_xdp_adjust_head(ctx, -(int)REPORT_GROWTH))
		return XDP_DROP;
	eth = (void *)(long)ctx->data;
	report = (void *)(eth + 1);
	if ((void *)(report + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	__builtin_memcpy(eth->h_dest, received.h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, received.h_dest, ETH_ALEN);
	eth->h_proto = received.h_proto;
	report_fill(report, from, mtu);
	return XDP_TX;
}

#endif
