/* SPDX-License-Identifier: Apache-2.0 */
/* Pools and address ranges held against each other. */
#include <stdlib.h>

#include "../abi/forwarder.h"
#include "fleet_file_reader.h"

/* A pool or range with its place in the fleet's array. */
struct extent {
	uint32_t first;
	uint32_t last;
	size_t index;
};

static int extent_order(const void *a, const void *b)
{
	const struct extent *left = a;
	const struct extent *right = b;

	if (left->first != right->first)
		return left->first < right->first ? -1 : 1;
	return (left->index > right->index) - (left->index < right->index);
}

/* Reports each extent that begins within one before it. what: the key whose value names it. */
static void check_overlaps(struct reader *reader, const struct extent *extents, size_t count,
			   const struct node_list *nodes, const char *what)
{
	size_t farthest = 0;

	for (size_t i = 1; i < count && !reader_stopped(reader); i++) {
		if (extents[i].first <= extents[farthest].last) {
			size_t a = extents[farthest].index;
			size_t b = extents[i].index;
			const struct node *earlier = node_member(nodes->items[a < b ? a : b], what);
			const struct node *later = node_member(nodes->items[a < b ? b : a], what);

			reader_fault(reader, later, "%s %s overlaps %s in line %zu", what, later->text, earlier->text,
				     earlier->line);
		}
		if (extents[i].last > extents[farthest].last)
			farthest = i;
	}
}

/* Neighbours in one /24 must have one slice size, for the forwarder's directory has one entry a /24. */
static void check_sizes(struct reader *reader, const struct extent *extents, size_t count)
{
	const struct fleet_pool *pools = reader->fleet->pools;

	for (size_t i = 1; i < count; i++) {
		const struct fleet_pool *a = &pools[extents[i - 1].index];
		const struct fleet_pool *b = &pools[extents[i].index];
		struct prefix shared = {.addr = b->prefix.addr & prefix_mask(24), .len = 24};
		char text[ADDR_TEXT_MAX];

		if (prefix_contains(shared, extents[i - 1].last) && a->shift != b->shift)
			reader_fault(reader, reader->pools.items[extents[i].index],
				     "pools in %s have slices of %u and of %u ports: one /24 has one size",
				     prefix_format(shared, text), 1u << a->shift, 1u << b->shift);
	}
}

/* Each /24 with a pool in it takes a slice entry for every column of its 256 addresses. */
static void check_table_size(struct reader *reader, const struct extent *extents, size_t count)
{
	uint64_t entries = 0;
	uint64_t begin = 0; /* the lowest /24 that is not counted yet */

	for (size_t i = 0; i < count; i++) {
		const struct fleet_pool *pool = &reader->fleet->pools[extents[i].index];
		uint64_t first = extents[i].first >> 8;
		uint64_t end = (extents[i].last >> 8) + 1;

		if (first < begin)
			first = begin;
		entries += (end - first) * 256 * slice_columns(pool->shift);
		begin = end;
		if (entries > SLICES_MAX) {
			reader_fault(reader, node_member(reader->pools.items[extents[i].index], "prefix"),
				     "the pools up to this one have %llu slices, but a forwarder has room for %u: use "
				     "fewer addresses or larger slice_ports",
				     (unsigned long long)entries, SLICES_MAX);
			return;
		}
	}
}

static void check_pools(struct reader *reader)
{
	const struct fleet *fleet = reader->fleet;
	size_t faults = reader->faults->count;
	struct extent *extents = calloc(fleet->pool_count, sizeof(*extents));

	if (!extents) {
		reader->no_memory = true;
		return;
	}
	for (size_t i = 0; i < fleet->pool_count; i++) {
		struct prefix prefix = fleet->pools[i].prefix;

		extents[i] = (struct extent){.first = prefix.addr, .last = prefix_last(prefix), .index = i};
	}
	qsort(extents, fleet->pool_count, sizeof(*extents), extent_order);
	check_overlaps(reader, extents, fleet->pool_count, &reader->pools, "prefix");
	if (reader->faults->count == faults) {
		check_sizes(reader, extents, fleet->pool_count);
		check_table_size(reader, extents, fleet->pool_count);
	}
	free(extents);
}

/* Finds the pool that a range lies in. */
static void check_range_pool(struct reader *reader, struct fleet_addresses *addresses, const struct node *node)
{
	const struct fleet_pool *pool = fleet_find_pool(reader->fleet, addresses->range.first);
	const struct fleet_pool *last = fleet_find_pool(reader->fleet, addresses->range.last);
	char pool_text[ADDR_TEXT_MAX];
	char last_text[ADDR_TEXT_MAX];

	if (!pool && !last)
		reader_fault(reader, node, "range %s lies in no pool: add its prefix to pools", node->text);
	else if (pool && last && pool != last)
		reader_fault(reader, node, "range %s lies in two pools, %s and %s: write a range for each", node->text,
			     prefix_format(pool->prefix, pool_text), prefix_format(last->prefix, last_text));
	else if (!pool || !last)
		reader_fault(reader, node, "range %s is only in part in the pool %s: keep it within, or add a pool",
			     node->text, prefix_format((pool ? pool : last)->prefix, pool_text));
	else
		addresses->pool = (size_t)(pool - reader->fleet->pools);
}

static void check_ranges(struct reader *reader)
{
	struct fleet *fleet = reader->fleet;
	struct extent *extents = calloc(fleet->addresses_count, sizeof(*extents));

	if (!extents) {
		reader->no_memory = true;
		return;
	}
	for (size_t i = 0; i < fleet->addresses_count && !reader_stopped(reader); i++) {
		struct addr_range range = fleet->addresses[i].range;

		check_range_pool(reader, &fleet->addresses[i], node_member(reader->ranges.items[i], "range"));
		extents[i] = (struct extent){.first = range.first, .last = range.last, .index = i};
	}
	qsort(extents, fleet->addresses_count, sizeof(*extents), extent_order);
	check_overlaps(reader, extents, fleet->addresses_count, &reader->ranges, "range");
	free(extents);
}

void fleet_file_check_pools(struct reader *reader)
{
	size_t faults = reader->faults->count;

	check_pools(reader);
	if (reader->faults->count == faults && !reader->no_memory)
		check_ranges(reader);
}
