/* SPDX-License-Identifier: Apache-2.0 */
/* Tags of an address (`country=DE`): a set of keys with one value each, kept sorted by key. */
#ifndef BERTH_CORE_TAGS_H
#define BERTH_CORE_TAGS_H

#include <stdbool.h>
#include <stddef.h>

/* Keys: a letter, then letters, digits, '_', '-', '.'; values: these characters in any order, and ' ' in between. */
#define TAG_KEY_MAX 63
#define TAG_VALUE_MAX 127
/* Tags of one set, and so terms of one selector. */
#define TAGS_MAX 64

struct tag {
	char *key;
	char *value;
};

struct tags {
	struct tag *items; /* sorted by key, no key twice; owned */
	size_t count;
};

/* 0, -EEXIST: the key has a value already, -EINVAL: key or value not in the form above, -ENOSPC:
   TAGS_MAX are in it, -ENOMEM. Copies both. */
int tags_add(struct tags *tags, const char *key, const char *value);
/* The value, owned by `tags`, or NULL. */
const char *tags_get(const struct tags *tags, const char *key);
/* Orders sets as memcmp orders bytes; 0 when equal. */
int tags_compare(const struct tags *a, const struct tags *b);
/* "city=Frankfurt,country=DE"; the caller frees. NULL: no memory. */
char *tags_format(const struct tags *tags);
bool tag_key_valid(const char *key);
bool tag_value_valid(const char *value);
void tags_free(struct tags *tags); /* frees what is inside, leaves the set empty */

#endif
