/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps each hop's wrap true: route, device, next hop's MAC address, MTU. */
#ifndef BERTH_AGENT_HOPS_H
#define BERTH_AGENT_HOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hop_state { HOP_READY, HOP_NO_ROUTE, HOP_NO_MAC };

struct hop_known {
	uint32_t index; /* in the forwarder's table */
	uint32_t target; /* HOP_SITE | id or HOP_SERVER | id */
	uint32_t addr; /* that wraps go to */
	uint32_t ifindex;
	uint32_t next; /* gateway, or addr when it is on the link */
	uint32_t mtu;
	uint8_t mac[6];
	bool kept; /* the kernel was told to keep the neighbour fresh, and does */
	enum hop_state state;
};

struct hops_known {
	struct hop_known *items; /* in order of index */
	size_t count;
};

struct agent;

/* Resolves every hop of the loaded tables and writes the wraps that changed. */
void hops_reconcile(struct agent *agent);
/* How many have no wrap. */
size_t hops_unresolved(const struct hops_known *hops);
const char *hop_state_name(enum hop_state state);
void hops_free(struct hops_known *hops);

#endif
