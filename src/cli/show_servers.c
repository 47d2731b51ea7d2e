/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "answer.h"
#include "names.h"
#include "show.h"
#include "table.h"
#include "usage.h"
#include "verb.h"

static const struct server_status *status_of(const struct state *state, uint32_t server)
{
	for (size_t i = 0; i < state->status_count; i++)
		if (state->statuses[i].server == server)
			return &state->statuses[i];
	return NULL;
}

static const char *condition(const struct server_status *status, uint64_t wanted)
{
	if (!status)
		return "never seen";
	return status->applied < wanted ? "behind" : "current";
}

static json_t *server_json(const struct state *state, const struct fleet_server *server, uint64_t wanted)
{
	const struct server_status *status = status_of(state, server->id);
	struct usage usage = usage_of_server(state, server->id);
	char dotted[ADDR_TEXT_MAX];

	return json_pack("{s:s, s:I, s:s, s:s, s:I, s:I, s:o, s:b, s:s?, s:s?}", "name", server->name, "id",
			 (json_int_t)server->id, "site", state->fleet->sites[server->site].name, "underlay",
			 addr_format(server->underlay, dotted), "owned", (json_int_t)usage.owned, "cooling",
			 (json_int_t)usage.cooling, "applied",
			 status ? json_integer((json_int_t)status->applied) : json_null(), "behind",
			 !status || status->applied < wanted, "instance", status ? status->instance : NULL, "version",
			 status ? status->version : NULL);
}

static int print_json(const struct state *state)
{
	uint64_t wanted = state_content_revision(state);
	json_t *list = json_array();

	for (size_t i = 0; i < state->fleet->server_count; i++) {
		if (json_array_append_new(list, server_json(state, &state->fleet->servers[i], wanted))) {
			json_decref(list);
			return answer_print(NULL);
		}
	}
	return answer_print(json_pack("{s:I, s:o}", "revision", (json_int_t)wanted, "servers", list));
}

static void server_row(struct table *table, const struct state *state, const struct fleet_server *server,
		       uint64_t wanted)
{
	const struct server_status *status = status_of(state, server->id);
	struct usage usage = usage_of_server(state, server->id);
	char dotted[ADDR_TEXT_MAX];

	table_cell(table, "%s", server->name);
	table_cell(table, "%u", server->id);
	table_cell(table, "%s", state->fleet->sites[server->site].name);
	table_cell(table, "%s", addr_format(server->underlay, dotted));
	table_cell(table, "%zu", usage.owned);
	if (status)
		table_cell(table, "%" PRIu64, status->applied);
	else
		table_cell(table, "%s", "");
	table_cell(table, "%s", condition(status, wanted));
	table_cell(table, "%s", status && status->version ? status->version : "");
}

int show_servers(const struct state *state, const struct arguments *arguments)
{
	static const struct table_column columns[] = {
		{"SERVER", false}, {"ID", true},      {"SITE", false},  {"UNDERLAY", false},
		{"SLICES", true},  {"APPLIED", true}, {"STATE", false}, {"VERSION", false},
	};
	struct table *table;

	if (arguments->json)
		return print_json(state);
	table = table_new(columns, 8);
	for (size_t i = 0; i < state->fleet->server_count; i++)
		server_row(table, state, &state->fleet->servers[i], state_content_revision(state));
	return table_print(table, stdout) ? VERB_FAILED : VERB_DONE;
}
