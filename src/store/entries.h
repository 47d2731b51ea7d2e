/* SPDX-License-Identifier: Apache-2.0 */
/* A growing list of entries that owns their keys and values. All zero is an empty list. */
#ifndef BERTH_STORE_ENTRIES_H
#define BERTH_STORE_ENTRIES_H

#include <stdbool.h>

#include "store.h"

struct entries {
	struct store_entry *items;
	size_t count;
	size_t room;
};

/* Appends a copy; value NULL: a deletion. 0 or -ENOMEM. */
int entries_add(struct entries *entries, const char *key, const void *value, size_t size, uint64_t revision);
/* In a list sorted by key: index of the first entry that is not below `key`. */
size_t entries_find(const struct entries *entries, const char *key);
/* Puts a copy at an index. 0 or -ENOMEM. */
int entries_insert(struct entries *entries, size_t index, const char *key, const void *value, size_t size,
		   uint64_t revision);
/* Takes `count` entries out. */
void entries_remove(struct entries *entries, size_t index, size_t count);
void entries_sort(struct entries *entries); /* by key */
void entries_free(struct entries *entries); /* frees what is inside, leaves the list empty */

#endif
