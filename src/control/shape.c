/* SPDX-License-Identifier: BSD-2-Clause */
#include "shape.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"

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

static json_t *ipv4_encode(uint32_t addr)
{
	struct in_addr be = {.s_addr = htonl(addr)};
	char text[INET_ADDRSTRLEN];

	return json_string(inet_ntop(AF_INET, &be, text, sizeof(text)));
}

static json_t *field_encode(const struct field *field, const void *object)
{
	switch (field->kind) {
	case FIELD_TEXT:
		return json_string(FIELD_GET(const char *, object, field->offset));
	case FIELD_CHARS:
		return json_string((const char *)object + field->offset);
	case FIELD_IPV4:
		return ipv4_encode(FIELD_GET(uint32_t, object, field->offset));
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

json_t *shape_reply(const struct shape *shape, const void *object)
{
	json_t *reply = control_reply_ok();
	json_t *fields = object_encode(shape, object);
	int err = json_object_update(reply, fields);

	json_decref(fields);
	if (err) {
		json_decref(reply);
		return NULL;
	}
	return reply;
}

/* The lists of an object, and what is inside them. */
void shape_clear(const struct shape *shape, void *object)
{
	for (size_t i = 0; i < shape->field_count; i++) {
		const struct field *field = &shape->fields[i];
		char *items;

		if (field->kind != FIELD_LIST)
			continue;
		items = FIELD_GET(char *, object, field->offset);
		for (size_t j = 0; field->item && j < FIELD_GET(size_t, object, field->count_offset); j++)
			shape_clear(field->item, items + j * field->item->size);
		free(items);
	}
}

/* What is decoded hangs in `object` at once, so that shape_clear() finds it after an error as well. */
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
			err = shape_decode(field->item, value, item, at);
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

static int chars_decode(const struct field *field, const char *text, void *object)
{
	if (!text || strlen(text) >= field->count_offset)
		return -EBADMSG;
	field_put(object, field->offset, text, strlen(text) + 1);
	return 0;
}

static int ipv4_decode(const struct field *field, const char *text, void *object)
{
	struct in_addr be;
	uint32_t addr;

	if (!text || inet_pton(AF_INET, text, &be) != 1)
		return -EBADMSG;
	addr = ntohl(be.s_addr);
	field_put(object, field->offset, &addr, sizeof(addr));
	return 0;
}

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
	case FIELD_CHARS:
		return chars_decode(field, text, object);
	case FIELD_IPV4:
		return ipv4_decode(field, text, object);
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

int shape_decode(const struct shape *shape, const json_t *from, void *object, const char **at)
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
