/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The slices of one kind of address that the planner may still grant. An address with at least one slice taken is in
 * use and stands in a list; of the others, which may be millions, only the lowest is ever looked at. Slices are taken
 * and never given back, so each column remembers how far its search has come, and a whole plan passes each address
 * once a column.
 */
#ifndef BERTH_CORE_PLAN_ROOM_H
#define BERTH_CORE_PLAN_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fleet.h"
#include "plan_demand.h"

#define PLAN_NO_COLUMN UINT32_MAX

struct plan_room_address;

struct plan_room {
	const struct fleet *fleet;
	const struct plan_kind *kind;
	struct plan_room_address *used; /* the first held_count sorted, then in the order in which they came into use */
	size_t used_count;
	size_t used_size;
	size_t held_count; /* in use before anything was granted */
	uint32_t *free_at; /* by column: how many addresses in use have it free */
	size_t *from; /* by column: no address in use before this one has it free */
	uint64_t unused; /* addresses not in use */
	uint64_t free; /* slices */
	/* Where the search for the lowest unused address stands. */
	size_t next_entry;
	uint64_t next_addr;
	size_t next_held;
};

struct plan_room_slice {
	uint32_t addr;
	uint32_t column;
};

/* Everything free. 0 or -ENOMEM. */
int plan_room_init(struct plan_room *room, const struct fleet *fleet, const struct plan_kind *kind);
/* Takes a slice that is held. In ascending order of (addr, column), and before the first plan_room_grant(). */
int plan_room_hold(struct plan_room *room, uint32_t addr, uint32_t column);
/* How well a column serves: 2: free on an address in use, 1: on an unused one, 0: not at all. */
int plan_room_fit(const struct plan_room *room, uint32_t column);
/*
 * Takes a free slice: of that column if it has one, else (or for PLAN_NO_COLUMN) of the lowest column that is free on
 * an address in use. The room has a free slice. 0 or -ENOMEM.
 */
int plan_room_grant(struct plan_room *room, uint32_t column, struct plan_room_slice *ret);
void plan_room_free(struct plan_room *room); /* frees what is inside */

#endif
