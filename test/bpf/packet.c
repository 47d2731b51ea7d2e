/* SPDX-License-Identifier: Apache-2.0 */
#include "packet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Written back to front: a header then knows all that follows it. */
struct builder {
	uint8_t bytes[PACKET_MAX];
	size_t start;
};

static uint8_t *builder_push(struct builder *b, size_t size)
{
	if (size > b->start)
		abort();
	b->start -= size;
	memset(b->bytes + b->start, 0, size);
	return b->bytes + b->start;
}

static size_t builder_size(const struct builder *b)
{
	return PACKET_MAX - b->start;
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = value >> 8;
	at[1] = value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

static uint32_t sum_add(uint32_t sum, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

uint16_t packet_sum(const uint8_t *bytes, size_t size)
{
	return sum_fold(sum_add(0, bytes, size));
}

/* Of TCP or UDP, over the pseudo header as well (RFC 768, RFC 9293). */
static uint16_t transport_check(const struct layer_ip *ip, uint8_t protocol, const uint8_t *bytes, size_t size)
{
	uint8_t pseudo[12] = {0};

	put32(pseudo, ip->src);
	put32(pseudo + 4, ip->dst);
	pseudo[9] = protocol;
	put16(pseudo + 10, size);
	return ~sum_fold(sum_add(sum_add(0, pseudo, sizeof(pseudo)), bytes, size));
}

static uint8_t layer_protocol(const struct layer *layer)
{
	switch (layer->kind) {
	case LAYER_TCP:
		return 6;
	case LAYER_UDP:
		return 17;
	case LAYER_ICMP:
		return 1;
	case LAYER_IP:
		return 4;
	default:
		return 253; /* for experiments: RFC 3692 */
	}
}

static void push_eth(struct builder *b, const struct layer_eth *eth)
{
	uint8_t *at = builder_push(b, 14);

	put16(at, eth->dst >> 32);
	put32(at + 2, eth->dst);
	put16(at + 6, eth->src >> 32);
	put32(at + 8, eth->src);
	put16(at + 12, eth->type ? eth->type : 0x0800);
}

static void push_ip(struct builder *b, const struct layer_ip *ip, const struct layer *next)
{
	size_t header = 20 + ip->options;
	uint8_t *at = builder_push(b, header);

	at[0] = (ip->version ? ip->version : 4) << 4 | (ip->words ? ip->words : header / 4);
	at[1] = ip->tos;
	put16(at + 2, builder_size(b) + ip->length_error);
	put16(at + 4, ip->id);
	put16(at + 6, ip->df << 14 | ip->mf << 13 | ip->offset);
	at[8] = ip->ttl ? ip->ttl : 64;
	at[9] = ip->protocol ? ip->protocol : layer_protocol(next);
	put32(at + 12, ip->src);
	put32(at + 16, ip->dst);
	memset(at + 20, 1, ip->options);
	put16(at + 10, ip->fixed_check ? ip->check : (uint16_t)~packet_sum(at, header));
}

static void push_udp(struct builder *b, const struct layer_udp *udp, const struct layer_ip *ip)
{
	uint8_t *at = builder_push(b, 8);
	uint16_t check;

	put16(at, udp->src);
	put16(at + 2, udp->dst);
	put16(at + 4, builder_size(b) + udp->length_error);
	if (udp->no_check)
		return;
	check = transport_check(ip, 17, at, builder_size(b));
	put16(at + 6, (check ? check : 0xffff) ^ udp->check_error);
}

static void push_tcp(struct builder *b, const struct layer_tcp *tcp, const struct layer_ip *ip)
{
	uint8_t *at = builder_push(b, 20);

	put16(at, tcp->src);
	put16(at + 2, tcp->dst);
	put32(at + 4, tcp->seq);
	at[12] = 5 << 4;
	at[13] = tcp->flags ? tcp->flags : TCP_ACK;
	put16(at + 14, 64240);
	put16(at + 16, transport_check(ip, 6, at, builder_size(b)));
}

static void push_icmp(struct builder *b, const struct layer_icmp *icmp)
{
	uint8_t *at = builder_push(b, 8);

	at[0] = icmp->type;
	at[1] = icmp->code;
	put16(at + 4, icmp->id);
	put16(at + 6, icmp->value);
	put16(at + 2, (uint16_t)~packet_sum(at, builder_size(b)));
}

static void push_gue(struct builder *b, const struct layer_gue *gue)
{
	uint8_t *at = builder_push(b, 12);

	at[0] = gue->first ? gue->first : 0x02;
	at[1] = gue->protocol ? gue->protocol : 4;
	put16(at + 2, gue->flags);
	at[4] = (gue->format ? gue->format : 1) << 4 | gue->hops;
	at[5] = gue->private_flags;
	put16(at + 6, gue->steering);
	put32(at + 8, gue->server << 12 | gue->site);
}

static void push_bytes(struct builder *b, size_t count)
{
	uint8_t *at = builder_push(b, count);

	for (size_t i = 0; i < count; i++)
		at[i] = i * 7 + 1;
}

static void push_quote(struct builder *b, const struct layer_quote *quote)
{
	struct packet packet;

	packet_build(quote->packet, &packet);
	if (14 + quote->size > packet.size)
		abort();
	memcpy(builder_push(b, quote->size), packet.bytes + 14, quote->size);
}

/* The IPv4 header that a transport header at `layer` stands under. */
static const struct layer_ip *layer_ip_above(const struct layer *first, const struct layer *layer)
{
	while (layer-- > first)
		if (layer->kind == LAYER_IP)
			return &layer->ip;
	abort();
}

static void push_layer(struct builder *b, const struct layer *first, const struct layer *layer)
{
	switch (layer->kind) {
	case LAYER_ETH:
		push_eth(b, &layer->eth);
		break;
	case LAYER_IP:
		push_ip(b, &layer->ip, layer + 1);
		break;
	case LAYER_UDP:
		push_udp(b, &layer->udp, layer_ip_above(first, layer));
		break;
	case LAYER_TCP:
		push_tcp(b, &layer->tcp, layer_ip_above(first, layer));
		break;
	case LAYER_ICMP:
		push_icmp(b, &layer->icmp);
		break;
	case LAYER_GUE:
		push_gue(b, &layer->gue);
		break;
	case LAYER_BYTES:
		push_bytes(b, layer->bytes);
		break;
	case LAYER_QUOTE:
		push_quote(b, &layer->quote);
		break;
	case LAYER_END:
		break;
	}
}

void packet_build(const struct layer *layers, struct packet *ret)
{
	struct builder b = {.start = PACKET_MAX};
	const struct layer *end = layers;

	while (end->kind != LAYER_END)
		end++;
	for (const struct layer *layer = end; layer-- > layers;)
		push_layer(&b, layers, layer);
	ret->size = builder_size(&b);
	memcpy(ret->bytes, b.bytes + b.start, ret->size);
}

void packet_cut(struct packet *packet, size_t size)
{
	if (size < packet->size)
		packet->size = size;
}

void packet_pad(struct packet *packet, size_t size)
{
	if (packet->size + size > PACKET_MAX)
		abort();
	memset(packet->bytes + packet->size, 0xee, size);
	packet->size += size;
}

static void packet_print(const char *name, const struct packet *packet, size_t differs)
{
	fprintf(stderr, "%s, %zu bytes:", name, packet->size);
	for (size_t i = 0; i < packet->size && i < differs + 64; i++)
		fprintf(stderr, "%s%s%02x", i % 16 ? "" : "\n\t", i == differs ? ">" : " ", packet->bytes[i]);
	fprintf(stderr, "\n");
}

bool packet_same(const struct packet *expected, const struct packet *got)
{
	size_t at = 0;

	while (at < expected->size && at < got->size && expected->bytes[at] == got->bytes[at])
		at++;
	if (at == expected->size && at == got->size)
		return true;
	packet_print("expected", expected, at);
	packet_print("got", got, at);
	return false;
}
