/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/slice.h"
#include "plan.h"
#include "plan_demand.h"
#include "plan_grant.h"
#include "plan_room.h"

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))
#define NOT_FOUND SIZE_MAX

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
	size_t *entries; /* by row: index into fleet.addresses, or NOT_FOUND */
	size_t *next_of_server; /* by row: the next row that its owner keeps, or NOT_FOUND */
	size_t *first_of_server; /* by server: the first row that it keeps, or NOT_FOUND */
	struct plan_grants grants;
	struct plan plan;
};

static int server_compare(const void *a, const void *b)
{
	const struct plan_server *left = a, *right = b;

	return ORDER(left->id, right->id);
}

/* Index into planner.servers, or NOT_FOUND. */
static size_t server_find(const struct planner *planner, uint32_t id)
{
	struct plan_server key = {.id = id};
	const struct plan_server *server =
		bsearch(&key, planner->servers, planner->fleet->server_count, sizeof(key), server_compare);

	return server ? (size_t)(server - planner->servers) : NOT_FOUND;
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

static unsigned entry_shift(const struct planner *planner, size_t entry)
{
	return planner->fleet->pools[planner->fleet->addresses[entry].pool].shift;
}

/* Finds for each row the address entry that it belongs to; both are sorted. */
static void entries_find(struct planner *planner)
{
	const struct fleet *fleet = planner->fleet;
	size_t entry = 0;

	for (size_t i = 0; i < planner->held->count; i++) {
		const struct ownership_row *row = &planner->held->rows[i];
		unsigned shift;

		planner->entries[i] = NOT_FOUND;
		while (entry < fleet->addresses_count && fleet->addresses[entry].range.last < row->addr)
			entry++;
		if (entry == fleet->addresses_count || fleet->addresses[entry].range.first > row->addr)
			continue;
		shift = entry_shift(planner, entry);
		if (row->column >= slice_first_column(shift) && row->column < slice_columns(shift))
			planner->entries[i] = entry;
	}
}

static bool row_has_cooled(const struct planner *planner, const struct ownership_row *row)
{
	return planner->now >= row->since && (uint64_t)planner->now - (uint64_t)row->since >= planner->fleet->cooling;
}

/* How the row's owner, who is in the fleet, can use it; or NULL. */
static const struct plan_candidate *row_candidate(const struct planner *planner, size_t row, size_t server)
{
	size_t kind = planner->demand.kind_of[planner->entries[row]];

	if (kind == PLAN_NO_KIND)
		return NULL;
	return plan_need_candidate(&planner->demand.needs[planner->servers[server].site], kind);
}

/* The fate of a row by itself; whether its server has too many is for servers_trim(). */
static int row_fate(const struct planner *planner, size_t i, size_t server)
{
	const struct ownership_row *row = &planner->held->rows[i];

	if (row->state == SLICE_STATE_FREE)
		return FATE_KEEP;
	if (row->state == SLICE_STATE_COOLING)
		return row_has_cooled(planner, row) ? (int)PLAN_COOLED : FATE_KEEP;
	if (server == NOT_FOUND)
		return PLAN_SERVER_GONE;
	if (planner->entries[i] == NOT_FOUND)
		return PLAN_ADDRESS_GONE;
	if (!row_candidate(planner, i, server))
		return PLAN_UNWANTED;
	if (row->home != planner->fleet->sites[planner->servers[server].site].id)
		return PLAN_REHOMED;
	return FATE_KEEP;
}

/* Decides about each row, and links those that a server keeps, in ascending order. */
static void rows_judge(struct planner *planner)
{
	for (size_t s = 0; s < planner->fleet->server_count; s++)
		planner->first_of_server[s] = NOT_FOUND;
	for (size_t i = planner->held->count; i-- > 0;) {
		const struct ownership_row *row = &planner->held->rows[i];
		size_t server = server_find(planner, row->owner);

		planner->fates[i] = row_fate(planner, i, server);
		if (row->state != SLICE_STATE_OWNED ||
		    (planner->fates[i] != FATE_KEEP && planner->fates[i] != PLAN_REHOMED))
			continue;
		planner->next_of_server[i] = planner->first_of_server[server];
		planner->first_of_server[server] = i;
	}
}

/* The preferred column for each slice size: the one that the server holds most slices in, the lowest of several. */
static void server_prefer(struct planner *planner, struct plan_server *server, size_t first)
{
	for (unsigned shift = BERTH_SLICE_SHIFT_MIN; shift <= BERTH_SLICE_SHIFT_MAX && first != NOT_FOUND; shift++) {
		uint32_t slices[BERTH_PORT_SPACE >> BERTH_SLICE_SHIFT_MIN] = {0};
		uint32_t best = 0;

		for (size_t i = first; i != NOT_FOUND; i = planner->next_of_server[i])
			if (entry_shift(planner, planner->entries[i]) == shift)
				slices[planner->held->rows[i].column]++;
		for (uint32_t column = 0; column < slice_columns(shift); column++)
			if (slices[column] > slices[best])
				best = column;
		if (slices[best] > 0)
			server->column[shift - BERTH_SLICE_SHIFT_MIN] = best;
	}
}

/*
 * Goes through what a server keeps, either what lies in its preferred columns or the rest, and counts it towards what
 * it asks for. A slice is too many when the server has, of the same kind, as many as any selector wants. kept: by
 * candidate, how many so far.
 */
static void server_count(struct planner *planner, size_t index, bool preferred, unsigned *kept)
{
	struct plan_server *server = &planner->servers[index];
	const struct plan_need *need = &planner->demand.needs[server->site];

	for (size_t i = planner->first_of_server[index]; i != NOT_FOUND; i = planner->next_of_server[i]) {
		unsigned shift = entry_shift(planner, planner->entries[i]);
		const struct plan_candidate *candidate = row_candidate(planner, i, index);
		bool in_column = planner->held->rows[i].column == server->column[shift - BERTH_SLICE_SHIFT_MIN];
		size_t at = (size_t)(candidate - need->candidates);

		if (in_column != preferred)
			continue;
		if (kept[at] == candidate->most) {
			planner->fates[i] = PLAN_UNWANTED;
			continue;
		}
		kept[at]++;
		for (size_t k = 0; k < candidate->ask_count; k++)
			server->have[candidate->asks[k]]++;
	}
}

static int servers_trim(struct planner *planner)
{
	unsigned *kept = calloc(planner->demand.kind_count + 1, sizeof(*kept));

	if (!kept)
		return -ENOMEM;
	for (size_t s = 0; s < planner->fleet->server_count; s++) {
		const struct plan_need *need = &planner->demand.needs[planner->servers[s].site];

		server_prefer(planner, &planner->servers[s], planner->first_of_server[s]);
		memset(kept, 0, need->candidate_count * sizeof(*kept));
		server_count(planner, s, true, kept);
		server_count(planner, s, false, kept);
	}
	free(kept);
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
		size_t kind =
			planner->entries[i] == NOT_FOUND ? PLAN_NO_KIND : planner->demand.kind_of[planner->entries[i]];
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
		to.home = planner->fleet->sites[planner->servers[server_find(planner, row->owner)].site].id;
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

static int shortage_add(struct plan *plan, struct plan_shortage shortage)
{
	struct plan_shortage *shortages = reallocarray(plan->shortages, plan->shortage_count + 1, sizeof(*shortages));

	if (!shortages)
		return -ENOMEM;
	plan->shortages = shortages;
	plan->shortages[plan->shortage_count++] = shortage;
	return 0;
}

/* lacking: by site and ask, in the order of needs. */
static int shortages_list(struct planner *planner, const size_t *lacking)
{
	for (size_t s = 0; s < planner->fleet->site_count; s++) {
		const struct plan_need *need = &planner->demand.needs[s];

		for (size_t a = 0; a < need->ask_count; a++, lacking++) {
			struct plan_shortage shortage = {.site = planner->fleet->sites[s].id,
							 .servers = planner->fleet->sites[s].server_count,
							 .lacking = *lacking};

			if (*lacking == 0)
				continue;
			shortage.selector = selector_format(planner->demand.selectors[need->asks[a].selector]);
			if (!shortage.selector || shortage_add(&planner->plan, shortage)) {
				free(shortage.selector);
				return -ENOMEM;
			}
		}
	}
	return 0;
}

static int shortage_compare(const void *a, const void *b)
{
	const struct plan_shortage *left = a, *right = b;
	int order = ORDER(left->site, right->site);

	return order ? order : strcmp(left->selector, right->selector);
}

static int shortages_make(struct planner *planner)
{
	size_t sites = planner->fleet->site_count, asks = 0;
	size_t *first = calloc(sites + 1, sizeof(*first)), *lacking = NULL;
	int err = -ENOMEM;

	for (size_t s = 0; first && s < sites; s++) {
		first[s] = asks;
		asks += planner->demand.needs[s].ask_count;
	}
	lacking = calloc(asks + 1, sizeof(*lacking));
	if (!first || !lacking)
		goto out;
	for (size_t i = 0; i < planner->fleet->server_count; i++) {
		const struct plan_server *server = &planner->servers[i];
		const struct plan_need *need = &planner->demand.needs[server->site];

		for (size_t a = 0; a < need->ask_count; a++)
			if (need->asks[a].slices > server->have[a])
				lacking[first[server->site] + a] += need->asks[a].slices - server->have[a];
	}
	err = shortages_list(planner, lacking);
	if (!err && planner->plan.shortage_count > 0)
		qsort(planner->plan.shortages, planner->plan.shortage_count, sizeof(*planner->plan.shortages),
		      shortage_compare);
out:
	free(first);
	free(lacking);
	return err;
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
	entries_find(planner);
	rows_judge(planner);
	err = servers_trim(planner);
	if (!err)
		err = rooms_fill(planner);
	if (!err)
		err = plan_grants_make(&planner->demand, planner->rooms, planner->servers, planner->fleet->server_count,
				       &planner->grants);
	if (!err)
		err = transitions_make(planner);
	if (!err)
		err = shortages_make(planner);
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
