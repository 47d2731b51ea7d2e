/* SPDX-License-Identifier: Apache-2.0 */
#include "decide.h"

#include <arpa/inet.h>
#include <string.h>

#include "../abi/hash.h"
#include "decide_frame.h"
#include "decide_packet.h"

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
		decide_drop(frame, VERDICT_HOP_LIMIT);
	} else if (!hop) {
		decide_drop(frame, VERDICT_HOP_UNRESOLVED);
	} else if (packet->length + WRAP_OVERHEAD > hop->mtu) {
		decide_drop(frame, VERDICT_TOO_BIG);
		decide_report(frame, packet, hop->mtu - WRAP_OVERHEAD);
	} else {
		label.sport = WRAP_SPORT_BASE |
			      (hash_flow(htonl(packet->source), htonl(packet->destination), packet->spread) &
			       WRAP_SPORT_MASK);
		decide_send(frame, hop, &label, WRAP_ETH_LEN, VERDICT_WRAP);
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
		decide_pass(frame, VERDICT_DELIVER_DIRECT);
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
		decide_drop(frame, verdict);
		return;
	}
	entry = entry_find(frame->decider, packet.destination, packet.steering);
	where = entry & SLICE_WHERE_MASK;
	if (unsolicited(&packet, entry))
		decide_drop(frame, VERDICT_UNSOLICITED);
	else if (where == SLICE_FREE)
		decide_drop(frame, VERDICT_SLICE_UNOWNED);
	else if (where == SLICE_LOCAL && unwanted(frame->decider, &packet))
		decide_drop(frame, VERDICT_NO_SOCKET);
	else
		forward(frame, &packet, where);
}

static void deliver(struct decide_frame *frame, uint32_t entry)
{
	struct decide_packet packet;
	enum verdict verdict = decide_packet_read(frame->bytes + INNER, frame->size - INNER, &packet);

	if (verdict == VERDICT_FRAGMENT_UNKNOWN) /* the wrap steered it */
		decide_unwrap(frame);
	else if (verdict != VERDICT_COUNT)
		decide_drop(frame, verdict);
	else if (packet.steering != decide_get16(frame->bytes + PRIVATE_STEERING))
		decide_drop(frame, VERDICT_TUNNEL_MALFORMED);
	else if (unsolicited(&packet, entry))
		decide_drop(frame, VERDICT_UNSOLICITED);
	else if (unwanted(frame->decider, &packet))
		decide_drop(frame, VERDICT_NO_SOCKET);
	else
		decide_unwrap(frame);
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
		decide_drop(frame, VERDICT_HOP_LIMIT);
	else if (!hop)
		decide_drop(frame, VERDICT_HOP_UNRESOLVED);
	else if (length > hop->mtu)
		decide_drop(frame, VERDICT_TOO_BIG);
	else
		decide_send(frame, hop, &label, INNER, VERDICT_RELAY);
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
		decide_drop(frame, VERDICT_TUNNEL_MALFORMED);
		return;
	}
	underlay = ntohl(frame->decider->members->underlay[decide_get32(in + PRIVATE_SENDER) >> WRAP_SITE_ID_BITS]);
	if (!underlay || underlay != decide_get32(in + OUTER + IPV4_SOURCE)) {
		decide_drop(frame, VERDICT_TUNNEL_STRANGER);
		return;
	}
	entry = entry_find(frame->decider, decide_get32(in + INNER + IPV4_DESTINATION),
			   decide_get16(in + PRIVATE_STEERING));
	switch (entry & SLICE_WHERE_MASK) {
	case SLICE_NOT_OURS:
		decide_drop(frame, VERDICT_INNER_STRANGER);
		break;
	case SLICE_FREE:
		decide_drop(frame, VERDICT_SLICE_UNOWNED);
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
	decide_pass(&state, DECIDE_UNCOUNTED);
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
