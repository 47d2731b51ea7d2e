/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "../core/addr.h"
#include "answer.h"
#include "ask.h"
#include "message.h"
#include "names.h"
#include "show.h"
#include "table.h"
#include "verb.h"

static int refusals_find(const struct places *places, struct refusals *ret, char **why)
{
	const struct control_request request = {.verb = CONTROL_REFUSALS};
	json_t *reply = NULL;
	int err = agent_ask(places, &request, &reply, why);

	if (!err)
		err = control_refusals_decode(reply, ret, why);
	json_decref(reply);
	return err;
}

static json_t *slices_json(const struct refusal *refusal)
{
	json_t *list = json_array();

	for (size_t i = 0; i < refusal->slice_count; i++) {
		const struct refusal_slice *slice = &refusal->slices[i];
		char text[ADDR_TEXT_MAX];

		json_array_append_new(list, json_pack("{s:s, s:i, s:i}", "address", addr_format(slice->addr, text),
						      "first", slice->first, "count", slice->count));
	}
	return list;
}

static json_t *holders_json(const struct refusal *refusal)
{
	json_t *list = json_array();

	for (size_t i = 0; i < refusal->holder_count; i++) {
		const struct refusal_holder *holder = &refusal->holders[i];

		json_array_append_new(list, json_pack("{s:s, s:I, s:i}", "name", holder->name, "pid",
						      (json_int_t)holder->pid, "ports", holder->ports));
	}
	return list;
}

static json_t *refusal_json(const struct refusal *refusal)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:s, s:I, s:I, s:I, s:i, s:i, s:i, s:s, s:I, s:I, s:o, s:o}", "policy",
			 refusal->policy, "verdict", refusal->verdict, "address", refusal->dest, "port", refusal->port,
			 "proto", refusal->proto, "count", (json_int_t)refusal->count, "first",
			 (json_int_t)refusal->first, "last", (json_int_t)refusal->last, "used", refusal->used, "busy",
			 refusal->busy, "ports", refusal->ports, "name", refusal->name, "pid", (json_int_t)refusal->pid,
			 "uid", (json_int_t)refusal->uid, "slices", slices_json(refusal), "holders",
			 holders_json(refusal));
}

static int print_json(const struct refusals *refusals)
{
	json_t *list = json_array();

	for (size_t i = 0; i < refusals->count; i++) {
		if (json_array_append_new(list, refusal_json(&refusals->items[i]))) {
			json_decref(list);
			return answer_print(NULL);
		}
	}
	return answer_print(json_pack("{s:o}", "refusals", list));
}

/* "curl[77] 2000, wget[78] 48"; cut short where it would be longer than a line should be. */
static const char *holders_text(const struct refusal *refusal, char text[], size_t size)
{
	size_t fill = 0;

	text[0] = 0;
	for (size_t i = 0; i < refusal->holder_count && fill < size; i++) {
		const struct refusal_holder *holder = &refusal->holders[i];
		char pid[16] = "";

		if (holder->pid)
			snprintf(pid, sizeof(pid), "[%u]", holder->pid);
		fill += (size_t)snprintf(text + fill, size - fill, "%s%s%s %u", i ? ", " : "", holder->name, pid,
					 holder->ports);
	}
	return text;
}

static void destination_cell(struct table *table, const struct refusal *refusal)
{
	bool ipv6 = strchr(refusal->dest, ':') != NULL;

	if (refusal->port)
		table_cell(table, "%s%s%s:%u %s", ipv6 ? "[" : "", refusal->dest, ipv6 ? "]" : "", refusal->port,
			   refusal->proto);
	else
		table_cell(table, "%s %s", refusal->dest, refusal->proto);
}

static void refusal_row(struct table *table, const struct refusal *refusal)
{
	char text[NAMES_TEXT_MAX], holders[160];

	table_cell(table, "%s", time_text(refusal->last, text));
	table_cell(table, "%" PRIu64, refusal->count);
	table_cell(table, "%s", refusal->policy);
	table_cell(table, "%s", refusal->verdict);
	destination_cell(table, refusal);
	if (refusal->used)
		table_cell(table, "%u of %u", refusal->used, refusal->ports);
	else
		table_cell(table, "%s", "");
	table_cell(table, "%s[%u]", refusal->name, refusal->pid);
	table_cell(table, "%s", holders_text(refusal, holders, sizeof(holders)));
}

static int print_table(const struct refusals *refusals)
{
	static const struct table_column columns[] = {
		{"LAST", false},        {"COUNT", true},  {"POLICY", false},  {"VERDICT", false},
		{"DESTINATION", false}, {"IN USE", true}, {"LAST BY", false}, {"HELD BY", false},
	};
	struct table *table = table_new(columns, 8);

	for (size_t i = 0; i < refusals->count; i++)
		refusal_row(table, &refusals->items[i]);
	if (refusals->count == 0)
		message("nothing was refused since the agent began");
	return table_print(table, stdout) ? VERB_FAILED : VERB_DONE;
}

int show_refusals(const struct places *places, const struct arguments *arguments)
{
	struct refusals refusals = {0};
	char *why = NULL;
	int exit_code, err = refusals_find(places, &refusals, &why);

	if (err) {
		message_error(err, why);
		return VERB_FAILED;
	}
	exit_code = arguments->json ? print_json(&refusals) : print_table(&refusals);
	control_refusals_clear(&refusals);
	return exit_code;
}
