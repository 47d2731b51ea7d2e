/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Replies that are objects, lists of objects and their plain values: each kind of object is described once, as a list
 * of fields with their place in a C struct, and one encoder and one decoder read these lists.
 */
#ifndef BERTH_CONTROL_SHAPE_H
#define BERTH_CONTROL_SHAPE_H

#include <jansson.h>
#include <stddef.h>

struct shape;

enum field_kind {
	FIELD_TEXT, /* const char * into the reply */
	FIELD_CHARS, /* char array of the object itself: a text that does not fit is refused */
	FIELD_IPV4, /* uint32_t in host byte order, dotted in the message */
	FIELD_U32,
	FIELD_U64,
	FIELD_I64,
	FIELD_BOOL,
	FIELD_LIST,
};

struct field {
	const char *key;
	enum field_kind kind;
	size_t offset;
	size_t count_offset; /* of a list: where its length stands; at `offset` stands the pointer. Of FIELD_CHARS: how
				many bytes there are */
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

/* An "ok" reply with the object's fields in it. NULL: no memory, or text that is not UTF-8. */
json_t *shape_reply(const struct shape *shape, const void *object);
/*
 * Fills a zeroed object; its lists are the caller's to clear, after a failure as well. 0; -EBADMSG: a field is missing
 * or of another form, *at is its key; -ENOMEM.
 */
int shape_decode(const struct shape *shape, const json_t *from, void *object, const char **at);
/* Frees the lists of an object, and what is inside them. */
void shape_clear(const struct shape *shape, void *object);

#endif
