/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: the forwarder
 *
 * Runs on every uplink of every server, for each packet received. Packets to an egress address go to the owner of
 * their slice; everything else passes untouched. Read from the bottom: forwarder() takes the common packet at fixed
 * offsets and hands any other to enter_slowly(); both come to packet_enter(). A tunnel packet comes to
 * tunnel_receive(). From there on it is: deliver here, wrap, or relay.
 *
 * No state is kept per flow, first fragments aside, and the cost does not depend on how many slices, servers or sites
 * there are. Every drop has its verdict, counted once (docs/verdicts.md); the bytes of the wrap are in docs/wire.md.
 */
#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../abi/hash.h"
#include "counters.h"
#include "ecn.h"
#include "fragment.h"
#include "packet.h"
#include "tables.h"
#include "too_big.h"

struct hops hops SEC(".data.hops") __attribute__((aligned(64)));
struct members members SEC(".data.members") __attribute__((aligned(64)));

/*
 * The parts of a wrapped frame. Pointers, not one packed struct: that would make the compiler read and write its words
 * in halves, because it cannot know that the machine takes them unaligned.
 */
struct wrapped {
	struct iphdr *ip;
	struct udphdr *udp;
	__be32 *gue;
	struct wrap_private *private;
	struct iphdr *inner;
	const void *end; /* of the frame */
};

/* What a wrap carries from hop to hop. */
struct wrap_label {
	__u32 hops; /* forwardings before this one */
	__u32 length; /* of the inner packet */
	__be16 sport; /* of the outer UDP header */
	__be16 steering;
	__u32 entry_site;
	__u32 ecn;
};

/* False: the frame is too short. */
static __always_inline bool wrapped_find(struct xdp_md *ctx, struct wrapped *w)
{
	void *data = (void *)(long)ctx->data;

	w->ip = data + WRAP_IP_OFFSET;
	w->udp = data + WRAP_UDP_OFFSET;
	w->gue = data + WRAP_GUE_OFFSET;
	w->private = data + WRAP_GUE_OFFSET + sizeof(*w->gue);
	w->inner = data + WRAP_INNER_OFFSET;
	w->end = (void *)(long)ctx->data_end;
	return (const void *)(w->inner + 1) <= w->end;
}

static __always_inline int drop(enum verdict verdict)
{
	count(verdict);
	return XDP_DROP;
}

/* The hop's live wrap; NULL: no such hop, or no way there. */
static __always_inline const struct hop_wrap *hop_find(__u32 where)
{
	__u32 index = where - SLICE_HOP;
	const struct hop_wrap *wrap;

	if (index >= HOPS_MAX)
		return NULL;
	wrap = &hops.wrap[index][LOAD_ONCE(hops.live[index]) & 1];
	return wrap->ifindex ? wrap : NULL;
}

/* In 8-byte words: the header is 54 bytes, and byte-wise it would cost a third of the program's time. */
static __always_inline void header_copy(void *to, const void *from)
{
	_Static_assert(WRAP_INNER_OFFSET == 6 * 8 + 4 + 2, "six words, a half and a quarter");
#pragma unroll
	for (int i = 0; i < 6; i++)
		((__u64 *)to)[i] = ((const __u64 *)from)[i];
	((__u32 *)to)[12] = ((const __u32 *)from)[12];
	((__u16 *)to)[26] = ((const __u16 *)from)[26];
}

/* Writes the wrap over the first bytes of the frame and sends it. */
static __always_inline int wrap_send(struct xdp_md *ctx, const struct hop_wrap *hop, const struct wrap_label *label)
{
	__be16 length = bpf_htons(label->length + WRAP_OVERHEAD);
	struct wrapped w;

	if (!wrapped_find(ctx, &w))
		return drop(VERDICT_MALFORMED);
	header_copy((void *)(long)ctx->data, hop->header);
	w.ip->tos = label->ecn;
	w.ip->tot_len = length;
	w.ip->check = ~sum_fold(hop->check + length + bpf_htons(label->ecn));
	w.udp->source = label->sport;
	w.udp->len = bpf_htons(label->length + WRAP_OVERHEAD - WRAP_IP_LEN);
	w.private->format_hops |= label->hops;
	w.private->steering = label->steering;
	w.private->sender_entry |= bpf_htonl(label->entry_site);
	return hop->ifindex == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(hop->ifindex, 0);
}

/* Padding of a short Ethernet frame is not part of the packet, and must not look like it once wrapped. */
static __always_inline bool padding_cut(struct xdp_md *ctx, __u32 padding)
{
	return !padding || !bpf_xdp_adjust_tail(ctx, -(int)padding);
}

static __always_inline int packet_wrap(struct xdp_md *ctx, const struct packet *p, __u32 where)
{
	const struct hop_wrap *hop = hop_find(where);
	struct wrap_label label = {
		.length = p->length,
		.sport = bpf_htons(WRAP_SPORT_BASE | (hash_flow(p->saddr, p->daddr, p->ports) & WRAP_SPORT_MASK)),
		.steering = bpf_htons(p->steering),
		.entry_site = config.site_id,
		.ecn = p->tos & ECN_MASK,
	};

	if (!config.max_hops)
		return drop(VERDICT_HOP_LIMIT);
	if (!hop)
		return drop(VERDICT_HOP_UNRESOLVED);
	if (p->length + WRAP_OVERHEAD > hop->mtu) {
		count(VERDICT_TOO_BIG);
		if ((p->flags & (PACKET_DF | PACKET_ICMP_ERROR | PACKET_LATER)) != PACKET_DF)
			return XDP_DROP;
		return report_too_big(ctx, config.underlay, hop->mtu - WRAP_OVERHEAD);
	}
	if (!padding_cut(ctx, p->padding) || bpf_xdp_adjust_head(ctx, -WRAP_OVERHEAD))
		return drop(VERDICT_NO_HEADROOM);
	count(VERDICT_WRAP);
	return wrap_send(ctx, hop, &label);
}

/*
 * A UDP packet is for a program of this server only if a socket is bound to the very egress address, as connect() binds
 * one that is not: a socket on any address (a resolver, say) must not be reached through the pool.
 */
static __always_inline bool socket_wants(struct xdp_md *ctx, const struct packet *p)
{
	struct bpf_sock_tuple tuple = {
		.ipv4 = {.saddr = p->saddr, .daddr = p->daddr, .sport = p->sport, .dport = p->dport},
	};
	struct bpf_sock *sk = bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	bool wanted;

	if (!sk)
		return false;
	wanted = sk->src_ip4 == p->daddr;
	bpf_sk_release(sk);
	return wanted;
}

static __always_inline bool packet_unsolicited(const struct packet *p, __u32 entry)
{
	return (p->flags & PACKET_OPENS) && !(entry & SLICE_INBOUND);
}

/* A packet that came in from outside. */
static __always_inline int packet_enter(struct xdp_md *ctx, const struct packet *p)
{
	__u32 entry = slice_find(p->daddr, p->steering);
	__u32 where = entry & SLICE_WHERE_MASK;

	if (where == SLICE_NOT_OURS)
		return XDP_PASS;
	if (packet_unsolicited(p, entry))
		return drop(VERDICT_UNSOLICITED);
	if (where == SLICE_FREE)
		return drop(VERDICT_SLICE_UNOWNED);
	if (where == SLICE_LOCAL && (p->flags & PACKET_UDP) && !socket_wants(ctx, p))
		return drop(VERDICT_NO_SOCKET);
	if (p->flags & PACKET_FIRST)
		fragment_remember(p);
	if (where != SLICE_LOCAL)
		return packet_wrap(ctx, p, where);
	count(VERDICT_DELIVER_DIRECT);
	return XDP_PASS;
}

/* RFC 6040: congestion that the wrap met is the inner packet's. False: it cannot be marked there. */
static __always_inline bool ecn_propagate(struct iphdr *inner, __u32 outer)
{
	__be16 *word = (void *)inner; /* version, header length and TOS */
	__u32 was = inner->tos & ECN_MASK;
	__u32 ecn = ecn_decapsulate(was, outer & ECN_MASK);
	__be16 from = *word;

	if (ecn == ECN_DROP)
		return false;
	if (ecn == was)
		return true;
	inner->tos ^= was ^ ecn;
	inner->check = checksum_replace(inner->check, from, *word);
	return true;
}

/* Takes the wrap off and gives the inner packet to the stack, under the Ethernet addresses that the wrap had. */
static __always_inline int wrap_remove(struct xdp_md *ctx)
{
	struct wrapped w;

	if (!wrapped_find(ctx, &w))
		return drop(VERDICT_TUNNEL_MALFORMED);
	if (!ecn_propagate(w.inner, w.ip->tos))
		return drop(VERDICT_ECN_MISMATCH);
	__builtin_memcpy((void *)w.inner - ETH_HLEN, (void *)(long)ctx->data, ETH_HLEN);
	if (bpf_xdp_adjust_head(ctx, WRAP_OVERHEAD))
		return drop(VERDICT_NO_HEADROOM);
	count(VERDICT_DELIVER_UNWRAP);
	return XDP_PASS;
}

/* The inner packet says the same steering port as the wrap; then what holds for packets from outside holds for it. */
static __always_inline int inner_deliver(struct xdp_md *ctx, const struct packet *p, __u32 entry, __u32 steering)
{
	if (p->steering != steering)
		return drop(VERDICT_TUNNEL_MALFORMED);
	if (packet_unsolicited(p, entry))
		return drop(VERDICT_UNSOLICITED);
	if ((p->flags & PACKET_UDP) && !socket_wants(ctx, p))
		return drop(VERDICT_NO_SOCKET);
	return wrap_remove(ctx);
}

/* Inner packets other than plain TCP and UDP. A later fragment has no port: the wrap's was remembered at entry. */
static __noinline int inner_deliver_slowly(struct xdp_md *ctx, __u32 entry, __u32 steering)
{
	struct packet p;
	int verdict = packet_parse(ctx, WRAP_INNER_OFFSET, &p);

	if (verdict == VERDICT_FRAGMENT_UNKNOWN)
		return wrap_remove(ctx);
	if (verdict != UNDECIDED)
		return drop(verdict);
	return inner_deliver(ctx, &p, entry, steering);
}

static __always_inline int tunnel_deliver(struct xdp_md *ctx, const struct wrapped *w, __u32 entry)
{
	__u32 steering = bpf_ntohs(w->private->steering);
	struct packet p;

	if (!packet_read_plain(w->inner, w->end, &p))
		return inner_deliver_slowly(ctx, entry, steering);
	return inner_deliver(ctx, &p, entry, steering);
}

/* Sends a tunnel packet on: the frame keeps its length, and ECN stays as the way here left it. */
static __always_inline int tunnel_relay(struct xdp_md *ctx, const struct wrapped *w, __u32 where)
{
	const struct hop_wrap *hop = hop_find(where);
	__u32 length = bpf_ntohs(w->ip->tot_len);
	struct wrap_label label = {
		.hops = (w->private->format_hops & WRAP_HOPS_MAX) + 1,
		.length = length - WRAP_OVERHEAD,
		.sport = w->udp->source,
		.steering = w->private->steering,
		.entry_site = bpf_ntohl(w->private->sender_entry) & WRAP_SITE_ID_MAX,
		.ecn = w->ip->tos & ECN_MASK,
	};
	__u32 padding = distance(w->ip, w->end) - length;

	if (label.hops >= config.max_hops || label.hops > WRAP_HOPS_MAX)
		return drop(VERDICT_HOP_LIMIT);
	if (!hop)
		return drop(VERDICT_HOP_UNRESOLVED);
	if (length > hop->mtu)
		return drop(VERDICT_TOO_BIG);
	if (!padding_cut(ctx, padding))
		return drop(VERDICT_TUNNEL_MALFORMED);
	count(VERDICT_RELAY);
	return wrap_send(ctx, hop, &label);
}

/*
 * The wrap is as docs/wire.md has it, and its lengths agree. That the frame bears out the total length is known since
 * packet_read_plain().
 */
static __always_inline bool wrap_valid(const struct wrapped *w)
{
	__u32 length = bpf_ntohs(w->ip->tot_len);

	return *w->gue == bpf_htonl(WRAP_GUE_FIRST << 24 | WRAP_GUE_PROTO << 16) &&
	       w->private->format_hops >> 4 == WRAP_FORMAT && !w->private->flags && !w->udp->check &&
	       w->inner->version == 4 && length == bpf_ntohs(w->udp->len) + WRAP_IP_LEN &&
	       length == bpf_ntohs(w->inner->tot_len) + WRAP_OVERHEAD;
}

/* Its sender is a server of the fleet: its underlay address is the one that belongs to its id. */
static __always_inline bool sender_known(const struct wrapped *w)
{
	__be32 underlay = members.underlay[bpf_ntohl(w->private->sender_entry) >> WRAP_SITE_ID_BITS];

	return underlay && underlay == w->ip->saddr;
}

/* A UDP packet to the wrap port of this server or its site, without IP options, in one piece. */
static __always_inline int tunnel_receive(struct xdp_md *ctx)
{
	struct wrapped w;
	__u32 entry, where;

	if (!wrapped_find(ctx, &w) || !wrap_valid(&w))
		return drop(VERDICT_TUNNEL_MALFORMED);
	if (!sender_known(&w))
		return drop(VERDICT_TUNNEL_STRANGER);
	entry = slice_find(w.inner->daddr, bpf_ntohs(w.private->steering));
	where = entry & SLICE_WHERE_MASK;
	if (where == SLICE_NOT_OURS)
		return drop(VERDICT_INNER_STRANGER);
	if (where == SLICE_FREE)
		return drop(VERDICT_SLICE_UNOWNED);
	if (where == SLICE_LOCAL)
		return tunnel_deliver(ctx, &w, entry);
	return tunnel_relay(ctx, &w, where);
}

static __always_inline bool tunnel_address(__be32 address)
{
	return address == config.underlay || (address == config.tunnel && address);
}

/* A packet to one of this server's tunnel addresses that is not plain UDP: ours if it has our port, then refused. */
static __always_inline int tunnel_receive_slowly(struct xdp_md *ctx)
{
	const void *end = (void *)(long)ctx->data_end;
	const struct iphdr *ip = (void *)(long)ctx->data + ETH_HLEN;
	const struct udphdr *udp;

	if ((const void *)(ip + 1) > end || ip->protocol != IPPROTO_UDP || ip->ihl * 4 < sizeof(*ip) ||
	    (ip->frag_off & bpf_htons(IPV4_OFFSET)))
		return XDP_PASS;
	udp = (const void *)ip + ip->ihl * 4;
	if ((const void *)(udp + 1) > end || udp->dest != config.wrap_port)
		return XDP_PASS;
	return drop(VERDICT_TUNNEL_MALFORMED);
}

/* Every IPv4 packet that packet_read_plain() does not take. */
static __noinline int enter_slowly(struct xdp_md *ctx)
{
	const struct ethhdr *eth = (void *)(long)ctx->data;
	const struct iphdr *ip = (const void *)(eth + 1);
	struct packet p;
	int verdict;

	if ((const void *)(ip + 1) > (void *)(long)ctx->data_end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if (tunnel_address(ip->daddr))
		return tunnel_receive_slowly(ctx);
	if (!pool_contains(ip->daddr))
		return XDP_PASS;
	verdict = packet_parse(ctx, ETH_HLEN, &p);
	if (verdict == VERDICT_FRAGMENT_UNKNOWN && fragment_recall(&p))
		verdict = UNDECIDED;
	if (verdict != UNDECIDED)
		return drop(verdict);
	return packet_enter(ctx, &p);
}

SEC("xdp")
int forwarder(struct xdp_md *ctx)
{
	const struct ethhdr *eth = (void *)(long)ctx->data;
	const void *end = (void *)(long)ctx->data_end;
	struct packet p;

	if (config.layout != BERTH_LAYOUT_VERSION)
		return XDP_PASS;
	if ((const void *)(eth + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP))
		return XDP_PASS;
	if (!packet_read_plain(eth + 1, end, &p))
		return enter_slowly(ctx);
	if ((p.flags & PACKET_UDP) && p.dport == config.wrap_port && tunnel_address(p.daddr))
		return tunnel_receive(ctx);
	return packet_enter(ctx, &p);
}

char _license[] SEC("license") = "Dual BSD/GPL";
