/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: the wrap
 *
 * What stands in front of an inner IPv4 packet on its way between servers: Ethernet, IPv4 (20 bytes, DF set, TTL 64),
 * UDP (checksum 0) and GUE version 0 (draft-ietf-intarea-gue-09) with 8 bytes of private data. 40 bytes over IPv4.
 *
 *   GUE      byte 0     version (2 bits, 0), control (1 bit, 0), header length in 32-bit words past the first (5, =2)
 *            byte 1     protocol of the inner packet: 4, IPv4
 *            bytes 2-3  flags: 0
 *   private  byte 4     format version (high 4 bits), forwardings before this one (low 4 bits)
 *            byte 5     flags: 0
 *            bytes 6-7  steering port, network byte order
 *            bytes 8-11 network byte order: id of the sending server (high 20 bits), entry site (low 12 bits)
 */
#ifndef BERTH_ABI_WRAP_H
#define BERTH_ABI_WRAP_H

#include <linux/types.h>

#define WRAP_PORT 6080
#define WRAP_FORMAT 1
#define WRAP_TTL 64

#define WRAP_ETH_LEN 14
#define WRAP_IP_LEN 20
#define WRAP_UDP_LEN 8
#define WRAP_GUE_LEN 12

/* What a wrap adds to an IPv4 packet, the Ethernet header left out. */
#define WRAP_OVERHEAD (WRAP_IP_LEN + WRAP_UDP_LEN + WRAP_GUE_LEN)

/* Offsets from the start of a wrapped frame. */
#define WRAP_IP_OFFSET WRAP_ETH_LEN
#define WRAP_UDP_OFFSET (WRAP_IP_OFFSET + WRAP_IP_LEN)
#define WRAP_GUE_OFFSET (WRAP_UDP_OFFSET + WRAP_UDP_LEN)
#define WRAP_INNER_OFFSET (WRAP_GUE_OFFSET + WRAP_GUE_LEN)

/* First byte of the GUE header: version 0, no control message, two words of private data. */
#define WRAP_GUE_FIRST 0x02
#define WRAP_GUE_PROTO 4

/* The outer UDP source port is this plus 14 bits of the inner flow's hash. */
#define WRAP_SPORT_BASE 0xc000u
#define WRAP_SPORT_MASK 0x3fffu

#define WRAP_SERVER_ID_BITS 20
#define WRAP_SITE_ID_BITS 12
#define WRAP_SERVER_ID_MAX ((1u << WRAP_SERVER_ID_BITS) - 1)
#define WRAP_SITE_ID_MAX ((1u << WRAP_SITE_ID_BITS) - 1)
/* Forwardings are counted in 4 bits. */
#define WRAP_HOPS_MAX 15
#define WRAP_HOPS_DEFAULT 4

struct wrap_private {
	__u8 format_hops; /* WRAP_FORMAT << 4 | forwardings */
	__u8 flags; /* 0 */
	__be16 steering;
	__be32 sender_entry; /* server id << 12 | entry site id */
};

_Static_assert(sizeof(struct wrap_private) == 8, "private data of the wrap is 8 bytes");

#endif
