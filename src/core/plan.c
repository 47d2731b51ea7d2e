/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "planner.h"

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int server_compare(const void *a, const void *b)
{
	const struct plan_server *left = a, *right = b;

	return ORDER(left->id, right->id);
}

size_t planner_find_server(const struct planner *planner, uint32_t id)
{
	struct plan_server key = {.id = id};
	const struct plan_server *server =
		bsearch(&key, planner->servers, planner->fleet->server_count, sizeof(key), server_compare);

	return server ? (size_t)(server - planner->servers) : PLANNER_NOT_FOUND;
}

static int servers_make(struct planner *planner)
{
	const struct fleet *fleet = planner->fleet;
	size_t asks = 0;

	for (size_t i = 0; i < fleet->server_count; i++)
		asks += planner->demand.needs[fleet->servers[i].site].ask_count;
	planner->servers = calloc(fleet->server_count + 1, sizeof(*planner->servers));
	planner->have = calloc(asks + 1, sizeof(*planner->have));
	if (!planner->servers || !planner->have)
		return -ENOMEM;
	asks = 0;
	for (size_t i = 0; i < fleet->server_count; i++) {
		struct plan_server *server = &planner->servers[i];

		*server = (struct plan_server){
			.id = fleet->servers[i].id, .site = fleet->servers[i].site, .have = &planner->have[asks]};
		for (size_t s = 0; s < PLAN_SHIFTS; s++)
			server->column[s] = PLAN_NO_COLUMN;
		asks += planner->demand.needs[server->site].ask_count;
	}
	qsort(planner->servers, fleet->server_count, sizeof(*planner->servers), server_compare);
	return 0;
}

/* Takes out of the rooms what is held, cools, or will cool. */
static int rooms_fill(struct planner *planner)
{
	for (size_t k = 0; k < planner->demand.kind_count; k++) {
		int err = plan_room_init(&planner->rooms[k], planner->fleet, &planner->demand.kinds[k]);

		planner->room_count = k + 1;
		if (err)
			return err;
	}
	for (size_t i = 0; i < planner->held->count; i++) {
		const struct ownership_row *row = &planner->held->rows[i];
		size_t kind = planner->entries[i] == PLANNER_NOT_FOUND ? PLAN_NO_KIND
								       : planner->demand.kind_of[planner->entries[i]];
		int err;

		if (kind == PLAN_NO_KIND || row->state == SLICE_STATE_FREE || planner->fates[i] == PLAN_COOLED)
			continue;
		err = plan_room_hold(&planner->rooms[kind], row->addr, row->column);
		if (err)
			return err;
	}
	return 0;
}

/* The row as it will be. */
static struct ownership_row row_after(const struct planner *planner, const struct ownership_row *row, int fate)
{
	struct ownership_row to = *row;

	if (fate == PLAN_COOLED)
		return (struct ownership_row){.addr = row->addr, .column = row->column, .since = planner->now};
	if (fate == PLAN_REHOMED) {
		to.home = planner->fleet->sites[planner->servers[planner_find_server(planner, row->owner)].site].id;
		return to;
	}
	to.state = SLICE_STATE_COOLING;
	to.since = planner->now;
	return to;
}

/* Adds the grants; a row that is granted needs no other transition. */
static void transitions_of_grants(struct planner *planner)
{
	for (size_t i = 0; i < planner->grants.count; i++) {
		const struct plan_grant *grant = &planner->grants.items[i];
		const struct plan_server *server = &planner->servers[grant->server];
		const struct ownership_row *row = ownership_find(planner->held, grant->slice.addr, grant->slice.column);
		struct ownership_row from = {.addr = grant->slice.addr, .column = grant->slice.column}, to = from;

		if (row) {
			from = *row;
			planner->fates[row - planner->held->rows] = FATE_KEEP;
		}
		to.home = planner->fleet->sites[server->site].id;
		to.owner = server->id;
		to.state = SLICE_STATE_OWNED;
		to.since = planner->now;
		planner->plan.transitions[planner->plan.transition_count++] =
			(struct plan_transition){.from = from, .to = to, .reason = PLAN_GRANTED};
	}
}

static void transitions_of_rows(struct planner *planner)
{
	for (size_t i = 0; i < planner->held->count; i++) {
		const struct ownership_row *row = &planner->held->rows[i];

		if (planner->fates[i] == FATE_KEEP)
			continue;
		planner->plan.transitions[planner->plan.transition_count++] =
			(struct plan_transition){.from = *row,
						 .to = row_after(planner, row, planner->fates[i]),
						 .reason = (enum plan_reason)planner->fates[i]};
	}
}

static int transition_compare(const void *a, const void *b)
{
	const struct plan_transition *left = a, *right = b;
	int order = ORDER(left->to.addr, right->to.addr);

	return order ? order : ORDER(left->to.column, right->to.column);
}

static int transitions_make(struct planner *planner)
{
	struct plan *plan = &planner->plan;
	size_t most = planner->grants.count;

	for (size_t i = 0; i < planner->held->count; i++)
		most += planner->fates[i] != FATE_KEEP;
	if (most == 0)
		return 0;
	plan->transitions = calloc(most, sizeof(*plan->transitions));
	if (!plan->transitions)
		return -ENOMEM;
	transitions_of_grants(planner);
	transitions_of_rows(planner);
	qsort(plan->transitions, plan->transition_count, sizeof(*plan->transitions), transition_compare);
	return 0;
}

static int planner_init(struct planner *planner)
{
	size_t rows = planner->held->count;
	int err = plan_demand_make(planner->fleet, &planner->demand);

	if (!err)
		err = servers_make(planner);
	if (err)
		return err;
	planner->rooms = calloc(planner->demand.kind_count + 1, sizeof(*planner->rooms));
	planner->fates = calloc(rows + 1, sizeof(*planner->fates));
	planner->entries = calloc(rows + 1, sizeof(*planner->entries));
	planner->next_of_server = calloc(rows + 1, sizeof(*planner->next_of_server));
	planner->first_of_server = calloc(planner->fleet->server_count + 1, sizeof(*planner->first_of_server));
	if (!planner->rooms || !planner->fates || !planner->entries || !planner->next_of_server ||
	    !planner->first_of_server)
		return -ENOMEM;
	return 0;
}

static void planner_free(struct planner *planner)
{
	for (size_t k = 0; k < planner->room_count; k++)
		plan_room_free(&planner->rooms[k]);
	plan_demand_free(&planner->demand);
	free(planner->rooms);
	free(planner->servers);
	free(planner->have);
	free(planner->fates);
	free(planner->entries);
	free(planner->next_of_server);
	free(planner->first_of_server);
	free(planner->grants.items);
	plan_free(&planner->plan);
}

static int planner_run(struct planner *planner)
{
	int err = planner_init(planner);

	if (err)
		return err;
	err = planner_keep(planner);
	if (!err)
		err = rooms_fill(planner);
	if (!err)
		err = plan_grants_make(&planner->demand, planner->rooms, planner->servers, planner->fleet->server_count,
				       &planner->grants);
	if (!err)
		err = transitions_make(planner);
	if (!err)
		err = planner_tell_shortages(planner);
	return err;
}

int plan_make(const struct fleet *fleet, const struct ownership *held, int64_t now, struct plan *ret)
{
	struct planner planner = {.fleet = fleet, .held = held, .now = now};
	int err = planner_run(&planner);

	if (!err) {
		*ret = planner.plan;
		planner.plan = (struct plan){0};
	}
	planner_free(&planner);
	return err;
}
