/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tags.h"

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_tag_char(char c)
{
	return is_letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
}

bool tag_key_valid(const char *key)
{
	size_t len = strnlen(key, TAG_KEY_MAX + 1);

	if (len == 0 || len > TAG_KEY_MAX || !is_letter(key[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_tag_char(key[i]))
			return false;
	return true;
}

bool tag_value_valid(const char *value)
{
	size_t len = strnlen(value, TAG_VALUE_MAX + 1);

	if (len == 0 || len > TAG_VALUE_MAX || value[0] == ' ' || value[len - 1] == ' ')
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_tag_char(value[i]) && value[i] != ' ')
			return false;
	return true;
}

/* Index of the first tag whose key is not less than `key`. */
static size_t tags_position(const struct tags *tags, const char *key)
{
	size_t low = 0;
	size_t high = tags->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(tags->items[middle].key, key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int tags_add(struct tags *tags, const char *key, const char *value)
{
	size_t at = tags_position(tags, key);
	struct tag tag;
	struct tag *items;

	if (!tag_key_valid(key) || !tag_value_valid(value))
		return -EINVAL;
	if (at < tags->count && strcmp(tags->items[at].key, key) == 0)
		return -EEXIST;
	if (tags->count == TAGS_MAX)
		return -ENOSPC;
	items = reallocarray(tags->items, tags->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	tags->items = items;
	tag = (struct tag){.key = strdup(key), .value = strdup(value)};
	if (!tag.key || !tag.value) {
		free(tag.key);
		free(tag.value);
		return -ENOMEM;
	}
	memmove(items + at + 1, items + at, (tags->count - at) * sizeof(*items));
	items[at] = tag;
	tags->count++;
	return 0;
}

const char *tags_get(const struct tags *tags, const char *key)
{
	size_t at = tags_position(tags, key);

	if (at == tags->count || strcmp(tags->items[at].key, key) != 0)
		return NULL;
	return tags->items[at].value;
}

int tags_compare(const struct tags *a, const struct tags *b)
{
	for (size_t i = 0; i < a->count && i < b->count; i++) {
		int order = strcmp(a->items[i].key, b->items[i].key);

		if (order == 0)
			order = strcmp(a->items[i].value, b->items[i].value);
		if (order != 0)
			return order;
	}
	return (a->count > b->count) - (a->count < b->count);
}

char *tags_format(const struct tags *tags)
{
	size_t size = 1;
	char *text;
	char *at;

	for (size_t i = 0; i < tags->count; i++)
		size += strlen(tags->items[i].key) + strlen(tags->items[i].value) + strlen("=,");
	text = malloc(size);
	if (!text)
		return NULL;
	at = text;
	for (size_t i = 0; i < tags->count; i++) {
		if (i > 0)
			*at++ = ',';
		at = stpcpy(at, tags->items[i].key);
		*at++ = '=';
		at = stpcpy(at, tags->items[i].value);
	}
	*at = '\0';
	return text;
}

void tags_free(struct tags *tags)
{
	for (size_t i = 0; i < tags->count; i++) {
		free(tags->items[i].key);
		free(tags->items[i].value);
	}
	free(tags->items);
	*tags = (struct tags){0};
}
