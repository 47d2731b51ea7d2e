/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "answer.h"
#include "names.h"
#include "show.h"
#include "table.h"
#include "usage.h"
#include "verb.h"

static json_t *pool_json(const struct state *state, const struct fleet_pool *pool)
{
	struct usage usage = usage_of_addresses(state, pool->prefix.addr, prefix_last(pool->prefix));
	char text[ADDR_TEXT_MAX];

	return json_pack("{s:s, s:i, s:I, s:I, s:I}", "prefix", prefix_format(pool->prefix, text), "slice_ports",
			 1 << pool->shift, "owned", (json_int_t)usage.owned, "cooling", (json_int_t)usage.cooling,
			 "free", (json_int_t)usage_free(&usage));
}

static json_t *site_json(const struct state *state, const struct fleet_site *site)
{
	struct usage usage = usage_of_site(state, site->id);
	char dotted[ADDR_TEXT_MAX];

	return json_pack("{s:s, s:I, s:o, s:o, s:I, s:I, s:I}", "name", site->name, "id", (json_int_t)site->id, "place",
			 tags_json(&site->place), "tunnel",
			 site->tunnel ? json_string(addr_format(site->tunnel, dotted)) : json_null(), "servers",
			 (json_int_t)site->server_count, "owned", (json_int_t)usage.owned, "cooling",
			 (json_int_t)usage.cooling);
}

static json_t *pools_json(const struct state *state)
{
	json_t *list = json_array();

	for (size_t i = 0; i < state->fleet->pool_count; i++) {
		if (json_array_append_new(list, pool_json(state, &state->fleet->pools[i]))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *sites_json(const struct state *state)
{
	json_t *list = json_array();

	for (size_t i = 0; i < state->fleet->site_count; i++) {
		if (json_array_append_new(list, site_json(state, &state->fleet->sites[i]))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *avoid_json(const struct fleet *fleet)
{
	json_t *list = json_array();

	for (size_t i = 0; i < fleet->avoid_count; i++)
		json_array_append_new(list, json_integer(fleet->avoid[i]));
	return list;
}

static int print_json(const struct state *state)
{
	const struct fleet *fleet = state->fleet;

	return answer_print(json_pack("{s:s, s:I, s:o, s:o, s:i, s:i, s:i, s:i, s:o}", "fleet", fleet->name, "revision",
				      (json_int_t)state->revision, "pools", pools_json(state), "sites",
				      sites_json(state), "underlay_mtu", (int)fleet->underlay_mtu, "max_hops",
				      (int)fleet->max_hops, "drain", (int)fleet->drain, "cooling", (int)fleet->cooling,
				      "avoid_ports", avoid_json(fleet)));
}

static int print_pools(const struct state *state)
{
	static const struct table_column columns[] = {
		{"POOL", false}, {"SLICE PORTS", true}, {"OWNED", true}, {"COOLING", true}, {"FREE", true},
	};
	struct table *table = table_new(columns, 5);

	for (size_t i = 0; i < state->fleet->pool_count; i++) {
		const struct fleet_pool *pool = &state->fleet->pools[i];
		struct usage usage = usage_of_addresses(state, pool->prefix.addr, prefix_last(pool->prefix));
		char text[ADDR_TEXT_MAX];

		table_cell(table, "%s", prefix_format(pool->prefix, text));
		table_cell(table, "%u", 1u << pool->shift);
		table_cell(table, "%zu", usage.owned);
		table_cell(table, "%zu", usage.cooling);
		table_cell(table, "%zu", usage_free(&usage));
	}
	return table_print(table, stdout);
}

static int print_sites(const struct state *state)
{
	static const struct table_column columns[] = {
		{"SITE", false}, {"ID", true},      {"SERVERS", true}, {"TUNNEL", false},
		{"OWNED", true}, {"COOLING", true}, {"PLACE", false},
	};
	struct table *table = table_new(columns, 7);

	for (size_t i = 0; i < state->fleet->site_count; i++) {
		const struct fleet_site *site = &state->fleet->sites[i];
		struct usage usage = usage_of_site(state, site->id);
		char *place = tags_format(&site->place);
		char dotted[ADDR_TEXT_MAX];

		table_cell(table, "%s", site->name);
		table_cell(table, "%u", site->id);
		table_cell(table, "%zu", site->server_count);
		table_cell(table, "%s", site->tunnel ? addr_format(site->tunnel, dotted) : "");
		table_cell(table, "%zu", usage.owned);
		table_cell(table, "%zu", usage.cooling);
		table_cell(table, "%s", place ? place : "?");
		free(place);
	}
	return table_print(table, stdout);
}

int show_fleet(const struct state *state, const struct arguments *arguments)
{
	if (arguments->json)
		return print_json(state);
	printf("fleet %s, revision %" PRIu64 "\n\n", state->fleet->name, state->revision);
	if (print_pools(state))
		return VERB_FAILED;
	putchar('\n');
	return print_sites(state) ? VERB_FAILED : VERB_DONE;
}
