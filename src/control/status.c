/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reply to `status`. Each kind of object is described once, as a list of fields with their place in the C struct;
 * one encoder and one decoder read these lists.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "fault.h"

struct shape;

enum field_kind { FIELD_TEXT, FIELD_U32, FIELD_U64, FIELD_I64, FIELD_BOOL, FIELD_LIST };

struct field {
	const char *key;
	enum field_kind kind;
	size_t offset;
	size_t count_offset; /* of a list: where its length stands; at `offset` stands the pointer */
	const struct shape *item; /* of a list; NULL: of texts */
};

struct shape {
	size_t size;
	const struct field *fields;
	size_t field_count;
};

#define SHAPE(type, list) \
	{ \
		sizeof(struct type), list, sizeof(list) / sizeof(list[0]) \
	}

static const struct field uplink_fields[] = {
	{"name", FIELD_TEXT, offsetof(struct control_uplink, name), 0, NULL},
	{"mode", FIELD_TEXT, offsetof(struct control_uplink, mode), 0, NULL},
};
static const struct shape uplink_shape = SHAPE(control_uplink, uplink_fields);

static const struct field hop_fields[] = {
	{"target", FIELD_TEXT, offsetof(struct control_hop, target), 0, NULL},
	{"kind", FIELD_TEXT, offsetof(struct control_hop, kind), 0, NULL},
	{"address", FIELD_TEXT, offsetof(struct control_hop, address), 0, NULL},
	{"device", FIELD_TEXT, offsetof(struct control_hop, device), 0, NULL},
	{"mac", FIELD_TEXT, offsetof(struct control_hop, mac), 0, NULL},
	{"mtu", FIELD_U32, offsetof(struct control_hop, mtu), 0, NULL},
	{"state", FIELD_TEXT, offsetof(struct control_hop, state), 0, NULL},
};
static const struct shape hop_shape = SHAPE(control_hop, hop_fields);

static const struct field slice_fields[] = {
	{"address", FIELD_TEXT, offsetof(struct control_slice, address), 0, NULL},
	{"first", FIELD_U32, offsetof(struct control_slice, first), 0, NULL},
	{"count", FIELD_U32, offsetof(struct control_slice, count), 0, NULL},
	{"state", FIELD_TEXT, offsetof(struct control_slice, state), 0, NULL},
};
static const struct shape slice_shape = SHAPE(control_slice, slice_fields);

static const struct field policy_fields[] = {
	{"name", FIELD_TEXT, offsetof(struct control_policy, name), 0, NULL},
	{"id", FIELD_U32, offsetof(struct control_policy, id), 0, NULL},
	{"slices", FIELD_LIST, offsetof(struct control_policy, slices), offsetof(struct control_policy, slice_count),
	 &slice_shape},
};
static const struct shape policy_shape = SHAPE(control_policy, policy_fields);

static const struct field status_fields[] = {
	{"server", FIELD_TEXT, offsetof(struct control_status, server), 0, NULL},
	{"site", FIELD_TEXT, offsetof(struct control_status, site), 0, NULL},
	{"instance", FIELD_TEXT, offsetof(struct control_status, instance), 0, NULL},
	{"pid", FIELD_I64, offsetof(struct control_status, pid), 0, NULL},
	{"agent", FIELD_TEXT, offsetof(struct control_status, version), 0, NULL},
	{"applied", FIELD_U64, offsetof(struct control_status, applied), 0, NULL},
	{"since", FIELD_I64, offsetof(struct control_status, since), 0, NULL},
	{"adopted", FIELD_BOOL, offsetof(struct control_status, adopted), 0, NULL},
	{"uplinks", FIELD_LIST, offsetof(struct control_status, uplinks), offsetof(struct control_status, uplink_count),
	 &uplink_shape},
	{"hops", FIELD_LIST, offsetof(struct control_status, hops), offsetof(struct control_status, hop_count),
	 &hop_shape},
	{"slices", FIELD_LIST, offsetof(struct control_status, slices), offsetof(struct control_status, slice_count),
	 &slice_shape},
	{"policies", FIELD_LIST, offsetof(struct control_status, policies),
	 offsetof(struct control_status, policy_count), &policy_shape},
	{"degraded", FIELD_LIST, offsetof(struct control_status, degraded),
	 offsetof(struct control_status, degraded_count), NULL},
};
static const struct shape status_shape = SHAPE(control_status, status_fields);

/* Fields are read and written through memcpy: their places are offsets, and a list's pointer has many types. */
#define FIELD_GET(type, object, offset) \
	({ \
		type field_value; \
		memcpy(&field_value, (const char *)(object) + (offset), sizeof(field_value)); \
		field_value; \
	})

static void field_put(void *object, size_t offset, const void *value, size_t size)
{
	memcpy((char *)object + offset, value, size);
}

static size_t item_size(const struct shape *item)
{
	return item ? item->size : sizeof(const char *);
}

static json_t *object_encode(const struct shape *shape, const void *object);

static json_t *list_encode(const struct field *field, const void *object)
{
	const char *items = FIELD_GET(const char *, object, field->offset);
	size_t count = FIELD_GET(size_t, object, field->count_offset);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		const char *item = items + i * item_size(field->item);
		json_t *value =
			field->item ? object_encode(field->item, item) : json_string(FIELD_GET(const char *, item, 0));

		if (json_array_append_new(list, value)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *field_encode(const struct field *field, const void *object)
{
	switch (field->kind) {
	case FIELD_TEXT:
		return json_string(FIELD_GET(const char *, object, field->offset));
	case FIELD_U32:
		return json_integer((json_int_t)FIELD_GET(uint32_t, object, field->offset));
	case FIELD_U64:
		return json_integer((json_int_t)FIELD_GET(uint64_t, object, field->offset));
	case FIELD_I64:
		return json_integer((json_int_t)FIELD_GET(int64_t, object, field->offset));
	case FIELD_BOOL:
		return json_boolean(FIELD_GET(bool, object, field->offset));
	case FIELD_LIST:
		return list_encode(field, object);
	}
	return NULL;
}

static json_t *object_encode(const struct shape *shape, const void *object)
{
	json_t *ret = json_object();

	for (size_t i = 0; i < shape->field_count; i++) {
		const struct field *field = &shape->fields[i];

		if (json_object_set_new(ret, field->key, field_encode(field, object))) {
			json_decref(ret);
			return NULL;
		}
	}
	return ret;
}

json_t *control_reply_status(const struct control_status *status)
{
	json_t *reply = control_reply_ok();
	json_t *fields = object_encode(&status_shape, status);
	int err = json_object_update(reply, fields);

	json_decref(fields);
	if (err) {
		json_decref(reply);
		return NULL;
	}
	return reply;
}

/* The lists of an object, and what is inside them. */
static void object_clear(const struct shape *shape, void *object)
{
	for (size_t i = 0; i < shape->field_count; i++) {
		const struct field *field = &shape->fields[i];
		char *items;

		if (field->kind != FIELD_LIST)
			continue;
		items = FIELD_GET(char *, object, field->offset);
		for (size_t j = 0; field->item && j < FIELD_GET(size_t, object, field->count_offset); j++)
			object_clear(field->item, items + j * field->item->size);
		free(items);
	}
}

static int object_decode(const struct shape *shape, const json_t *from, void *object, const char **at);

/* What is decoded hangs in `object` at once, so that object_clear() finds it after an error as well. */
static int list_decode(const struct field *field, const json_t *from, void *object, const char **at)
{
	size_t count = json_array_size(from);
	char *items;
	int err = 0;

	if (!json_is_array(from))
		return -EBADMSG;
	if (count == 0)
		return 0;
	items = calloc(count, item_size(field->item));
	if (!items)
		return -ENOMEM;
	field_put(object, field->offset, &items, sizeof(items));
	field_put(object, field->count_offset, &count, sizeof(count));
	for (size_t i = 0; i < count && !err; i++) {
		const json_t *value = json_array_get(from, i);
		char *item = items + i * item_size(field->item);

		if (field->item) {
			err = object_decode(field->item, value, item, at);
		} else if (json_is_string(value)) {
			const char *text = json_string_value(value);

			field_put(item, 0, &text, sizeof(text));
		} else {
			err = -EBADMSG;
		}
	}
	return err;
}

static int number_decode(const struct field *field, const json_t *from, void *object)
{
	json_int_t value = json_integer_value(from);
	uint32_t narrow = (uint32_t)value;

	if (!json_is_integer(from))
		return -EBADMSG;
	if (field->kind == FIELD_I64) {
		field_put(object, field->offset, &value, sizeof(value));
		return 0;
	}
	if (value < 0 || (field->kind == FIELD_U32 && value > UINT32_MAX))
		return -EBADMSG;
	if (field->kind == FIELD_U32)
		field_put(object, field->offset, &narrow, sizeof(narrow));
	else
		field_put(object, field->offset, &value, sizeof(value));
	return 0;
}

_Static_assert(sizeof(json_int_t) == sizeof(uint64_t), "64-bit fields are copied from JSON integers");

static int field_decode(const struct field *field, const json_t *from, void *object, const char **at)
{
	const char *text = json_string_value(from);
	bool yes = json_is_true(from);

	switch (field->kind) {
	case FIELD_TEXT:
		if (!text)
			return -EBADMSG;
		field_put(object, field->offset, &text, sizeof(text));
		return 0;
	case FIELD_BOOL:
		if (!json_is_boolean(from))
			return -EBADMSG;
		field_put(object, field->offset, &yes, sizeof(yes));
		return 0;
	case FIELD_LIST:
		return list_decode(field, from, object, at);
	default:
		return number_decode(field, from, object);
	}
}

static int object_decode(const struct shape *shape, const json_t *from, void *object, const char **at)
{
	for (size_t i = 0; i < shape->field_count; i++) {
		const struct field *field = &shape->fields[i];
		int err = field_decode(field, json_object_get(from, field->key), object, at);

		if (err) {
			if (!*at)
				*at = field->key;
			return err;
		}
	}
	return 0;
}

int control_status_decode(json_t *reply, struct control_status *ret, char **why)
{
	struct control_status status = {0};
	const char *at = NULL;
	int err = object_decode(&status_shape, reply, &status, &at);

	if (!err) {
		status.reply = json_incref(reply);
		*ret = status;
		return 0;
	}
	object_clear(&status_shape, &status);
	if (err == -EBADMSG)
		err = fault_say(err, why, "the agent's status lacks \"%s\" or gives it in a wrong form", at);
	return err;
}

void control_status_clear(struct control_status *status)
{
	object_clear(&status_shape, status);
	json_decref(status->reply);
	*status = (struct control_status){0};
}
