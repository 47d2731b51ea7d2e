/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of one run of the planner share: plan.c leads, plan_keep.c and plan_shortage.c do their part. */
#ifndef BERTH_CORE_PLANNER_H
#define BERTH_CORE_PLANNER_H

#include <stddef.h>
#include <stdint.h>

#include "plan.h"
#include "plan_demand.h"
#include "plan_grant.h"
#include "plan_room.h"

#define PLANNER_NOT_FOUND SIZE_MAX

/* What becomes of a row that is held: nothing, or what the plan_reason says. */
#define FATE_KEEP (-1)

struct planner {
	const struct fleet *fleet;
	const struct ownership *held;
	int64_t now;
	struct plan_demand demand;
	struct plan_room *rooms; /* by kind */
	size_t room_count;
	struct plan_server *servers; /* sorted by id */
	unsigned *have; /* what servers[].have point into */
	int *fates; /* by row */
	size_t *entries; /* by row: index into fleet.addresses, or PLANNER_NOT_FOUND */
	size_t *next_of_server; /* by row: the next row that its owner keeps, or PLANNER_NOT_FOUND */
	size_t *first_of_server; /* by server: the first row that it keeps, or PLANNER_NOT_FOUND */
	struct plan_grants grants;
	struct plan plan;
};

/* Index into planner.servers, or PLANNER_NOT_FOUND. */
size_t planner_find_server(const struct planner *planner, uint32_t id);
/* Decides about every row that is held, and counts what each server keeps. 0 or -ENOMEM. */
int planner_keep(struct planner *planner);
/* Lists what is still missing when all is granted. 0 or -ENOMEM. */
int planner_tell_shortages(struct planner *planner);

#endif
