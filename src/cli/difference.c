/* SPDX-License-Identifier: Apache-2.0 */
#include "difference.h"

#include <errno.h>
#include <stdlib.h>

#include "fleet_changes.h"
#include "message.h"
#include "names.h"
#include "table.h"

/* People are shown that many moves and names; --json has all. */
#define MOVES_SHOWN 40u
#define NAMES_SHOWN 12u

static const struct {
	const char *name; /* in JSON */
	const char *verb; /* "3 granted: ..." */
} reasons[] = {
	[PLAN_GRANTED] = {"granted", "granted"},
	[PLAN_SERVER_GONE] = {"server_gone", "given back"},
	[PLAN_ADDRESS_GONE] = {"address_gone", "given back"},
	[PLAN_UNWANTED] = {"unwanted", "given back"},
	[PLAN_REHOMED] = {"rehomed", "moved home"},
	[PLAN_COOLED] = {"cooled", "freed"},
};

#define REASON_COUNT (sizeof(reasons) / sizeof(reasons[0]))

/* An address that left is known to the fleet that was. */
static const struct fleet *fleet_with_address(const struct proposal *proposal, uint32_t addr)
{
	return fleet_find_pool(proposal->fleet, addr) ? proposal->fleet : proposal->before->fleet;
}

static json_t *row_json(const struct proposal *proposal, const struct ownership_row *row)
{
	char server[NAMES_TEXT_MAX], site[NAMES_TEXT_MAX];

	return json_pack("{s:s, s:o, s:o}", "state", slice_state_name(row->state), "server",
			 text_json(server_text(proposal->fleet, proposal->before, row->owner, server)), "site",
			 text_json(site_text(proposal->fleet, proposal->before, row->home, site)));
}

static json_t *move_json(const struct proposal *proposal, const struct plan_transition *move)
{
	json_t *object = slice_json(fleet_with_address(proposal, move->to.addr), move->to.addr, move->to.column);

	if (json_object_update_new(object,
				   json_pack("{s:s, s:o, s:o}", "reason", reasons[move->reason].name, "from",
					     row_json(proposal, &move->from), "to", row_json(proposal, &move->to)))) {
		json_decref(object);
		return NULL;
	}
	return object;
}

static json_t *moves_json(const struct proposal *proposal)
{
	json_t *list = json_array();

	for (size_t i = 0; i < proposal->plan.transition_count; i++)
		if (json_array_append_new(list, move_json(proposal, &proposal->plan.transitions[i]))) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *shortage_json(const struct proposal *proposal, const struct plan_shortage *shortage)
{
	char site[NAMES_TEXT_MAX];
	char *text = plan_shortage_text(shortage, proposal->fleet);
	json_t *object = text ? json_pack("{s:s, s:s, s:I, s:I, s:s}", "site",
					  site_text(proposal->fleet, proposal->before, shortage->site, site), "select",
					  shortage->selector, "servers", (json_int_t)shortage->servers, "lacking",
					  (json_int_t)shortage->lacking, "text", text)
			      : NULL;

	free(text);
	return object;
}

static json_t *shortages_json(const struct proposal *proposal)
{
	json_t *list = json_array();

	for (size_t i = 0; i < proposal->plan.shortage_count; i++)
		if (json_array_append_new(list, shortage_json(proposal, &proposal->plan.shortages[i]))) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static void count_reasons(const struct proposal *proposal, size_t counts[REASON_COUNT])
{
	for (size_t i = 0; i < REASON_COUNT; i++)
		counts[i] = 0;
	for (size_t i = 0; i < proposal->plan.transition_count; i++)
		counts[proposal->plan.transitions[i].reason]++;
}

static json_t *counts_json(const struct proposal *proposal)
{
	size_t counts[REASON_COUNT];
	json_t *object = json_object();

	count_reasons(proposal, counts);
	for (size_t i = 0; i < REASON_COUNT; i++)
		if (json_object_set_new(object, reasons[i].name, json_integer((json_int_t)counts[i]))) {
			json_decref(object);
			return NULL;
		}
	return object;
}

json_t *difference_json(const struct proposal *proposal)
{
	return json_pack("{s:s, s:I, s:b, s:o, s:o, s:I, s:o, s:o}", "fleet", proposal->fleet->name, "revision",
			 (json_int_t)proposal->before->revision, "changed", !proposal_empty(proposal), "changes",
			 fleet_changes(proposal->before->fleet, proposal->fleet), "counts", counts_json(proposal),
			 "losses", (json_int_t)proposal_losses(proposal), "moves", moves_json(proposal), "shortages",
			 shortages_json(proposal));
}

static void print_names(const json_t *names, char sign, FILE *out)
{
	size_t i;
	json_t *name;

	if (json_array_size(names) > 0)
		fprintf(out, "  %c", sign);
	json_array_foreach(names, i, name)
	{
		if (i == NAMES_SHOWN) {
			fprintf(out, " and %zu more", json_array_size(names) - i);
			break;
		}
		fprintf(out, "%s%s", i ? ", " : " ", json_string_value(name));
	}
}

static void print_changes(json_t *changes, FILE *out)
{
	const char *kind;
	json_t *lists;

	json_object_foreach(changes, kind, lists)
	{
		const json_t *added = json_object_get(lists, "added"), *removed = json_object_get(lists, "removed"),
			     *changed = json_object_get(lists, "changed");

		if (json_array_size(added) + json_array_size(removed) + json_array_size(changed) == 0)
			continue;
		fprintf(out, "  %-10s", kind);
		print_names(added, '+', out);
		print_names(removed, '-', out);
		print_names(changed, '~', out);
		fputc('\n', out);
	}
}

static void print_counts(const struct proposal *proposal, FILE *out)
{
	size_t counts[REASON_COUNT];
	const char *heading = "slices";

	count_reasons(proposal, counts);
	for (size_t i = 0; i < REASON_COUNT; i++) {
		if (counts[i] == 0)
			continue;
		fprintf(out, "  %-10s  %zu %s: %s\n", heading, counts[i], reasons[i].verb,
			plan_reason_text((enum plan_reason)i));
		heading = "";
	}
}

static void row_cell(struct table *table, const struct proposal *proposal, const struct ownership_row *row)
{
	char server[NAMES_TEXT_MAX], site[NAMES_TEXT_MAX];

	if (row->state == SLICE_STATE_FREE) {
		table_cell(table, "free");
		return;
	}
	table_cell(table, "%s of %s, %s", slice_state_name(row->state),
		   server_text(proposal->fleet, proposal->before, row->owner, server),
		   site_text(proposal->fleet, proposal->before, row->home, site));
}

static int print_moves(const struct proposal *proposal, FILE *out)
{
	static const struct table_column columns[] = {
		{"SLICE", false}, {"NOW", false}, {"THEN", false}, {"WHY", false}};
	struct table *table = table_new(columns, 4);
	size_t count = proposal->plan.transition_count;
	char text[NAMES_TEXT_MAX];
	int err;

	for (size_t i = 0; i < count && i < MOVES_SHOWN; i++) {
		const struct plan_transition *move = &proposal->plan.transitions[i];

		table_cell(
			table, "%s",
			slice_text(fleet_with_address(proposal, move->to.addr), move->to.addr, move->to.column, text));
		row_cell(table, proposal, &move->from);
		row_cell(table, proposal, &move->to);
		table_cell(table, "%s", plan_reason_text(move->reason));
	}
	if (count > 0)
		fputc('\n', out);
	err = table_print(table, out);
	if (count > MOVES_SHOWN)
		fprintf(out, "and %zu more: --json lists all\n", count - MOVES_SHOWN);
	return err;
}

int difference_print(const struct proposal *proposal, FILE *out)
{
	json_t *changes = fleet_changes(proposal->before->fleet, proposal->fleet);

	if (!changes)
		return -ENOMEM;
	if (proposal->before->fleet)
		fprintf(out, "fleet %s, on top of revision %llu:\n", proposal->fleet->name,
			(unsigned long long)proposal->before->revision);
	else
		fprintf(out, "fleet %s, for the first time:\n", proposal->fleet->name);
	print_changes(changes, out);
	print_counts(proposal, out);
	json_decref(changes);
	return print_moves(proposal, out);
}

void difference_warn(const struct proposal *proposal)
{
	for (size_t i = 0; i < proposal->plan.shortage_count; i++) {
		char *text = plan_shortage_text(&proposal->plan.shortages[i], proposal->fleet);

		message("warning: %s", text ? text : "a shortage, and no memory to name it");
		free(text);
	}
}
