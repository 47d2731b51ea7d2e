/* SPDX-License-Identifier: Apache-2.0 */
#include "hop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "../abi/wrap.h"

/* Offsets within the headers that <linux/ip.h> and friends would name; the wrap is bytes, not structs. */
#define ETH_TYPE_OFFSET 12
#define IP_FRAG_OFFSET 6
#define IP_TTL_OFFSET 8
#define IP_PROTO_OFFSET 9
#define IP_SRC_OFFSET 12
#define IP_DST_OFFSET 16
#define UDP_DPORT_OFFSET 2
#define GUE_PRIVATE_OFFSET 4

static void put_be16(uint8_t *at, uint16_t value)
{
	uint16_t be = htons(value);

	memcpy(at, &be, sizeof(be));
}

static void put_be32(uint8_t *at, uint32_t value)
{
	uint32_t be = htonl(value);

	memcpy(at, &be, sizeof(be));
}

static uint16_t ip_partial_sum(const uint8_t *ip)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < WRAP_IP_LEN; i += 2) {
		uint16_t word;

		memcpy(&word, ip + i, sizeof(word));
		sum += word;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static void ip_fill(uint8_t *ip, const struct hop_way *way)
{
	ip[0] = 0x45;
	put_be16(ip + IP_FRAG_OFFSET, 0x4000); /* DF */
	ip[IP_TTL_OFFSET] = WRAP_TTL;
	ip[IP_PROTO_OFFSET] = IPPROTO_UDP;
	put_be32(ip + IP_SRC_OFFSET, way->src);
	put_be32(ip + IP_DST_OFFSET, way->dst);
}

static void gue_fill(uint8_t *gue, const struct hop_way *way)
{
	struct wrap_private private = {
		.format_hops = WRAP_FORMAT << 4,
		.sender_entry = htonl(way->server_id << WRAP_SITE_ID_BITS),
	};

	gue[0] = WRAP_GUE_FIRST;
	gue[1] = WRAP_GUE_PROTO;
	memcpy(gue + GUE_PRIVATE_OFFSET, &private, sizeof(private));
}

void hop_wrap_build(const struct hop_way *way, struct hop_wrap *ret)
{
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->header, way->dst_mac, 6);
	memcpy(ret->header + 6, way->src_mac, 6);
	put_be16(ret->header + ETH_TYPE_OFFSET, 0x0800);
	ip_fill(ret->header + WRAP_IP_OFFSET, way);
	put_be16(ret->header + WRAP_UDP_OFFSET + UDP_DPORT_OFFSET, way->wrap_port);
	gue_fill(ret->header + WRAP_GUE_OFFSET, way);
	ret->check = ip_partial_sum(ret->header + WRAP_IP_OFFSET);
	ret->ifindex = way->ifindex;
	ret->mtu = (uint16_t)(way->mtu > UINT16_MAX ? UINT16_MAX : way->mtu);
}
