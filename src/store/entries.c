/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "entries.h"

/* One allocation an entry: the key with its 0, then the value. */
static int entry_copy(const char *key, const void *value, size_t size, uint64_t revision, struct store_entry *ret)
{
	size_t key_size = strlen(key) + 1;
	char *copy = malloc(key_size + size);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, key, key_size);
	if (size)
		memcpy(copy + key_size, value, size);
	*ret = (struct store_entry){
		.key = copy,
		.value = value ? copy + key_size : NULL,
		.size = size,
		.revision = revision,
	};
	return 0;
}

static void entry_free(struct store_entry *entry)
{
	free((char *)entry->key);
}

static int entries_grow(struct entries *entries)
{
	size_t room = entries->room ? entries->room * 2 : 16;
	struct store_entry *items;

	if (entries->count < entries->room)
		return 0;
	items = reallocarray(entries->items, room, sizeof(*items));
	if (!items)
		return -ENOMEM;
	entries->items = items;
	entries->room = room;
	return 0;
}

int entries_insert(struct entries *entries, size_t index, const char *key, const void *value, size_t size,
		   uint64_t revision)
{
	struct store_entry entry;

	if (entries_grow(entries) || entry_copy(key, value, size, revision, &entry))
		return -ENOMEM;
	memmove(entries->items + index + 1, entries->items + index, (entries->count - index) * sizeof(entry));
	entries->items[index] = entry;
	entries->count++;
	return 0;
}

int entries_add(struct entries *entries, const char *key, const void *value, size_t size, uint64_t revision)
{
	return entries_insert(entries, entries->count, key, value, size, revision);
}

size_t entries_find(const struct entries *entries, const char *key)
{
	size_t low = 0, high = entries->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(entries->items[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void entries_remove(struct entries *entries, size_t index, size_t count)
{
	for (size_t i = index; i < index + count; i++)
		entry_free(&entries->items[i]);
	entries->count -= count;
	if (entries->count > index)
		memmove(entries->items + index, entries->items + index + count,
			(entries->count - index) * sizeof(*entries->items));
}

static int entry_compare(const void *a, const void *b)
{
	return strcmp(((const struct store_entry *)a)->key, ((const struct store_entry *)b)->key);
}

void entries_sort(struct entries *entries)
{
	if (entries->count)
		qsort(entries->items, entries->count, sizeof(*entries->items), entry_compare);
}

void entries_free(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++)
		entry_free(&entries->items[i]);
	free(entries->items);
	*entries = (struct entries){0};
}
