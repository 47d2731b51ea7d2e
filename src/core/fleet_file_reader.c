/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings, lists and arrays, whatever is in them. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet_file_reader.h"

#define FIELDS_TEXT_MAX 256

/* Keys of the fleet file's design that this version does not carry out. */
static const char *const unsupported_keys[] = {
	"announce", "evict_after", "inbound", "pinned", NULL,
};

void reader_fault_at(struct reader *reader, size_t line, size_t column, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (fault_addv(reader->faults, line, column, format, args) == -ENOMEM)
		reader->no_memory = true;
	va_end(args);
}

void reader_fault(struct reader *reader, const struct node *node, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (fault_addv(reader->faults, node->line, node->column, format, args) == -ENOMEM)
		reader->no_memory = true;
	va_end(args);
}

bool reader_stopped(const struct reader *reader)
{
	return reader->no_memory || faults_full(reader->faults);
}

static bool word_in(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(word, *words) == 0)
			return true;
	return false;
}

/* "a, b, c"; returns `text`. */
static const char *fields_list(const struct field *fields, char text[FIELDS_TEXT_MAX])
{
	size_t len = 0;

	for (const struct field *field = fields; field->key && len < FIELDS_TEXT_MAX; field++)
		len += (size_t)snprintf(text + len, FIELDS_TEXT_MAX - len, "%s%s", len ? ", " : "", field->key);
	return text;
}

static void unknown_key(struct reader *reader, const struct node *key, const char *what, const struct field *fields)
{
	char list[FIELDS_TEXT_MAX];
	struct shown shown;

	if (word_in(key->text, unsupported_keys)) {
		reader_fault(reader, key, "%s is not supported by this version of berth: take it out", key->text);
		return;
	}
	shown_quote(key->text, &shown);
	for (const struct field *field = fields; field->key; field++) {
		if (words_similar(key->text, field->key)) {
			reader_fault(reader, key, "%s has no key %s: did you mean %s?", what, shown.text, field->key);
			return;
		}
	}
	reader_fault(reader, key, "%s has no key %s: its keys are %s", what, shown.text, fields_list(fields, list));
}

/* Reads one key's value, unless it is unknown or there for the second time. seen: a bit for each field. */
static void reader_key(struct reader *reader, const struct node *key, const char *what, const struct field *fields,
		       void *object, uint32_t *seen)
{
	for (size_t i = 0; fields[i].key; i++) {
		if (strcmp(key->text, fields[i].key) != 0)
			continue;
		if (*seen & 1u << i)
			reader_fault(reader, key, "%s has the key %s twice: leave one", what, key->text);
		else
			fields[i].read(reader, key->value, object);
		*seen |= 1u << i;
		return;
	}
	unknown_key(reader, key, what, fields);
}

static bool node_is_null(const struct node *node)
{
	return node->kind == NODE_VALUE && node->plain &&
	       (!*node->text || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}

static bool node_expect(struct reader *reader, const struct node *node, enum node_kind kind)
{
	static const char *const kinds[] = {[NODE_VALUE] = "a single value",
					    [NODE_LIST] = "a list",
					    [NODE_MAPPING] = "a mapping of keys to values"};
	const char *entry = node->item ? "an entry of " : "";

	if (node->kind == kind && (kind != NODE_VALUE || !node_is_null(node)))
		return true;
	if (node_is_null(node))
		reader_fault(reader, node, "%s%s has no value: it must be %s", entry, node->name, kinds[kind]);
	else
		reader_fault(reader, node, "%s%s must be %s, not %s", entry, node->name, kinds[kind],
			     kinds[node->kind]);
	return false;
}

void reader_mapping(struct reader *reader, const struct node *node, const char *what, const struct field *fields,
		    void *object)
{
	uint32_t seen = 0;

	if (!node_expect(reader, node, NODE_MAPPING))
		return;
	for (const struct node *key = node->child; key && !reader_stopped(reader); key = key->next)
		reader_key(reader, key, what, fields, object, &seen);
	for (size_t i = 0; fields[i].key; i++)
		if (fields[i].example && !(seen & 1u << i))
			reader_fault(reader, node, "%s must have the key %s: write for example `%s: %s`", what,
				     fields[i].key, fields[i].key, fields[i].example);
}

bool reader_list(struct reader *reader, const struct node *node,
		 void (*read)(struct reader *reader, const struct node *item, void *object), void *object)
{
	if (!node_expect(reader, node, NODE_LIST))
		return false;
	for (const struct node *item = node->child; item && !reader_stopped(reader); item = item->next)
		read(reader, item, object);
	return node->child;
}

const char *reader_text(struct reader *reader, const struct node *node)
{
	return node_expect(reader, node, NODE_VALUE) ? node->text : NULL;
}

bool reader_tags(struct reader *reader, const struct node *node, struct tags *ret)
{
	struct tags tags = {0};

	if (!node_expect(reader, node, NODE_MAPPING))
		return false;
	for (const struct node *key = node->child; key && !reader_stopped(reader); key = key->next) {
		const char *value = reader_text(reader, key->value);
		int err = value ? tags_add(&tags, key->text, value) : 0;
		struct shown shown;

		if (err == -ENOMEM)
			reader->no_memory = true;
		else if (err == -EEXIST)
			reader_fault(reader, key, "%s has the key %s twice: leave one", node->name, key->text);
		else if (err == -ENOSPC)
			reader_fault(reader, key, "%s has more than %u keys: take some out", node->name, TAGS_MAX);
		else if (err && !tag_key_valid(key->text))
			reader_fault(reader, key,
				     "%s is no key of a tag: use a letter, then letters, digits, '_', '-' and '.', %u "
				     "characters at most",
				     shown_quote(key->text, &shown), TAG_KEY_MAX);
		else if (err)
			reader_fault(
				reader, key->value,
				"%s is no value of a tag: use letters, digits, '_', '-', '.' and spaces within, %u "
				"characters at most",
				shown_quote(value, &shown), TAG_VALUE_MAX);
	}
	*ret = tags;
	return true;
}

void *reader_grow(struct reader *reader, void *array, size_t count, size_t size)
{
	/* Full whenever the count is a power of two. */
	if ((count & (count - 1)) == 0)
		array = reallocarray(array, count ? count * 2 : 1, size);
	if (!array) {
		reader->no_memory = true;
		return NULL;
	}
	memset((char *)array + count * size, 0, size);
	return array;
}

bool node_list_add(struct reader *reader, struct node_list *list, const struct node *node)
{
	const struct node **items = reader_grow(reader, list->items, list->count, sizeof(*items));

	if (!items)
		return false;
	items[list->count++] = node;
	list->items = items;
	return true;
}
