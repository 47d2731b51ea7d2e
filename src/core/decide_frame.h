/* SPDX-License-Identifier: Apache-2.0 */
/* The frames that come out of a decision. */
#ifndef BERTH_CORE_DECIDE_FRAME_H
#define BERTH_CORE_DECIDE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "decide.h"
#include "decide_packet.h"

#define ETHERTYPE 12
#define ETHERTYPE_IPV4 0x0800

/* Offsets in a wrapped frame. */
#define OUTER WRAP_IP_OFFSET
#define OUTER_UDP_SOURCE WRAP_UDP_OFFSET
#define OUTER_UDP_LENGTH (WRAP_UDP_OFFSET + 4)
#define OUTER_UDP_CHECK (WRAP_UDP_OFFSET + 6)
#define PRIVATE (WRAP_GUE_OFFSET + 4)
#define PRIVATE_FLAGS (PRIVATE + 1)
#define PRIVATE_STEERING (PRIVATE + 2)
#define PRIVATE_SENDER (PRIVATE + 4)
#define INNER WRAP_INNER_OFFSET

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

void decide_drop(struct decide_frame *frame, enum verdict verdict);
void decide_pass(struct decide_frame *frame, enum verdict verdict);

/* The inner packet behind a hop's headers. inner: where it begins in what came in. */
void decide_send(struct decide_frame *frame, const struct hop_wrap *hop, const struct decide_label *label, size_t inner,
		 enum verdict verdict);
/* The packet was dropped as too big: its sender is told, if it is one that may be. mtu: what its packets may have. */
void decide_report(struct decide_frame *frame, const struct decide_packet *packet, uint16_t mtu);
/* The inner packet alone, to the stack. */
void decide_unwrap(struct decide_frame *frame);

#endif
