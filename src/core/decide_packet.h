/* SPDX-License-Identifier: Apache-2.0 */
/* What a decision needs to know of an IPv4 packet. Numbers in host byte order. */
#ifndef BERTH_CORE_DECIDE_PACKET_H
#define BERTH_CORE_DECIDE_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../abi/verdict.h"

/* Offsets in the IPv4 header (RFC 791). */
#define IPV4_TOS 1
#define IPV4_LENGTH 2
#define IPV4_ID 4
#define IPV4_FLAGS 6
#define IPV4_TTL 8
#define IPV4_PROTOCOL 9
#define IPV4_CHECK 10
#define IPV4_SOURCE 12
#define IPV4_DESTINATION 16
#define IPV4_HEADER 20

#define IPV4_FLAG_DF 0x4000
#define IPV4_FLAG_MF 0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff

enum { PROTO_ICMP = 1, PROTO_TCP = 6, PROTO_UDP = 17 };

#define ICMP_TYPE_UNREACHABLE 3
#define ICMP_CODE_TOO_BIG 4

struct decide_packet {
	uint32_t source;
	uint32_t destination;
	size_t length; /* of the whole IPv4 packet */
	uint16_t steering;
	uint32_t spread; /* third argument of hash_flow(); of a fragment: what its datagram is known by */
	bool opens; /* a TCP connection */
	bool udp; /* with its ports */
	bool icmp_error;
	bool df;
	bool first; /* fragment of several */
	bool later;
	uint8_t ecn;
	uint16_t sport; /* with udp */
	uint16_t dport;
};

uint16_t decide_get16(const uint8_t *at);
uint32_t decide_get32(const uint8_t *at);
void decide_put16(uint8_t *at, uint16_t value);
void decide_put32(uint8_t *at, uint32_t value);

/*
 * size: what the frame has of it, padding included. VERDICT_COUNT: *ret is whole; else the verdict that drops the
 * packet. Of a later fragment (VERDICT_FRAGMENT_UNKNOWN) it lacks the steering port.
 */
enum verdict decide_packet_read(const uint8_t *packet, size_t size, struct decide_packet *ret);

#endif
