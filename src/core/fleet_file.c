/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fleet_file_reader.h"

#define FLEET_FILE_VERSION "1"

/* The first look at a tree: is it a fleet file that this code knows how to read? */
static void check_version(struct reader *reader, const struct node *root)
{
	const struct node *version;
	struct shown shown;

	if (root->kind != NODE_MAPPING) {
		reader_fault(reader, root, "a fleet file must be a mapping of keys to values: begin with `version: 1`");
		return;
	}
	version = node_member(root, "version");
	if (!version)
		reader_fault(reader, root, "a fleet file must have the key version: begin with `version: 1`");
	else if (version->kind != NODE_VALUE || strcmp(version->text, FLEET_FILE_VERSION) != 0)
		reader_fault(reader, version, "version %s is not supported: this berth reads version 1",
			     shown_quote(version->text, &shown));
}

static int addresses_order(const void *a, const void *b)
{
	const struct fleet_addresses *left = a;
	const struct fleet_addresses *right = b;

	return (left->range.first > right->range.first) - (left->range.first < right->range.first);
}

/* Reads, checks and sorts into reader->fleet; each step only when the one before found no fault. */
static void read_tree(struct reader *reader, const struct node *root)
{
	struct fleet *fleet = reader->fleet;

	check_version(reader, root);
	if (reader->faults->count == 0)
		fleet_file_sections(reader, root);
	if (reader->faults->count == 0 && !reader->no_memory)
		fleet_file_check(reader);
	if (reader->faults->count == 0 && !reader->no_memory)
		qsort(fleet->addresses, fleet->addresses_count, sizeof(*fleet->addresses), addresses_order);
}

static void reader_free(struct reader *reader)
{
	free(reader->pools.items);
	free(reader->ranges.items);
	free(reader->sites.items);
	free(reader->servers.items);
	free(reader->policies.items);
	fleet_free(reader->fleet);
}

static bool tree_is_empty(const struct tree *tree)
{
	return !tree->root || (tree->root->kind == NODE_VALUE && tree->root->plain && !*tree->root->text);
}

int fleet_file_read(const char *text, size_t size, struct fleet **ret, struct fleet_faults *faults)
{
	struct reader reader = {.faults = faults, .fleet = calloc(1, sizeof(struct fleet))};
	struct tree tree = {0};
	int err = reader.fleet ? 0 : -ENOMEM;

	if (!err)
		err = fleet_file_text_check(text, size, faults);
	if (!err)
		err = tree_load(text, size, &tree, faults);
	if (!err && tree_is_empty(&tree))
		err = fault_add(faults, 1, 1, "the file is empty: a fleet file begins with `version: 1`");
	if (err)
		goto out;
	read_tree(&reader, tree.root);
	if (reader.no_memory) {
		err = -ENOMEM;
	} else if (faults->count > 0) {
		err = -EINVAL;
	} else {
		*ret = reader.fleet;
		reader.fleet = NULL;
	}
out:
	tree_free(&tree);
	reader_free(&reader);
	return err;
}
