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

static const char *other_netns_name(enum other_netns other_netns)
{
	return other_netns == OTHER_NETNS_HOST_ADDRESS ? "host_address" : "deny";
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

static json_t *accounts_json(const struct fleet_accounts *accounts)
{
	json_t *list = json_array();

	for (size_t i = 0; i < accounts->count; i++)
		json_array_append_new(list, json_string(accounts->items[i]));
	return list;
}

static json_t *fallbacks_json(const struct fleet_policy *policy)
{
	json_t *list = json_array();

	for (size_t i = 0; i < policy->fallback_count; i++) {
		char *text = selector_format(&policy->fallback[i]);

		json_array_append_new(list, text ? json_string(text) : NULL);
		free(text);
	}
	return list;
}

static json_t *policy_json(const struct fleet_policy *policy)
{
	char *select = selector_format(&policy->select);
	json_t *object =
		select ? json_pack("{s:s, s:s?, s:I, s:s, s:o, s:s, s:s, s:s, s:i, s:i, s:o, s:o, s:{s:o, s:o}}",
				   "name", policy->name, "cgroup", policy->cgroup, "mark", (json_int_t)policy->mark,
				   "select", select, "fallback", fallbacks_json(policy), "address",
				   choice_name(policy->address), "unconnected_udp",
				   unconnected_name(policy->unconnected_udp), "other_netns",
				   other_netns_name(policy->other_netns), "slices", (int)policy->slices, "destinations",
				   (int)policy->destinations, "except", excepts_json(policy), "serve",
				   serves_json(policy), "allow", "users", accounts_json(&policy->users), "groups",
				   accounts_json(&policy->groups))
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

/* In the order in which they are gone through. */
static void selectors_cell(struct table *table, const struct fleet_policy *policy)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (size_t i = 0; out && i <= policy->fallback_count; i++) {
		char *select = selector_format(i ? &policy->fallback[i - 1] : &policy->select);

		fprintf(out, "%s%s", i ? ", else " : "", select ? select : "?");
		free(select);
	}
	if (out)
		fclose(out);
	table_cell(table, "%s", text ? text : "?");
	free(text);
}

/* "jan, group crew"; "-": root alone. */
static void allowed_cell(struct table *table, const struct fleet_policy *policy)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	for (size_t i = 0; out && i < policy->users.count; i++)
		fprintf(out, "%s%s", i ? ", " : "", policy->users.items[i]);
	for (size_t i = 0; out && i < policy->groups.count; i++)
		fprintf(out, "%sgroup %s", i || policy->users.count ? ", " : "", policy->groups.items[i]);
	if (out)
		fclose(out);
	table_cell(table, "%s", !text ? "?" : *text ? text : "-");
	free(text);
}

int show_policies(const struct state *state, const struct arguments *arguments)
{
	static const struct table_column columns[] = {
		{"POLICY", false},  {"SELECT", false},          {"SLICES", true},
		{"ADDRESS", false}, {"UNCONNECTED UDP", false}, {"OTHER NETNS", false},
		{"MARK", true},     {"ALLOW", false},           {"CGROUP", false},
	};
	struct table *table;

	if (arguments->json)
		return print_json(state->fleet);
	table = table_new(columns, sizeof(columns) / sizeof(columns[0]));
	for (size_t i = 0; i < state->fleet->policy_count; i++) {
		const struct fleet_policy *policy = &state->fleet->policies[i];

		table_cell(table, "%s", policy->name);
		selectors_cell(table, policy);
		table_cell(table, "%u", policy->slices);
		table_cell(table, "%s", choice_name(policy->address));
		table_cell(table, "%s", unconnected_name(policy->unconnected_udp));
		table_cell(table, "%s", other_netns_name(policy->other_netns));
		if (policy->mark)
			table_cell(table, "%u", policy->mark);
		else
			table_cell(table, "-");
		allowed_cell(table, policy);
		table_cell(table, "%s", policy->cgroup ? policy->cgroup : "-");
	}
	return table_print(table, stdout) ? VERB_FAILED : VERB_DONE;
}
