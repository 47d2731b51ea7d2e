/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the wrap of one hop, as src/abi/forwarder.h and wrap.h describe it. Pure. */
#ifndef BERTH_KERNEL_HOP_H
#define BERTH_KERNEL_HOP_H

#include <stdint.h>

#include "../abi/forwarder.h"

/* The way to the server or site that a hop leads to. Addresses and port in host byte order. */
struct hop_way {
	uint8_t src_mac[6];
	uint8_t dst_mac[6]; /* of the next hop on the link, not of the far end */
	uint32_t src; /* this server's underlay address */
	uint32_t dst; /* underlay address of the server, or tunnel address of the site */
	uint16_t wrap_port;
	uint32_t server_id; /* this server's */
	uint32_t ifindex; /* 0: no way known; the wrap then says so */
	uint32_t mtu; /* of the way, bytes; larger than 65,535 counts as 65,535 */
};

void hop_wrap_build(const struct hop_way *way, struct hop_wrap *ret);

#endif
