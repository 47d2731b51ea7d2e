/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "answer.h"
#include "names.h"
#include "show.h"
#include "table.h"
#include "usage.h"
#include "verb.h"

static json_t *address_json(const struct state *state, const struct fleet_addresses *listed, uint32_t addr)
{
	struct usage usage = usage_of_addresses(state, addr, addr);
	char dotted[ADDR_TEXT_MAX];

	return json_pack("{s:s, s:o, s:I, s:I, s:I}", "address", addr_format(addr, dotted), "tags",
			 tags_json(&listed->tags), "owned", (json_int_t)usage.owned, "cooling",
			 (json_int_t)usage.cooling, "free", (json_int_t)usage_free(&usage));
}

static int print_json(const struct state *state)
{
	json_t *list = json_array();

	for (size_t i = 0; i < state->fleet->addresses_count; i++) {
		const struct fleet_addresses *listed = &state->fleet->addresses[i];

		/* In 64 bits: the last address may be the highest there is. */
		for (uint64_t addr = listed->range.first; addr <= listed->range.last; addr++) {
			if (json_array_append_new(list, address_json(state, listed, (uint32_t)addr))) {
				json_decref(list);
				return answer_print(NULL);
			}
		}
	}
	return answer_print(json_pack("{s:o}", "addresses", list));
}

static void address_row(struct table *table, const struct state *state, uint32_t addr, const char *tags)
{
	struct usage usage = usage_of_addresses(state, addr, addr);
	char dotted[ADDR_TEXT_MAX];

	table_cell(table, "%s", addr_format(addr, dotted));
	table_cell(table, "%zu", usage.owned);
	table_cell(table, "%zu", usage.cooling);
	table_cell(table, "%zu", usage_free(&usage));
	table_cell(table, "%s", tags);
}

int show_addresses(const struct state *state, const struct arguments *arguments)
{
	static const struct table_column columns[] = {
		{"ADDRESS", false}, {"OWNED", true}, {"COOLING", true}, {"FREE", true}, {"TAGS", false},
	};
	struct table *table;

	if (arguments->json)
		return print_json(state);
	table = table_new(columns, 5);
	for (size_t i = 0; i < state->fleet->addresses_count; i++) {
		const struct fleet_addresses *listed = &state->fleet->addresses[i];
		char *tags = tags_format(&listed->tags);

		for (uint64_t addr = listed->range.first; addr <= listed->range.last; addr++)
			address_row(table, state, (uint32_t)addr, tags ? tags : "?");
		free(tags);
	}
	return table_print(table, stdout) ? VERB_FAILED : VERB_DONE;
}
