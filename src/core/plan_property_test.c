/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The planner against what must hold of every plan, on random fleets under random edits. Each round draws a fleet,
 * plans it from nothing, then edits it and plans again, many times, with time passing in between. What should be true
 * is worked out here in the plainest way, from fleet and rows alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../abi/slice.h"
#include "fleet_sketch.h"
#include "plan.h"

#define ROUNDS 300
#define EDITS 25
#define NOW 1700000000

static const char *const cities[] = {"Amsterdam", "Berlin", "Calais", NULL};
static const char *const products[] = {"crawler", "mail", NULL};
static const char *const selects[] = {"*",
				      "city=Berlin",
				      "city=$site.city",
				      "product=crawler",
				      "product=mail",
				      "product=*",
				      "city=$site.city,product=crawler"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PICK(dice, array) ((array)[dice_roll(dice, COUNT(array))])

/* Random fleets. */

static void draw_runs(struct dice *dice, struct sketch *sketch)
{
	sketch->run_count = 0;
	for (size_t p = 0; p < sketch->pool_count; p++) {
		uint32_t addr = sketch->pools[p].prefix.addr;

		for (uint32_t i = dice_roll(dice, 4); i > 0; i--) {
			uint32_t count = 1 + dice_roll(dice, 3);

			addr += dice_roll(dice, 2);
			sketch->runs[sketch->run_count].first = addr;
			sketch->runs[sketch->run_count].count = count;
			sketch->runs[sketch->run_count].city = PICK(dice, cities);
			sketch->runs[sketch->run_count++].product = PICK(dice, products);
			addr += count;
		}
	}
}

static void draw_policies(struct dice *dice, struct sketch *sketch)
{
	sketch->policy_count = 1 + dice_roll(dice, SKETCH_POLICIES);
	for (size_t p = 0; p < sketch->policy_count; p++) {
		sketch->policies[p].select = PICK(dice, selects);
		sketch->policies[p].slices = 1 + dice_roll(dice, dice_roll(dice, 2) ? 1 : 4);
	}
}

static void draw_server(struct dice *dice, struct sketch *sketch, uint32_t *last_id)
{
	if (sketch->server_count == SKETCH_SERVERS || sketch->site_count == 0)
		return;
	sketch->servers[sketch->server_count].id = ++*last_id;
	sketch->servers[sketch->server_count++].site = sketch->sites[dice_roll(dice, (uint32_t)sketch->site_count)].id;
}

static struct sketch draw_fleet(struct dice *dice, uint32_t *last_id)
{
	static const unsigned shifts[] = {11, 11, 12, 13, 14, 9};
	struct sketch sketch = {.cooling = 1 + dice_roll(dice, 300), .pool_count = 2};

	sketch.pools[0].prefix = (struct prefix){.addr = 0xc6336400, .len = 24};
	sketch.pools[1].prefix = (struct prefix){.addr = 0xcb007100, .len = 24};
	sketch.pools[0].shift = PICK(dice, shifts);
	sketch.pools[1].shift = PICK(dice, shifts);
	sketch.site_count = 1 + dice_roll(dice, SKETCH_SITES);
	for (uint32_t s = 0; s < sketch.site_count; s++) {
		sketch.sites[s].id = s + 1;
		sketch.sites[s].city = PICK(dice, cities);
	}
	draw_runs(dice, &sketch);
	draw_policies(dice, &sketch);
	for (uint32_t i = dice_roll(dice, 50); i > 0; i--)
		draw_server(dice, &sketch, last_id);
	return sketch;
}

static void remove_server(struct sketch *sketch, size_t at)
{
	sketch->server_count--;
	memmove(&sketch->servers[at], &sketch->servers[at + 1],
		(sketch->server_count - at) * sizeof(sketch->servers[0]));
}

static void remove_site(struct sketch *sketch, size_t at)
{
	for (size_t i = sketch->server_count; i-- > 0;)
		if (sketch->servers[i].site == sketch->sites[at].id)
			remove_server(sketch, i);
	sketch->site_count--;
	memmove(&sketch->sites[at], &sketch->sites[at + 1], (sketch->site_count - at) * sizeof(sketch->sites[0]));
}

static void edit(struct dice *dice, struct sketch *sketch, uint32_t *last_id)
{
	switch (dice_roll(dice, 12)) {
	case 0:
	case 1:
	case 2:
		draw_server(dice, sketch, last_id);
		break;
	case 3:
	case 4:
		if (sketch->server_count > 0)
			remove_server(sketch, dice_roll(dice, (uint32_t)sketch->server_count));
		break;
	case 5:
		if (sketch->server_count > 0)
			sketch->servers[dice_roll(dice, (uint32_t)sketch->server_count)].site =
				sketch->sites[dice_roll(dice, (uint32_t)sketch->site_count)].id;
		break;
	case 6:
		draw_runs(dice, sketch);
		break;
	case 7:
		if (sketch->run_count > 0)
			sketch->runs[dice_roll(dice, (uint32_t)sketch->run_count)].product = PICK(dice, products);
		break;
	case 8:
		draw_policies(dice, sketch);
		break;
	case 9:
		if (sketch->site_count > 1)
			remove_site(sketch, dice_roll(dice, (uint32_t)sketch->site_count));
		break;
	case 10:
		sketch->policies[0].slices = 1 + dice_roll(dice, 4);
		break;
	default:
		break;
	}
}

/* What is true, the plain way. */

static bool asks_for(const struct fleet *fleet, const struct fleet_policy *policy, const struct fleet_server *server,
		     uint32_t addr)
{
	const struct fleet_addresses *addresses = fleet_find_address(fleet, addr);
	struct selector resolved;
	bool matches;

	if (!addresses || selector_resolve(&policy->select, &fleet->sites[server->site].place, &resolved, NULL))
		return false;
	matches = selector_matches(&resolved, &addresses->tags);
	selector_free(&resolved);
	return matches;
}

static bool is_wanted(const struct fleet *fleet, const struct fleet_server *server, uint32_t addr)
{
	for (size_t p = 0; p < fleet->policy_count; p++)
		if (asks_for(fleet, &fleet->policies[p], server, addr))
			return true;
	return false;
}

static bool is_column(const struct fleet *fleet, uint32_t addr, uint32_t column)
{
	const struct fleet_addresses *addresses = fleet_find_address(fleet, addr);
	unsigned shift;

	if (!addresses)
		return false;
	shift = fleet->pools[addresses->pool].shift;
	return slice_port_count(column, shift) > 0 && column < slice_columns(shift);
}

/* Slices of a server that match a policy's selector. */
static size_t matching(const struct fleet *fleet, const struct ownership *held, const struct fleet_policy *policy,
		       const struct fleet_server *server)
{
	size_t count = 0;

	for (size_t i = 0; i < held->count; i++)
		count += held->rows[i].state == SLICE_STATE_OWNED && held->rows[i].owner == server->id &&
			 asks_for(fleet, policy, server, held->rows[i].addr);
	return count;
}

static bool has_free_slice(const struct fleet *fleet, const struct ownership *held, const struct fleet_policy *policy,
			   const struct fleet_server *server)
{
	for (size_t r = 0; r < fleet->addresses_count; r++) {
		const struct addr_range *range = &fleet->addresses[r].range;

		for (uint32_t addr = range->first; addr <= range->last; addr++) {
			if (!asks_for(fleet, policy, server, addr))
				continue;
			for (uint32_t column = 0; column < 256; column++) {
				const struct ownership_row *row = ownership_find(held, addr, column);

				if (is_column(fleet, addr, column) && (!row || row->state == SLICE_STATE_FREE))
					return true;
			}
		}
	}
	return false;
}

static void assert_same_row(const struct ownership_row *a, const struct ownership_row *b)
{
	assert_int_equal(a->addr, b->addr);
	assert_int_equal(a->column, b->column);
	assert_int_equal(a->home, b->home);
	assert_int_equal(a->owner, b->owner);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->since, b->since);
}

static bool row_is_before(const struct ownership_row *a, const struct ownership_row *b)
{
	return a->addr < b->addr || (a->addr == b->addr && a->column < b->column);
}

/* What must hold of rows after a plan. */
static void check_rows(const struct fleet *fleet, const struct ownership *held)
{
	for (size_t i = 0; i < held->count; i++) {
		const struct ownership_row *row = &held->rows[i];
		const struct fleet_server *server = fleet_find_server_id(fleet, row->owner);

		if (i > 0)
			assert_true(row_is_before(row - 1, row));
		assert_int_not_equal(row->home, 0);
		assert_int_not_equal(row->owner, 0);
		if (row->state == SLICE_STATE_COOLING)
			continue;
		assert_int_equal(row->state, SLICE_STATE_OWNED);
		assert_non_null(server);
		assert_true(is_column(fleet, row->addr, row->column));
		assert_true(is_wanted(fleet, server, row->addr));
		assert_int_equal(row->home, fleet->sites[server->site].id);
	}
}

/* A slice is given back without need: some selector that it matches would then have too few. */
static void check_given_back(const struct fleet *fleet, const struct ownership *after, const struct ownership_row *row)
{
	const struct fleet_server *server = fleet_find_server_id(fleet, row->owner);

	for (size_t p = 0; p < fleet->policy_count; p++)
		if (asks_for(fleet, &fleet->policies[p], server, row->addr))
			assert_true(matching(fleet, after, &fleet->policies[p], server) >= fleet->policies[p].slices);
}

static void check_transition(const struct fleet *fleet, const struct ownership *before, const struct ownership *after,
			     const struct plan_transition *transition, int64_t now)
{
	const struct ownership_row *from = &transition->from, *to = &transition->to;
	const struct ownership_row *row = ownership_find(before, from->addr, from->column);
	const struct fleet_server *owner = fleet_find_server_id(fleet, from->owner);

	assert_int_equal(from->addr, to->addr);
	assert_int_equal(from->column, to->column);
	if (row)
		assert_same_row(row, from);
	else
		assert_true(from->state == SLICE_STATE_FREE && from->home == 0 && from->owner == 0);
	assert_int_equal(to->since, transition->reason == PLAN_REHOMED ? from->since : now);
	switch (transition->reason) {
	case PLAN_GRANTED:
		assert_int_equal(to->state, SLICE_STATE_OWNED);
		assert_int_not_equal(from->state, SLICE_STATE_OWNED);
		if (from->state == SLICE_STATE_COOLING)
			assert_true(now - from->since >= (int64_t)fleet->cooling);
		return;
	case PLAN_COOLED:
		assert_int_equal(from->state, SLICE_STATE_COOLING);
		assert_true(now - from->since >= (int64_t)fleet->cooling);
		assert_int_equal(to->state, SLICE_STATE_FREE);
		return;
	case PLAN_REHOMED:
		assert_int_equal(from->state, SLICE_STATE_OWNED);
		assert_int_equal(to->state, SLICE_STATE_OWNED);
		assert_int_equal(from->owner, to->owner);
		return;
	default:
		break;
	}
	assert_int_equal(from->state, SLICE_STATE_OWNED);
	assert_int_equal(to->state, SLICE_STATE_COOLING);
	assert_int_equal(from->owner, to->owner);
	assert_int_equal(from->home, to->home);
	assert_int_equal(transition->reason == PLAN_SERVER_GONE, owner == NULL);
	if (owner)
		assert_int_equal(transition->reason == PLAN_ADDRESS_GONE, !is_column(fleet, from->addr, from->column));
	if (transition->reason == PLAN_UNWANTED && is_wanted(fleet, owner, from->addr))
		check_given_back(fleet, after, from);
}

/* Everything that has cooled is free again, or granted. */
static void check_cooled(const struct fleet *fleet, const struct ownership *held, int64_t now)
{
	for (size_t i = 0; i < held->count; i++)
		if (held->rows[i].state == SLICE_STATE_COOLING)
			assert_true(now - held->rows[i].since < (int64_t)fleet->cooling);
}

/* Lacking slices of a site for a policy's selector: by counting. The largest `slices` of equal selectors counts. */
static size_t lacking(const struct fleet *fleet, const struct ownership *held, const struct fleet_site *site,
		      const char *select)
{
	size_t sum = 0;

	for (size_t i = 0; i < site->server_count; i++) {
		const struct fleet_server *server = &fleet->servers[site->first_server + i];
		size_t most = 0;

		for (size_t p = 0; p < fleet->policy_count; p++) {
			const struct fleet_policy *policy = &fleet->policies[p];
			struct selector resolved = {0};
			int err = selector_resolve(&policy->select, &site->place, &resolved, NULL);
			char *text = selector_format(err ? &policy->select : &resolved);
			size_t have;

			if (strcmp(text, select) == 0) {
				have = matching(fleet, held, policy, server);
				if (policy->slices > have && policy->slices - have > most)
					most = policy->slices - have;
				if (policy->slices > have)
					assert_false(has_free_slice(fleet, held, policy, server));
			}
			selector_free(&resolved);
			free(text);
		}
		sum += most;
	}
	return sum;
}

static void check_shortages(const struct fleet *fleet, const struct ownership *held, const struct plan *plan)
{
	size_t found = 0;

	for (size_t i = 1; i < plan->shortage_count; i++) {
		const struct plan_shortage *shortage = &plan->shortages[i];

		assert_true(
			shortage[-1].site < shortage->site ||
			(shortage[-1].site == shortage->site && strcmp(shortage[-1].selector, shortage->selector) < 0));
	}
	for (size_t s = 0; s < fleet->site_count; s++) {
		for (size_t p = 0; p < fleet->policy_count; p++) {
			const struct fleet_site *site = &fleet->sites[s];
			struct selector resolved = {0};
			int err = selector_resolve(&fleet->policies[p].select, &site->place, &resolved, NULL);
			char *text = selector_format(err ? &fleet->policies[p].select : &resolved);
			size_t expected = lacking(fleet, held, site, text), told = 0;

			for (size_t i = 0; i < plan->shortage_count; i++) {
				const struct plan_shortage *shortage = &plan->shortages[i];

				if (shortage->site != site->id || strcmp(shortage->selector, text) != 0)
					continue;
				told = shortage->lacking;
				found++;
				assert_int_equal(shortage->servers, site->server_count);
				assert_int_not_equal(told, 0);
			}
			assert_int_equal(told, expected);
			selector_free(&resolved);
			free(text);
		}
	}
	assert_true(found >= plan->shortage_count); /* none that nobody asks for */
}

static void assert_same_plan(const struct plan *a, const struct plan *b)
{
	assert_int_equal(a->transition_count, b->transition_count);
	for (size_t i = 0; i < a->transition_count; i++) {
		assert_same_row(&a->transitions[i].from, &b->transitions[i].from);
		assert_same_row(&a->transitions[i].to, &b->transitions[i].to);
		assert_int_equal(a->transitions[i].reason, b->transitions[i].reason);
	}
	assert_int_equal(a->shortage_count, b->shortage_count);
	for (size_t i = 0; i < a->shortage_count; i++) {
		assert_int_equal(a->shortages[i].site, b->shortages[i].site);
		assert_string_equal(a->shortages[i].selector, b->shortages[i].selector);
		assert_int_equal(a->shortages[i].lacking, b->shortages[i].lacking);
	}
}

static void shuffle(struct dice *dice, void *array, size_t count, size_t size)
{
	char *items = array, kept[64];

	assert_true(size <= sizeof(kept));
	for (size_t left = count; left > 1; left--) {
		size_t other = dice_roll(dice, (uint32_t)left);

		memcpy(kept, items + (left - 1) * size, size);
		memmove(items + (left - 1) * size, items + other * size, size);
		memcpy(items + other * size, kept, size);
	}
}

/* The order of servers, sites and policies in the file changes nothing. */
static void check_order(struct dice *dice, const struct sketch *sketch, const struct ownership *held, int64_t now,
			const struct plan *plan)
{
	struct sketch shuffled = *sketch;
	struct plan other;
	struct fleet *fleet;

	shuffle(dice, shuffled.servers, shuffled.server_count, sizeof(shuffled.servers[0]));
	shuffle(dice, shuffled.sites, shuffled.site_count, sizeof(shuffled.sites[0]));
	shuffle(dice, shuffled.policies, shuffled.policy_count, sizeof(shuffled.policies[0]));
	fleet = sketch_fleet(&shuffled);
	assert_int_equal(plan_make(fleet, held, now, &other), 0);
	assert_same_plan(plan, &other);
	plan_free(&other);
	fleet_free(fleet);
}

/* Planning what is planned changes nothing, and says the same. */
static void check_again(const struct fleet *fleet, const struct ownership *held, int64_t now, const struct plan *plan)
{
	struct plan again = {0};

	assert_int_equal(plan_make(fleet, held, now, &again), 0);
	assert_int_equal(again.transition_count, 0);
	assert_int_equal(again.shortage_count, plan->shortage_count);
	plan_free(&again);
}

/* One plan, with every check. */
static void step(struct dice *dice, const struct sketch *sketch, struct ownership *held, int64_t now)
{
	struct fleet *fleet = sketch_fleet(sketch);
	struct ownership before = {0};
	struct plan plan = {0};

	assert_int_equal(ownership_copy(held, &before), 0);
	assert_int_equal(plan_make(fleet, held, now, &plan), 0);
	check_order(dice, sketch, held, now, &plan);
	assert_int_equal(plan_apply(&plan, held), 0);
	check_rows(fleet, held);
	for (size_t i = 0; i < plan.transition_count; i++) {
		if (i > 0)
			assert_true(row_is_before(&plan.transitions[i - 1].to, &plan.transitions[i].to));
		check_transition(fleet, &before, held, &plan.transitions[i], now);
	}
	check_cooled(fleet, held, now);
	check_shortages(fleet, held, &plan);
	check_again(fleet, held, now, &plan);
	plan_free(&plan);
	ownership_free(&before);
	fleet_free(fleet);
}

static void random_fleets_under_random_edits(void **state)
{
	struct dice dice = {.state = 20240501};

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t last_id = 0;
		struct sketch sketch = draw_fleet(&dice, &last_id);
		struct ownership held = {0};
		int64_t now = NOW;

		step(&dice, &sketch, &held, now);
		for (int i = 0; i < EDITS; i++) {
			edit(&dice, &sketch, &last_id);
			now += dice_roll(&dice, 2) ? dice_roll(&dice, 400) : 0;
			step(&dice, &sketch, &held, now);
		}
		ownership_free(&held);
	}
}

/* A server more, and nothing else: only that server gets slices, and nobody loses one. */
static void a_new_server_moves_nothing(void **state)
{
	struct dice dice = {.state = 7};
	size_t grants = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t last_id = 0;
		struct sketch sketch = draw_fleet(&dice, &last_id);
		struct ownership held = {0};

		step(&dice, &sketch, &held, NOW);
		for (int i = 0; i < 5; i++) {
			struct plan plan;
			struct fleet *fleet;

			draw_server(&dice, &sketch, &last_id);
			fleet = sketch_fleet(&sketch);
			assert_int_equal(plan_make(fleet, &held, NOW, &plan), 0);
			for (size_t k = 0; k < plan.transition_count; k++) {
				assert_int_equal(plan.transitions[k].reason, PLAN_GRANTED);
				assert_int_equal(plan.transitions[k].to.owner, last_id);
				grants++;
			}
			assert_int_equal(plan_apply(&plan, &held), 0);
			plan_free(&plan);
			fleet_free(fleet);
		}
		ownership_free(&held);
	}
	assert_true(grants > 1000); /* the rounds were not about nothing */
}

/* Up to 31 servers with one set of tags: each has one column, whatever was added in which order. */
static void one_column_a_server(void **state)
{
	struct dice dice = {.state = 31};

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct sketch sketch = sketch_plain(1 + dice_roll(&dice, 4), dice_roll(&dice, 20), 4);
		struct ownership held = {0};
		uint32_t columns[32] = {0};

		sketch.policies[0].slices = 1 + dice_roll(&dice, 3);
		step(&dice, &sketch, &held, NOW);
		while (sketch.server_count < 31) {
			uint32_t id = (uint32_t)sketch.server_count + 1;

			sketch.servers[sketch.server_count].id = id;
			sketch.servers[sketch.server_count++].site = 1;
			if (dice_roll(&dice, 3) == 0)
				step(&dice, &sketch, &held, NOW);
			if (dice_roll(&dice, 8) == 0 && sketch.policies[0].slices < 4)
				sketch.policies[0].slices++;
		}
		step(&dice, &sketch, &held, NOW);
		assert_int_equal(held.count, 31 * sketch.policies[0].slices);
		for (size_t i = 0; i < held.count; i++) {
			uint32_t *column = &columns[held.rows[i].owner];

			assert_true(*column == 0 || *column == held.rows[i].column);
			*column = held.rows[i].column;
		}
		ownership_free(&held);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_fleets_under_random_edits),
		cmocka_unit_test(a_new_server_moves_nothing),
		cmocka_unit_test(one_column_a_server),
	};

	return cmocka_run_group_tests_name("plan properties", tests, NULL, NULL);
}
