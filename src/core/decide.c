/* SPDX-License-Identifier: Apache-2.0 */
#include "decide.h"

#include <arpa/inet.h>
#include <string.h>

#include "../abi/hash.h"
#include "decide_packet.h"

#define ETHERTYPE 12
#define ETHERTYPE_IPV4 0x0800

/* Offsets in a wrapped frame. */
#define OUTER WRAP_IP_OFFSET
#define OUTER_UDP_SOURCE WRAP_UDP_OFFSET
#define OUTER_UDP_PORT (WRAP_UDP_OFFSET + 2)
#define OUTER_UDP_LENGTH (WRAP_UDP_OFFSET + 4)
#define OUTER_UDP_CHECK (WRAP_UDP_OFFSET + 6)
#define PRIVATE (WRAP_GUE_OFFSET + 4)
#define PRIVATE_FLAGS (PRIVATE + 1)
#define PRIVATE_STEERING (PRIVATE + 2)
#define PRIVATE_SENDER (PRIVATE + 4)
#define INNER WRAP_INNER_OFFSET

/* What a report quotes of the packet that was too big: the longest IPv4 header and 8 bytes. */
#define QUOTED 68
#define REPORT_SIZE (IPV4_HEADER + 8 + QUOTED)

enum { NOT_ECT, ECT_1, ECT_0, CE };

/* A frame on its way through. */
struct decide_frame {
	const struct decider *decider;
	const uint8_t *bytes;
	size_t size;
	struct decision *ret;
};

/* What a wrap says of the packet in it. */
struct decide_label {
	uint32_t hops;
	size_t length;
	uint16_t sport;
	uint16_t steering;
	uint32_t entry_site;
	uint8_t ecn;
};

static uint16_t sum(const uint8_t *bytes, size_t size)
{
	uint32_t total = 0;

	for (size_t i = 0; i < size; i += 2)
		total += decide_get16(bytes + i);
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

static void drop(struct decide_frame *frame, enum verdict verdict)
{
	frame->ret->action = DECIDE_DROP;
	frame->ret->verdict = verdict;
}

static void pass(struct decide_frame *frame, enum verdict verdict)
{
	frame->ret->action = DECIDE_PASS;
	frame->ret->verdict = verdict;
}

static uint32_t entry_at(const struct decider *decider, uint32_t addr, uint32_t port)
{
	const struct directory *directory = &decider->directories->copy[decider->directories->live & 1];
	const struct directory_slot *slot = &directory->slots[directory_index(directory->multiplier, addr)];
	uint32_t index = directory_slice(slot->base, slot->shift & 15, addr, port);

	return slot->key == directory_key(addr) && index < SLICES_MAX ? decider->slices->entry[index] : SLICE_NOT_OURS;
}

static bool is_pool(const struct decider *decider, uint32_t addr)
{
	return entry_at(decider, addr, BERTH_PORT_SPACE - 1) != SLICE_NOT_OURS;
}

/* Nobody owns a port below the floor. */
static uint32_t entry_find(const struct decider *decider, uint32_t addr, uint32_t port)
{
	if (port >= BERTH_PORT_FLOOR)
		return entry_at(decider, addr, port);
	return is_pool(decider, addr) ? SLICE_FREE : SLICE_NOT_OURS;
}

/* NULL: there is no way. */
static const struct hop_wrap *hop_find(const struct decider *decider, uint32_t where)
{
	uint32_t index = where - SLICE_HOP;
	const struct hop_wrap *wrap;

	if (where < SLICE_HOP || index >= HOPS_MAX)
		return NULL;
	wrap = &decider->hops->wrap[index][decider->hops->live[index] & 1];
	return wrap->ifindex ? wrap : NULL;
}

/* inner: where the inner packet begins in what came in. */
static void send_wrapped(struct decide_frame *frame, const struct hop_wrap *hop, const struct decide_label *label,
			 size_t inner, enum verdict verdict)
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

static void report_too_big(struct decide_frame *frame, const struct decide_packet *packet, uint16_t mtu)
{
	uint8_t *out = frame->ret->bytes, *ip = out + WRAP_ETH_LEN, *icmp = ip + IPV4_HEADER;

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

static void wrap(struct decide_frame *frame, const struct decide_packet *packet, uint32_t where)
{
	const struct forwarder_config *config = frame->decider->config;
	const struct hop_wrap *hop = hop_find(frame->decider, where);
	struct decide_label label = {
		.length = packet->length,
		.steering = packet->steering,
		.entry_site = config->site_id,
		.ecn = packet->ecn,
	};

	if (!config->max_hops) {
		drop(frame, VERDICT_HOP_LIMIT);
	} else if (!hop) {
		drop(frame, VERDICT_HOP_UNRESOLVED);
	} else if (packet->length + WRAP_OVERHEAD > hop->mtu) {
		drop(frame, VERDICT_TOO_BIG);
		if (packet->df && !packet->icmp_error && !packet->later && names_host(packet->source) &&
		    frame->size >= WRAP_ETH_LEN + QUOTED)
			report_too_big(frame, packet, hop->mtu - WRAP_OVERHEAD);
	} else {
		label.sport = WRAP_SPORT_BASE |
			      (hash_flow(htonl(packet->source), htonl(packet->destination), packet->spread) &
			       WRAP_SPORT_MASK);
		send_wrapped(frame, hop, &label, WRAP_ETH_LEN, VERDICT_WRAP);
	}
}

static bool unsolicited(const struct decide_packet *packet, uint32_t entry)
{
	return packet->opens && !(entry & SLICE_INBOUND);
}

static bool unwanted(const struct decider *decider, const struct decide_packet *packet)
{
	return packet->udp && !decider->socket_wants(decider->context, packet->source, packet->sport,
						     packet->destination, packet->dport);
}

static struct fragment_key fragment_key(const struct decide_packet *packet)
{
	return (struct fragment_key){
		.saddr = htonl(packet->source), .daddr = htonl(packet->destination), .datagram = packet->spread};
}

/* Of a later fragment. */
static bool fragment_recall(const struct decider *decider, struct decide_packet *packet)
{
	struct fragment_key key = fragment_key(packet);
	int port = decider->fragment_recall(decider->context, &key);

	if (port >= 0)
		packet->steering = (uint16_t)port;
	return port >= 0;
}

static void fragment_remember(const struct decider *decider, const struct decide_packet *packet)
{
	struct fragment_key key = fragment_key(packet);

	if (packet->first)
		decider->fragment_remember(decider->context, &key, packet->steering);
}

static void forward(struct decide_frame *frame, const struct decide_packet *packet, uint32_t where)
{
	fragment_remember(frame->decider, packet);
	if (where == SLICE_LOCAL)
		pass(frame, VERDICT_DELIVER_DIRECT);
	else
		wrap(frame, packet, where);
}

/* From the internet or the host, to a pool. */
static void enter(struct decide_frame *frame)
{
	struct decide_packet packet;
	enum verdict verdict = decide_packet_read(frame->bytes + WRAP_ETH_LEN, frame->size - WRAP_ETH_LEN, &packet);
	uint32_t entry, where;

	if (verdict == VERDICT_FRAGMENT_UNKNOWN && fragment_recall(frame->decider, &packet))
		verdict = VERDICT_COUNT;
	if (verdict != VERDICT_COUNT) {
		drop(frame, verdict);
		return;
	}
	entry = entry_find(frame->decider, packet.destination, packet.steering);
	where = entry & SLICE_WHERE_MASK;
	if (unsolicited(&packet, entry))
		drop(frame, VERDICT_UNSOLICITED);
	else if (where == SLICE_FREE)
		drop(frame, VERDICT_SLICE_UNOWNED);
	else if (where == SLICE_LOCAL && unwanted(frame->decider, &packet))
		drop(frame, VERDICT_NO_SOCKET);
	else
		forward(frame, &packet, where);
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

static void unwrap(struct decide_frame *frame)
{
	struct decision *ret = frame->ret;

	memcpy(ret->bytes, frame->bytes, WRAP_ETH_LEN);
	memcpy(ret->bytes + WRAP_ETH_LEN, frame->bytes + INNER, frame->size - INNER);
	if (!ecn_combine(ret->bytes + WRAP_ETH_LEN, frame->bytes[OUTER + IPV4_TOS])) {
		memcpy(ret->bytes, frame->bytes, frame->size);
		drop(frame, VERDICT_ECN_MISMATCH);
		return;
	}
	ret->size = frame->size - WRAP_OVERHEAD;
	pass(frame, VERDICT_DELIVER_UNWRAP);
}

static void deliver(struct decide_frame *frame, uint32_t entry)
{
	struct decide_packet packet;
	enum verdict verdict = decide_packet_read(frame->bytes + INNER, frame->size - INNER, &packet);

	if (verdict == VERDICT_FRAGMENT_UNKNOWN) /* the wrap steered it */
		unwrap(frame);
	else if (verdict != VERDICT_COUNT)
		drop(frame, verdict);
	else if (packet.steering != decide_get16(frame->bytes + PRIVATE_STEERING))
		drop(frame, VERDICT_TUNNEL_MALFORMED);
	else if (unsolicited(&packet, entry))
		drop(frame, VERDICT_UNSOLICITED);
	else if (unwanted(frame->decider, &packet))
		drop(frame, VERDICT_NO_SOCKET);
	else
		unwrap(frame);
}

static void relay(struct decide_frame *frame, uint32_t where)
{
	const uint8_t *in = frame->bytes;
	const struct hop_wrap *hop = hop_find(frame->decider, where);
	size_t length = decide_get16(in + OUTER + IPV4_LENGTH);
	struct decide_label label = {
		.hops = (in[PRIVATE] & 15u) + 1,
		.length = length - WRAP_OVERHEAD,
		.sport = decide_get16(in + OUTER_UDP_SOURCE),
		.steering = decide_get16(in + PRIVATE_STEERING),
		.entry_site = decide_get32(in + PRIVATE_SENDER) & WRAP_SITE_ID_MAX,
		.ecn = in[OUTER + IPV4_TOS] & 3,
	};

	if (label.hops >= frame->decider->config->max_hops || label.hops > WRAP_HOPS_MAX)
		drop(frame, VERDICT_HOP_LIMIT);
	else if (!hop)
		drop(frame, VERDICT_HOP_UNRESOLVED);
	else if (length > hop->mtu)
		drop(frame, VERDICT_TOO_BIG);
	else
		send_wrapped(frame, hop, &label, INNER, VERDICT_RELAY);
}

/* The frame is a wrap as docs/wire.md has it: whole, in one piece, its lengths agree. */
static bool wrap_is_whole(const uint8_t *frame, size_t size)
{
	static const uint8_t gue[] = {WRAP_GUE_FIRST, WRAP_GUE_PROTO, 0, 0};
	size_t length;

	if (size < INNER + IPV4_HEADER || frame[OUTER] != 0x45)
		return false;
	length = decide_get16(frame + OUTER + IPV4_LENGTH);
	return length <= size - OUTER &&
	       !(decide_get16(frame + OUTER + IPV4_FLAGS) & (IPV4_FLAG_MF | IPV4_FRAGMENT_OFFSET)) &&
	       length == (size_t)decide_get16(frame + OUTER_UDP_LENGTH) + WRAP_IP_LEN &&
	       length == (size_t)decide_get16(frame + INNER + IPV4_LENGTH) + WRAP_OVERHEAD &&
	       !decide_get16(frame + OUTER_UDP_CHECK) && !memcmp(frame + WRAP_GUE_OFFSET, gue, sizeof(gue)) &&
	       frame[PRIVATE] >> 4 == WRAP_FORMAT && !frame[PRIVATE_FLAGS] && frame[INNER] >> 4 == 4;
}

static void tunnel(struct decide_frame *frame)
{
	const uint8_t *in = frame->bytes;
	uint32_t entry, underlay;

	if (!wrap_is_whole(in, frame->size)) {
		drop(frame, VERDICT_TUNNEL_MALFORMED);
		return;
	}
	underlay = ntohl(frame->decider->members->underlay[decide_get32(in + PRIVATE_SENDER) >> WRAP_SITE_ID_BITS]);
	if (!underlay || underlay != decide_get32(in + OUTER + IPV4_SOURCE)) {
		drop(frame, VERDICT_TUNNEL_STRANGER);
		return;
	}
	entry = entry_find(frame->decider, decide_get32(in + INNER + IPV4_DESTINATION),
			   decide_get16(in + PRIVATE_STEERING));
	switch (entry & SLICE_WHERE_MASK) {
	case SLICE_NOT_OURS:
		drop(frame, VERDICT_INNER_STRANGER);
		break;
	case SLICE_FREE:
		drop(frame, VERDICT_SLICE_UNOWNED);
		break;
	case SLICE_LOCAL:
		deliver(frame, entry);
		break;
	default:
		relay(frame, entry & SLICE_WHERE_MASK);
	}
}

static bool is_tunnel_address(const struct forwarder_config *config, uint32_t addr)
{
	return addr == ntohl(config->underlay) || (config->tunnel && addr == ntohl(config->tunnel));
}

/* UDP to the wrap port, as far as its header is there to tell. A later fragment has no port, and is the stack's. */
static bool is_tunnel_packet(const struct forwarder_config *config, const uint8_t *packet, size_t size)
{
	size_t header = (packet[0] & 15) * 4u;

	return packet[IPV4_PROTOCOL] == PROTO_UDP && header >= IPV4_HEADER && size >= header + 8 &&
	       !(decide_get16(packet + IPV4_FLAGS) & IPV4_FRAGMENT_OFFSET) &&
	       decide_get16(packet + header + 2) == ntohs(config->wrap_port);
}

void decide(const struct decider *decider, const uint8_t *frame, size_t size, struct decision *ret)
{
	struct decide_frame state = {.decider = decider, .bytes = frame, .size = size, .ret = ret};
	const uint8_t *packet = frame + WRAP_ETH_LEN;
	uint32_t destination;

	memcpy(ret->bytes, frame, size);
	ret->size = size;
	ret->ifindex = 0;
	pass(&state, DECIDE_UNCOUNTED);
	if (decider->config->layout != BERTH_LAYOUT_VERSION || size < WRAP_ETH_LEN + IPV4_HEADER ||
	    decide_get16(frame + ETHERTYPE) != ETHERTYPE_IPV4)
		return;
	destination = decide_get32(packet + IPV4_DESTINATION);
	if (is_tunnel_address(decider->config, destination)) {
		if (is_tunnel_packet(decider->config, packet, size - WRAP_ETH_LEN))
			tunnel(&state);
	} else if (is_pool(decider, destination)) {
		enter(&state);
	}
}
