/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../abi/wrap.h"
#include "entries.h"
#include "state.h"

static const char fleet_text[] = "version: 1\n"
				 "fleet: test\n"
				 "pools:\n"
				 "  - {prefix: 203.0.113.0/24, slice_ports: 2048}\n"
				 "addresses:\n"
				 "  - {range: 203.0.113.0 - 203.0.113.7, tags: {country: DE}}\n"
				 "sites:\n"
				 "  - name: fra\n"
				 "    place: {country: DE}\n"
				 "    tunnel: 10.0.1.254\n"
				 "    servers:\n"
				 "      - {name: fra-1, underlay: 10.0.1.1}\n"
				 "      - {name: fra-2, underlay: 10.0.1.2}\n"
				 "  - name: ams\n"
				 "    place: {country: NL}\n"
				 "    tunnel: 10.0.2.254\n"
				 "    servers:\n"
				 "      - {name: ams-1, underlay: 10.0.2.1}\n"
				 "policies:\n"
				 "  - {name: all, cgroup: /all, select: \"*\"}\n";

#define ADDR 0xcb007105u /* 203.0.113.5 */

/* A store's contents, without a store. */
struct contents {
	struct entries entries;
	uint64_t revision;
};

static void contents_put(struct contents *contents, const char *key, const void *value, size_t size)
{
	size_t at = entries_find(&contents->entries, key);

	if (at < contents->entries.count && strcmp(contents->entries.items[at].key, key) == 0)
		entries_remove(&contents->entries, at, 1);
	if (value)
		assert_int_equal(entries_insert(&contents->entries, at, key, value, size, contents->revision), 0);
}

static void contents_set(struct contents *contents, const char *key, const char *text)
{
	contents->revision++;
	contents_put(contents, key, text, strlen(text));
}

/* 0 or -EAGAIN, as a store would. */
static int contents_commit(struct contents *contents, const struct store_txn *txn)
{
	for (size_t i = 0; i < txn->compare_count; i++) {
		const struct store_compare *compare = &txn->compares[i];
		size_t at = entries_find(&contents->entries, compare->key);
		bool found = at < contents->entries.count && strcmp(contents->entries.items[at].key, compare->key) == 0;

		if ((found ? contents->entries.items[at].revision : 0) != compare->revision)
			return -EAGAIN;
	}
	contents->revision++;
	for (size_t i = 0; i < txn->write_count; i++)
		contents_put(contents, txn->writes[i].key, txn->writes[i].value, txn->writes[i].size);
	return 0;
}

static const struct store_entry *contents_get(const struct contents *contents, const char *key)
{
	size_t at = entries_find(&contents->entries, key);

	if (at == contents->entries.count || strcmp(contents->entries.items[at].key, key) != 0)
		return NULL;
	return &contents->entries.items[at];
}

static int contents_decode(const struct contents *contents, struct state **ret, char **why)
{
	struct store_result result = {
		.revision = contents->revision,
		.entries = contents->entries.items,
		.count = contents->entries.count,
	};

	return state_decode(&result, ret, why);
}

static struct state *must_decode(const struct contents *contents)
{
	struct state *state = NULL;
	char *why = NULL;

	if (contents_decode(contents, &state, &why))
		fail_msg("%s", why);
	return state;
}

static struct fleet *read_fleet(const char *text)
{
	struct fleet *fleet = NULL;
	struct fleet_faults faults = {0};

	if (fleet_file_read(text, strlen(text), &fleet, &faults))
		fail_msg("line %zu: %s", faults.items[0].line, faults.items[0].text);
	fleet_faults_free(&faults);
	return fleet;
}

/* Applies a fleet file and transitions, as `berth apply` does. */
static int apply(struct contents *contents, const struct state *before, const char *text,
		 struct plan_transition *transitions, size_t count)
{
	struct fleet *fleet = read_fleet(text);
	struct plan plan = {.transitions = transitions, .transition_count = count};
	struct state_txn txn;
	char *why = NULL;
	int err;

	assert_int_equal(state_assign_ids(fleet, before, &why), 0);
	assert_int_equal(state_encode(before, fleet, text, strlen(text), &plan, &txn), 0);
	err = contents_commit(contents, &txn.txn);
	state_txn_free(&txn);
	fleet_free(fleet);
	return err;
}

static struct ownership_row owned(uint32_t column, uint32_t home, uint32_t owner)
{
	return (struct ownership_row){.addr = ADDR,
				      .column = column,
				      .home = home,
				      .owner = owner,
				      .state = SLICE_STATE_OWNED,
				      .since = 1000};
}

static struct ownership_row plain(uint32_t column)
{
	return (struct ownership_row){.addr = ADDR, .column = column};
}

/* Contents with the fleet, 203.0.113.5 columns 1 and 2 owned by fra, column 4 by ams. */
static struct contents filled(void)
{
	struct contents contents = {0};
	struct plan_transition grants[] = {
		{plain(1), owned(1, 1, 1), PLAN_GRANTED},
		{plain(2), owned(2, 1, 2), PLAN_GRANTED},
		{plain(4), owned(4, 2, 3), PLAN_GRANTED},
	};

	assert_int_equal(apply(&contents, NULL, fleet_text, grants, 3), 0);
	contents_set(&contents, "status/fra-1", "{\"instance\":\"i\",\"applied\":1,\"version\":\"1\"}");
	return contents;
}

static void assert_row(const struct ownership_row *row, const struct ownership_row *expected)
{
	assert_int_equal(row->addr, expected->addr);
	assert_int_equal(row->column, expected->column);
	assert_int_equal(row->home, expected->home);
	assert_int_equal(row->owner, expected->owner);
	assert_int_equal(row->state, expected->state);
	assert_int_equal(row->since, expected->since);
}

static void assert_text(const struct contents *contents, const char *key, const char *text)
{
	const struct store_entry *entry = contents_get(contents, key);

	if (!text) {
		assert_null(entry);
		return;
	}
	assert_non_null(entry);
	assert_int_equal(entry->size, strlen(text));
	assert_memory_equal(entry->value, text, entry->size);
}

static void test_empty(void **unused)
{
	struct contents contents = {.revision = 7};
	struct state *state = must_decode(&contents);

	(void)unused;
	assert_int_equal(state->revision, 7);
	assert_null(state->fleet);
	assert_null(state->fleet_text);
	assert_int_equal(state->held.count, 0);
	assert_int_equal(state->key_count, 0);
	state_free(state);
	state_free(NULL);
}

static void test_first_apply(void **unused)
{
	struct contents contents = filled();
	struct state *state = must_decode(&contents);

	(void)unused;
	assert_text(&contents, "fleet", fleet_text);
	assert_text(&contents, "id/site/fra", "1");
	assert_text(&contents, "id/site/ams", "2");
	assert_text(&contents, "id/server/fra-1", "1");
	assert_text(&contents, "id/server/ams-1", "3");
	assert_text(&contents, "home/203.0.113.5",
		    "{\"columns\":[{\"first\":1,\"count\":2,\"site\":1},{\"first\":4,\"count\":1,\"site\":2}]}");
	assert_text(&contents, "slice/1/203.0.113.5/2", "{\"state\":\"owned\",\"owner\":2,\"since\":1000}");

	assert_int_equal(state->revision, 2);
	assert_int_equal(state->fleet_size, strlen(fleet_text));
	assert_string_equal(state->fleet_text, fleet_text);
	assert_int_equal(fleet_find_server(state->fleet, "ams-1")->id, 3);
	assert_int_equal(fleet_find_site(state->fleet, "ams")->id, 2);
	assert_int_equal(state->held.count, 3);
	assert_row(&state->held.rows[0], &(struct ownership_row[]){owned(1, 1, 1)}[0]);
	assert_row(&state->held.rows[1], &(struct ownership_row[]){owned(2, 1, 2)}[0]);
	assert_row(&state->held.rows[2], &(struct ownership_row[]){owned(4, 2, 3)}[0]);
	assert_int_equal(state->key_count, contents.entries.count);
	for (size_t i = 0; i < state->key_count; i++) {
		assert_string_equal(state->keys[i].key, contents.entries.items[i].key);
		assert_int_equal(state->keys[i].revision, contents.entries.items[i].revision);
	}
	assert_int_equal(state->status_count, 1);
	assert_int_equal(state->statuses[0].server, 1);
	assert_int_equal(state->statuses[0].applied, 1);
	assert_string_equal(state->statuses[0].instance, "i");
	state_free(state);
	entries_free(&contents.entries);
}

static void test_nothing_to_change(void **unused)
{
	struct contents contents = filled();
	struct state *before = must_decode(&contents);
	struct fleet *fleet = read_fleet(fleet_text);
	struct plan plan = {0};
	struct state_txn txn;
	char *why;

	(void)unused;
	assert_int_equal(state_assign_ids(fleet, before, &why), 0);
	assert_int_equal(state_encode(before, fleet, fleet_text, strlen(fleet_text), &plan, &txn), 0);
	assert_int_equal(txn.txn.write_count, 0);
	state_txn_free(&txn);
	assert_null(txn.memory);
	state_txn_free(&txn);
	fleet_free(fleet);
	state_free(before);
	entries_free(&contents.entries);
}

/* owned -> cooling, cooling -> free without home, owned by another site's server. */
static void test_transitions(void **unused)
{
	struct contents contents = filled();
	struct state *before = must_decode(&contents), *after;
	struct ownership_row cooling = owned(1, 1, 1), moved = owned(2, 2, 3);
	struct plan_transition changes[] = {
		{owned(1, 1, 1), cooling, PLAN_UNWANTED},
		{owned(2, 1, 2), moved, PLAN_REHOMED},
		{owned(4, 2, 3), plain(4), PLAN_COOLED},
	};

	(void)unused;
	cooling.state = SLICE_STATE_COOLING;
	cooling.since = INT64_MAX;
	changes[0].to = cooling;
	assert_int_equal(apply(&contents, before, fleet_text, changes, 3), 0);
	after = must_decode(&contents);
	assert_int_equal(after->held.count, 2);
	assert_row(&after->held.rows[0], &cooling);
	assert_row(&after->held.rows[1], &moved);
	assert_text(&contents, "slice/1/203.0.113.5/2", NULL);
	assert_text(&contents, "slice/2/203.0.113.5/4", NULL);
	state_free(before);

	struct plan_transition frees[] = {{cooling, plain(1), PLAN_COOLED}, {moved, moved, PLAN_GRANTED}};

	frees[1].to.state = SLICE_STATE_FREE; /* keeps its home */
	frees[1].to.owner = 0;
	frees[1].to.since = 0;
	assert_int_equal(apply(&contents, after, fleet_text, frees, 2), 0);
	state_free(after);
	after = must_decode(&contents);
	assert_int_equal(after->held.count, 1);
	assert_row(&after->held.rows[0], &frees[1].to);
	state_free(after);
	entries_free(&contents.entries);
}

static void test_last_home_goes(void **unused)
{
	struct contents contents = {0};
	struct plan_transition grant = {plain(31), owned(31, 1, 1), PLAN_GRANTED};
	struct plan_transition back = {owned(31, 1, 1), plain(31), PLAN_COOLED};
	struct state *before;

	(void)unused;
	assert_int_equal(apply(&contents, NULL, fleet_text, &grant, 1), 0);
	before = must_decode(&contents);
	assert_int_equal(apply(&contents, before, fleet_text, &back, 1), 0);
	assert_text(&contents, "home/203.0.113.5", NULL);
	assert_text(&contents, "slice/1/203.0.113.5/31", NULL);
	state_free(before);
	entries_free(&contents.entries);
}

/* Whatever somebody else changed of what a transaction relies on, it fails. */
static void test_two_applies_cannot_both_win(void **unused)
{
	static const char *const relied_on[] = {"fleet",
						"id/site/fra",
						"id/server/ams-1",
						"home/203.0.113.5",
						"slice/1/203.0.113.5/1",
						"id/server/new-1",
						"slice/1/203.0.113.5/9"};
	static const char text[] = "version: 1\nfleet: test\n"
				   "pools: [{prefix: 203.0.113.0/24, slice_ports: 2048}]\n"
				   "addresses: [{range: 203.0.113.0 - 203.0.113.7, tags: {country: DE}}]\n"
				   "sites:\n"
				   "  - {name: fra, place: {country: DE}, tunnel: 10.0.1.254, servers: [{name: fra-1, "
				   "underlay: 10.0.1.1}, {name: new-1, underlay: 10.0.1.9}]}\n"
				   "  - {name: ams, place: {country: NL}, tunnel: 10.0.2.254, servers: [{name: ams-1, "
				   "underlay: 10.0.2.1}]}\n"
				   "policies: [{name: all, cgroup: /all, select: \"*\"}]\n";
	struct plan_transition changes[] = {
		{owned(1, 1, 1), owned(1, 1, 2), PLAN_UNWANTED},
		{plain(9), owned(9, 1, 1), PLAN_GRANTED},
	};

	(void)unused;
	for (size_t i = 0; i <= sizeof(relied_on) / sizeof(relied_on[0]); i++) {
		bool last = i == sizeof(relied_on) / sizeof(relied_on[0]);
		struct contents contents = filled();
		struct state *before = must_decode(&contents);

		contents_set(&contents, last ? "status/fra-1" : relied_on[i], "x");
		assert_int_equal(apply(&contents, before, text, changes, 2), last ? 0 : -EAGAIN);
		state_free(before);
		entries_free(&contents.entries);
	}
	for (int both = 0; both < 2; both++) {
		struct contents contents = filled();
		struct state *before = must_decode(&contents);
		struct plan_transition *mine = both ? &changes[0] : NULL;

		assert_int_equal(apply(&contents, before, fleet_text, &changes[1], 1), 0);
		assert_int_equal(apply(&contents, before, both ? fleet_text : text, mine, mine ? 1 : 0), -EAGAIN);
		state_free(before);
		entries_free(&contents.entries);
	}
}

/* A fleet of one site whose servers are `servers` ("name" or "name=id", space between). */
static struct fleet *small_fleet(const char *site, const char *servers)
{
	char text[1024], name[64];
	int at = snprintf(text, sizeof(text),
			  "version: 1\nfleet: t\npools: [{prefix: 203.0.113.0/24, slice_ports: 2048}]\n"
			  "addresses: [{range: 203.0.113.0, tags: {a: b}}]\n"
			  "policies: [{name: p, cgroup: /p, select: \"*\"}]\n"
			  "sites: [{%s, place: {country: DE}, tunnel: 10.0.1.254, servers: [",
			  site);
	unsigned id, number = 0;
	int used;

	for (; sscanf(servers, " %63[^ =]%n", name, &used) == 1; servers += used) {
		servers += used;
		used = 0;
		at += snprintf(text + at, sizeof(text) - (size_t)at, "%s{name: %s, underlay: 10.0.0.%u",
			       number ? ", " : "", name, number + 1);
		if (sscanf(servers, "=%u%n", &id, &used) == 1)
			at += snprintf(text + at, sizeof(text) - (size_t)at, ", id: %u", id);
		at += snprintf(text + at, sizeof(text) - (size_t)at, "}");
		number++;
	}
	snprintf(text + at, sizeof(text) - (size_t)at, "]}]\n");
	return read_fleet(text);
}

static void test_ids(void **unused)
{
	static const struct {
		const char *servers;
		int err;
		const char *why; /* part of it */
		uint32_t ids[4];
	} cases[] = {
		{"a b", 0, NULL, {1, 2}},
		{"b a", 0, NULL, {2, 1}},
		{"new a b", 0, NULL, {8, 1, 2}}, /* above that of a name which has gone */
		{"gone", 0, NULL, {7}},
		{"a=1 new=9 other", 0, NULL, {1, 9, 10}},
		{"new=5", 0, NULL, {5}},
		{"x y=20 z", 0, NULL, {21, 20, 22}},
		{"a=3", -EEXIST, "server a has id 1, the file says 3", {3}},
		{"new b=2 c=7", -EEXIST, "id 7 cannot be both", {0, 2, 7}},
		{"new=1", -EEXIST, "id 1 cannot be both", {1}},
		{"x=1048575", 0, NULL, {1048575}},
		{"x=1048575 y z", 0, NULL, {1048575, 3, 4}}, /* nothing above: the lowest that never were */
		{"x=1048574 y z", 0, NULL, {1048574, 1048575, 3}},
		{"w=1048575 x=4 y=3 z", 0, NULL, {1048575, 4, 3, 5}},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct contents contents = {0};
		struct fleet *fleet = small_fleet("name: s", cases[i].servers);
		struct state *before;
		char *why = NULL;

		contents_set(&contents, "id/server/a", "1");
		contents_set(&contents, "id/server/b", "2");
		contents_set(&contents, "id/server/gone", "7");
		before = must_decode(&contents);
		assert_int_equal(state_assign_ids(fleet, before, &why), cases[i].err);
		if (cases[i].why && !strstr(why, cases[i].why))
			fail_msg("said: %s", why);
		if (!cases[i].err)
			assert_null(why);
		for (size_t j = 0; j < fleet->server_count; j++)
			assert_int_equal(fleet->servers[j].id, cases[i].ids[j]);
		assert_int_equal(fleet->sites[0].id, cases[i].err ? 0 : 1);
		free(why);
		state_free(before);
		fleet_free(fleet);
		entries_free(&contents.entries);
	}
}

/* All site ids but one were given; then that one as well. */
static void test_last_site_id(void **unused)
{
	const uint32_t last = 1234;
	struct contents contents = {0};
	struct fleet *fleet = small_fleet("name: new", "a");
	struct state *before;
	char key[32], id[16], *why = NULL;

	(void)unused;
	for (uint32_t i = 1; i <= WRAP_SITE_ID_MAX; i++) {
		snprintf(key, sizeof(key), "id/site/s%u", i);
		snprintf(id, sizeof(id), "%u", i);
		if (i != last)
			contents_set(&contents, key, id);
	}
	before = must_decode(&contents);
	assert_int_equal(state_assign_ids(fleet, before, &why), 0);
	assert_int_equal(fleet->sites[0].id, last);
	state_free(before);
	fleet_free(fleet);

	contents_set(&contents, "id/site/s1234", "1234");
	fleet = small_fleet("name: new", "a");
	before = must_decode(&contents);
	assert_int_equal(state_assign_ids(fleet, before, &why), -ENOSPC);
	assert_non_null(strstr(why, "ids are wanted for 1 new site, and only 0 of 4095 were never given"));
	assert_int_equal(fleet->sites[0].id + fleet->servers[0].id, 0);
	free(why);
	state_free(before);
	fleet_free(fleet);
	entries_free(&contents.entries);
}

/* What must be refused, naming the key. */
static void assert_refused(const char *key, const void *value, size_t size)
{
	struct contents contents = filled();
	struct state *state = NULL;
	char *why = NULL;

	contents.revision++;
	contents_put(&contents, key, value, size);
	if (contents_decode(&contents, &state, &why) != -EBADMSG)
		fail_msg("%s was taken with %.*s", key, (int)(size < 200 ? size : 200), (const char *)value);
	assert_null(state);
	assert_non_null(why);
	if (strncmp(why, key, strlen(key)) != 0 || strncmp(why + strlen(key), ": ", 2) != 0)
		fail_msg("%s: said %s", key, why);
	free(why);
	entries_free(&contents.entries);
}

#define BAD(key, text) \
	{ \
		key, text, sizeof(text) - 1 \
	}

static void test_hostile_values(void **unused)
{
	static const struct {
		const char *key, *text;
		size_t size;
	} cases[] = {
		BAD("fleet", "version: 2\n"),
		BAD("id/site/fra", "0"),
		BAD("id/site/fra", "01"),
		BAD("id/site/fra", "-1"),
		BAD("id/site/fra", "+1"),
		BAD("id/site/fra", " 1"),
		BAD("id/site/fra", "1\n"),
		BAD("id/site/fra", "1\0"),
		BAD("id/site/fra", "1\0"
				   "2"),
		BAD("id/site/fra", "0x1"),
		BAD("id/site/fra", "4096"),
		BAD("id/site/fra", "99999999999999999999999999"),
		BAD("id/server/fra-1", "1048576"),
		BAD("id/server/fra-1", "1048576000"),
		BAD("id/server/", "9"),
		BAD("id/server/a/b", "9"),
		BAD("id/server/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "9"),
		BAD("home/203.0.113", "{\"columns\":[]}"),
		BAD("home/203.0.113.256", "{\"columns\":[]}"),
		BAD("home/203.0.113.05", "{\"columns\":[]}"),
		BAD("home/", "{\"columns\":[]}"),
		BAD("home/203.0.113.6", "{}"),
		BAD("home/203.0.113.6", "{\"columns\":{}}"),
		BAD("home/203.0.113.6", "{\"columns\":[1]}"),
		BAD("home/203.0.113.6", "{\"columns\":[{\"first\":-1,\"count\":1,\"site\":1}]}"),
		BAD("home/203.0.113.6", "{\"columns\":[{\"first\":256,\"count\":1,\"site\":1}]}"),
		BAD("home/203.0.113.6", "{\"columns\":[{\"first\":1,\"count\":0,\"site\":1}]}"),
		BAD("home/203.0.113.6", "{\"columns\":[{\"first\":1,\"count\":256,\"site\":1}]}"),
		BAD("home/203.0.113.6", "{\"columns\":[{\"first\":1,\"count\":9223372036854775807,\"site\":1}]}"),
		BAD("home/203.0.113.6", "{\"columns\":[{\"first\":1,\"count\":1,\"site\":0}]}"),
		BAD("home/203.0.113.6", "{\"columns\":[{\"first\":1,\"count\":1,\"site\":3}]}"),
		BAD("home/203.0.113.6", "{\"columns\":[{\"first\":1,\"count\":1,\"site\":4097}]}"),
		BAD("home/203.0.113.6", "{\"columns\":[{\"first\":1,\"count\":1,\"site\":\"1\"}]}"),
		BAD("home/203.0.113.6", "{\"columns\":[{\"first\":1.0,\"count\":1,\"site\":1}]}"),
		BAD("home/203.0.113.6",
		    "{\"columns\":[{\"first\":1,\"count\":2,\"site\":1},{\"first\":2,\"count\":1,\"site\":1}]}"),
		BAD("home/203.0.113.6",
		    "{\"columns\":[{\"first\":3,\"count\":1,\"site\":1},{\"first\":1,\"count\":1,\"site\":1}]}"),
		BAD("home/203.0.113.6", "{\"columns\":[]} x"),
		BAD("home/203.0.113.6", "{\"columns\":[],\"columns\":[]}"),
		BAD("slice/", "{\"state\":\"owned\",\"owner\":1,\"since\":1}"),
		BAD("slice/1/203.0.113.5", "{\"state\":\"owned\",\"owner\":1,\"since\":1}"),
		BAD("slice/1/203.0.113.5/", "{\"state\":\"owned\",\"owner\":1,\"since\":1}"),
		BAD("slice/1/203.0.113.5/1/", "{\"state\":\"owned\",\"owner\":1,\"since\":1}"),
		BAD("slice/1/203.0.113.5/256", "{\"state\":\"owned\",\"owner\":1,\"since\":1}"),
		BAD("slice/1/203.0.113.5/01", "{\"state\":\"owned\",\"owner\":1,\"since\":1}"),
		BAD("slice/1/203.0.113.55555555555555/1", "{\"state\":\"owned\",\"owner\":1,\"since\":1}"),
		BAD("slice/01/203.0.113.5/1", "{\"state\":\"owned\",\"owner\":1,\"since\":1}"),
		BAD("slice/2/203.0.113.5/1", "{\"state\":\"owned\",\"owner\":1,\"since\":1}"), /* home is site 1 */
		BAD("slice/1/203.0.113.5/3", "{\"state\":\"owned\",\"owner\":1,\"since\":1}"), /* no home */
		BAD("slice/1/203.0.113.9/1", "{\"state\":\"owned\",\"owner\":1,\"since\":1}"),
		BAD("slice/1/203.0.113.5/1", "{\"state\":\"free\",\"owner\":1,\"since\":1}"),
		BAD("slice/1/203.0.113.5/1", "{\"state\":\"Owned\",\"owner\":1,\"since\":1}"),
		BAD("slice/1/203.0.113.5/1", "{\"state\":\"stolen\",\"owner\":1,\"since\":1}"),
		BAD("slice/1/203.0.113.5/1", "{\"state\":1,\"owner\":1,\"since\":1}"),
		BAD("slice/1/203.0.113.5/1", "{\"state\":\"owned\",\"since\":1}"),
		BAD("slice/1/203.0.113.5/1", "{\"state\":\"owned\",\"owner\":0,\"since\":1}"),
		BAD("slice/1/203.0.113.5/1", "{\"state\":\"owned\",\"owner\":4,\"since\":1}"), /* never given */
		BAD("slice/1/203.0.113.5/1", "{\"state\":\"owned\",\"owner\":4294967297,\"since\":1}"),
		BAD("slice/1/203.0.113.5/1", "{\"state\":\"owned\",\"owner\":true,\"since\":1}"),
		BAD("slice/1/203.0.113.5/1", "{\"state\":\"owned\",\"owner\":1,\"since\":-1}"),
		BAD("slice/1/203.0.113.5/1", "{\"state\":\"owned\",\"owner\":1,\"since\":9223372036854775808}"),
		BAD("slice/1/203.0.113.5/1", "{\"state\":\"owned\",\"owner\":1,\"since\":1e3}"),
		BAD("slice/1/203.0.113.5/1", "{\"state\":\"owned\",\"owner\":1,\"since\":1,\"owner\":2}"),
		BAD("status/fra-1", "{\"instance\":\"i\",\"applied\":-1,\"version\":\"1\"}"),
		BAD("status/fra-1", "{\"instance\":\"i\",\"applied\":\"1\",\"version\":\"1\"}"),
		BAD("status/fra-1", "{\"instance\":null,\"applied\":1,\"version\":\"1\"}"),
		BAD("status/fra-1", "{\"instance\":\"i\",\"applied\":1,\"version\":\"\\u001b[2J\"}"),
		BAD("status/fra-1", "{\"instance\":\"i\\u0000j\",\"applied\":1,\"version\":\"1\"}"),
		BAD("status/fra-1", "{\"instance\":\"i\",\"applied\":1}"),
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(cases[i].key, cases[i].text, cases[i].size);
}

static void test_garbage_in_every_key(void **unused)
{
	static const char *const keys[] = {
		"fleet", "id/site/fra", "id/server/ams-1", "home/203.0.113.5", "slice/1/203.0.113.5/1", "status/fra-1"};
	static const char *const garbage[] = {"",
					      "null",
					      "[]",
					      "\"text\"",
					      "{",
					      "{}",
					      "\xff",
					      "true",
					      "{\"a\":\"\xff\"}",
					      "{\"a\":1,\"a\":2}",
					      "\xef\xbb\xbf{}",
					      "%s%n"};
	enum { DEEP = 100000 };
	char *deep = malloc(DEEP);

	(void)unused;
	memset(deep, '[', DEEP);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		for (size_t j = 0; j < sizeof(garbage) / sizeof(garbage[0]); j++)
			assert_refused(keys[i], garbage[j], strlen(garbage[j]));
		assert_refused(keys[i], deep, DEEP);
	}
	free(deep);
}

/* Every value cut short at every byte, and with every byte overwritten: an error or a state, never a crash. */
static void test_mutations(void **unused)
{
	struct contents original = filled();
	unsigned refused = 0, taken = 0;

	(void)unused;
	for (size_t i = 0; i < original.entries.count; i++) {
		const struct store_entry *entry = &original.entries.items[i];
		struct contents contents = filled();

		for (size_t at = 0; at < 2 * entry->size; at++) {
			char *value = malloc(entry->size + 1);
			struct state *state = NULL;
			char *why = NULL;

			memcpy(value, entry->value, entry->size);
			if (at < entry->size)
				value[at] = (char)(value[at] ^ (1 << (at % 8)));
			contents_put(&contents, entry->key, value, at < entry->size ? entry->size : at - entry->size);
			if (contents_decode(&contents, &state, &why) == 0)
				taken++;
			else
				refused++;
			state_free(state);
			free(why);
			free(value);
		}
		entries_free(&contents.entries);
	}
	assert_true(refused > taken);
	entries_free(&original.entries);
}

static void test_missing_and_contradicting_ids(void **unused)
{
	struct contents contents = filled();
	struct state *state = NULL;
	char *why = NULL;

	(void)unused;
	contents_put(&contents, "id/server/fra-2", NULL, 0);
	assert_int_equal(contents_decode(&contents, &state, &why), -EBADMSG);
	assert_string_equal(why, "id/server/fra-2: is missing, though the fleet has that name");
	free(why);
	contents_set(&contents, "id/server/fra-2", "3");
	assert_int_equal(contents_decode(&contents, &state, &why), -EBADMSG);
	assert_non_null(strstr(why, "id 3 was given to"));
	free(why);
	entries_free(&contents.entries);
}

static void test_newer_versions_are_tolerated(void **unused)
{
	struct contents contents = filled();
	struct state *state;

	(void)unused;
	contents_set(&contents, "lease/fra", "\xff");
	contents_set(&contents, "fleet-draft", "x");
	contents_set(&contents, "id/rack/r1", "x");
	contents_set(&contents, "slice/1/203.0.113.5/1",
		     "{\"more\":{\"a\":[1]},\"state\":\"cooling\",\"owner\":1,\"since\":5,\"left\":3}");
	contents_set(&contents, "home/203.0.113.5",
		     "{\"columns\":[{\"first\":1,\"count\":4,\"site\":1,\"inbound\":true}],\"note\":null}");
	contents_put(&contents, "slice/2/203.0.113.5/4", NULL, 0);
	contents_set(&contents, "status/fra-1", "{\"instance\":\"\",\"applied\":2,\"version\":\"\xc3\xa4\",\"x\":1}");
	contents_set(&contents, "status/gone", "{\"instance\":\"\",\"applied\":2,\"version\":\"\"}");
	state = must_decode(&contents);
	assert_int_equal(state->held.count, 4);
	assert_int_equal(state->held.rows[0].state, SLICE_STATE_COOLING);
	assert_int_equal(state->held.rows[3].state, SLICE_STATE_FREE);
	assert_int_equal(state->held.rows[3].home, 1);
	assert_int_equal(state->status_count, 1);
	assert_string_equal(state->statuses[0].version, "\xc3\xa4");
	state_free(state);
	entries_free(&contents.entries);
}

static void test_status(void **unused)
{
	struct contents contents = filled();
	struct server_status status = {.instance = "quote\" \\ \xe2\x82\xac", .applied = INT64_MAX, .version = "1.0"};
	struct state_txn txn;
	struct state *state;

	(void)unused;
	assert_int_equal(state_encode_status("ams-1", &status, &txn), 0);
	assert_int_equal(txn.txn.write_count, 1);
	assert_int_equal(contents_commit(&contents, &txn.txn), 0);
	state_txn_free(&txn);
	state = must_decode(&contents);
	assert_int_equal(state->status_count, 2);
	assert_int_equal(state->statuses[0].server, 3);
	assert_string_equal(state->statuses[0].instance, status.instance);
	assert_int_equal(state->statuses[0].applied, INT64_MAX);
	state_free(state);
	entries_free(&contents.entries);
}

/* The planner's own plan for the fleet, through the store and back. */
static void test_round_trip_with_planner(void **unused)
{
	struct contents contents = {0};
	struct fleet *fleet = read_fleet(fleet_text);
	struct ownership held = {0};
	struct state *state;
	struct plan plan;
	char *why;

	(void)unused;
	assert_int_equal(state_assign_ids(fleet, NULL, &why), 0);
	assert_int_equal(plan_make(fleet, &held, 1700000000, &plan), 0);
	assert_true(plan.transition_count >= 3);
	assert_int_equal(apply(&contents, NULL, fleet_text, plan.transitions, plan.transition_count), 0);
	assert_int_equal(plan_apply(&plan, &held), 0);
	state = must_decode(&contents);
	assert_int_equal(state->held.count, held.count);
	for (size_t i = 0; i < held.count; i++)
		assert_row(&state->held.rows[i], &held.rows[i]);
	plan_free(&plan);
	state_free(state);
	ownership_free(&held);
	fleet_free(fleet);
	entries_free(&contents.entries);
}

/* 256 addresses with all 31 columns owned, in keys whose order is not that of the addresses. */
static void test_many_slices(void **unused)
{
	struct contents contents = {0};
	enum { ADDRESSES = 256, COLUMNS = 31, COUNT = ADDRESSES * COLUMNS };
	struct plan_transition *grants = calloc(COUNT, sizeof(*grants));
	struct state *state;

	(void)unused;
	for (uint32_t i = 0; i < COUNT; i++) {
		grants[i].to = owned(1 + i % COLUMNS, 1 + i % 2, 1 + i % 3);
		grants[i].to.addr = (ADDR & ~255u) + i / COLUMNS;
		grants[i].from = (struct ownership_row){.addr = grants[i].to.addr, .column = grants[i].to.column};
	}
	assert_int_equal(apply(&contents, NULL, fleet_text, grants, COUNT), 0);
	state = must_decode(&contents);
	assert_int_equal(state->held.count, COUNT);
	for (size_t i = 0; i < COUNT; i++)
		assert_row(&state->held.rows[i], &grants[i].to);
	state_free(state);
	free(grants);
	entries_free(&contents.entries);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_first_apply),
		cmocka_unit_test(test_nothing_to_change),
		cmocka_unit_test(test_transitions),
		cmocka_unit_test(test_last_home_goes),
		cmocka_unit_test(test_two_applies_cannot_both_win),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_last_site_id),
		cmocka_unit_test(test_hostile_values),
		cmocka_unit_test(test_garbage_in_every_key),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_missing_and_contradicting_ids),
		cmocka_unit_test(test_newer_versions_are_tolerated),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_round_trip_with_planner),
		cmocka_unit_test(test_many_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
