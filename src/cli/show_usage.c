/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "../core/addr.h"
#include "../core/portuse.h"
#include "../kernel/usage.h"
#include "answer.h"
#include "ask.h"
#include "message.h"
#include "percent.h"
#include "show.h"
#include "table.h"
#include "verb.h"

/* False: no number that --top takes. */
static bool top_parse(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long top;

	if (!text) {
		*ret = USE_TOP_DEFAULT;
		return true;
	}
	top = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || top < 1 || top > USE_TOP_MAX)
		return false;
	*ret = (uint32_t)top;
	return true;
}

static int agent_usage(const struct places *places, uint32_t top, struct use *ret, char **why)
{
	const struct control_request request = {.verb = CONTROL_USAGE, .top = top};
	json_t *reply = NULL;
	int err = agent_ask(places, &request, &reply, why);

	if (!err)
		err = control_usage_decode(reply, ret, why);
	json_decref(reply);
	return err;
}

/* From the pins, which needs no agent; who may not open them asks it. */
static int usage_find(const struct places *places, uint32_t top, struct use *ret, char **why)
{
	char *refused = NULL;
	int err = usage_read(places->bpffs, top, ret, &refused);

	if (err == -EACCES || err == -EPERM) {
		free(refused);
		return agent_usage(places, top, ret, why);
	}
	if (err)
		*why = refused;
	return err;
}

static json_t *slices_json(const struct use *use)
{
	json_t *list = json_array();

	for (size_t i = 0; i < use->slice_count; i++) {
		const struct use_slice *slice = &use->slices[i];
		char text[ADDR_TEXT_MAX];

		json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:I, s:i, s:i, s:i}", "address",
						      addr_format(slice->addr, text), "first", slice->first, "count",
						      slice->count, "connections", (json_int_t)slice->connections,
						      "destinations", slice->destinations, "fullest", slice->fullest,
						      "percent", percent_of(slice->fullest, slice->count)));
	}
	return list;
}

static json_t *policies_json(const struct use *use)
{
	json_t *list = json_array();

	for (size_t i = 0; i < use->policy_count; i++) {
		const struct use_policy *policy = &use->policies[i];

		json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:I, s:i, s:i, s:i, s:I}", "name", policy->name,
						      "slices", policy->slices, "ports", policy->ports, "connections",
						      (json_int_t)policy->connections, "destinations",
						      policy->destinations, "fullest", policy->fullest, "percent",
						      percent_of(policy->fullest, policy->ports), "fallbacks",
						      (json_int_t)policy->fallbacks));
	}
	return list;
}

static json_t *destinations_json(const struct use *use)
{
	json_t *list = json_array();

	for (size_t i = 0; i < use->top_count; i++) {
		const struct use_destination *to = &use->top[i];
		char text[ADDR_TEXT_MAX];

		json_array_append_new(list, json_pack("{s:s, s:i, s:s, s:i, s:i, s:s, s:i, s:i, s:i}", "address",
						      addr_format(to->addr, text), "port", to->port, "proto", to->proto,
						      "used", to->used, "percent", percent_of(to->used, use->ports),
						      "policy", to->policy, "policy_used", to->policy_used,
						      "policy_ports", to->policy_ports, "policy_percent",
						      percent_of(to->policy_used, to->policy_ports)));
	}
	return list;
}

static int print_json(const struct use *use)
{
	return answer_print(json_pack("{s:i, s:I, s:i, s:I, s:I, s:o, s:o, s:o}", "ports", use->ports, "connections",
				      (json_int_t)use->connections, "destinations", use->destinations, "left_over",
				      (json_int_t)use->left_over, "probed", (json_int_t)use->probed, "slices",
				      slices_json(use), "policies", policies_json(use), "top", destinations_json(use)));
}

static int print_slices(const struct use *use)
{
	static const struct table_column columns[] = {
		{"SLICE", false}, {"CONNECTIONS", true}, {"DESTINATIONS", true}, {"FULLEST", true}, {"USE", true},
	};
	struct table *table = table_new(columns, 5);

	for (size_t i = 0; i < use->slice_count; i++) {
		const struct use_slice *slice = &use->slices[i];
		char text[ADDR_TEXT_MAX];

		table_cell(table, "%s:%u-%u", addr_format(slice->addr, text), slice->first,
			   slice->first + slice->count - 1);
		table_cell(table, "%" PRIu64, slice->connections);
		table_cell(table, "%u", slice->destinations);
		table_cell(table, "%u of %u", slice->fullest, slice->count);
		table_cell(table, "%u%%", percent_of(slice->fullest, slice->count));
	}
	return table_print(table, stdout);
}

static int print_policies(const struct use *use)
{
	static const struct table_column columns[] = {
		{"POLICY", false}, {"SLICES", true}, {"CONNECTIONS", true}, {"DESTINATIONS", true},
		{"FULLEST", true}, {"USE", true},    {"FALLBACKS", true},
	};
	struct table *table = table_new(columns, 7);

	for (size_t i = 0; i < use->policy_count; i++) {
		const struct use_policy *policy = &use->policies[i];

		table_cell(table, "%s", policy->name);
		table_cell(table, "%u", policy->slices);
		table_cell(table, "%" PRIu64, policy->connections);
		table_cell(table, "%u", policy->destinations);
		table_cell(table, "%u of %u", policy->fullest, policy->ports);
		table_cell(table, "%u%%", percent_of(policy->fullest, policy->ports));
		table_cell(table, "%" PRIu64, policy->fallbacks);
	}
	return table_print(table, stdout);
}

static int print_destinations(const struct use *use)
{
	static const struct table_column columns[] = {
		{"DESTINATION", false}, {"PORTS", true},     {"USE", true},
		{"POLICY", false},      {"ITS PORTS", true}, {"ITS USE", true},
	};
	struct table *table = table_new(columns, 6);

	for (size_t i = 0; i < use->top_count; i++) {
		const struct use_destination *to = &use->top[i];
		char text[ADDR_TEXT_MAX];

		table_cell(table, "%s:%u %s", addr_format(to->addr, text), to->port, to->proto);
		table_cell(table, "%u of %u", to->used, use->ports);
		table_cell(table, "%u%%", percent_of(to->used, use->ports));
		table_cell(table, "%s", to->policy);
		table_cell(table, "%u of %u", to->policy_used, to->policy_ports);
		table_cell(table, "%u%%", percent_of(to->policy_used, to->policy_ports));
	}
	return table_print(table, stdout);
}

static int print_tables(const struct use *use)
{
	int err = print_slices(use);

	if (!err && use->policy_count && putchar('\n') == EOF)
		err = -EIO;
	if (!err)
		err = print_policies(use);
	if (!err && use->top_count && putchar('\n') == EOF)
		err = -EIO;
	if (!err)
		err = print_destinations(use);
	if (use->slice_count == 0)
		message("no policy here has a slice");
	if (use->left_over)
		message("%" PRIu64 " connections are on ports that no policy has any more", use->left_over);
	if (use->probed)
		message("%" PRIu64
			" connections more are beside the table, which had no room for them, or their policy "
			"not (berthd --destinations, and a policy's destinations)",
			use->probed);
	return err ? VERB_FAILED : VERB_DONE;
}

int show_usage(const struct places *places, const struct arguments *arguments)
{
	struct use use = {0};
	char *why = NULL;
	uint32_t top;
	int exit_code, err;

	if (!top_parse(arguments->top, &top)) {
		message("--top takes a number from 1 to %u, not \"%s\"", USE_TOP_MAX, arguments->top);
		return VERB_USAGE;
	}
	err = usage_find(places, top, &use, &why);
	if (err) {
		message_error(err, why);
		return VERB_FAILED;
	}
	exit_code = arguments->json ? print_json(&use) : print_tables(&use);
	use_clear(&use);
	return exit_code;
}
