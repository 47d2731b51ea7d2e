/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../abi/slice.h"
#include "fleet_sketch.h"
#include "plan.h"

#define POOL 0xcb007100u /* 203.0.113.0 */
#define NOW 1700000000

/* Plans, applies, and hands the plan over. */
static struct plan plan_of(const struct sketch *sketch, struct ownership *held, int64_t now)
{
	struct fleet *fleet = sketch_fleet(sketch);
	struct plan plan = {0};

	assert_int_equal(plan_make(fleet, held, now, &plan), 0);
	assert_int_equal(plan_apply(&plan, held), 0);
	fleet_free(fleet);
	return plan;
}

/* Plans, applies, and says how many transitions there were. */
static size_t replan(const struct sketch *sketch, struct ownership *held, int64_t now)
{
	struct plan plan = plan_of(sketch, held, now);
	size_t count = plan.transition_count;

	plan_free(&plan);
	return count;
}

static size_t slices_of(const struct ownership *held, uint32_t owner)
{
	size_t count = 0;

	for (size_t i = 0; i < held->count; i++)
		count += held->rows[i].state == SLICE_STATE_OWNED && held->rows[i].owner == owner;
	return count;
}

/* The only column of a server, or 0 when it has none or several. */
static uint32_t column_of(const struct ownership *held, uint32_t owner)
{
	uint32_t column = 0;

	for (size_t i = 0; i < held->count; i++) {
		const struct ownership_row *row = &held->rows[i];

		if (row->state != SLICE_STATE_OWNED || row->owner != owner)
			continue;
		if (column && column != row->column)
			return 0;
		column = row->column;
	}
	return column;
}

static void sketch_remove_server(struct sketch *sketch, size_t at)
{
	sketch->server_count--;
	memmove(&sketch->servers[at], &sketch->servers[at + 1],
		(sketch->server_count - at) * sizeof(sketch->servers[0]));
}

static void sketch_add_server(struct sketch *sketch, uint32_t id, uint32_t site)
{
	sketch->servers[sketch->server_count].id = id;
	sketch->servers[sketch->server_count++].site = site;
}

static void six_servers_in_two_sites_share_an_address(void **state)
{
	struct sketch sketch = sketch_plain(2, 6, 1);
	struct ownership held = {0};
	struct plan plan = plan_of(&sketch, &held, NOW);

	(void)state;
	assert_int_equal(plan.transition_count, 6);
	assert_int_equal(plan.shortage_count, 0);
	assert_int_equal(held.count, 6);
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(held.rows[i].addr, POOL);
		assert_int_equal(held.rows[i].column, i + 1);
		assert_int_equal(held.rows[i].owner, i + 1);
		assert_int_equal(held.rows[i].home, i < 3 ? 1 : 2);
		assert_int_equal(held.rows[i].state, SLICE_STATE_OWNED);
		assert_int_equal(held.rows[i].since, NOW);
		assert_int_equal(plan.transitions[i].reason, PLAN_GRANTED);
		assert_int_equal(plan.transitions[i].from.state, SLICE_STATE_FREE);
		assert_int_equal(plan.transitions[i].from.home, 0);
		assert_int_equal(plan.transitions[i].from.owner, 0);
	}
	assert_int_equal(replan(&sketch, &held, NOW), 0);
	plan_free(&plan);
	ownership_free(&held);
}

static void an_address_is_filled_before_the_next(void **state)
{
	struct sketch sketch = sketch_plain(2, 32, 8);
	struct ownership held = {0};

	(void)state;
	replan(&sketch, &held, NOW);
	assert_int_equal(held.count, 32);
	for (uint32_t i = 0; i < 31; i++) {
		assert_int_equal(held.rows[i].addr, POOL);
		assert_int_equal(held.rows[i].owner, i + 1);
		assert_int_equal(held.rows[i].column, i + 1);
	}
	assert_int_equal(held.rows[31].addr, POOL + 1);
	assert_int_equal(held.rows[31].column, 1);
	ownership_free(&held);
}

static void a_server_has_one_column_on_all_addresses(void **state)
{
	(void)state;
	for (size_t servers = 1; servers <= 31; servers++) {
		struct sketch sketch = sketch_plain(2, servers, 4);
		struct ownership held = {0};

		sketch.policies[0].slices = 3;
		replan(&sketch, &held, NOW);
		assert_int_equal(held.count, 3 * servers);
		for (uint32_t id = 1; id <= servers; id++)
			assert_int_equal(column_of(&held, id), id);
		assert_true(held.rows[held.count - 1].addr == POOL + 2);
		sketch.policies[0].slices = 4;
		assert_int_equal(replan(&sketch, &held, NOW), servers);
		for (uint32_t id = 1; id <= servers; id++)
			assert_int_equal(column_of(&held, id), id);
		ownership_free(&held);
	}
}

static void one_column_across_sets_of_tags(void **state)
{
	struct sketch sketch = sketch_plain(3, 31, 1);
	struct ownership held = {0};

	(void)state;
	sketch.runs[0].product = "crawler";
	for (uint32_t i = 1; i < 4; i++) {
		sketch.runs[i] = sketch.runs[0];
		sketch.runs[i].first = POOL + 4 * i;
		sketch.runs[i].count = 2;
	}
	sketch.run_count = 4;
	sketch.runs[1].product = "mail";
	sketch.runs[2].product = "search";
	sketch.runs[3].product = "mail";
	sketch.policies[0].select = "product=crawler";
	sketch.policies[1].select = "product=mail";
	sketch.policies[1].slices = 2;
	sketch.policies[2].select = "product=search";
	sketch.policies[2].slices = 1;
	sketch.policy_count = 3;
	replan(&sketch, &held, NOW);
	for (uint32_t id = 1; id <= 31; id++) {
		assert_int_equal(slices_of(&held, id), 4);
		assert_int_equal(column_of(&held, id), id);
	}
	assert_null(ownership_find(&held, POOL + 12, 1)); /* two addresses of mail are enough */
	ownership_free(&held);
}

static void one_slice_serves_nested_selectors(void **state)
{
	struct sketch sketch = sketch_plain(1, 3, 4);
	struct ownership held = {0};

	(void)state;
	sketch.runs[1] = sketch.runs[0];
	sketch.runs[1].first = POOL + 8;
	sketch.runs[1].product = "crawler";
	sketch.run_count = 2;
	sketch.policies[1].select = "product=crawler";
	sketch.policies[1].slices = 1;
	sketch.policy_count = 2;
	replan(&sketch, &held, NOW);
	assert_int_equal(held.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(held.rows[i].addr, POOL + 8);
	ownership_free(&held);
}

/* The addresses of the smaller set of selectors go first: what fewer can use is kept for who asks for nothing else. */
static void scarce_tags_are_kept_for_who_asks(void **state)
{
	struct sketch sketch = sketch_plain(2, 2, 1);
	struct ownership held = {0};
	struct plan plan;

	(void)state;
	sketch.runs[0].city = "Berlin";
	sketch.runs[0].product = "crawler";
	sketch.runs[1] = sketch.runs[0];
	sketch.runs[1].first = POOL + 1;
	sketch.runs[1].city = "Calais";
	sketch.run_count = 2;
	sketch.pools[0].shift = 15;
	/* Server 1, of Amsterdam, can use either address; server 2, of Berlin, has to have the first. */
	sketch.policies[0].select = "product=crawler";
	sketch.policies[1].select = "city=$site.city";
	sketch.policies[1].slices = 1;
	sketch.policy_count = 2;
	plan = plan_of(&sketch, &held, NOW);
	assert_int_equal(held.count, 2);
	assert_int_equal(held.rows[0].owner, 2);
	assert_int_equal(held.rows[1].owner, 1);
	assert_int_equal(plan.shortage_count, 1);
	assert_int_equal(plan.shortages[0].site, 1);
	assert_string_equal(plan.shortages[0].selector, "city=Amsterdam");
	plan_free(&plan);
	ownership_free(&held);
}

static void everybody_gets_one_before_anybody_gets_two(void **state)
{
	struct sketch sketch = sketch_plain(1, 3, 1);
	struct ownership held = {0};
	struct plan plan;

	(void)state;
	sketch.policies[0].slices = 20;
	plan = plan_of(&sketch, &held, NOW);
	assert_int_equal(slices_of(&held, 1), 11);
	assert_int_equal(slices_of(&held, 2), 10);
	assert_int_equal(slices_of(&held, 3), 10);
	assert_int_equal(plan.shortage_count, 1);
	assert_int_equal(plan.shortages[0].lacking, 29);
	plan_free(&plan);
	ownership_free(&held);
}

static void assert_shortage_text(const struct plan_shortage *shortage, const struct sketch *sketch,
				 const char *expected)
{
	struct fleet *fleet = sketch_fleet(sketch);
	char *text = plan_shortage_text(shortage, fleet);

	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
	fleet_free(fleet);
}

static void a_shortage_says_what_is_missing(void **state)
{
	struct sketch sketch = sketch_plain(2, 40, 1);
	struct ownership held = {0};
	struct plan plan;

	(void)state;
	sketch.runs[0].city = "Berlin";
	sketch.policies[0].select = "city=Berlin";
	sketch.policies[1].select = "product=*,city=$site.city";
	sketch.policies[1].slices = 1;
	sketch.policy_count = 2;
	sketch.sites[1].city = NULL;
	plan = plan_of(&sketch, &held, NOW);
	assert_int_equal(plan.shortage_count, 3);
	assert_shortage_text(&plan.shortages[0], &sketch,
			     "site site-1 lacks 20 slices of addresses tagged city=Amsterdam,product=* for 20 servers");
	assert_shortage_text(
		&plan.shortages[1], &sketch,
		"site site-2 lacks 20 slices of addresses tagged city=$site.city,product=* for 20 servers");
	assert_shortage_text(&plan.shortages[2], &sketch,
			     "site site-2 lacks 9 slices of addresses tagged city=Berlin for 20 servers");
	assert_shortage_text(&(struct plan_shortage){.site = 1, .selector = (char *)"*", .servers = 1, .lacking = 1},
			     &sketch, "site site-1 lacks 1 slice of any address for 1 server");
	plan_free(&plan);
	ownership_free(&held);
}

static void a_removed_server_leaves_slices_that_cool(void **state)
{
	struct sketch sketch = sketch_plain(2, 31, 1);
	struct ownership held = {0};
	struct plan plan;

	(void)state;
	replan(&sketch, &held, NOW);
	sketch_remove_server(&sketch, 6);
	sketch_add_server(&sketch, 99, 2);
	plan = plan_of(&sketch, &held, NOW + 1000);
	assert_int_equal(plan.transition_count, 1);
	assert_int_equal(plan.transitions[0].reason, PLAN_SERVER_GONE);
	assert_int_equal(plan.transitions[0].to.state, SLICE_STATE_COOLING);
	assert_int_equal(plan.transitions[0].to.owner, 7);
	assert_int_equal(plan.transitions[0].to.home, 1);
	assert_int_equal(plan.transitions[0].to.since, NOW + 1000);
	assert_int_equal(plan.shortage_count, 1);
	plan_free(&plan);
	assert_int_equal(replan(&sketch, &held, NOW + 1000 + 239), 0);
	assert_int_equal(replan(&sketch, &held, NOW), 0); /* the clock was set back */
	plan = plan_of(&sketch, &held, NOW + 1000 + 240);
	assert_int_equal(plan.transition_count, 1);
	assert_int_equal(plan.transitions[0].reason, PLAN_GRANTED);
	assert_int_equal(plan.transitions[0].from.state, SLICE_STATE_COOLING);
	assert_int_equal(plan.transitions[0].to.owner, 99);
	assert_int_equal(plan.transitions[0].to.home, 2);
	assert_int_equal(plan.shortage_count, 0);
	plan_free(&plan);
	ownership_free(&held);
}

static void what_has_cooled_is_free_and_without_home(void **state)
{
	struct sketch sketch = sketch_plain(1, 4, 1);
	struct ownership held = {0};
	struct plan plan;

	(void)state;
	replan(&sketch, &held, NOW);
	sketch_remove_server(&sketch, 3);
	replan(&sketch, &held, NOW);
	assert_int_equal(held.count, 4);
	plan = plan_of(&sketch, &held, NOW + 240);
	assert_int_equal(plan.transition_count, 1);
	assert_int_equal(plan.transitions[0].reason, PLAN_COOLED);
	assert_int_equal(plan.transitions[0].to.state, SLICE_STATE_FREE);
	assert_int_equal(plan.transitions[0].to.owner, 0);
	assert_int_equal(held.count, 3);
	plan_free(&plan);
	ownership_free(&held);
}

static void fewer_slices_asked_for_are_given_back(void **state)
{
	struct sketch sketch = sketch_plain(1, 2, 1);
	struct ownership held = {0};

	(void)state;
	sketch.policies[0].slices = 2; /* columns 1 and 3, 2 and 4 */
	replan(&sketch, &held, NOW);
	sketch.runs[0].count = 2;
	sketch.policies[0].slices = 3; /* and the first ones on the second address */
	replan(&sketch, &held, NOW);
	assert_int_equal(ownership_find(&held, POOL + 1, 1)->owner, 1);
	sketch.policies[0].slices = 2;
	assert_int_equal(replan(&sketch, &held, NOW), 2);
	assert_int_equal(ownership_find(&held, POOL, 3)->state, SLICE_STATE_COOLING);
	assert_int_equal(ownership_find(&held, POOL, 4)->state, SLICE_STATE_COOLING);
	assert_int_equal(column_of(&held, 1), 1);
	assert_int_equal(column_of(&held, 2), 2);
	ownership_free(&held);
}

static void unwanted_slices_and_gone_addresses_cool(void **state)
{
	struct sketch sketch = sketch_plain(1, 2, 1), edited;
	struct ownership held = {0};
	struct plan plan;

	(void)state;
	replan(&sketch, &held, NOW);
	edited = sketch;
	edited.policies[0].select = "product=mail";
	plan = plan_of(&edited, &held, NOW);
	assert_int_equal(plan.transition_count, 2);
	assert_int_equal(plan.transitions[0].reason, PLAN_UNWANTED);
	plan_free(&plan);
	ownership_free(&held);

	replan(&sketch, &held, NOW);
	edited = sketch;
	edited.runs[0].first = POOL + 1;
	plan = plan_of(&edited, &held, NOW);
	assert_int_equal(plan.transition_count, 4);
	assert_int_equal(plan.transitions[0].reason, PLAN_ADDRESS_GONE);
	assert_int_equal(plan.transitions[2].reason, PLAN_GRANTED);
	assert_int_equal(plan.transitions[2].to.column, 1);
	plan_free(&plan);
	ownership_free(&held);
}

/* Columns that are masked, or past the last, at the slice size that the pool has now. */
static void columns_that_are_not_there_cool(void **state)
{
	struct sketch sketch = sketch_plain(1, 1, 1);
	struct ownership held = {0};
	static const uint32_t columns[] = {0, 32, 200};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct ownership_row row = {
			.addr = POOL, .column = columns[i], .home = 1, .owner = 1, .state = SLICE_STATE_OWNED};
		struct plan plan;

		assert_int_equal(ownership_set(&held, &row), 0);
		plan = plan_of(&sketch, &held, NOW);
		assert_int_equal(plan.transition_count, 2);
		assert_int_equal(plan.transitions[columns[i] != 0].reason, PLAN_ADDRESS_GONE);
		assert_int_equal(ownership_find(&held, POOL, 1)->owner, 1);
		plan_free(&plan);
		ownership_free(&held);
	}
}

static void homes_follow_a_server_that_moves(void **state)
{
	struct sketch sketch = sketch_plain(2, 4, 1);
	struct ownership held = {0};
	struct plan plan;

	(void)state;
	replan(&sketch, &held, NOW);
	sketch.servers[0].site = 2;
	plan = plan_of(&sketch, &held, NOW + 5);
	assert_int_equal(plan.transition_count, 1);
	assert_int_equal(plan.transitions[0].reason, PLAN_REHOMED);
	assert_int_equal(held.rows[0].home, 2);
	assert_int_equal(held.rows[0].owner, 1);
	assert_int_equal(held.rows[0].since, NOW);
	assert_int_equal(held.rows[0].state, SLICE_STATE_OWNED);
	plan_free(&plan);
	ownership_free(&held);
}

static void a_free_row_with_a_home_can_be_granted(void **state)
{
	struct sketch sketch = sketch_plain(2, 2, 1);
	struct ownership held = {0};
	struct ownership_row row = {.addr = POOL, .column = 1, .home = 2};
	struct plan plan;

	(void)state;
	assert_int_equal(ownership_set(&held, &row), 0);
	plan = plan_of(&sketch, &held, NOW);
	assert_int_equal(plan.transition_count, 2);
	assert_int_equal(plan.transitions[0].from.home, 2);
	assert_int_equal(plan.transitions[0].to.home, 1);
	assert_int_equal(plan.transitions[0].to.owner, 1);
	plan_free(&plan);
	ownership_free(&held);
}

/* Two slice sizes: a preferred column for each. */
static void columns_are_kept_by_slice_size(void **state)
{
	struct sketch sketch = sketch_plain(1, 8, 2);
	struct ownership held = {0};

	(void)state;
	sketch.pools[1].prefix = (struct prefix){.addr = 0xc6336400, .len = 24};
	sketch.pools[1].shift = 9;
	sketch.pool_count = 2;
	sketch.runs[1] = sketch.runs[0];
	sketch.runs[0].first = 0xc6336400;
	sketch.runs[0].product = "small";
	sketch.run_count = 2;
	sketch.policies[0].select = "product=small";
	sketch.policies[0].slices = 2;
	sketch.policies[1].select = "*";
	sketch.policies[1].slices = 4;
	sketch.policy_count = 2;
	replan(&sketch, &held, NOW);
	for (uint32_t id = 1; id <= 8; id++) {
		assert_int_equal(slices_of(&held, id), 4);
		assert_int_equal(ownership_find(&held, 0xc6336400, 3 + id)->owner, id);
		assert_int_equal(ownership_find(&held, 0xc6336401, 3 + id)->owner, id);
		assert_int_equal(ownership_find(&held, POOL, id)->owner, id);
		assert_int_equal(ownership_find(&held, POOL + 1, id)->owner, id);
	}
	ownership_free(&held);
}

/* One slice for each fallback, however many the policy itself asks for; a slice that is there anyway counts. */
static void a_fallback_asks_for_one_slice(void **state)
{
	struct sketch sketch = sketch_plain(1, 3, 8);
	struct ownership held = {0};
	struct plan plan;

	(void)state;
	sketch.runs[1] = sketch.runs[0];
	sketch.runs[0].count = 4;
	sketch.runs[0].product = "crawler";
	sketch.runs[1].first += 4;
	sketch.runs[1].count = 4;
	sketch.runs[1].product = "mail";
	sketch.run_count = 2;
	sketch.policies[0].select = "product=crawler";
	sketch.policies[0].slices = 3;
	sketch.policies[0].fallback = "product=mail";
	replan(&sketch, &held, NOW);
	for (uint32_t id = 1; id <= 3; id++)
		assert_int_equal(slices_of(&held, id), 4);
	ownership_free(&held);
	held = (struct ownership){0};
	sketch.policies[0].fallback = "product=*";
	replan(&sketch, &held, NOW);
	for (uint32_t id = 1; id <= 3; id++)
		assert_int_equal(slices_of(&held, id), 3);
	sketch.policies[0].fallback = "product=search";
	plan = plan_of(&sketch, &held, NOW);
	assert_int_equal(plan.shortage_count, 1);
	assert_shortage_text(&plan.shortages[0], &sketch,
			     "site site-1 lacks 3 slices of addresses tagged product=search for 3 servers");
	plan_free(&plan);
	ownership_free(&held);
}

/* Sixteen million addresses of which three are used: the planner must not walk over them. */
static void unused_addresses_cost_nothing(void **state)
{
	struct sketch sketch = sketch_plain(1, 3, 1);
	struct ownership held = {0};

	(void)state;
	sketch.pools[0].prefix = (struct prefix){.addr = 0x0a000000, .len = 8};
	sketch.runs[0].first = 0x0a000000;
	sketch.runs[0].count = 1u << 24;
	sketch.policies[0].slices = 3;
	assert_int_equal(replan(&sketch, &held, NOW), 9);
	assert_int_equal(held.rows[8].addr, 0x0a000002);
	ownership_free(&held);
}

static void the_last_addresses_there_are(void **state)
{
	struct sketch sketch = sketch_plain(1, 2, 1);
	struct ownership held = {0};
	struct plan plan;

	(void)state;
	sketch.pools[0].prefix = (struct prefix){.addr = 0xffffff00, .len = 24};
	sketch.pools[0].shift = 15;
	sketch.runs[0].first = 0xfffffffe;
	sketch.runs[0].count = 2;
	sketch.policies[0].slices = 3;
	plan = plan_of(&sketch, &held, NOW);
	assert_int_equal(plan.transition_count, 4);
	assert_int_equal(plan.shortages[0].lacking, 2);
	plan_free(&plan);
	ownership_free(&held);
}

static void an_empty_fleet(void **state)
{
	struct sketch sketch = {.cooling = 1};
	struct ownership held = {0};

	(void)state;
	assert_int_equal(replan(&sketch, &held, NOW), 0);
	sketch = sketch_plain(2, 0, 1);
	assert_int_equal(replan(&sketch, &held, NOW), 0);
	sketch = sketch_plain(2, 2, 0);
	sketch.run_count = 0;
	assert_int_equal(replan(&sketch, &held, NOW), 0);
	assert_int_equal(held.count, 0);
}

static void every_reason_has_a_text(void **state)
{
	(void)state;
	for (int reason = PLAN_GRANTED; reason <= PLAN_COOLED; reason++)
		for (int other = PLAN_GRANTED; other < reason; other++)
			assert_string_not_equal(plan_reason_text((enum plan_reason)reason),
						plan_reason_text((enum plan_reason)other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(six_servers_in_two_sites_share_an_address),
		cmocka_unit_test(an_address_is_filled_before_the_next),
		cmocka_unit_test(a_server_has_one_column_on_all_addresses),
		cmocka_unit_test(one_column_across_sets_of_tags),
		cmocka_unit_test(one_slice_serves_nested_selectors),
		cmocka_unit_test(scarce_tags_are_kept_for_who_asks),
		cmocka_unit_test(everybody_gets_one_before_anybody_gets_two),
		cmocka_unit_test(a_shortage_says_what_is_missing),
		cmocka_unit_test(a_removed_server_leaves_slices_that_cool),
		cmocka_unit_test(what_has_cooled_is_free_and_without_home),
		cmocka_unit_test(fewer_slices_asked_for_are_given_back),
		cmocka_unit_test(a_fallback_asks_for_one_slice),
		cmocka_unit_test(unwanted_slices_and_gone_addresses_cool),
		cmocka_unit_test(columns_that_are_not_there_cool),
		cmocka_unit_test(homes_follow_a_server_that_moves),
		cmocka_unit_test(a_free_row_with_a_home_can_be_granted),
		cmocka_unit_test(columns_are_kept_by_slice_size),
		cmocka_unit_test(unused_addresses_cost_nothing),
		cmocka_unit_test(the_last_addresses_there_are),
		cmocka_unit_test(an_empty_fleet),
		cmocka_unit_test(every_reason_has_a_text),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
