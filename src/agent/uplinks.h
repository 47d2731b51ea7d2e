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
};

struct uplinks {
	struct uplink items[UPLINKS_MAX];
	size_t count;
};

struct agent;

/* Finds the uplinks anew and attaches to new ones; ones that are gone or no uplinks any more are detached. */
void uplinks_reconcile(struct agent *agent);
/* Puts the guard back where somebody took the qdisc away that it is in: of that no event tells. */
void uplinks_guard_again(struct agent *agent);
/* True when there is one, and forwarder and guard are on all, and the one with the underlay address is up. */
bool uplinks_ready(const struct agent *agent);

#endif
