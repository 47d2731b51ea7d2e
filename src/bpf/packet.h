/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: what the forwarder reads of an IPv4 packet
 *
 * packet_read_plain() takes the common packet, TCP or UDP without options or fragments, at fixed offsets.
 * packet_parse() takes every other, out of line. Both give the same facts; no length is believed that the frame does
 * not bear out.
 */
#ifndef BERTH_BPF_PACKET_H
#define BERTH_BPF_PACKET_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../abi/slice.h"
#include "../abi/verdict.h"
#include "icmp.h"
#include "ipv4.h"

/* What a function says that found no reason to drop a packet. */
#define UNDECIDED VERDICT_COUNT

#define PACKET_OPENS (1u << 0) /* TCP SYN without ACK */
#define PACKET_UDP (1u << 1) /* UDP with its ports in it */
#define PACKET_ICMP_ERROR (1u << 2) /* never to be answered with one */
#define PACKET_DF (1u << 3)
#define PACKET_FIRST (1u << 4) /* first fragment */
#define PACKET_LATER (1u << 5) /* later fragment: never to be answered with an ICMP error */

struct packet {
	__be32 saddr;
	__be32 daddr;
	__u32 ports; /* what hash_flow() calls so */
	__u32 length; /* of the IPv4 packet, bytes */
	__u32 padding; /* bytes of the frame behind it */
	__u32 flags; /* PACKET_* */
	__u16 steering; /* steering port, host byte order */
	__be16 sport; /* UDP only */
	__be16 dport;
	__u8 tos;
};

/* The barrier keeps the subtraction whole: the verifier takes no 32-bit arithmetic on packet pointers. */
static __always_inline __u32 distance(const void *from, const void *to)
{
	__u64 bytes = (const char *)to - (const char *)from;

	asm volatile("" : "+r"(bytes));
	return bytes;
}

static __always_inline __u32 tcp_flags(const struct tcphdr *tcp)
{
	return tcp->syn && !tcp->ack ? PACKET_OPENS : 0;
}

/* at: the IPv4 header. False: not such a packet, or not whole; *p is then not set. */
static __always_inline bool packet_read_plain(const void *at, const void *end, struct packet *p)
{
	const struct iphdr *ip = at;
	const struct tcphdr *tcp = (const void *)(ip + 1); /* UDP has its ports at the same place */
	__u32 length;

	if ((const void *)(tcp + 1) > end || *(const __u8 *)at != 0x45 ||
	    (ip->frag_off & bpf_htons(IPV4_MF | IPV4_OFFSET)))
		return false;
	length = bpf_ntohs(ip->tot_len);
	if (length < sizeof(*ip) + sizeof(*tcp) || length > distance(at, end))
		return false;
	if (ip->protocol == IPPROTO_TCP)
		p->flags = tcp_flags(tcp);
	else if (ip->protocol == IPPROTO_UDP)
		p->flags = PACKET_UDP;
	else
		return false;
	if (ip->frag_off & bpf_htons(IPV4_DF))
		p->flags |= PACKET_DF;
	p->saddr = ip->saddr;
	p->daddr = ip->daddr;
	p->ports = *(const __u32 *)tcp;
	p->length = length;
	p->padding = distance(at, end) - length;
	p->steering = bpf_ntohs(tcp->dest);
	p->sport = tcp->source;
	p->dport = tcp->dest;
	p->tos = ip->tos;
	return true;
}

/*
 * The packet that an ICMP error is about, as much of it as is quoted: what went out from a slice, so its source is
 * the error's destination and its source port the steering port. Eight bytes behind its header are enough, and all
 * that RFC 792 promises. size: bytes quoted.
 */
static __always_inline int quote_parse(const void *at, const void *end, __u32 size, struct packet *p)
{
	const struct iphdr *ip = at;
	const __be16 *words;
	__u32 header;

	if (size < sizeof(*ip) || (const void *)(ip + 1) > end)
		return VERDICT_MALFORMED;
	header = ip->ihl * 4;
	words = at + header;
	if (ip->version != 4 || header < sizeof(*ip) || size < header + 8 || (const void *)(words + 4) > end ||
	    ip->saddr != p->daddr)
		return VERDICT_MALFORMED;
	if (ip->frag_off & bpf_htons(IPV4_OFFSET))
		return VERDICT_NO_PORT;
	if (ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP)
		p->steering = bpf_ntohs(words[0]);
	else if (ip->protocol == IPPROTO_ICMP && *(const __u8 *)words == ICMP_ECHO_REQUEST)
		p->steering = bpf_ntohs(words[2]); /* its identifier */
	else
		return VERDICT_NO_PORT;
	p->flags |= PACKET_ICMP_ERROR;
	return UNDECIDED;
}

/*
 * Redirects (type 5) come from a router of the own link and nowhere else: never forwarded. size: bytes of the packet
 * from the ICMP header on.
 */
static __always_inline int icmp_parse(const void *at, const void *end, __u32 size, struct packet *p)
{
	const struct icmp *icmp = at;
	int verdict;

	if (size < sizeof(*icmp) || (const void *)(icmp + 1) > end)
		return VERDICT_MALFORMED;
	switch (icmp->type) {
	case ICMP_ECHO_REQUEST:
		return VERDICT_UNSOLICITED;
	case ICMP_ECHO_REPLY:
		p->steering = bpf_ntohs(icmp->id);
		break;
	case ICMP_UNREACHABLE:
	case ICMP_SOURCE_QUENCH:
	case ICMP_TIME_EXCEEDED:
	case ICMP_PARAMETER_PROBLEM:
		verdict = quote_parse(icmp + 1, end, size - sizeof(*icmp), p);
		if (verdict != UNDECIDED)
			return verdict;
		break;
	default:
		return VERDICT_NO_PORT;
	}
	p->ports = p->steering;
	return UNDECIDED;
}

/* A first fragment must bring the whole TCP header: RFC 1858's tiny fragments would hide the flags. */
static __always_inline int ports_parse(const void *at, const void *end, __u32 size, __u8 proto, struct packet *p)
{
	const struct udphdr *udp = at;
	const struct tcphdr *tcp = at;

	if (size < sizeof(*udp) || (const void *)(udp + 1) > end)
		return VERDICT_MALFORMED;
	if (proto == IPPROTO_TCP) {
		if (size < sizeof(*tcp) || (const void *)(tcp + 1) > end)
			return VERDICT_MALFORMED;
		p->flags |= tcp_flags(tcp);
	} else {
		p->flags |= PACKET_UDP;
	}
	p->ports = *(const __u32 *)udp;
	p->sport = udp->source;
	p->dport = udp->dest;
	p->steering = bpf_ntohs(udp->dest);
	return UNDECIDED;
}

/*
 * Reads the IPv4 packet at `offset` of the frame. UNDECIDED: *p is filled; else the verdict that drops it. For a later
 * fragment, which is VERDICT_FRAGMENT_UNKNOWN, all of *p but the steering port is filled.
 */
static __noinline int packet_parse(struct xdp_md *ctx, __u32 offset, struct packet *p)
{
	const void *end = (void *)(long)ctx->data_end;
	const void *at = (void *)(long)ctx->data + offset;
	const struct iphdr *ip = at;
	__u32 header, fragment, size;
	const void *payload;
	int verdict;

	if ((const void *)(ip + 1) > end)
		return VERDICT_MALFORMED;
	header = ip->ihl * 4;
	p->length = bpf_ntohs(ip->tot_len);
	if (ip->version != 4 || header < sizeof(*ip) || p->length < header || p->length > distance(at, end))
		return VERDICT_MALFORMED;
	fragment = bpf_ntohs(ip->frag_off);
	p->saddr = ip->saddr;
	p->daddr = ip->daddr;
	p->padding = distance(at, end) - p->length;
	p->flags = fragment & IPV4_DF ? PACKET_DF : 0;
	p->tos = ip->tos;
	p->sport = p->dport = 0;
	p->ports = ip->protocol << 16 | bpf_ntohs(ip->id);
	if (fragment & IPV4_OFFSET) {
		p->flags |= PACKET_LATER;
		return VERDICT_FRAGMENT_UNKNOWN;
	}

	payload = at + header;
	size = p->length - header;
	if (ip->protocol == IPPROTO_ICMP)
		verdict = icmp_parse(payload, end, size, p);
	else if (ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP)
		verdict = ports_parse(payload, end, size, ip->protocol, p);
	else
		return VERDICT_NO_PORT;
	if (fragment & IPV4_MF) {
		p->flags |= PACKET_FIRST;
		p->ports = ip->protocol << 16 | bpf_ntohs(ip->id);
	}
	return verdict;
}

#endif
