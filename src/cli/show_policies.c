/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "answer.h"
#include "show.h"
#include "table.h"
#include "verb.h"

static const char *choice_name(enum address_choice choice)
{
	return choice == ADDRESS_SPREAD ? "spread" : "sticky";
}

static const char *unconnected_name(enum unconnected_udp unconnected)
{
	return unconnected == UNCONNECTED_OWN_ADDRESS ? "own_address" : "deny";
}

static json_t *excepts_json(const struct fleet_policy *policy)
{
	json_t *list = json_array();

	for (size_t i = 0; i < policy->except_count; i++) {
		char text[ADDR_TEXT_MAX];

		json_array_append_new(list, json_string(prefix_format(policy->except[i], text)));
	}
	return list;
}

static json_t *serves_json(const struct fleet_policy *policy)
{
	json_t *list = json_array();

	for (size_t i = 0; i < policy->serve_count; i++)
		json_array_append_new(list, json_integer(policy->serve[i]));
	return list;
}

static json_t *policy_json(const struct fleet_policy *policy)
{
	char *select = selector_format(&policy->select);
	json_t *object =
		select ? json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:o, s:o}", "name", policy->name, "cgroup",
				   policy->cgroup, "select", select, "address", choice_name(policy->address),
				   "unconnected_udp", unconnected_name(policy->unconnected_udp), "slices",
				   (int)policy->slices, "destinations", (int)policy->destinations, "except",
				   excepts_json(policy), "serve", serves_json(policy))
		       : NULL;

	free(select);
	return object;
}

static int print_json(const struct fleet *fleet)
{
	json_t *list = json_array();

	for (size_t i = 0; i < fleet->policy_count; i++) {
		if (json_array_append_new(list, policy_json(&fleet->policies[i]))) {
			json_decref(list);
			return answer_print(NULL);
		}
	}
	return answer_print(json_pack("{s:o}", "policies", list));
}

int show_policies(const struct state *state, const struct arguments *arguments)
{
	static const struct table_column columns[] = {
		{"POLICY", false},  {"SELECT", false},          {"SLICES", true},
		{"ADDRESS", false}, {"UNCONNECTED UDP", false}, {"CGROUP", false},
	};
	struct table *table;

	if (arguments->json)
		return print_json(state->fleet);
	table = table_new(columns, 6);
	for (size_t i = 0; i < state->fleet->policy_count; i++) {
		const struct fleet_policy *policy = &state->fleet->policies[i];
		char *select = selector_format(&policy->select);

		table_cell(table, "%s", policy->name);
		table_cell(table, "%s", select ? select : "?");
		table_cell(table, "%u", policy->slices);
		table_cell(table, "%s", choice_name(policy->address));
		table_cell(table, "%s", unconnected_name(policy->unconnected_udp));
		table_cell(table, "%s", policy->cgroup);
		free(select);
	}
	return table_print(table, stdout) ? VERB_FAILED : VERB_DONE;
}
