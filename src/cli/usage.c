/* SPDX-License-Identifier: Apache-2.0 */
#include "usage.h"

#include "../abi/slice.h"

static void usage_count(struct usage *usage, const struct ownership_row *row)
{
	if (row->state == SLICE_STATE_OWNED)
		usage->owned++;
	else if (row->state == SLICE_STATE_COOLING)
		usage->cooling++;
}

struct usage usage_of_addresses(const struct state *state, uint32_t first, uint32_t last)
{
	const struct ownership *held = &state->held;
	struct usage usage = {0};

	for (size_t i = ownership_position(held, first, 0); i < held->count && held->rows[i].addr <= last; i++)
		usage_count(&usage, &held->rows[i]);
	for (size_t i = 0; i < state->fleet->addresses_count; i++) {
		const struct fleet_addresses *listed = &state->fleet->addresses[i];
		uint32_t from = listed->range.first > first ? listed->range.first : first;
		uint32_t to = listed->range.last < last ? listed->range.last : last;

		if (from <= to)
			usage.total += ((size_t)to - from + 1) * slice_owners(state->fleet->pools[listed->pool].shift);
	}
	return usage;
}

struct usage usage_of_server(const struct state *state, uint32_t server)
{
	struct usage usage = {0};

	for (size_t i = 0; i < state->held.count; i++)
		if (state->held.rows[i].owner == server)
			usage_count(&usage, &state->held.rows[i]);
	return usage;
}

struct usage usage_of_site(const struct state *state, uint32_t site)
{
	struct usage usage = {0};

	for (size_t i = 0; i < state->held.count; i++)
		if (state->held.rows[i].home == site)
			usage_count(&usage, &state->held.rows[i]);
	return usage;
}

size_t usage_free(const struct usage *usage)
{
	size_t used = usage->owned + usage->cooling;

	return usage->total > used ? usage->total - used : 0;
}
