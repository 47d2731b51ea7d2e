/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/slice.h"
#include "../abi/wrap.h"
#include "key.h"
#include "state_private.h"

struct decoder {
	const struct store_result *result;
	struct state *state;
	const struct state_id **sites; /* by id */
	const struct state_id **servers; /* by id */
	size_t row_room;
	char **why;
};

typedef int decode_entry(struct decoder *decoder, const struct store_entry *entry, const char *rest);

/* Every key of a family; `rest` is what follows the prefix. */
static int decode_family(struct decoder *decoder, const char *prefix, decode_entry *decode)
{
	int err = 0;

	for (size_t i = 0; i < decoder->result->count && !err; i++) {
		const struct store_entry *entry = &decoder->result->entries[i];

		if (key_has_prefix(entry->key, prefix))
			err = decode(decoder, entry, entry->key + strlen(prefix));
	}
	return err;
}

static int decode_keys(struct decoder *decoder)
{
	struct state *state = decoder->state;

	state->keys = calloc(decoder->result->count + 1, sizeof(*state->keys));
	if (!state->keys)
		return -ENOMEM;
	for (size_t i = 0; i < decoder->result->count; i++) {
		struct state_key *key = &state->keys[i];

		key->key = strdup(decoder->result->entries[i].key);
		if (!key->key)
			return -ENOMEM;
		key->revision = decoder->result->entries[i].revision;
		state->key_count++;
	}
	return 0;
}

static int decode_id(struct decoder *decoder, const struct store_entry *entry, const char *name, uint32_t max,
		     struct state_ids *ids)
{
	char text[16] = {0};
	const char *at = text;
	uint32_t id;
	struct state_id *items;

	if (!*name || strlen(name) > FLEET_NAME_MAX || strchr(name, '/'))
		return state_fault(decoder->why, entry->key, "a name has 1 to %d characters, none of them '/'",
				   FLEET_NAME_MAX);
	if (entry->size < sizeof(text))
		memcpy(text, entry->value, entry->size);
	if (!state_number(&at, 0, max, &id) || id == 0 || (size_t)(at - text) != entry->size + 1)
		return state_fault(decoder->why, entry->key, "an id is a number from 1 to %u", max);
	items = reallocarray(ids->items, ids->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	ids->items = items;
	items[ids->count] = (struct state_id){.name = strdup(name), .id = id};
	if (!items[ids->count].name)
		return -ENOMEM;
	ids->count++;
	return 0;
}

static int decode_site_id(struct decoder *decoder, const struct store_entry *entry, const char *name)
{
	return decode_id(decoder, entry, name, WRAP_SITE_ID_MAX, &decoder->state->sites);
}

static int decode_server_id(struct decoder *decoder, const struct store_entry *entry, const char *name)
{
	return decode_id(decoder, entry, name, WRAP_SERVER_ID_MAX, &decoder->state->servers);
}

/* Entries come sorted by key, so ids are sorted by name already. */
static int index_ids(struct decoder *decoder, const char *prefix, const struct state_ids *ids,
		     const struct state_id ***ret)
{
	const struct state_id **by_id = state_ids_by_id(ids->items, ids->count);
	int err = 0;

	if (!by_id)
		return -ENOMEM;
	for (size_t i = 1; i < ids->count && !err; i++) {
		char key[STORE_KEY_MAX + 1];

		if (by_id[i - 1]->id != by_id[i]->id)
			continue;
		snprintf(key, sizeof(key), "%s%s", prefix, by_id[i]->name);
		err = state_fault(decoder->why, key, "id %u was given to %s as well", by_id[i]->id, by_id[i - 1]->name);
	}
	*ret = by_id; /* freed with the decoder */
	return err;
}

/* Gives one site or server of the fleet the id that the store has for its name. */
static int resolve_id(struct decoder *decoder, struct state_ids *ids, const char *prefix, const char *name,
		      uint32_t *id)
{
	struct state_id *known = state_ids_find(ids, name);
	char key[STORE_KEY_MAX + 1];

	snprintf(key, sizeof(key), "%s%s", prefix, name);
	if (!known)
		return state_fault(decoder->why, key, "is missing, though the fleet has that name");
	if (*id && *id != known->id)
		return state_fault(decoder->why, key, "says %u, the fleet says %u", known->id, *id);
	known->listed = true;
	*id = known->id;
	return 0;
}

static int resolve_ids(struct decoder *decoder)
{
	struct state *state = decoder->state;
	struct fleet *fleet = state->fleet;
	int err = 0;

	for (size_t i = 0; i < fleet->site_count && !err; i++)
		err = resolve_id(decoder, &state->sites, STATE_SITE_ID_PREFIX, fleet->sites[i].name,
				 &fleet->sites[i].id);
	for (size_t i = 0; i < fleet->server_count && !err; i++)
		err = resolve_id(decoder, &state->servers, STATE_SERVER_ID_PREFIX, fleet->servers[i].name,
				 &fleet->servers[i].id);
	return err;
}

static int decode_fleet(struct decoder *decoder, const struct store_entry *entry, const char *rest)
{
	struct state *state = decoder->state;
	struct fleet_faults faults = {0};
	int err;

	if (*rest)
		return 0; /* some other key that begins like this */
	state->fleet_text = malloc(entry->size + 1);
	if (!state->fleet_text)
		return -ENOMEM;
	memcpy(state->fleet_text, entry->value, entry->size);
	state->fleet_text[entry->size] = 0;
	state->fleet_size = entry->size;
	err = fleet_file_read(state->fleet_text, state->fleet_size, &state->fleet, &faults);
	if (err == -EINVAL)
		err = state_fault(decoder->why, entry->key, "line %zu, column %zu: %s", faults.items[0].line,
				  faults.items[0].column, faults.items[0].text);
	fleet_faults_free(&faults);
	return err ? err : resolve_ids(decoder);
}

static int add_row(struct decoder *decoder, const struct ownership_row *row)
{
	struct ownership *held = &decoder->state->held;

	if (held->count == decoder->row_room) {
		size_t room = decoder->row_room ? decoder->row_room * 2 : 256;
		struct ownership_row *rows = reallocarray(held->rows, room, sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		held->rows = rows;
		decoder->row_room = room;
	}
	held->rows[held->count++] = *row;
	return 0;
}

/* A run of columns; *next is the lowest column it may begin with, and moves on. */
static int decode_run(struct decoder *decoder, const char *key, uint32_t addr, json_t *run, int64_t *next)
{
	int64_t first, count, site;
	int err = state_json_number(run, key, "first", *next, STATE_COLUMNS_MAX - 1, &first, decoder->why);

	if (!err)
		err = state_json_number(run, key, "count", 1, STATE_COLUMNS_MAX - first, &count, decoder->why);
	if (!err)
		err = state_json_number(run, key, "site", 1, WRAP_SITE_ID_MAX, &site, decoder->why);
	if (err)
		return err;
	if (!state_ids_known(decoder->sites, decoder->state->sites.count, (uint32_t)site))
		return state_fault(decoder->why, key, "no site has id %lld", (long long)site);
	*next = first + count;
	for (int64_t column = first; column < *next && !err; column++)
		err = add_row(decoder, &(struct ownership_row){
					       .addr = addr, .column = (uint32_t)column, .home = (uint32_t)site});
	return err;
}

static int decode_home(struct decoder *decoder, const struct store_entry *entry, const char *rest)
{
	json_t *object, *columns, *run;
	int64_t next = 0;
	uint32_t addr;
	size_t i;
	int err;

	if (addr_parse(rest, &addr))
		return state_fault(decoder->why, entry->key, "must end in an IPv4 address");
	err = state_json_object(entry, &object, decoder->why);
	if (err)
		return err;
	columns = json_object_get(object, "columns");
	if (!json_is_array(columns))
		err = state_fault(decoder->why, entry->key, "\"columns\" must be there and be a list");
	json_array_foreach(columns, i, run)
	{
		if (err)
			break;
		err = json_is_object(run)
			      ? decode_run(decoder, entry->key, addr, run, &next)
			      : state_fault(decoder->why, entry->key, "\"columns\" must be a list of objects");
	}
	json_decref(object);
	return err;
}

static int row_order(const void *a, const void *b)
{
	const struct ownership_row *left = a, *right = b;

	if (left->addr != right->addr)
		return left->addr < right->addr ? -1 : 1;
	return (left->column > right->column) - (left->column < right->column);
}

static int decode_slice_value(struct decoder *decoder, const struct store_entry *entry, struct ownership_row *row)
{
	json_t *object;
	const char *name;
	int64_t owner, since;
	int err = state_json_object(entry, &object, decoder->why);

	if (err)
		return err;
	err = state_json_text(object, entry->key, "state", &name, decoder->why);
	if (!err && (slice_state_parse(name, &row->state) || row->state == SLICE_STATE_FREE))
		err = state_fault(decoder->why, entry->key, "\"state\" is \"%s\", which no slice with a key can have",
				  name);
	if (!err)
		err = state_json_number(object, entry->key, "owner", 1, WRAP_SERVER_ID_MAX, &owner, decoder->why);
	if (!err)
		err = state_json_number(object, entry->key, "since", 0, INT64_MAX, &since, decoder->why);
	json_decref(object);
	if (err)
		return err;
	if (!state_ids_known(decoder->servers, decoder->state->servers.count, (uint32_t)owner))
		return state_fault(decoder->why, entry->key, "no server has id %lld", (long long)owner);
	row->owner = (uint32_t)owner;
	row->since = since;
	return 0;
}

/* The rows of all homes are there, sorted, and every slice with a key lies in one. */
static int decode_slice(struct decoder *decoder, const struct store_entry *entry, const char *rest)
{
	struct ownership *held = &decoder->state->held;
	struct ownership_row sought, *row = NULL;
	const char *slash = NULL;
	char addr[ADDR_TEXT_MAX] = {0};
	const char *at = rest;

	if (state_number(&at, '/', WRAP_SITE_ID_MAX, &sought.home))
		slash = strchr(at, '/');
	if (slash && (size_t)(slash - at) < sizeof(addr))
		memcpy(addr, at, (size_t)(slash - at));
	if (!slash || addr_parse(addr, &sought.addr))
		return state_fault(decoder->why, entry->key, "must be slice/SITE-ID/ADDRESS/COLUMN");
	at = slash + 1;
	if (!state_number(&at, 0, STATE_COLUMNS_MAX - 1, &sought.column))
		return state_fault(decoder->why, entry->key, "a column is a number from 0 to %u",
				   STATE_COLUMNS_MAX - 1);
	if (held->count)
		row = bsearch(&sought, held->rows, held->count, sizeof(*row), row_order);
	if (!row || row->home != sought.home)
		return state_fault(decoder->why, entry->key, "home/%s does not give the column to that site", addr);
	return decode_slice_value(decoder, entry, row);
}

static int add_status(struct state *state, uint32_t server, const char *instance, uint64_t applied, const char *version)
{
	struct server_status *statuses =
		reallocarray(state->statuses, state->status_count + 1, sizeof(*state->statuses));
	struct server_status *status;

	if (!statuses)
		return -ENOMEM;
	state->statuses = statuses;
	status = &statuses[state->status_count++];
	*status = (struct server_status){
		.server = server,
		.instance = strdup(instance),
		.applied = applied,
		.version = strdup(version),
	};
	return status->instance && status->version ? 0 : -ENOMEM;
}

static int decode_status(struct decoder *decoder, const struct store_entry *entry, const char *name)
{
	const struct state_id *server = state_ids_find(&decoder->state->servers, name);
	const char *instance, *version;
	int64_t applied;
	json_t *object;
	int err = state_json_object(entry, &object, decoder->why);

	if (err)
		return err;
	err = state_json_text(object, entry->key, "instance", &instance, decoder->why);
	if (!err)
		err = state_json_number(object, entry->key, "applied", 0, INT64_MAX, &applied, decoder->why);
	if (!err)
		err = state_json_text(object, entry->key, "version", &version, decoder->why);
	if (!err && server && server->listed)
		err = add_status(decoder->state, server->id, instance, (uint64_t)applied, version);
	json_decref(object);
	return err;
}

static int decode_all(struct decoder *decoder)
{
	struct state *state = decoder->state;
	int err = decode_keys(decoder);

	if (!err)
		err = decode_family(decoder, STATE_SITE_ID_PREFIX, decode_site_id);
	if (!err)
		err = index_ids(decoder, STATE_SITE_ID_PREFIX, &state->sites, &decoder->sites);
	if (!err)
		err = decode_family(decoder, STATE_SERVER_ID_PREFIX, decode_server_id);
	if (!err)
		err = index_ids(decoder, STATE_SERVER_ID_PREFIX, &state->servers, &decoder->servers);
	if (!err)
		err = decode_family(decoder, STATE_FLEET_KEY, decode_fleet);
	if (!err)
		err = decode_family(decoder, STATE_HOME_PREFIX, decode_home);
	if (!err && state->held.count)
		qsort(state->held.rows, state->held.count, sizeof(*state->held.rows), row_order);
	if (!err)
		err = decode_family(decoder, STATE_SLICE_PREFIX, decode_slice);
	if (!err)
		err = decode_family(decoder, STATE_STATUS_PREFIX, decode_status);
	return err;
}

int state_decode(const struct store_result *result, struct state **ret, char **why)
{
	struct decoder decoder = {.result = result, .why = why};
	int err = -ENOMEM;

	*why = NULL;
	decoder.state = calloc(1, sizeof(*decoder.state));
	if (decoder.state) {
		decoder.state->revision = result->revision;
		err = decode_all(&decoder);
	}
	free(decoder.sites);
	free(decoder.servers);
	if (err)
		state_free(decoder.state);
	else
		*ret = decoder.state;
	return err;
}
