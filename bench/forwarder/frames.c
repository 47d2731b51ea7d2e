/* SPDX-License-Identifier: Apache-2.0 */
#include "forwarder.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <string.h>

#define PLAIN_SIZE 64u

/* At the end of the frame. */
static void append(struct frame *frame, const void *bytes, size_t size)
{
	memcpy(frame->bytes + frame->size, bytes, size);
	frame->size += size;
}

static void append_ethernet(struct frame *frame)
{
	const struct ethhdr eth = {
		.h_dest = {2, 0, 0, 0, 0, 7}, .h_source = {2, 0, 0, 0, 0, 1}, .h_proto = htons(ETH_P_IP)};

	append(frame, &eth, sizeof(eth));
}

static void append_packet(struct frame *frame, uint8_t proto)
{
	const size_t size = PLAIN_SIZE - ETH_HLEN;
	const struct iphdr ip = {.version = 4,
				 .ihl = 5,
				 .tot_len = htons((uint16_t)size),
				 .frag_off = htons(0x4000),
				 .ttl = 60,
				 .protocol = proto};
	const struct tcphdr tcp = {.ack = 1, .doff = 5};
	const struct udphdr udp = {.len = htons((uint16_t)(size - sizeof(ip)))};
	const size_t end = frame->size + size;

	append(frame, &ip, sizeof(ip));
	if (proto == IPPROTO_TCP)
		append(frame, &tcp, sizeof(tcp));
	else
		append(frame, &udp, sizeof(udp));
	frame->size = end;
}

void frame_plain(uint8_t proto, struct frame *ret)
{
	*ret = (struct frame){0};
	append_ethernet(ret);
	append_packet(ret, proto);
}

void frame_tunnel(uint8_t proto, uint16_t steering, struct frame *ret)
{
	const uint16_t length = PLAIN_SIZE - ETH_HLEN + WRAP_OVERHEAD;
	const struct iphdr ip = {.version = 4,
				 .ihl = 5,
				 .tot_len = htons(length),
				 .frag_off = htons(0x4000),
				 .ttl = WRAP_TTL,
				 .protocol = IPPROTO_UDP,
				 .saddr = htonl(NEIGHBOUR_UNDERLAY),
				 .daddr = htonl(BENCH_UNDERLAY)};
	const struct udphdr udp = {
		.source = htons(WRAP_SPORT_BASE), .dest = htons(WRAP_PORT), .len = htons(length - WRAP_IP_LEN)};
	const uint32_t gue = htonl(WRAP_GUE_FIRST << 24 | WRAP_GUE_PROTO << 16);
	const struct wrap_private private = {.format_hops = WRAP_FORMAT << 4,
					     .steering = htons(steering),
					     .sender_entry = htonl(NEIGHBOUR << WRAP_SITE_ID_BITS | BENCH_SITE)};

	*ret = (struct frame){0};
	append_ethernet(ret);
	append(ret, &ip, sizeof(ip));
	append(ret, &udp, sizeof(udp));
	append(ret, &gue, sizeof(gue));
	append(ret, &private, sizeof(private));
	append_packet(ret, proto);
}
