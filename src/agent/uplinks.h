/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices that packets of the fleet come and go by: the one with the underlay address, the one of the default
 * route, and those of the ways to hops. Forwarder and guard are attached to each.
 */
#ifndef BERTH_AGENT_UPLINKS_H
#define BERTH_AGENT_UPLINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../kernel/rtnl.h"

#define UPLINKS_MAX 32

struct uplink {
	struct rtnl_link link;
	bool attached; /* forwarder and guard are there, put there by this run of the agent */
	bool generic;
	bool used; /* something of the fleet leads over it now */
	uint64_t idle_since; /* of one that is not: uv_now() */
};

struct uplinks {
	struct uplink items[UPLINKS_MAX];
	size_t count;
	char unfit[IFNAMSIZ]; /* a device that would be one, was it an Ethernet one; "": none */
};

struct agent;

/* Finds the uplinks anew and attaches to new ones; detaches from those that have been none for long. */
void uplinks_reconcile(struct agent *agent);
/* Puts forwarder and guard back where somebody took them away: of that no event tells. */
void uplinks_attach_again(struct agent *agent);
/* The device is gone; another may come with its number. */
void uplinks_forget(struct agent *agent, uint32_t ifindex);
/* True when one is up, forwarder and guard are on all in use, and the one with the underlay address is up. */
bool uplinks_ready(const struct agent *agent);

#endif
