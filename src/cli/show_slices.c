/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"
#include "names.h"
#include "show.h"
#include "table.h"
#include "verb.h"

static json_t *row_json(const struct state *state, const struct ownership_row *row)
{
	char home[NAMES_TEXT_MAX], owner[NAMES_TEXT_MAX];
	json_t *object = slice_json(state->fleet, row->addr, row->column);

	if (json_object_update_new(object,
				   json_pack("{s:o, s:o, s:s, s:I}", "home",
					     text_json(site_text(state->fleet, state, row->home, home)), "owner",
					     text_json(server_text(state->fleet, state, row->owner, owner)), "state",
					     slice_state_name(row->state), "since", (json_int_t)row->since))) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static int print_json(const struct state *state)
{
	json_t *list = json_array();

	for (size_t i = 0; i < state->held.count; i++) {
		if (state->held.rows[i].state == SLICE_STATE_FREE)
			continue;
		if (json_array_append_new(list, row_json(state, &state->held.rows[i]))) {
			json_decref(list);
			return answer_print(NULL);
		}
	}
	return answer_print(json_pack("{s:o}", "slices", list));
}

int show_slices(const struct state *state, const struct arguments *arguments)
{
	static const struct table_column columns[] = {
		{"SLICE", false}, {"HOME", false}, {"OWNER", false}, {"STATE", false}, {"SINCE", false},
	};
	struct table *table;

	if (arguments->json)
		return print_json(state);
	table = table_new(columns, 5);
	for (size_t i = 0; i < state->held.count; i++) {
		const struct ownership_row *row = &state->held.rows[i];
		char text[NAMES_TEXT_MAX];

		if (row->state == SLICE_STATE_FREE)
			continue;
		table_cell(table, "%s", slice_text(state->fleet, row->addr, row->column, text));
		table_cell(table, "%s", site_text(state->fleet, state, row->home, text));
		table_cell(table, "%s", server_text(state->fleet, state, row->owner, text));
		table_cell(table, "%s", slice_state_name(row->state));
		table_cell(table, "%s", time_text(row->since, text));
	}
	return table_print(table, stdout) ? VERB_FAILED : VERB_DONE;
}
