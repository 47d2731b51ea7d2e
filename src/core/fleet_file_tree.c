/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "fleet_file_fault.h"
#include "fleet_file_tree.h"

/* A list or mapping that has begun and not ended. */
struct level {
	struct node *node;
	struct node **tail; /* where the next item or key goes */
	struct node *key; /* a key that waits for its value */
};

struct loader {
	yaml_parser_t parser;
	struct level levels[NODE_DEPTH_MAX];
	size_t depth;
	bool ended; /* the document is over */
	struct tree *tree;
	struct fleet_faults *faults;
};

static int loader_fault(struct loader *loader, yaml_mark_t mark, const char *why)
{
	return fault_add(loader->faults, mark.line + 1, mark.column + 1, "%s", why);
}

static struct node *node_new(struct loader *loader, enum node_kind kind, yaml_mark_t mark, const char *text,
			     size_t size)
{
	struct node *node = calloc(1, sizeof(*node) + size + 1);

	if (!node)
		return NULL;
	node->kind = kind;
	node->line = mark.line + 1;
	node->column = mark.column + 1;
	node->name = "";
	if (size > 0)
		memcpy(node->text, text, size);
	node->made = loader->tree->made;
	loader->tree->made = node;
	return node;
}

/* Puts a finished value, or a list or mapping that begins, into what is open. */
static int loader_attach(struct loader *loader, struct node *node)
{
	struct level *level = loader->depth > 0 ? &loader->levels[loader->depth - 1] : NULL;

	if (!level) {
		loader->tree->root = node;
	} else if (level->key) {
		node->name = level->key->text;
		level->key->value = node;
		level->key = NULL;
	} else if (level->node->kind == NODE_LIST) {
		node->name = level->node->name;
		node->item = true;
		*level->tail = node;
		level->tail = &node->next;
	} else if (node->kind == NODE_VALUE) {
		*level->tail = node;
		level->tail = &node->next;
		level->key = node;
	} else {
		return fault_add(loader->faults, node->line, node->column,
				 "a list or mapping is no key: write KEY: VALUE");
	}
	return 0;
}

static int loader_open(struct loader *loader, const yaml_event_t *event, enum node_kind kind)
{
	struct node *node;
	int err;

	if (loader->depth == NODE_DEPTH_MAX)
		return loader_fault(loader, event->start_mark,
				    "nested too deeply: no key of a fleet file lies this deep");
	node = node_new(loader, kind, event->start_mark, NULL, 0);
	if (!node)
		return -ENOMEM;
	err = loader_attach(loader, node);
	if (err)
		return err;
	loader->levels[loader->depth++] = (struct level){.node = node, .tail = &node->child};
	return 0;
}

static bool has_control(const char *text, size_t size)
{
	for (size_t at = 0; at < size;) {
		unsigned character;
		size_t len = utf8_decode(text + at, size - at, &character);

		if (len == 0 || character_is_control(character))
			return true;
		at += len;
	}
	return false;
}

/* The column of a value's first character, when every character stands for itself: one line, nothing escaped. */
static size_t value_text_column(const yaml_event_t *event, const char *text, size_t size)
{
	bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	size_t quotes = plain ? 0 : 2;

	if (event->start_mark.line != event->end_mark.line ||
	    event->end_mark.column - event->start_mark.column != text_characters(text, size) + quotes)
		return 0;
	return event->start_mark.column + 1 + quotes / 2;
}

static int loader_value(struct loader *loader, const yaml_event_t *event)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t size = event->data.scalar.length;
	struct node *node;

	if (has_control(text, size))
		return loader_fault(loader, event->start_mark,
				    "this value has a line break or control character in it: write it on one line");
	node = node_new(loader, NODE_VALUE, event->start_mark, text, size);
	if (!node)
		return -ENOMEM;
	node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	node->text_column = value_text_column(event, text, size);
	return loader_attach(loader, node);
}

/* Anchors and tags, which any value, list or mapping could carry. */
static int event_check(struct loader *loader, const yaml_event_t *event)
{
	const yaml_char_t *anchor = NULL;
	const yaml_char_t *tag = NULL;

	if (event->type == YAML_SCALAR_EVENT) {
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
	}
	if (anchor || event->type == YAML_ALIAS_EVENT)
		return loader_fault(loader, event->start_mark,
				    "anchors and aliases are not supported: write the value out");
	if (tag)
		return loader_fault(loader, event->start_mark,
				    "YAML tags are not supported: take out the word with '!'");
	return 0;
}

static int loader_event(struct loader *loader, const yaml_event_t *event)
{
	int err = event_check(loader, event);

	if (err)
		return err;
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (loader->ended)
			return loader_fault(loader, event->start_mark,
					    "a second document begins here: a fleet file is one document");
		return 0;
	case YAML_DOCUMENT_END_EVENT:
		loader->ended = true;
		return 0;
	case YAML_SCALAR_EVENT:
		return loader_value(loader, event);
	case YAML_SEQUENCE_START_EVENT:
		return loader_open(loader, event, NODE_LIST);
	case YAML_MAPPING_START_EVENT:
		return loader_open(loader, event, NODE_MAPPING);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		loader->depth--;
		return 0;
	default:
		return 0;
	}
}

/* What libyaml says of text that is no YAML. */
static int loader_syntax_fault(struct loader *loader)
{
	const yaml_parser_t *parser = &loader->parser;

	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->context)
		return fault_add(loader->faults, parser->problem_mark.line + 1, parser->problem_mark.column + 1,
				 "this is no YAML: %s (%s that begins in line %zu)", parser->problem, parser->context,
				 parser->context_mark.line + 1);
	return fault_add(loader->faults, parser->problem_mark.line + 1, parser->problem_mark.column + 1,
			 "this is no YAML: %s", parser->problem ? parser->problem : "it cannot be read");
}

int tree_load(const char *text, size_t size, struct tree *tree, struct fleet_faults *faults)
{
	struct loader loader = {.tree = tree, .faults = faults};
	bool over = false;
	int err = 0;

	if (!yaml_parser_initialize(&loader.parser))
		return -ENOMEM;
	yaml_parser_set_encoding(&loader.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&loader.parser, (const unsigned char *)text, size);
	while (!err && !over) {
		yaml_event_t event;

		if (!yaml_parser_parse(&loader.parser, &event)) {
			err = loader_syntax_fault(&loader);
			break;
		}
		over = event.type == YAML_STREAM_END_EVENT;
		err = loader_event(&loader, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&loader.parser);
	return err;
}

void tree_free(struct tree *tree)
{
	struct node *node = tree->made;

	while (node) {
		struct node *next = node->made;

		free(node);
		node = next;
	}
	*tree = (struct tree){0};
}

const struct node *node_member(const struct node *mapping, const char *key)
{
	for (const struct node *at = mapping->child; at; at = at->next)
		if (strcmp(at->text, key) == 0)
			return at->value;
	return NULL;
}

size_t node_text_column(const struct node *node, size_t at)
{
	return node->text_column ? node->text_column + text_characters(node->text, at) : node->column;
}
