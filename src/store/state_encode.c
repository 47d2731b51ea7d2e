/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/slice.h"
#include "entries.h"
#include "state_private.h"

/* A transaction while it grows, then what its arrays point into. */
struct txn_memory {
	const struct state *before;
	struct entries compares;
	struct entries writes;
	struct store_compare *compare_array;
	struct store_write *write_array;
};

static void txn_memory_free(struct txn_memory *memory)
{
	if (!memory)
		return;
	entries_free(&memory->compares);
	entries_free(&memory->writes);
	free(memory->compare_array);
	free(memory->write_array);
	free(memory);
}

void state_txn_free(struct state_txn *txn)
{
	txn_memory_free(txn->memory);
	*txn = (struct state_txn){0};
}

/* The key must be as it was read. */
static int txn_compare(struct txn_memory *memory, const char *key)
{
	return entries_add(&memory->compares, key, NULL, 0, state_key_revision(memory->before, key));
}

static int txn_write(struct txn_memory *memory, const char *key, const void *value, size_t size)
{
	return entries_add(&memory->writes, key, value, size, 0);
}

/* Takes over `json`; NULL: no memory. */
static int txn_write_json(struct txn_memory *memory, const char *key, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int err = text ? txn_write(memory, key, text, strlen(text)) : -ENOMEM;

	free(text);
	json_decref(json);
	return err;
}

/* Turns what was gathered into *ret, or frees it. */
static int txn_finish(struct txn_memory *memory, int err, struct state_txn *ret)
{
	size_t compares = memory->compares.count, writes = memory->writes.count;

	memory->compare_array = calloc(compares + 1, sizeof(*memory->compare_array));
	memory->write_array = calloc(writes + 1, sizeof(*memory->write_array));
	if (err || !memory->compare_array || !memory->write_array) {
		txn_memory_free(memory);
		return -ENOMEM;
	}
	for (size_t i = 0; i < compares; i++) {
		const struct store_entry *entry = &memory->compares.items[i];

		memory->compare_array[i] = (struct store_compare){entry->key, entry->revision};
	}
	for (size_t i = 0; i < writes; i++) {
		const struct store_entry *entry = &memory->writes.items[i];

		memory->write_array[i] = (struct store_write){entry->key, entry->value, entry->size};
	}
	*ret = (struct state_txn){
		.txn = {memory->compare_array, compares, memory->write_array, writes},
		.memory = memory,
	};
	return 0;
}

static int encode_id(struct txn_memory *memory, const char *prefix, const char *name, uint32_t id)
{
	char key[STORE_KEY_MAX + 1], text[16];
	int err;

	snprintf(key, sizeof(key), "%s%s", prefix, name);
	err = txn_compare(memory, key);
	if (err || state_key_revision(memory->before, key))
		return err;
	snprintf(text, sizeof(text), "%u", id);
	return txn_write(memory, key, text, strlen(text));
}

static int encode_ids(struct txn_memory *memory, const struct fleet *fleet)
{
	int err = 0;

	for (size_t i = 0; i < fleet->site_count && !err; i++)
		err = encode_id(memory, STATE_SITE_ID_PREFIX, fleet->sites[i].name, fleet->sites[i].id);
	for (size_t i = 0; i < fleet->server_count && !err; i++)
		err = encode_id(memory, STATE_SERVER_ID_PREFIX, fleet->servers[i].name, fleet->servers[i].id);
	return err;
}

/* Neighbouring columns of one site become one run. NULL: no memory. */
static json_t *home_json(const uint32_t home[STATE_COLUMNS_MAX])
{
	json_t *columns = json_array();
	int err = 0;

	for (uint32_t first = 0, end; first < STATE_COLUMNS_MAX; first = end) {
		for (end = first + 1; end < STATE_COLUMNS_MAX && home[end] == home[first];)
			end++;
		if (home[first])
			err |= json_array_append_new(columns, json_pack("{s:i,s:i,s:i}", "first", (int)first, "count",
									(int)(end - first), "site", (int)home[first]));
	}
	if (err) {
		json_decref(columns);
		return NULL;
	}
	return json_pack("{s:o}", "columns", columns);
}

/* The homes of an address's columns as they were. */
static void home_before(const struct state *before, uint32_t addr, uint32_t home[STATE_COLUMNS_MAX])
{
	const struct ownership none = {0};
	const struct ownership *held = before ? &before->held : &none;

	memset(home, 0, STATE_COLUMNS_MAX * sizeof(home[0]));
	for (size_t i = ownership_position(held, addr, 0); i < held->count && held->rows[i].addr == addr; i++)
		home[held->rows[i].column] = held->rows[i].home;
}

/* The home key of the address that `count` transitions are about: always compared, written when a home changes. */
static int encode_home(struct txn_memory *memory, const struct plan_transition *transitions, size_t count)
{
	uint32_t before[STATE_COLUMNS_MAX], after[STATE_COLUMNS_MAX];
	static const uint32_t none[STATE_COLUMNS_MAX];
	char addr[ADDR_TEXT_MAX], key[STORE_KEY_MAX + 1];
	int err;

	home_before(memory->before, transitions[0].to.addr, before);
	memcpy(after, before, sizeof(after));
	for (size_t i = 0; i < count; i++)
		after[transitions[i].to.column] = transitions[i].to.home;
	snprintf(key, sizeof(key), STATE_HOME_PREFIX "%s", addr_format(transitions[0].to.addr, addr));
	err = txn_compare(memory, key);
	if (err || memcmp(before, after, sizeof(after)) == 0)
		return err;
	if (memcmp(after, none, sizeof(after)) == 0)
		return txn_write(memory, key, NULL, 0);
	return txn_write_json(memory, key, home_json(after));
}

static void slice_key(const struct ownership_row *row, uint32_t site, char key[STORE_KEY_MAX + 1])
{
	char addr[ADDR_TEXT_MAX];

	snprintf(key, STORE_KEY_MAX + 1, STATE_SLICE_PREFIX "%u/%s/%u", site, addr_format(row->addr, addr),
		 row->column);
}

/* A free slice has no key; one that changes its home moves to another key. */
static int encode_slice(struct txn_memory *memory, const struct plan_transition *transition)
{
	const struct ownership_row *from = &transition->from, *to = &transition->to;
	bool keyed = to->state != SLICE_STATE_FREE;
	char key[STORE_KEY_MAX + 1];
	int err = 0;

	if (from->home && from->state != SLICE_STATE_FREE) {
		slice_key(from, from->home, key);
		err = txn_compare(memory, key);
		if (!err && (!keyed || to->home != from->home))
			err = txn_write(memory, key, NULL, 0);
	}
	if (err || !keyed)
		return err;
	slice_key(to, to->home, key);
	if (from->state == SLICE_STATE_FREE || to->home != from->home)
		err = txn_compare(memory, key);
	if (err)
		return err;
	return txn_write_json(memory, key,
			      json_pack("{s:s,s:I,s:I}", "state", slice_state_name(to->state), "owner",
					(json_int_t)to->owner, "since", (json_int_t)to->since));
}

static int encode_plan(struct txn_memory *memory, const struct plan *plan)
{
	const struct plan_transition *transitions = plan->transitions;
	int err = 0;

	for (size_t first = 0, end; first < plan->transition_count && !err; first = end) {
		for (end = first + 1;
		     end < plan->transition_count && transitions[end].to.addr == transitions[first].to.addr;)
			end++;
		err = encode_home(memory, transitions + first, end - first);
		for (size_t i = first; i < end && !err; i++)
			err = encode_slice(memory, &transitions[i]);
	}
	return err;
}

static int encode_fleet(struct txn_memory *memory, const char *text, size_t size)
{
	const struct state *before = memory->before;
	int err = txn_compare(memory, STATE_FLEET_KEY);
	bool same = before && before->fleet_text && before->fleet_size == size &&
		    memcmp(before->fleet_text, text, size) == 0;

	if (err || (same && memory->writes.count == 0))
		return err;
	return txn_write(memory, STATE_FLEET_KEY, text, size);
}

int state_encode(const struct state *before, const struct fleet *fleet, const char *fleet_text, size_t fleet_size,
		 const struct plan *plan, struct state_txn *ret)
{
	struct txn_memory *memory = calloc(1, sizeof(*memory));
	int err;

	if (!memory)
		return -ENOMEM;
	memory->before = before;
	err = encode_ids(memory, fleet);
	if (!err)
		err = encode_plan(memory, plan);
	if (!err)
		err = encode_fleet(memory, fleet_text, fleet_size);
	return txn_finish(memory, err, ret);
}

int state_encode_status(const char *server, const struct server_status *status, struct state_txn *ret)
{
	struct txn_memory *memory = calloc(1, sizeof(*memory));
	char key[STORE_KEY_MAX + 1];

	if (!memory)
		return -ENOMEM;
	snprintf(key, sizeof(key), STATE_STATUS_PREFIX "%s", server);
	return txn_finish(memory,
			  txn_write_json(memory, key,
					 json_pack("{s:s,s:I,s:s}", "instance", status->instance, "applied",
						   (json_int_t)status->applied, "version", status->version)),
			  ret);
}
