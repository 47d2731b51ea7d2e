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
 *   1. gives back: slices whose server or address left the fleet, slices that no selector of their server asks for any
 *      more, and of slices that the same selectors match those beyond what any of these asks for, begin to cool; slices
 *      that have cooled become free and lose their home;
 *   2. keeps every other slice where it is; its home follows a server that changed its site;
 *   3. grants what is missing: the first slice of every server and selector before the second of any. A slice that
 *      serves the most selectors comes first; of equals, one that fewer other selectors of the fleet could use. A
 *      server has one preferred column (for each slice size): the one it holds most slices in, for a new server the
 *      one that serves most of what it asks for, touches fewest unused addresses, and is lowest. An address where that
 *      column is free comes first, one in use before an unused one (few addresses per tag set), then the lowest free
 *      column of any address that matches. A column's home becomes the site of its server with the grant.
 * A slice that cools is never granted, nor in the plan that gives it back. What cannot be met is said as a shortage.
 * The order of servers, sites and policies in the file does not matter.
 */
#ifndef BERTH_CORE_PLAN_H
#define BERTH_CORE_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "fleet.h"
#include "ownership.h"

enum plan_reason {
	PLAN_GRANTED, /* a selector of the server asks for it */
	PLAN_SERVER_GONE, /* its server left the fleet file */
	PLAN_ADDRESS_GONE, /* its address left the fleet file, or has no such column now */
	PLAN_UNWANTED, /* no selector of its server asks for it any more, or for so many */
	PLAN_REHOMED, /* its server is in another site now */
	PLAN_COOLED, /* timers.cooling has passed */
};

/* A slice that has cooled and is granted at once goes from cooling to owned in one transition. */
struct plan_transition {
	struct ownership_row from; /* state free, home 0 and owner 0 where there was no row */
	struct ownership_row to;
	enum plan_reason reason;
};

/* Site `site` lacks `lacking` slices with `selector` for its `servers` servers. */
struct plan_shortage {
	uint32_t site; /* id */
	char *selector; /* resolved for the site; canonical text */
	size_t servers; /* of the site: all of them ask for it */
	size_t lacking; /* summed over the servers */
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
