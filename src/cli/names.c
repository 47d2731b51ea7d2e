/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <stdio.h>
#include <time.h>

#include "../abi/slice.h"

const char *slice_text(const struct fleet *fleet, uint32_t addr, uint32_t column, char text[NAMES_TEXT_MAX])
{
	const struct fleet_pool *pool = fleet ? fleet_find_pool(fleet, addr) : NULL;
	char dotted[ADDR_TEXT_MAX];

	addr_format(addr, dotted);
	if (pool && column < slice_columns(pool->shift))
		snprintf(text, NAMES_TEXT_MAX, "%s:%u-%u", dotted, slice_first_port(column, pool->shift),
			 slice_end_port(column, pool->shift) - 1);
	else
		snprintf(text, NAMES_TEXT_MAX, "%s column %u", dotted, column);
	return text;
}

static const char *id_text(const struct state_ids *ids, uint32_t id, char text[NAMES_TEXT_MAX])
{
	for (size_t i = 0; i < ids->count; i++)
		if (ids->items[i].id == id)
			return ids->items[i].name;
	snprintf(text, NAMES_TEXT_MAX, id ? "#%u" : "", id);
	return text;
}

const char *server_text(const struct fleet *fleet, const struct state *state, uint32_t id, char text[NAMES_TEXT_MAX])
{
	const struct fleet_server *server = fleet && id ? fleet_find_server_id(fleet, id) : NULL;

	return server ? server->name : id_text(&state->servers, id, text);
}

const char *site_text(const struct fleet *fleet, const struct state *state, uint32_t id, char text[NAMES_TEXT_MAX])
{
	const struct fleet_site *site = fleet && id ? fleet_find_site_id(fleet, id) : NULL;

	return site ? site->name : id_text(&state->sites, id, text);
}

const char *time_text(int64_t since, char text[NAMES_TEXT_MAX])
{
	const time_t seconds = since;
	struct tm utc;

	if (since <= 0 || !gmtime_r(&seconds, &utc) || strftime(text, NAMES_TEXT_MAX, "%Y-%m-%d %H:%M:%SZ", &utc) == 0)
		text[0] = 0;
	return text;
}

json_t *slice_json(const struct fleet *fleet, uint32_t addr, uint32_t column)
{
	const struct fleet_pool *pool = fleet ? fleet_find_pool(fleet, addr) : NULL;
	char dotted[ADDR_TEXT_MAX];

	addr_format(addr, dotted);
	if (!pool || column < slice_first_column(pool->shift) || column >= slice_columns(pool->shift))
		return json_pack("{s:s, s:I}", "address", dotted, "column", (json_int_t)column);
	return json_pack("{s:s, s:I, s:I, s:I}", "address", dotted, "column", (json_int_t)column, "first",
			 (json_int_t)slice_first_port(column, pool->shift), "count",
			 (json_int_t)slice_port_count(column, pool->shift));
}

json_t *tags_json(const struct tags *tags)
{
	json_t *object = json_object();

	for (size_t i = 0; i < tags->count; i++) {
		if (json_object_set_new(object, tags->items[i].key, json_string(tags->items[i].value))) {
			json_decref(object);
			return NULL;
		}
	}
	return object;
}

json_t *text_json(const char *text)
{
	return *text ? json_string(text) : json_null();
}
