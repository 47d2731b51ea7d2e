/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the planner
 *
 * A pure function: fleet, what is held now, and the time in; transitions and shortages out. The same input gives the
 * same output, byte for byte.
 *
 * What it wants: for each server and each distinct selector (policies' selectors resolved for the server's site) as
 * many slices as the largest `slices` of the policies that ask for it; a slice held already counts for every selector
 * it matches. What it does about it, in order:
 *   1. gives back: slices whose server or address left the fleet, and slices that no selector of their server asks
 *      for any more, begin to cool; slices that have cooled become free;
 *   2. keeps every other slice where it is;
 *   3. grants what is missing. A server has one preferred column: the one it holds most slices in, for a new server
 *      the lowest that serves most of what it asks for. An address where that column is free comes first, then one
 *      that servers with the same need already share (few addresses per tag set), then the lowest free column of any
 *      address that matches. A column's home becomes the site of its server with the grant.
 * A slice that cools is never granted. What cannot be met is said as a shortage.
 */
#ifndef BERTH_CORE_PLAN_H
#define BERTH_CORE_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "fleet.h"
#include "ownership.h"

enum plan_reason {
	PLAN_GRANTED,       /* a selector of the server asks for it */
	PLAN_SERVER_GONE,   /* its server left the fleet file */
	PLAN_ADDRESS_GONE,  /* its address left the fleet file */
	PLAN_UNWANTED,      /* no selector of its server asks for it any more */
	PLAN_COOLED,        /* timers.cooling has passed */
};

struct plan_transition {
	struct ownership_row from; /* state free, home 0 and owner 0 where there was no row */
	struct ownership_row to;
	enum plan_reason reason;
};

/* Site `site` lacks `lacking` slices with `selector` for `servers` servers. */
struct plan_shortage {
	uint32_t site; /* id */
	char *selector;
	size_t servers;
	size_t lacking;
};

struct plan {
	struct plan_transition *transitions; /* sorted by (addr, column) */
	size_t transition_count;
	struct plan_shortage *shortages; /* sorted by (site, selector) */
	size_t shortage_count;
};

/* Every site and server of `fleet` has its id. now: Unix time, seconds. 0 or -ENOMEM; *ret is the caller's to free. */
int plan_make(const struct fleet *fleet, const struct ownership *held, int64_t now, struct plan *ret);
/* Carries the transitions out on `held`. 0 or -ENOMEM. */
int plan_apply(const struct plan *plan, struct ownership *held);
const char *plan_reason_text(enum plan_reason reason);
/* One sentence: "site ams lacks 2 slices of addresses tagged country=DE for 40 servers". The caller frees. */
char *plan_shortage_text(const struct plan_shortage *shortage, const struct fleet *fleet);
void plan_free(struct plan *plan); /* frees what is inside */

#endif
