/* SPDX-License-Identifier: Apache-2.0 */
#include "decide_packet.h"

#include <string.h>

#define READ VERDICT_COUNT

#define TCP_HEADER 20
#define TCP_FLAGS 13
#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_ACK 0x10
#define UDP_HEADER 8
#define ICMP_HEADER 8

uint16_t decide_get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

uint32_t decide_get32(const uint8_t *at)
{
	return (uint32_t)decide_get16(at) << 16 | decide_get16(at + 2);
}

void decide_put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

void decide_put32(uint8_t *at, uint32_t value)
{
	decide_put16(at, (uint16_t)(value >> 16));
	decide_put16(at + 2, (uint16_t)value);
}

/* What an ICMP error is about left from a slice: the error's destination is its source, and its source port steers. */
static enum verdict quote_read(const uint8_t *quote, size_t size, struct decide_packet *ret)
{
	enum { ECHO_REQUEST = 8 };
	size_t header = size ? (quote[0] & 15) * 4u : 0;
	const uint8_t *payload = quote + header;

	if (size < IPV4_HEADER || quote[0] >> 4 != 4 || header < IPV4_HEADER || size < header + 8 ||
	    decide_get32(quote + IPV4_SOURCE) != ret->destination)
		return VERDICT_MALFORMED;
	if (decide_get16(quote + IPV4_FLAGS) & IPV4_FRAGMENT_OFFSET)
		return VERDICT_NO_PORT;
	ret->icmp_error = true;
	switch (quote[IPV4_PROTOCOL]) {
	case PROTO_TCP:
	case PROTO_UDP:
		ret->steering = decide_get16(payload);
		return READ;
	case PROTO_ICMP:
		ret->steering = decide_get16(payload + 4);
		return payload[0] == ECHO_REQUEST ? READ : VERDICT_NO_PORT;
	default:
		return VERDICT_NO_PORT;
	}
}

static enum verdict icmp_read(const uint8_t *icmp, size_t size, struct decide_packet *ret)
{
	enum { ECHO_REPLY = 0, SOURCE_QUENCH = 4, ECHO_REQUEST = 8, TIME_EXCEEDED = 11, PARAMETER_PROBLEM = 12 };
	enum verdict verdict = READ;

	if (size < ICMP_HEADER)
		return VERDICT_MALFORMED;
	switch (icmp[0]) {
	case ECHO_REQUEST:
		return VERDICT_UNSOLICITED;
	case ECHO_REPLY:
		ret->steering = decide_get16(icmp + 4);
		break;
	case ICMP_TYPE_UNREACHABLE:
	case SOURCE_QUENCH:
	case TIME_EXCEEDED:
	case PARAMETER_PROBLEM:
		verdict = quote_read(icmp + ICMP_HEADER, size - ICMP_HEADER, ret);
		break;
	default:
		return VERDICT_NO_PORT;
	}
	ret->spread = ret->steering;
	return verdict;
}

static enum verdict ports_read(const uint8_t *segment, size_t size, bool tcp, struct decide_packet *ret)
{
	if (size < (tcp ? TCP_HEADER : UDP_HEADER))
		return VERDICT_MALFORMED;
	ret->opens = tcp && (segment[TCP_FLAGS] & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN;
	ret->udp = !tcp;
	ret->sport = decide_get16(segment);
	ret->dport = decide_get16(segment + 2);
	ret->steering = ret->dport;
	memcpy(&ret->spread, segment, sizeof(ret->spread));
	return READ;
}

enum verdict decide_packet_read(const uint8_t *packet, size_t size, struct decide_packet *ret)
{
	uint32_t datagram;
	uint16_t flags;
	size_t header;
	enum verdict verdict;

	*ret = (struct decide_packet){0};
	if (size < IPV4_HEADER)
		return VERDICT_MALFORMED;
	header = (packet[0] & 15) * 4u;
	ret->length = decide_get16(packet + IPV4_LENGTH);
	if (packet[0] >> 4 != 4 || header < IPV4_HEADER || ret->length < header || ret->length > size)
		return VERDICT_MALFORMED;
	flags = decide_get16(packet + IPV4_FLAGS);
	ret->source = decide_get32(packet + IPV4_SOURCE);
	ret->destination = decide_get32(packet + IPV4_DESTINATION);
	ret->df = flags & IPV4_FLAG_DF;
	ret->ecn = packet[IPV4_TOS] & 3;
	ret->later = flags & IPV4_FRAGMENT_OFFSET;
	ret->first = !ret->later && flags & IPV4_FLAG_MF;
	datagram = (uint32_t)packet[IPV4_PROTOCOL] << 16 | decide_get16(packet + IPV4_ID);
	ret->spread = datagram;
	if (ret->later)
		return VERDICT_FRAGMENT_UNKNOWN;
	if (packet[IPV4_PROTOCOL] == PROTO_ICMP)
		verdict = icmp_read(packet + header, ret->length - header, ret);
	else if (packet[IPV4_PROTOCOL] == PROTO_TCP || packet[IPV4_PROTOCOL] == PROTO_UDP)
		verdict = ports_read(packet + header, ret->length - header, packet[IPV4_PROTOCOL] == PROTO_TCP, ret);
	else
		verdict = VERDICT_NO_PORT;
	if (ret->first)
		ret->spread = datagram;
	return verdict;
}
