/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: a fleet file as a tree
 *
 * YAML text in, nodes out, each with the place it came from and the name that messages call it by. Only the plain
 * part of YAML is taken: one document, no anchors, aliases or tags, keys that are single values, little depth. Values
 * are kept as they are written (`NO` is Norway, not false); what type they should have is for the reader to say.
 */
#ifndef BERTH_CORE_FLEET_FILE_TREE_H
#define BERTH_CORE_FLEET_FILE_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "fleet_file.h"

/* Lists and mappings open at once; a server's keys, the deepest, lie in five. */
#define NODE_DEPTH_MAX 12

enum node_kind { NODE_VALUE, NODE_LIST, NODE_MAPPING };

struct node {
	enum node_kind kind;
	bool plain; /* a value without quotes */
	bool item; /* of a list */
	size_t line, column; /* where it begins, from 1; column in characters */
	size_t text_column; /* where `text` begins; 0 when it is not in the file character by character */
	const char *name; /* the key it belongs to, for an item of a list the list's; "" for the whole file */
	struct node *child; /* first item of a list, first key of a mapping */
	struct node *next; /* next item or key */
	struct node *value; /* of a key */
	struct node *made; /* next node of the tree in no order, for freeing */
	char text[]; /* a value: UTF-8 without control characters */
};

struct tree {
	struct node *root; /* NULL: the file holds nothing */
	struct node *made;
};

/* text: checked by fleet_file_text_check(). 0, -EINVAL with a fault, -ENOMEM; free the tree in any case. */
int tree_load(const char *text, size_t size, struct tree *tree, struct fleet_faults *faults);
void tree_free(struct tree *tree);

/* The value of a key of a mapping, or NULL; of a key that is there twice the first. */
const struct node *node_member(const struct node *mapping, const char *key);
/* The column of byte `at` of a value's text, or where the value begins when that cannot be told. */
size_t node_text_column(const struct node *node, size_t at);

#endif
