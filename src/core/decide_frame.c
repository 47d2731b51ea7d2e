/* SPDX-License-Identifier: Apache-2.0 */
#include "decide_frame.h"

#include <arpa/inet.h>
#include <string.h>

/* What a report quotes of the packet that was too big: the longest IPv4 header and 8 bytes. */
#define QUOTED 68
#define REPORT_SIZE (IPV4_HEADER + 8 + QUOTED)

enum { NOT_ECT, ECT_1, ECT_0, CE };

static uint16_t sum(const uint8_t *bytes, size_t size)
{
	uint32_t total = 0;

	for (size_t i = 0; i < size; i += 2)
		total += decide_get16(bytes + i);
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

void decide_drop(struct decide_frame *frame, enum verdict verdict)
{
	frame->ret->action = DECIDE_DROP;
	frame->ret->verdict = verdict;
}

void decide_pass(struct decide_frame *frame, enum verdict verdict)
{
	frame->ret->action = DECIDE_PASS;
	frame->ret->verdict = verdict;
}

void decide_send(struct decide_frame *frame, const struct hop_wrap *hop, const struct decide_label *label, size_t inner,
		 enum verdict verdict)
{
	struct decision *ret = frame->ret;
	uint8_t *out = ret->bytes;

	memcpy(out, hop->header, INNER);
	memcpy(out + INNER, frame->bytes + inner, label->length);
	out[OUTER + IPV4_TOS] = label->ecn;
	decide_put16(out + OUTER + IPV4_LENGTH, (uint16_t)(label->length + WRAP_OVERHEAD));
	decide_put16(out + OUTER + IPV4_CHECK, 0);
	decide_put16(out + OUTER + IPV4_CHECK, (uint16_t)~sum(out + OUTER, IPV4_HEADER));
	decide_put16(out + OUTER_UDP_SOURCE, label->sport);
	decide_put16(out + OUTER_UDP_LENGTH, (uint16_t)(label->length + WRAP_OVERHEAD - WRAP_IP_LEN));
	out[PRIVATE] = (uint8_t)(WRAP_FORMAT << 4 | label->hops);
	decide_put16(out + PRIVATE_STEERING, label->steering);
	decide_put32(out + PRIVATE_SENDER, frame->decider->config->server_id << WRAP_SITE_ID_BITS | label->entry_site);
	ret->action = DECIDE_SEND;
	ret->verdict = verdict;
	ret->ifindex = hop->ifindex;
	ret->size = INNER + label->length;
}

/* RFC 1122, 3.2.2: no ICMP error goes to "this network", loopback, multicast or a reserved address. */
static bool names_host(uint32_t addr)
{
	return addr >> 24 && addr >> 24 != 127 && addr >> 24 < 224;
}

void decide_report(struct decide_frame *frame, const struct decide_packet *packet, uint16_t mtu)
{
	uint8_t *out = frame->ret->bytes, *ip = out + WRAP_ETH_LEN, *icmp = ip + IPV4_HEADER;

	if (!packet->df || packet->icmp_error || packet->later || !names_host(packet->source) ||
	    frame->size < WRAP_ETH_LEN + QUOTED)
		return;
	frame->ret->action = DECIDE_ANSWER;
	frame->ret->size = WRAP_ETH_LEN + REPORT_SIZE;
	memcpy(out, frame->bytes + 6, 6);
	memcpy(out + 6, frame->bytes, 6);
	memcpy(out + ETHERTYPE, frame->bytes + ETHERTYPE, 2);
	memset(ip, 0, IPV4_HEADER + 8);
	memcpy(icmp + 8, frame->bytes + WRAP_ETH_LEN, QUOTED);
	ip[0] = 0x45;
	ip[IPV4_TOS] = 0xc0;
	decide_put16(ip + IPV4_LENGTH, REPORT_SIZE);
	decide_put16(ip + IPV4_FLAGS, IPV4_FLAG_DF);
	ip[IPV4_TTL] = 64;
	ip[IPV4_PROTOCOL] = PROTO_ICMP;
	decide_put32(ip + IPV4_SOURCE, ntohl(frame->decider->config->underlay));
	decide_put32(ip + IPV4_DESTINATION, packet->source);
	decide_put16(ip + IPV4_CHECK, (uint16_t)~sum(ip, IPV4_HEADER));
	icmp[0] = ICMP_TYPE_UNREACHABLE;
	icmp[1] = ICMP_CODE_TOO_BIG;
	decide_put16(icmp + 6, mtu);
	decide_put16(icmp + 2, (uint16_t)~sum(icmp, 8 + QUOTED));
}

/* RFC 6040, figure 4. False: the mark has no place in the inner packet. */
static bool ecn_combine(uint8_t *inner, uint8_t outer)
{
	uint8_t was = inner[IPV4_TOS] & 3, ecn = was;
	uint16_t before = decide_get16(inner);
	uint32_t check;

	outer &= 3;
	if (outer == CE && was == NOT_ECT)
		return false;
	if (outer == CE || (outer == ECT_1 && was == ECT_0))
		ecn = outer;
	if (ecn == was)
		return true;
	inner[IPV4_TOS] = (uint8_t)((inner[IPV4_TOS] & ~3) | ecn);
	/* RFC 1624, equation 3: what was wrong in the checksum stays wrong. */
	check = (uint16_t)~decide_get16(inner + IPV4_CHECK) + (uint16_t)~before + decide_get16(inner);
	check = (check & 0xffff) + (check >> 16);
	check = (check & 0xffff) + (check >> 16);
	decide_put16(inner + IPV4_CHECK, (uint16_t)~check);
	return true;
}

void decide_unwrap(struct decide_frame *frame)
{
	struct decision *ret = frame->ret;

	memcpy(ret->bytes, frame->bytes, WRAP_ETH_LEN);
	memcpy(ret->bytes + WRAP_ETH_LEN, frame->bytes + INNER, frame->size - INNER);
	if (!ecn_combine(ret->bytes + WRAP_ETH_LEN, frame->bytes[OUTER + IPV4_TOS])) {
		memcpy(ret->bytes, frame->bytes, frame->size);
		decide_drop(frame, VERDICT_ECN_MISMATCH);
		return;
	}
	ret->size = frame->size - WRAP_OVERHEAD;
	decide_pass(frame, VERDICT_DELIVER_UNWRAP);
}
