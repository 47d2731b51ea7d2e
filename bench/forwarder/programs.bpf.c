/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: the forwarder and what it is measured against
 *
 * BPF_PROG_TEST_RUN repeats a program on a packet without putting the packet back: the second time it would see its own
 * wrap. So what runs is a wrapper around the program, the same for all. It puts the next flow into the packet, calls
 * the program, looks whether the outcome is the right one, and takes it back.
 *
 * forwarder_measured.h is src/bpf/forwarder.bpf.c with forwarder() made a function to call, by the Makefile.
 */
#include "forwarder_measured.h"

#include "flow.h"

struct flow flows[FLOWS_MAX] SEC(".data.flows");
struct loop loop SEC(".data.loop");
struct live live SEC(".data.live");

/* One lookup by address and port, then what every tunnel has to do. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLICES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} l2_slices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, HOPS_MAX);
	__type(key, __u32);
	__type(value, struct l2_hop);
} l2_hops SEC(".maps");

/* What a packet is to L2. */
struct l2_packet {
	__u32 index; /* of its slice */
	__u32 length;
	__be16 sport;
};

/* False: none of TCP or UDP over IPv4. */
static __always_inline bool l2_parse(struct xdp_md *ctx, struct l2_packet *p)
{
	const void *end = (void *)(long)ctx->data_end;
	const struct ethhdr *eth = (void *)(long)ctx->data;
	const struct iphdr *ip = (const void *)(eth + 1);
	const struct udphdr *udp = (const void *)(ip + 1);

	if ((const void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || *(const __u8 *)ip != 0x45)
		return false;
	if (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP)
		return false;
	p->index = (bpf_ntohl(ip->daddr) - BENCH_POOL) << 5 | bpf_ntohs(udp->dest) >> 11;
	p->length = bpf_ntohs(ip->tot_len);
	p->sport = udp->source;
	return true;
}

static __always_inline int l2_wrap(struct xdp_md *ctx, const struct l2_packet *p, __be32 to, const void *macs)
{
	struct ethhdr *eth;
	struct iphdr *ip;
	struct udphdr *udp;
	__u64 sum;

	if (bpf_xdp_adjust_head(ctx, -L2_OVERHEAD))
		return XDP_DROP;
	eth = (void *)(long)ctx->data;
	ip = (void *)(eth + 1);
	udp = (void *)(ip + 1);
	if ((void *)(udp + 1) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	__builtin_memcpy(eth, macs, 12);
	eth->h_proto = bpf_htons(ETH_P_IP);
	((__be32 *)ip)[0] = bpf_htonl(0x45000000 | (p->length + L2_OVERHEAD));
	((__be32 *)ip)[1] = bpf_htonl(0x4000);
	((__be32 *)ip)[2] = bpf_htonl(64 << 24 | IPPROTO_UDP << 16);
	ip->saddr = bpf_htonl(BENCH_UNDERLAY);
	ip->daddr = to;
	sum = (__u64)((__be32 *)ip)[0] + ((__be32 *)ip)[1] + ((__be32 *)ip)[2] + ip->saddr + to;
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	ip->check = ~sum_fold(sum);
	udp->source = p->sport;
	udp->dest = bpf_htons(WRAP_PORT);
	udp->len = bpf_htons(p->length + sizeof(*udp));
	udp->check = 0;
	return XDP_TX;
}

static __noinline int l2(struct xdp_md *ctx)
{
	struct l2_packet p;
	__u32 *to;

	if (!l2_parse(ctx, &p))
		return XDP_PASS;
	to = bpf_map_lookup_elem(&l2_slices, &p.index);
	if (!to || !*to)
		return XDP_PASS;
	return l2_wrap(ctx, &p, *to, loop.macs);
}

/* The slice leads to a hop, and that to where the packet goes. */
static __noinline int l2two(struct xdp_md *ctx)
{
	struct l2_packet p;
	struct l2_hop *hop;
	__u32 *slice, index;

	if (!l2_parse(ctx, &p))
		return XDP_PASS;
	slice = bpf_map_lookup_elem(&l2_slices, &p.index);
	if (!slice)
		return XDP_PASS;
	index = *slice;
	hop = bpf_map_lookup_elem(&l2_hops, &index);
	if (!hop)
		return XDP_PASS;
	return l2_wrap(ctx, &p, hop->to, hop->macs);
}

/* What it costs to find out that a packet is IPv4 at all. */
static __noinline int parse_and_pass(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > (void *)(long)ctx->data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_DROP;
	return ip->version == 4 ? XDP_PASS : XDP_DROP;
}

/* Puts the next flow into the IPv4 header at `at`, and the ports behind it. */
static __always_inline bool flow_put(struct xdp_md *ctx, __u32 at)
{
	const struct flow *flow = &flows[loop.next++ & loop.mask & (FLOWS_MAX - 1)];
	struct iphdr *ip = (void *)(long)ctx->data + at;

	if ((void *)(ip + 1) + 4 > (void *)(long)ctx->data_end)
		return false;
	ip->saddr = flow->saddr;
	ip->daddr = flow->daddr;
	*(__u32 *)(ip + 1) = flow->ports;
	return true;
}

/* The first bytes of the frame, as they were: 14 or 54. */
static __always_inline bool front_restore(struct xdp_md *ctx, __u32 size)
{
	void *to = (void *)(long)ctx->data;

	if (to + WRAP_INNER_OFFSET > (void *)(long)ctx->data_end)
		return false;
	if (size == WRAP_INNER_OFFSET) {
		header_copy(to, loop.front);
	} else if (size) {
		((__u64 *)to)[0] = ((const __u64 *)loop.front)[0];
		((__u32 *)to)[2] = ((const __u32 *)loop.front)[2];
		((__u16 *)to)[6] = ((const __u16 *)loop.front)[6];
	}
	return true;
}

static __always_inline __u64 frame_size(struct xdp_md *ctx)
{
	return ctx->data_end - ctx->data;
}

/* at: of the IPv4 header with the flow; grows: bytes; restored: of the frame, afterwards. */
#define LOOP(name, program, at, action, grows, restored) \
	SEC("xdp") \
	int name(struct xdp_md *ctx) \
	{ \
		__u64 before = frame_size(ctx); \
		int taken; \
\
		if (!flow_put(ctx, at)) \
			return XDP_ABORTED; \
		taken = program(ctx); \
		if (taken != (action) || frame_size(ctx) - before != (__u64)(grows)) \
			return XDP_ABORTED; \
		if ((grows) && bpf_xdp_adjust_head(ctx, grows)) \
			return XDP_ABORTED; \
		if (!front_restore(ctx, restored)) \
			return XDP_ABORTED; \
		loop.right++; \
		return taken; \
	}

LOOP(loop_wrap, forwarder, ETH_HLEN, XDP_TX, WRAP_OVERHEAD, ETH_HLEN)
LOOP(loop_relay, forwarder, WRAP_INNER_OFFSET, XDP_TX, 0, WRAP_INNER_OFFSET)
LOOP(loop_deliver, forwarder, WRAP_INNER_OFFSET, XDP_PASS, -WRAP_OVERHEAD, WRAP_INNER_OFFSET)
LOOP(loop_pass, forwarder, ETH_HLEN, XDP_PASS, 0, 0)
LOOP(loop_l2, l2, ETH_HLEN, XDP_TX, L2_OVERHEAD, ETH_HLEN)
LOOP(loop_l2two, l2two, ETH_HLEN, XDP_TX, L2_OVERHEAD, ETH_HLEN)
LOOP(loop_parse, parse_and_pass, ETH_HLEN, XDP_PASS, 0, 0)

/* A live frame comes back as it was left, but for its bounds: of the packet only the Ethernet header was written over.
 */
#define LIVE(name, program) \
	SEC("xdp") \
	int name(struct xdp_md *ctx) \
	{ \
		return front_restore(ctx, ETH_HLEN) ? program(ctx) : XDP_ABORTED; \
	}

static __always_inline int send_as_it_is(struct xdp_md *ctx)
{
	return XDP_TX;
}

LIVE(live_wrap, forwarder)
LIVE(live_l2, l2)
LIVE(live_send, send_as_it_is)

SEC("xdp")
int live_forward(struct xdp_md *ctx)
{
	return forwarder(ctx);
}

SEC("xdp")
int live_arrive(struct xdp_md *ctx)
{
	if (frame_size(ctx) == live.size)
		live.cpu[bpf_get_smp_processor_id() & (LIVE_CPUS - 1)].arrived++;
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
