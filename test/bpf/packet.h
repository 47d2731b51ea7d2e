/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: packets for tests
 *
 * A packet is a list of headers, outermost first, one readable line each:
 *
 *	PACKET(ETH(ROUTER, SERVER), IP(.src = PEER, .dst = EGRESS), TCP(.src = 443, .dst = 4100), BYTES(100))
 *
 * Lengths and checksums are computed from what follows, in the plain way of the RFCs and with nothing of the programs
 * under test, unless a header says otherwise. Addresses and ports are in host byte order.
 */
#ifndef BERTH_TEST_BPF_PACKET_H
#define BERTH_TEST_BPF_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PACKET_MAX 4096

struct packet {
	uint8_t bytes[PACKET_MAX];
	size_t size;
};

enum layer_kind {
	LAYER_END,
	LAYER_ETH,
	LAYER_IP,
	LAYER_UDP,
	LAYER_TCP,
	LAYER_ICMP,
	LAYER_GUE,
	LAYER_BYTES,
	LAYER_QUOTE
};

struct layer_eth {
	uint64_t dst; /* 0x0a0000000001 is 0a:00:00:00:00:01 */
	uint64_t src;
	uint16_t type; /* 0: IPv4 */
};

struct layer_ip {
	uint32_t src;
	uint32_t dst;
	uint8_t protocol; /* 0: that of the next header; an IPv4 header is 4 */
	uint8_t ttl; /* 0: 64 */
	uint8_t tos; /* DSCP and ECN */
	bool df;
	bool mf;
	uint16_t id;
	uint16_t offset; /* of a fragment, in 8-byte units */
	uint8_t options; /* bytes of no-operation options, a multiple of 4 */
	uint8_t version; /* 0: 4 */
	uint8_t words; /* 0: header length as it is */
	int length_error; /* added to the right total length */
	uint16_t check; /* with fixed_check: as given */
	bool fixed_check;
};

struct layer_udp {
	uint16_t src;
	uint16_t dst;
	int length_error;
	bool no_check; /* checksum 0: none */
	uint16_t check_error;
};

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_ACK 0x10

struct layer_tcp {
	uint16_t src;
	uint16_t dst;
	uint32_t seq;
	uint8_t flags; /* 0: ACK */
};

struct layer_icmp {
	uint8_t type;
	uint8_t code;
	uint16_t id; /* echo; unused otherwise */
	uint16_t value;
};

/* GUE with our private data; 0 in the first two: as docs/wire.md has them. */
struct layer_gue {
	uint8_t first;
	uint8_t protocol;
	uint16_t flags;
	uint8_t format; /* 0: 1 */
	uint8_t hops;
	uint8_t private_flags;
	uint16_t steering;
	uint32_t server;
	uint16_t site;
};

struct layer;

/* The beginning of another packet, without its Ethernet header. */
struct layer_quote {
	const struct layer *packet;
	size_t size;
};

struct layer {
	enum layer_kind kind;
	union {
		struct layer_eth eth;
		struct layer_ip ip;
		struct layer_udp udp;
		struct layer_tcp tcp;
		struct layer_icmp icmp;
		struct layer_gue gue;
		struct layer_quote quote;
		size_t bytes; /* how many, of a fixed pattern */
	};
};

/* clang-format off */
#define ETH(to, from, ...) {.kind = LAYER_ETH, .eth = {.dst = (to), .src = (from), __VA_ARGS__}}
#define IP(...) {.kind = LAYER_IP, .ip = {__VA_ARGS__}}
#define UDP(...) {.kind = LAYER_UDP, .udp = {__VA_ARGS__}}
#define TCP(...) {.kind = LAYER_TCP, .tcp = {__VA_ARGS__}}
#define ICMP(...) {.kind = LAYER_ICMP, .icmp = {__VA_ARGS__}}
#define GUE(...) {.kind = LAYER_GUE, .gue = {__VA_ARGS__}}
#define BYTES(count) {.kind = LAYER_BYTES, .bytes = (count)}
#define QUOTE(count, ...) {.kind = LAYER_QUOTE, .quote = {.packet = PACKET(__VA_ARGS__), .size = (count)}}
#define PACKET(...) ((const struct layer[]){__VA_ARGS__, {.kind = LAYER_END}})
/* clang-format on */

#define IPV4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

void packet_build(const struct layer *layers, struct packet *ret);
/* The first `size` bytes and no more. */
void packet_cut(struct packet *packet, size_t size);
/* `size` more bytes of 0xee behind the end: what a device or a short frame adds. */
void packet_pad(struct packet *packet, size_t size);
/* False, with both packets printed on stderr where they differ. */
bool packet_same(const struct packet *expected, const struct packet *got);
/* One's complement sum of `size` bytes as big-endian words, folded, not inverted (RFC 1071). */
uint16_t packet_sum(const uint8_t *bytes, size_t size);

#endif
