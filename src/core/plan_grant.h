/* SPDX-License-Identifier: Apache-2.0 */
/* The last part of the planner: grants what is missing. The order of its choices is told in plan.h. */
#ifndef BERTH_CORE_PLAN_GRANT_H
#define BERTH_CORE_PLAN_GRANT_H

#include <stddef.h>
#include <stdint.h>

#include "../abi/slice.h"
#include "plan_demand.h"
#include "plan_room.h"

#define PLAN_SHIFTS (BERTH_SLICE_SHIFT_MAX - BERTH_SLICE_SHIFT_MIN + 1)

struct plan_server {
	uint32_t id;
	size_t site; /* index into fleet.sites */
	unsigned *have; /* slices held, by index into the asks of its site's need */
	uint32_t column[PLAN_SHIFTS]; /* the preferred one, by shift - BERTH_SLICE_SHIFT_MIN, or PLAN_NO_COLUMN */
};

struct plan_grant {
	struct plan_room_slice slice;
	size_t server; /* index into the servers given */
};

struct plan_grants {
	struct plan_grant *items; /* in the order in which they were made */
	size_t count;
	size_t size;
};

/* rooms: by kind. Grants to the servers in their order; brings `have` up to date. 0 or -ENOMEM; *ret is all 0 before
   and the caller's to free() its items, whatever is returned. */
int plan_grants_make(const struct plan_demand *demand, struct plan_room *rooms, struct plan_server *servers,
		     size_t server_count, struct plan_grants *ret);

#endif
