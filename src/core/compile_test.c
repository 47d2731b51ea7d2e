/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../abi/slice.h"
#include "compile.h"
#include "directory.h"
#include "fleet_sketch.h"

#define POOL 0xcb007100u /* 203.0.113.0 */
#define ROUNDS 120

static struct tables *compile(const struct sketch *sketch, const struct ownership *held, uint32_t server,
			      const struct tables *loaded)
{
	struct fleet *fleet = sketch_fleet(sketch);
	struct tables *tables = NULL;
	const char *why = NULL;

	assert_int_equal(tables_compile(fleet, held, server, loaded, &tables, &why), 0);
	assert_null(why);
	fleet_free(fleet);
	return tables;
}

static int compile_fails(const struct sketch *sketch, uint32_t server, const struct tables *loaded, const char **why)
{
	struct fleet *fleet = sketch_fleet(sketch);
	struct ownership held = {0};
	struct tables *tables = NULL;
	int err = tables_compile(fleet, &held, server, loaded, &tables, why);

	assert_null(tables);
	fleet_free(fleet);
	return err;
}

static void hold(struct ownership *held, uint32_t addr, uint32_t column, uint32_t home, uint32_t owner,
		 enum slice_state state)
{
	struct ownership_row row = {.addr = addr, .column = column, .home = home, .owner = owner, .state = state};

	assert_int_equal(ownership_set(held, &row), 0);
}

/* Who a slice entry leads to: SLICE_NOT_OURS, SLICE_FREE, SLICE_LOCAL, or the target of its hop. */
static uint32_t leads_to(const struct tables *tables, uint32_t addr, uint32_t port)
{
	uint32_t entry = tables_lookup(tables, addr, (uint16_t)port);

	if (entry < SLICE_HOP)
		return entry;
	assert_true(entry - SLICE_HOP < HOPS_MAX);
	assert_int_not_equal(tables->hop_target[entry - SLICE_HOP], 0);
	return tables->hop_target[entry - SLICE_HOP];
}

/* Servers 1, 2 and 3 in site 1; 4, 5 and 6 in site 2. Seen from server 2. */
static void every_way_that_a_slice_can_lead(void **state)
{
	struct sketch sketch = sketch_plain(2, 6, 8);
	struct ownership held = {0};
	struct tables *tables;

	(void)state;
	hold(&held, POOL, 1, 1, 1, SLICE_STATE_OWNED);
	hold(&held, POOL, 2, 1, 2, SLICE_STATE_OWNED);
	hold(&held, POOL, 3, 2, 4, SLICE_STATE_OWNED);
	hold(&held, POOL, 4, 1, 2, SLICE_STATE_COOLING);
	hold(&held, POOL, 5, 1, 3, SLICE_STATE_COOLING);
	hold(&held, POOL, 6, 2, 5, SLICE_STATE_COOLING);
	hold(&held, POOL, 7, 1, 0, SLICE_STATE_FREE);
	hold(&held, POOL, 8, 2, 0, SLICE_STATE_FREE);
	hold(&held, POOL, 9, 0, 1, SLICE_STATE_OWNED); /* no home */
	hold(&held, POOL, 10, 1, 77, SLICE_STATE_COOLING); /* its server has left */
	hold(&held, POOL, 11, 9, 77, SLICE_STATE_COOLING); /* its site has left */
	hold(&held, POOL, 12, 2, 2, SLICE_STATE_COOLING); /* ours from when we were in site 2 */
	hold(&held, POOL, 13, 1, 6, SLICE_STATE_COOLING); /* of a server that moved to site 2 */
	hold(&held, POOL, 0, 1, 1, SLICE_STATE_OWNED); /* masked */
	hold(&held, POOL, 32, 1, 1, SLICE_STATE_OWNED); /* no such column */
	hold(&held, POOL + 200, 31, 1, 3, SLICE_STATE_OWNED); /* in the pool, not listed */
	tables = compile(&sketch, &held, 2, NULL);
	assert_int_equal(leads_to(tables, POOL, 2048), HOP_SERVER | 1);
	assert_int_equal(leads_to(tables, POOL, 4095), HOP_SERVER | 1);
	assert_int_equal(leads_to(tables, POOL, 4096), SLICE_LOCAL);
	assert_int_equal(leads_to(tables, POOL, 6144), HOP_SITE | 2);
	assert_int_equal(leads_to(tables, POOL, 8192), SLICE_LOCAL);
	assert_int_equal(leads_to(tables, POOL, 10240), HOP_SERVER | 3);
	assert_int_equal(leads_to(tables, POOL, 6 << 11), HOP_SITE | 2);
	for (uint32_t column = 7; column <= 11; column++)
		assert_int_equal(leads_to(tables, POOL, column << 11), SLICE_FREE);
	assert_int_equal(leads_to(tables, POOL, 12 << 11), SLICE_LOCAL);
	assert_int_equal(leads_to(tables, POOL, 13 << 11), HOP_SERVER | 6);
	assert_int_equal(leads_to(tables, POOL, 0), SLICE_FREE);
	assert_int_equal(leads_to(tables, POOL + 1, 0), SLICE_FREE);
	assert_int_equal(leads_to(tables, POOL + 200, 65535), HOP_SERVER | 3);
	assert_int_equal(leads_to(tables, POOL + 255, 65535), SLICE_FREE);
	assert_int_equal(leads_to(tables, POOL - 1, 65535), SLICE_NOT_OURS);
	assert_int_equal(leads_to(tables, POOL + 256, 0), SLICE_NOT_OURS);
	assert_int_equal(tables->member_count, 7);
	assert_int_equal(tables->members[0], 0);
	for (uint32_t id = 1; id <= 6; id++)
		assert_int_equal(tables->members[id], 0x0a000000 + id);
	tables_free(tables);
	ownership_free(&held);
}

static void hops_are_there_before_they_are_needed(void **state)
{
	struct sketch sketch = sketch_plain(4, 12, 1);
	struct ownership held = {0};
	struct tables *tables = compile(&sketch, &held, 4, NULL);
	static const uint32_t expected[] = {HOP_SITE | 1,   HOP_SITE | 3,   HOP_SITE | 4,
					    HOP_SERVER | 5, HOP_SERVER | 6, 0};

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
		assert_int_equal(tables->hop_target[i], expected[i]);
	tables_free(tables);
}

/* Random fleets, every slice size, against a look through the rows. */

static struct sketch draw_fleet(struct dice *dice, unsigned shift)
{
	static const struct prefix first[] = {{0xc6336400, 24}, {0xc6336400, 28}, {0xc6336440, 26}, {0xc6336400, 32}};
	static const struct prefix second[] = {{0xcb007100, 24}, {0xcb007000, 23}, {0xcb007100, 25}, {0xcb007180, 25}};
	struct sketch sketch = sketch_plain(1 + dice_roll(dice, 4), 1 + dice_roll(dice, 30), 1);

	sketch.pool_count = 1 + dice_roll(dice, 2);
	sketch.pools[0].prefix = first[dice_roll(dice, 4)];
	sketch.pools[0].shift = shift;
	sketch.pools[1].prefix = second[dice_roll(dice, 4)];
	sketch.pools[1].shift = BERTH_SLICE_SHIFT_MIN + dice_roll(dice, 8);
	sketch.runs[0].first = sketch.pools[0].prefix.addr;
	return sketch;
}

static const struct prefix around[] = {{0xc6336400, 24}, {0xcb007000, 23}};

static struct ownership draw_rows(struct dice *dice)
{
	struct ownership held = {0};

	for (int i = 0; i < 600; i++) {
		struct prefix prefix = around[dice_roll(dice, 2)];
		enum slice_state slice_state = (enum slice_state)dice_roll(dice, 3);
		uint32_t owner = slice_state == SLICE_STATE_FREE ? 0 : dice_roll(dice, 34);

		hold(&held, prefix.addr + dice_roll(dice, 8) * dice_roll(dice, 60),
		     dice_roll(dice, 256 >> dice_roll(dice, 8)), dice_roll(dice, 6), owner, slice_state);
	}
	return held;
}

static uint32_t model_leads_to(const struct fleet *fleet, const struct ownership *held, const struct fleet_server *self,
			       uint32_t addr, uint32_t port)
{
	uint32_t site = fleet->sites[self->site].id;

	for (size_t p = 0; p < fleet->pool_count; p++) {
		const struct fleet_pool *pool = &fleet->pools[p];

		if (addr < pool->prefix.addr || addr > pool->prefix.addr + (0xffffffffu >> (pool->prefix.len - 1) >> 1))
			continue;
		for (size_t i = 0; i < held->count; i++) {
			const struct ownership_row *row = &held->rows[i];
			uint32_t ports = 1u << pool->shift;

			if (row->addr != addr || port < row->column * ports || port >= (row->column + 1) * ports)
				continue;
			if ((row->column + 1) * ports <= 2048 || !row->home || !row->owner)
				return SLICE_FREE;
			if (row->owner == self->id)
				return SLICE_LOCAL;
			if (row->home != site)
				return fleet_find_site_id(fleet, row->home) ? HOP_SITE | row->home : SLICE_FREE;
			return fleet_find_server_id(fleet, row->owner) ? HOP_SERVER | row->owner : SLICE_FREE;
		}
		return SLICE_FREE;
	}
	return SLICE_NOT_OURS;
}

static void check_against_model(const struct fleet *fleet, const struct ownership *held, const struct tables *tables,
				const struct fleet_server *self, uint32_t addr, struct dice *dice)
{
	uint32_t ports[] = {0, 1, 2047, 2048, 2049, 65535, dice_roll(dice, 65536), 0, 0, 0};
	uint32_t border = (1 + dice_roll(dice, 255)) << 8;

	ports[7] = border - 1;
	ports[8] = border;
	ports[9] = border + 255;
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		assert_int_equal(leads_to(tables, addr, ports[i]), model_leads_to(fleet, held, self, addr, ports[i]));
}

static void lookups_agree_with_a_plain_model(void **state)
{
	struct dice dice = {.state = 42};

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct sketch sketch = draw_fleet(&dice, BERTH_SLICE_SHIFT_MIN + (unsigned)round % 8);
		struct ownership held = draw_rows(&dice);
		struct fleet *fleet = sketch_fleet(&sketch);
		const struct fleet_server *self = &fleet->servers[dice_roll(&dice, (uint32_t)fleet->server_count)];
		struct tables *tables = compile(&sketch, &held, self->id, NULL);

		for (size_t i = 0; i < 2; i++)
			for (uint32_t addr = around[i].addr - 2; addr <= prefix_last(around[i]) + 2; addr++)
				check_against_model(fleet, &held, tables, self, addr, &dice);
		tables_free(tables);
		fleet_free(fleet);
		ownership_free(&held);
	}
}

/* Every port of an address, for every slice size. */
static void every_port_of_an_address(void **state)
{
	(void)state;
	for (unsigned shift = BERTH_SLICE_SHIFT_MIN; shift <= BERTH_SLICE_SHIFT_MAX; shift++) {
		struct sketch sketch = sketch_plain(1, 31, 1);
		struct ownership held = {0};
		struct tables *tables;

		sketch.pools[0].shift = shift;
		for (uint32_t column = 0; column < slice_columns(shift); column++)
			hold(&held, POOL, column, 1, column % 29 + 2, SLICE_STATE_OWNED);
		tables = compile(&sketch, &held, 1, NULL);
		for (uint32_t port = 0; port < 65536; port++) {
			uint32_t column = port / (65536 / slice_columns(shift));
			bool masked = column < slice_first_column(shift);

			assert_int_equal(leads_to(tables, POOL, port),
					 masked ? SLICE_FREE : HOP_SERVER | (column % 29 + 2));
		}
		tables_free(tables);
		ownership_free(&held);
	}
}

/* What is loaded stays where it is; what is new takes what nothing loaded uses. */

static const struct directory_slot *slot_of(const struct tables *tables, uint32_t addr)
{
	const struct directory_slot *slot =
		&tables->directory.slots[directory_index(tables->directory.multiplier, addr)];

	return slot->key == directory_key(addr) ? slot : NULL;
}

static bool overlap(const struct directory_slot *a, const struct directory_slot *b)
{
	return a->base < b->base + directory_block_size(b->shift) && b->base < a->base + directory_block_size(a->shift);
}

/* Returns how many /24s are in both tables. */
static size_t check_bases(const struct tables *before, const struct tables *after)
{
	size_t kept = 0;

	for (size_t i = 0; i < DIRECTORY_SLOTS; i++) {
		const struct directory_slot *slot = &after->directory.slots[i], *old;

		if (!slot->key)
			continue;
		assert_int_equal(directory_index(after->directory.multiplier, slot->key << 8), i);
		assert_true(slot->base + directory_block_size(slot->shift) <= after->slice_count);
		for (size_t k = i + 1; k < DIRECTORY_SLOTS; k++)
			if (after->directory.slots[k].key)
				assert_false(overlap(slot, &after->directory.slots[k]));
		old = slot_of(before, slot->key << 8);
		if (old && old->shift == slot->shift) {
			assert_int_equal(slot->base, old->base);
			kept++;
			continue;
		}
		for (size_t k = 0; k < DIRECTORY_SLOTS; k++)
			if (before->directory.slots[k].key)
				assert_false(overlap(slot, &before->directory.slots[k]));
	}
	return kept;
}

/* Returns how many hops both have. */
static size_t check_hops(const struct tables *before, const struct tables *after)
{
	size_t kept = 0;

	for (size_t i = 0; i < HOPS_MAX; i++) {
		uint32_t target = after->hop_target[i];

		if (!target)
			continue;
		for (size_t k = 0; k < HOPS_MAX; k++) {
			assert_true(k == i || after->hop_target[k] != target);
			assert_true(k == i || before->hop_target[k] != target);
		}
		assert_true(!before->hop_target[i] || before->hop_target[i] == target);
		kept += before->hop_target[i] == target;
	}
	return kept;
}

static void draw_change(struct dice *dice, struct sketch *sketch, uint32_t *last_id)
{
	/* Server 1 stays: the tables are its. */
	if (sketch->server_count > 1) {
		size_t gone = 1 + dice_roll(dice, (uint32_t)sketch->server_count - 1);

		sketch->servers[gone] = sketch->servers[--sketch->server_count];
	}
	for (int i = 0; i < 2 && sketch->server_count < 40; i++) {
		sketch->servers[sketch->server_count].id = ++*last_id;
		sketch->servers[sketch->server_count++].site = 1 + dice_roll(dice, (uint32_t)sketch->site_count);
	}
	sketch->pool_count = dice_roll(dice, SKETCH_POOLS + 1);
	for (size_t p = 0; p < sketch->pool_count; p++) {
		sketch->pools[p].prefix =
			(struct prefix){.addr = 0xcb000000 + ((uint32_t)p << 16 | dice_roll(dice, 4) << 8), .len = 24};
		sketch->pools[p].shift = 11 + dice_roll(dice, 2);
		if (dice_roll(dice, 2)) {
			sketch->pools[p].prefix.addr &= 0xffff0000;
			sketch->pools[p].prefix.len = 22;
		}
	}
	sketch->run_count = 0;
}

static void what_is_loaded_stays(void **state)
{
	struct dice dice = {.state = 5};
	size_t bases = 0, hops = 0;

	(void)state;
	for (int round = 0; round < 20; round++) {
		struct sketch sketch = sketch_plain(3, 20, 1);
		struct ownership held = {0};
		struct tables *tables = compile(&sketch, &held, 1, NULL);
		uint32_t last_id = 20;

		for (int i = 0; i < 20; i++) {
			struct tables *next;

			draw_change(&dice, &sketch, &last_id);
			next = compile(&sketch, &held, 1, tables);
			bases += check_bases(tables, next);
			hops += check_hops(tables, next);
			tables_free(tables);
			tables = next;
		}
		tables_free(tables);
	}
	assert_true(bases > 200 && hops > 1000); /* the rounds were not about nothing */
}

/* Two places used in turn: a range that was given up comes back one compilation later. */
static void what_is_given_up_is_used_again(void **state)
{
	struct sketch sketch = sketch_plain(1, 2, 1);
	struct ownership held = {0};
	struct tables *tables = compile(&sketch, &held, 1, NULL), *next;
	uint32_t size = directory_block_size(11);

	(void)state;
	assert_int_equal(slot_of(tables, POOL)->base, 0);
	for (int i = 1; i < 6; i++) {
		sketch.pools[0].prefix.addr = POOL + 256 * (uint32_t)i;
		sketch.runs[0].first = sketch.pools[0].prefix.addr;
		sketch.servers[1].id++;
		next = compile(&sketch, &held, 1, tables);
		assert_int_equal(slot_of(next, sketch.runs[0].first)->base, i % 2 ? size : 0);
		assert_int_equal(next->hop_target[i % 2], HOP_SERVER | sketch.servers[1].id);
		assert_int_equal(next->hop_target[!(i % 2)], 0);
		tables_free(tables);
		tables = next;
	}
	tables_free(tables);
}

static void the_same_again_is_the_same(void **state)
{
	struct sketch sketch = sketch_plain(3, 20, 8);
	struct ownership held = {0};
	struct tables *first, *second;

	(void)state;
	hold(&held, POOL, 3, 1, 2, SLICE_STATE_OWNED);
	first = compile(&sketch, &held, 1, NULL);
	second = compile(&sketch, &held, 1, first);
	assert_memory_equal(&first->directory, &second->directory, sizeof(first->directory));
	assert_memory_equal(first->hop_target, second->hop_target, sizeof(first->hop_target));
	assert_int_equal(first->slice_count, second->slice_count);
	assert_memory_equal(first->slices, second->slices, first->slice_count * sizeof(*first->slices));
	tables_free(first);
	tables_free(second);
	ownership_free(&held);
}

/* Limits. */

static void a_pool_that_just_fits(void **state)
{
	struct sketch sketch = sketch_plain(1, 2, 1);
	struct ownership held = {0};
	struct tables *tables;
	const char *why = NULL;

	(void)state;
	sketch.pools[0].prefix = (struct prefix){.addr = 0xcb000000, .len = 16};
	hold(&held, 0xcb00ffff, 31, 1, 2, SLICE_STATE_OWNED);
	tables = compile(&sketch, &held, 1, NULL);
	assert_int_equal(tables->slice_count, SLICES_MAX);
	assert_int_equal(leads_to(tables, 0xcb00ffff, 65535), HOP_SERVER | 2);
	assert_int_equal(leads_to(tables, 0xcb00ffff, 65535 - 2048), SLICE_FREE);
	tables_free(tables);
	ownership_free(&held);
	sketch.pools[1].prefix = (struct prefix){.addr = 0xc6336400, .len = 32};
	sketch.pools[1].shift = 15;
	sketch.pool_count = 2;
	assert_int_equal(compile_fails(&sketch, 1, NULL, &why), -ENOSPC);
	assert_non_null(strstr(why, "2,097,152 slices"));
}

/* Tables that are loaded leave no room for the same /24s cut anew, until they are unloaded. */
static void loaded_slices_count(void **state)
{
	struct sketch sketch = sketch_plain(1, 1, 1);
	struct ownership held = {0};
	struct tables *tables, *anew;
	const char *why = NULL;

	(void)state;
	sketch.pools[0].prefix = (struct prefix){.addr = 0xcb000000, .len = 16};
	tables = compile(&sketch, &held, 1, NULL);
	sketch.pools[0].shift = 12;
	assert_int_equal(compile_fails(&sketch, 1, tables, &why), -ENOSPC);
	assert_non_null(strstr(why, "tables in use"));
	anew = compile(&sketch, &held, 1, NULL);
	assert_int_equal(anew->slice_count, SLICES_MAX / 2);
	tables_free(anew);
	tables_free(tables);
}

static void prefixes_beyond_the_directory(void **state)
{
	struct sketch sketch = sketch_plain(1, 1, 1);
	const char *why = NULL;

	(void)state;
	sketch.pools[0].prefix = (struct prefix){.addr = 0x0a000000, .len = 8};
	sketch.pools[0].shift = 15;
	assert_int_equal(compile_fails(&sketch, 1, NULL, &why), -ENOSPC);
	assert_non_null(strstr(why, "keep apart"));
	/* As many as there are slots, and one more. */
	sketch.pools[0].prefix.len = 12;
	sketch.pools[1] = sketch.pools[0];
	sketch.pools[1].prefix = (struct prefix){.addr = POOL, .len = 24};
	sketch.pool_count = 2;
	why = NULL;
	assert_int_equal(compile_fails(&sketch, 1, NULL, &why), -ENOSPC);
	assert_non_null(strstr(why, "keep apart"));
}

static void two_slice_sizes_in_one_24(void **state)
{
	struct sketch sketch = sketch_plain(1, 1, 1);
	const char *why = NULL;

	(void)state;
	sketch.pools[0].prefix = (struct prefix){.addr = POOL, .len = 25};
	sketch.pools[1].prefix = (struct prefix){.addr = POOL + 128, .len = 25};
	sketch.pools[1].shift = 12;
	sketch.pool_count = 2;
	assert_int_equal(compile_fails(&sketch, 1, NULL, &why), -EINVAL);
	assert_non_null(strstr(why, "slice_ports"));
}

static void a_server_that_is_not_there(void **state)
{
	struct sketch sketch = sketch_plain(1, 3, 1);
	const char *why = NULL;

	(void)state;
	assert_int_equal(compile_fails(&sketch, 4, NULL, &why), -ENOENT);
	assert_non_null(why);
}

/* A site of 4,097 servers: each has 4,096 hops. One more, or a server replaced, is too many. */
static void hops_beyond_the_table(void **state)
{
	struct fleet_site site = {.name = (char *)"site-1", .id = 1, .server_count = HOPS_MAX + 1};
	struct fleet_server *servers = calloc(HOPS_MAX + 2, sizeof(*servers));
	struct fleet fleet = {.sites = &site, .site_count = 1, .servers = servers, .server_count = HOPS_MAX + 1};
	struct ownership held = {0};
	struct tables *tables = NULL, *next = NULL;
	const char *why = NULL;

	(void)state;
	assert_non_null(servers);
	for (uint32_t i = 0; i < HOPS_MAX + 2; i++)
		servers[i] = (struct fleet_server){.id = i + 1, .underlay = 0x0a000001 + i};
	assert_int_equal(tables_compile(&fleet, &held, 1, NULL, &tables, &why), 0);
	assert_int_equal(tables->hop_target[HOPS_MAX - 1], HOP_SERVER | (HOPS_MAX + 1));
	servers[HOPS_MAX].id = HOPS_MAX + 2;
	assert_int_equal(tables_compile(&fleet, &held, 1, tables, &next, &why), -ENOSPC);
	assert_non_null(strstr(why, "4,096 hops"));
	servers[HOPS_MAX].id = HOPS_MAX + 1;
	fleet.server_count = site.server_count = HOPS_MAX + 2;
	assert_int_equal(tables_compile(&fleet, &held, 1, NULL, &next, &why), -ENOSPC);
	assert_null(next);
	tables_free(tables);
	free(servers);
}

/* The multiplier. */

static void check_multiplier(const uint32_t *prefixes, size_t count)
{
	bool taken[DIRECTORY_SLOTS] = {0};
	uint32_t multiplier = 0, again = 0;

	assert_int_equal(directory_multiplier(prefixes, count, &multiplier), 0);
	assert_int_equal(multiplier & 1, 1);
	for (size_t i = 0; i < count; i++) {
		uint32_t slot = directory_index(multiplier, prefixes[i] << 8 | 0x5a);

		assert_false(taken[slot]);
		taken[slot] = true;
	}
	assert_int_equal(directory_multiplier(prefixes, count, &again), 0);
	assert_int_equal(multiplier, again);
}

static void prefixes_draw(struct dice *dice, uint32_t *prefixes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		prefixes[i] = dice_roll(dice, 1u << 24);
		for (size_t k = 0; k < i; k++)
			if (prefixes[k] == prefixes[i])
				i--; /* draw that one again */
	}
}

static void random_prefixes_are_kept_apart(void **state)
{
	struct dice dice = {.state = 300};
	uint32_t prefixes[300];

	(void)state;
	for (int round = 0; round < 10; round++) {
		prefixes_draw(&dice, prefixes, 300);
		check_multiplier(prefixes, 300);
		check_multiplier(prefixes, 1);
		check_multiplier(prefixes, 0);
	}
}

static void consecutive_prefixes_are_kept_apart(void **state)
{
	uint32_t prefixes[2048];

	(void)state;
	for (uint32_t i = 0; i < 2048; i++)
		prefixes[i] = 0xfff800 + i;
	check_multiplier(prefixes, 256);
	check_multiplier(prefixes, 2048);
}

static void the_search_for_a_multiplier_ends(void **state)
{
	static uint32_t prefixes[DIRECTORY_SLOTS + 1];
	struct dice dice = {.state = 1};
	uint32_t multiplier = 7;

	(void)state;
	prefixes_draw(&dice, prefixes, 600);
	assert_int_equal(directory_multiplier(prefixes, 600, &multiplier), -ENOSPC);
	for (uint32_t i = 0; i <= DIRECTORY_SLOTS; i++)
		prefixes[i] = i;
	assert_int_equal(directory_multiplier(prefixes, DIRECTORY_SLOTS + 1, &multiplier), -ENOSPC);
	assert_int_equal(multiplier, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_way_that_a_slice_can_lead),
		cmocka_unit_test(hops_are_there_before_they_are_needed),
		cmocka_unit_test(lookups_agree_with_a_plain_model),
		cmocka_unit_test(every_port_of_an_address),
		cmocka_unit_test(what_is_loaded_stays),
		cmocka_unit_test(what_is_given_up_is_used_again),
		cmocka_unit_test(the_same_again_is_the_same),
		cmocka_unit_test(a_pool_that_just_fits),
		cmocka_unit_test(loaded_slices_count),
		cmocka_unit_test(prefixes_beyond_the_directory),
		cmocka_unit_test(two_slice_sizes_in_one_24),
		cmocka_unit_test(a_server_that_is_not_there),
		cmocka_unit_test(hops_beyond_the_table),
		cmocka_unit_test(random_prefixes_are_kept_apart),
		cmocka_unit_test(consecutive_prefixes_are_kept_apart),
		cmocka_unit_test(the_search_for_a_multiplier_ends),
	};

	return cmocka_run_group_tests_name("compile", tests, NULL, NULL);
}
