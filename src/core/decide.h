/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the forwarder's decision, written down once more
 *
 * What src/bpf/forwarder.bpf.c does to a frame, in plain C: no fast path, no verifier, a byte at a time, in the order
 * of docs/wire.md. Tests hold the program against it, packet by packet; it also says what another server would do, from
 * that server's tables.
 *
 * Left out, since they are no decision on a packet: counters, the rate of reports, how long a fragment is remembered,
 * and a driver without headroom.
 */
#ifndef BERTH_CORE_DECIDE_H
#define BERTH_CORE_DECIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../abi/forwarder.h"
#include "../abi/fragment.h"
#include "../abi/verdict.h"

/* What a frame can grow by, bytes. */
#define DECIDE_GROWTH WRAP_OVERHEAD
/* Nothing is counted: the packet is none of ours. */
#define DECIDE_UNCOUNTED VERDICT_COUNT

/* The tables of the server that decides; all borrowed. */
struct decider {
	const struct forwarder_config *config;
	const struct directories *directories;
	const struct slices *slices;
	const struct hops *hops;
	const struct members *members;
	/* Whether a UDP socket of that server takes a packet to that very address. Addresses and ports: host byte
	 * order. */
	bool (*socket_wants)(void *context, uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport);
	/* The steering port of a datagram whose first fragment came by here; negative: none is known. */
	int (*fragment_recall)(void *context, const struct fragment_key *key);
	void (*fragment_remember)(void *context, const struct fragment_key *key, uint16_t steering);
	void *context;
};

enum decide_action {
	DECIDE_PASS, /* to the stack */
	DECIDE_DROP,
	DECIDE_SEND, /* from `ifindex` */
	DECIDE_ANSWER, /* back the way it came, if the rate of reports allows it; else DECIDE_DROP, the frame as it was
			*/
};

struct decision {
	enum decide_action action;
	enum verdict verdict; /* the one counter that grows, or DECIDE_UNCOUNTED */
	uint32_t ifindex; /* DECIDE_SEND */
	size_t size; /* of the frame that comes out */
	uint8_t *bytes; /* the caller's, room for DECIDE_GROWTH more than came in */
};

/* size: bytes of the frame, from its Ethernet header on. ret->bytes is set by the caller, all else here. */
void decide(const struct decider *decider, const uint8_t *frame, size_t size, struct decision *ret);

#endif
