/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first part of the planner: what each site's servers ask for, and which egress addresses can serve it. Addresses
 * that the same selectors match and that are cut alike are of one kind: to the planner they are interchangeable.
 */
#ifndef BERTH_CORE_PLAN_DEMAND_H
#define BERTH_CORE_PLAN_DEMAND_H

#include <stddef.h>
#include <stdint.h>

#include "fleet.h"

#define PLAN_NO_KIND SIZE_MAX

struct plan_kind {
	const size_t *selectors; /* numbers of the selectors that match, sorted */
	size_t selector_count; /* at least 1 */
	unsigned shift;
	const size_t *entries; /* indexes into fleet.addresses, sorted */
	size_t entry_count;
};

/* One selector and how many slices each server wants with it. */
struct plan_ask {
	size_t selector; /* its number */
	unsigned slices;
};

/* A kind that serves at least one ask of a need. */
struct plan_candidate {
	size_t kind;
	size_t *asks; /* indexes into need.asks, sorted */
	size_t ask_count;
	unsigned most; /* the largest number of slices among them */
};

/* What each server of one site asks for. */
struct plan_need {
	const struct plan_ask *asks; /* sorted by selector, none twice */
	size_t ask_count;
	struct plan_candidate *candidates; /* sorted by kind */
	size_t candidate_count;
};

struct plan_match;

struct plan_demand {
	const struct selector **selectors; /* by number: every distinct one of the fleet, resolved */
	size_t selector_count;
	struct plan_kind *kinds; /* sorted by lowest address */
	size_t kind_count;
	size_t *kind_of; /* by index into fleet.addresses; PLAN_NO_KIND: no selector matches */
	struct plan_need *needs; /* by index into fleet.sites */
	unsigned most; /* the largest number of slices of all asks */

	/* What the above points into. */
	struct selector *resolved;
	size_t resolved_count;
	struct plan_ask *asks;
	size_t *kind_entries;
	struct plan_match *matches;
	size_t match_count;
	size_t need_count;
};

/* 0 or -ENOMEM. `fleet` must live as long as the demand does. */
int plan_demand_make(const struct fleet *fleet, struct plan_demand *ret);
/* How a need can use a kind, or NULL. */
const struct plan_candidate *plan_need_candidate(const struct plan_need *need, size_t kind);
void plan_demand_free(struct plan_demand *demand); /* frees what is inside */

#endif
