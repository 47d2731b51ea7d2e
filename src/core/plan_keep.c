/* SPDX-License-Identifier: Apache-2.0 */
/* The planner's look at what is held: what is given back, what stays, and in which column each server is at home. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/slice.h"
#include "planner.h"

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

		planner->entries[i] = PLANNER_NOT_FOUND;
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
	if (server == PLANNER_NOT_FOUND)
		return PLAN_SERVER_GONE;
	if (planner->entries[i] == PLANNER_NOT_FOUND)
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
		planner->first_of_server[s] = PLANNER_NOT_FOUND;
	for (size_t i = planner->held->count; i-- > 0;) {
		const struct ownership_row *row = &planner->held->rows[i];
		size_t server = planner_find_server(planner, row->owner);

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
	uint32_t slices[PLAN_SHIFTS][BERTH_PORT_SPACE >> BERTH_SLICE_SHIFT_MIN] = {0};

	for (size_t i = first; i != PLANNER_NOT_FOUND; i = planner->next_of_server[i]) {
		unsigned size = entry_shift(planner, planner->entries[i]) - BERTH_SLICE_SHIFT_MIN;
		uint32_t column = planner->held->rows[i].column, best = server->column[size];
		uint32_t count = ++slices[size][column];

		if (best == PLAN_NO_COLUMN || count > slices[size][best] ||
		    (count == slices[size][best] && column < best))
			server->column[size] = column;
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

	for (size_t i = planner->first_of_server[index]; i != PLANNER_NOT_FOUND; i = planner->next_of_server[i]) {
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

int planner_keep(struct planner *planner)
{
	entries_find(planner);
	rows_judge(planner);
	return servers_trim(planner);
}
