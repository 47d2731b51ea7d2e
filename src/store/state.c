/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key.h"
#include "state_private.h"

static void state_ids_free(struct state_ids *ids)
{
	for (size_t i = 0; i < ids->count; i++)
		free(ids->items[i].name);
	free(ids->items);
}

void state_free(struct state *state)
{
	if (!state)
		return;
	fleet_free(state->fleet);
	free(state->fleet_text);
	state_ids_free(&state->sites);
	state_ids_free(&state->servers);
	ownership_free(&state->held);
	for (size_t i = 0; i < state->status_count; i++) {
		free(state->statuses[i].instance);
		free(state->statuses[i].version);
	}
	free(state->statuses);
	for (size_t i = 0; i < state->key_count; i++)
		free(state->keys[i].key);
	free(state->keys);
	free(state);
}

uint64_t state_content_revision(const struct state *state)
{
	uint64_t newest = 0;

	for (size_t i = 0; i < state->key_count; i++)
		if (strncmp(state->keys[i].key, "status/", 7) != 0 && state->keys[i].revision > newest)
			newest = state->keys[i].revision;
	return newest;
}

int state_fault(char **why, const char *key, const char *format, ...)
{
	char text[384];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (asprintf(why, "%s: %s", key, text) < 0) {
		*why = NULL;
		return -ENOMEM;
	}
	return -EBADMSG;
}

bool state_number(const char **at, char end, uint32_t max, uint32_t *ret)
{
	const char *text = *at;
	uint64_t value = 0;
	size_t digits = 0;

	for (; text[digits] >= '0' && text[digits] <= '9'; digits++) {
		value = value * 10 + (uint64_t)(text[digits] - '0');
		if (value > max)
			return false;
	}
	if (digits == 0 || (digits > 1 && text[0] == '0') || text[digits] != end)
		return false;
	*at = text + digits + 1;
	*ret = (uint32_t)value;
	return true;
}

static int id_name_order(const void *name, const void *id)
{
	return strcmp(name, ((const struct state_id *)id)->name);
}

struct state_id *state_ids_find(const struct state_ids *ids, const char *name)
{
	if (!ids->count)
		return NULL;
	return bsearch(name, ids->items, ids->count, sizeof(*ids->items), id_name_order);
}

static int id_order(const void *a, const void *b)
{
	uint32_t left = (*(const struct state_id *const *)a)->id, right = (*(const struct state_id *const *)b)->id;

	return (left > right) - (left < right);
}

const struct state_id **state_ids_by_id(const struct state_id *items, size_t count)
{
	const struct state_id **by_id = reallocarray(NULL, count + 1, sizeof(*by_id));

	if (!by_id)
		return NULL;
	for (size_t i = 0; i < count; i++)
		by_id[i] = &items[i];
	qsort(by_id, count, sizeof(*by_id), id_order);
	return by_id;
}

bool state_ids_known(const struct state_id **by_id, size_t count, uint32_t id)
{
	const struct state_id sought = {.id = id}, *key = &sought;

	return bsearch(&key, by_id, count, sizeof(*by_id), id_order);
}

static int key_name_order(const void *name, const void *key)
{
	return strcmp(name, ((const struct state_key *)key)->key);
}

uint64_t state_key_revision(const struct state *state, const char *key)
{
	const struct state_key *found = NULL;

	if (state && state->key_count)
		found = bsearch(key, state->keys, state->key_count, sizeof(*state->keys), key_name_order);
	return found ? found->revision : 0;
}

int state_json_object(const struct store_entry *entry, json_t **ret, char **why)
{
	json_error_t error;
	json_t *json = json_loadb(entry->value, entry->size, JSON_REJECT_DUPLICATES, &error);

	if (!json)
		return state_fault(why, entry->key, "is not JSON: %s at byte %d", error.text, error.position);
	if (!json_is_object(json)) {
		json_decref(json);
		return state_fault(why, entry->key, "must be a JSON object");
	}
	*ret = json;
	return 0;
}

int state_json_number(json_t *object, const char *key, const char *member, int64_t min, int64_t max, int64_t *ret,
		      char **why)
{
	const json_t *json = json_object_get(object, member);
	int64_t value;

	if (!json_is_integer(json))
		return state_fault(why, key, "\"%s\" must be there and be a whole number", member);
	value = json_integer_value(json);
	if (value < min || value > max)
		return state_fault(why, key, "\"%s\" is %lld, which is not within %lld and %lld", member,
				   (long long)value, (long long)min, (long long)max);
	*ret = value;
	return 0;
}

int state_json_text(json_t *object, const char *key, const char *member, const char **ret, char **why)
{
	const char *text = json_string_value(json_object_get(object, member));

	if (!text)
		return state_fault(why, key, "\"%s\" must be there and be text", member);
	if (!key_prefix_valid(text))
		return state_fault(why, key, "\"%s\" is longer than %d bytes or has control characters", member,
				   STORE_KEY_MAX);
	*ret = text;
	return 0;
}
