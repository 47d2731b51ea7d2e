/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "../abi/slice.h"
#include "plan_grant.h"

/* How many slices of one kind a server will want, by the look of it now. */
struct pick {
	struct plan_room *room;
	uint64_t count;
};

struct granting {
	const struct plan_demand *demand;
	struct plan_room *rooms;
	struct plan_grants *grants;
	/* Scratch memory for one server. */
	unsigned *wanted; /* by ask: slices still missing */
	uint64_t *picked; /* by candidate */
	struct pick *picks;
	size_t pick_count;
};

static uint32_t *preferred_column(struct plan_server *server, unsigned shift)
{
	return &server->column[shift - BERTH_SLICE_SHIFT_MIN];
}

/* Fills `wanted` with what is missing of the first `level` slices of each ask. False: nothing is. */
static bool wanted_fill(struct granting *granting, const struct plan_server *server, unsigned level)
{
	const struct plan_need *need = &granting->demand->needs[server->site];
	bool any = false;

	for (size_t a = 0; a < need->ask_count; a++) {
		unsigned slices = need->asks[a].slices < level ? need->asks[a].slices : level;

		granting->wanted[a] = slices > server->have[a] ? slices - server->have[a] : 0;
		any |= granting->wanted[a] > 0;
	}
	return any;
}

/* How many asks a slice of the candidate would serve. */
static size_t candidate_serves(const struct granting *granting, const struct plan_candidate *candidate)
{
	size_t serves = 0;

	for (size_t i = 0; i < candidate->ask_count; i++)
		serves += granting->wanted[candidate->asks[i]] > 0;
	return serves;
}

/* How good a choice a candidate is: by the first figure, then the second, then the third. */
struct merit {
	size_t serves; /* more is better */
	size_t selectors; /* fewer is better */
	int fit; /* more is better */
};

static bool merit_better(const struct merit *a, const struct merit *b)
{
	if (a->serves != b->serves)
		return a->serves > b->serves;
	if (a->selectors != b->selectors)
		return a->selectors < b->selectors;
	return a->fit > b->fit;
}

/* The best candidate with slices left beyond what is picked, lowest address first among equals; or NULL. */
static const struct plan_candidate *candidate_choose(const struct granting *granting, struct plan_server *server)
{
	const struct plan_need *need = &granting->demand->needs[server->site];
	const struct plan_candidate *best = NULL;
	struct merit best_merit = {0};

	for (size_t i = 0; i < need->candidate_count; i++) {
		const struct plan_candidate *candidate = &need->candidates[i];
		const struct plan_room *room = &granting->rooms[candidate->kind];
		uint32_t column = *preferred_column(server, room->kind->shift);
		struct merit merit = {.selectors = room->kind->selector_count};

		if (room->free <= granting->picked[i])
			continue;
		merit.serves = candidate_serves(granting, candidate);
		merit.fit = column == PLAN_NO_COLUMN ? 0 : plan_room_fit(room, column);
		if (merit.serves > 0 && (!best || merit_better(&merit, &best_merit))) {
			best = candidate;
			best_merit = merit;
		}
	}
	return best;
}

static void wanted_subtract(struct granting *granting, const struct plan_candidate *candidate, uint64_t count)
{
	for (size_t i = 0; i < candidate->ask_count; i++) {
		unsigned *wanted = &granting->wanted[candidate->asks[i]];

		*wanted = *wanted > count ? *wanted - (unsigned)count : 0;
	}
}

/* Slices of the candidate until the first of the asks that it serves has enough, or none is left. */
static uint64_t pick_count(const struct granting *granting, const struct plan_candidate *candidate, uint64_t left)
{
	uint64_t count = left;

	for (size_t i = 0; i < candidate->ask_count; i++) {
		unsigned wanted = granting->wanted[candidate->asks[i]];

		if (wanted > 0 && wanted < count)
			count = wanted;
	}
	return count;
}

/* Runs ahead, without a look at columns: which kinds will serve this server, and with how many slices each. */
static void picks_make(struct granting *granting, struct plan_server *server)
{
	const struct plan_need *need = &granting->demand->needs[server->site];
	const struct plan_candidate *candidate;

	granting->pick_count = 0;
	while ((candidate = candidate_choose(granting, server)) != NULL) {
		struct plan_room *room = &granting->rooms[candidate->kind];
		size_t at = (size_t)(candidate - need->candidates);
		uint64_t count = pick_count(granting, candidate, room->free - granting->picked[at]);

		granting->picked[at] += count;
		granting->picks[granting->pick_count++] = (struct pick){.room = room, .count = count};
		wanted_subtract(granting, candidate, count);
	}
	for (size_t i = 0; i < need->candidate_count; i++)
		granting->picked[i] = 0;
}

/* What a column would do for a server. */
struct reach {
	uint64_t served; /* slices */
	uint64_t fresh; /* of these on addresses that are unused now */
};

static struct reach column_reach(const struct granting *granting, unsigned shift, uint32_t column)
{
	struct reach reach = {0};

	for (size_t i = 0; i < granting->pick_count; i++) {
		const struct pick *pick = &granting->picks[i];
		uint64_t in_use, served;

		if (pick->room->kind->shift != shift)
			continue;
		in_use = pick->room->free_at[column];
		served = in_use + pick->room->unused < pick->count ? in_use + pick->room->unused : pick->count;
		reach.served += served;
		reach.fresh += served > in_use ? served - in_use : 0;
	}
	return reach;
}

/* The column that serves most of the picks of that shift, touches fewest unused addresses, and is lowest; or
   PLAN_NO_COLUMN when none of the picks is of that shift. */
static uint32_t column_choose(const struct granting *granting, unsigned shift)
{
	uint32_t best = slice_first_column(shift);
	struct reach best_reach = column_reach(granting, shift, best);

	for (uint32_t column = best + 1; column < slice_columns(shift); column++) {
		struct reach reach = column_reach(granting, shift, column);

		if (reach.served > best_reach.served ||
		    (reach.served == best_reach.served && reach.fresh < best_reach.fresh)) {
			best = column;
			best_reach = reach;
		}
	}
	return best_reach.served > 0 ? best : PLAN_NO_COLUMN;
}

/*
 * Gives the server a preferred column of that slice size. Not before it is needed: every grant to the servers before
 * counts. Changes `wanted`.
 */
static void column_prefer(struct granting *granting, struct plan_server *server, unsigned shift)
{
	wanted_fill(granting, server, granting->demand->most);
	picks_make(granting, server);
	*preferred_column(server, shift) = column_choose(granting, shift);
}

static int grants_add(struct plan_grants *grants, struct plan_room_slice slice, size_t server)
{
	if (grants->count == grants->size) {
		size_t size = grants->size ? 2 * grants->size : 64;
		struct plan_grant *items = reallocarray(grants->items, size, sizeof(*items));

		if (!items)
			return -ENOMEM;
		grants->items = items;
		grants->size = size;
	}
	grants->items[grants->count++] = (struct plan_grant){.slice = slice, .server = server};
	return 0;
}

static int candidate_grant(struct granting *granting, struct plan_server *server, size_t index,
			   const struct plan_candidate *candidate)
{
	struct plan_room *room = &granting->rooms[candidate->kind];
	uint32_t *column = preferred_column(server, room->kind->shift);
	struct plan_room_slice slice;
	int err;

	if (*column == PLAN_NO_COLUMN)
		column_prefer(granting, server, room->kind->shift);
	err = plan_room_grant(room, *column, &slice);
	if (err)
		return err;
	if (*column == PLAN_NO_COLUMN)
		*column = slice.column;
	for (size_t i = 0; i < candidate->ask_count; i++)
		server->have[candidate->asks[i]]++;
	return grants_add(granting->grants, slice, index);
}

/* Grants what is missing of the first `level` slices of each ask. *more: the server asks for more than that. */
static int server_fill(struct granting *granting, struct plan_server *server, size_t index, unsigned level, bool *more)
{
	const struct plan_candidate *candidate;
	int err = 0;

	while (!err && wanted_fill(granting, server, level)) {
		candidate = candidate_choose(granting, server);
		if (!candidate)
			break;
		err = candidate_grant(granting, server, index, candidate);
	}
	if (!err && wanted_fill(granting, server, granting->demand->most))
		*more |= candidate_choose(granting, server) != NULL;
	return err;
}

static int granting_init(struct granting *granting, const struct plan_demand *demand, const struct plan_server *servers,
			 size_t server_count)
{
	size_t asks = 0, candidates = 0;

	for (size_t i = 0; i < server_count; i++) {
		const struct plan_need *need = &demand->needs[servers[i].site];

		asks = need->ask_count > asks ? need->ask_count : asks;
		candidates = need->candidate_count > candidates ? need->candidate_count : candidates;
	}
	granting->wanted = calloc(asks + 1, sizeof(*granting->wanted));
	granting->picked = calloc(candidates + 1, sizeof(*granting->picked));
	/* A pick ends an ask or a candidate. */
	granting->picks = calloc(asks + candidates + 1, sizeof(*granting->picks));
	return granting->wanted && granting->picked && granting->picks ? 0 : -ENOMEM;
}

int plan_grants_make(const struct plan_demand *demand, struct plan_room *rooms, struct plan_server *servers,
		     size_t server_count, struct plan_grants *ret)
{
	struct granting granting = {.demand = demand, .rooms = rooms, .grants = ret};
	int err = granting_init(&granting, demand, servers, server_count);
	bool more = true;

	for (unsigned level = 1; more && level <= demand->most && !err; level++) {
		more = false;
		for (size_t i = 0; i < server_count && !err; i++)
			err = server_fill(&granting, &servers[i], i, level, &more);
	}
	free(granting.wanted);
	free(granting.picked);
	free(granting.picks);
	return err;
}
