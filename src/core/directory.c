/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "../abi/hash.h"
#include "directory.h"

/*
 * How many multipliers are tried. n random /24s are kept apart by about one in exp(n * n / (2 * DIRECTORY_SLOTS)): one
 * in 60,000 for 300, one in a million for 335. Consecutive /24s are far easier.
 */
#define MULTIPLIER_TRIES (1u << 22)

#define WHY_APART "the pools have more /24s than the directory can keep apart: about 300, or 4,096 that are consecutive"
#define WHY_SIZES "two pools in one /24 have different slice_ports"
#define WHY_SLICES \
	"the pools have more than 2,097,152 slices, counting every /24 whole, and the /24s of the tables in use"

_Static_assert(SLICES_MAX == 2097152 && DIRECTORY_SLOTS == 4096, "sentences above say these limits");

int directory_multiplier(const uint32_t *prefixes, size_t count, uint32_t *ret)
{
	uint32_t taken_by[DIRECTORY_SLOTS] = {0}; /* the try that took the slot last */

	if (count > DIRECTORY_SLOTS)
		return -ENOSPC;
	for (uint32_t try = 1; try <= MULTIPLIER_TRIES; try++) {
		uint32_t multiplier = hash_mix(try) | 1;
		size_t placed = 0;

		while (placed < count) {
			uint32_t slot = directory_index(multiplier, prefixes[placed] << 8);

			if (taken_by[slot] == try)
				break;
			taken_by[slot] = try;
			placed++;
		}
		if (placed == count) {
			*ret = multiplier;
			return 0;
		}
	}
	return -ENOSPC;
}

static int block_compare(const void *a, const void *b)
{
	const struct directory_block *left = a, *right = b;

	return (left->prefix > right->prefix) - (left->prefix < right->prefix);
}

/* /24s that a pool touches. */
static size_t pool_prefixes(const struct fleet_pool *pool)
{
	return (prefix_last(pool->prefix) >> 8) - (pool->prefix.addr >> 8) + 1;
}

/* The /24s of each pool in turn: several small pools may share one. */
static int blocks_collect(const struct fleet *fleet, struct directory_blocks *ret)
{
	struct directory_blocks blocks = {0};
	size_t most = 0;

	for (size_t i = 0; i < fleet->pool_count; i++) {
		if (pool_prefixes(&fleet->pools[i]) > DIRECTORY_SLOTS)
			return -ENOSPC;
		most += pool_prefixes(&fleet->pools[i]);
	}
	blocks.items = calloc(most + 1, sizeof(*blocks.items));
	if (!blocks.items)
		return -ENOMEM;
	for (size_t i = 0; i < fleet->pool_count; i++) {
		const struct fleet_pool *pool = &fleet->pools[i];
		size_t count = pool_prefixes(pool);

		for (uint32_t k = 0; k < count; k++)
			blocks.items[blocks.count++] =
				(struct directory_block){.prefix = (pool->prefix.addr >> 8) + k, .shift = pool->shift};
	}
	*ret = blocks;
	return 0;
}

/* Sorts, and leaves each /24 once. -EINVAL: a /24 is cut in two ways. */
static int blocks_merge(struct directory_blocks *blocks)
{
	size_t count = 0;

	qsort(blocks->items, blocks->count, sizeof(*blocks->items), block_compare);
	for (size_t i = 0; i < blocks->count; i++) {
		if (count == 0 || blocks->items[count - 1].prefix != blocks->items[i].prefix)
			blocks->items[count++] = blocks->items[i];
		else if (blocks->items[count - 1].shift != blocks->items[i].shift)
			return -EINVAL;
	}
	blocks->count = count;
	return count > DIRECTORY_SLOTS ? -ENOSPC : 0;
}

/* A run of slice entries that may not be given to another /24. */
struct span {
	uint32_t first;
	uint32_t end;
};

struct spans {
	struct span items[2 * DIRECTORY_SLOTS]; /* sorted, disjoint */
	size_t count;
};

static int span_compare(const void *a, const void *b)
{
	const struct span *left = a, *right = b;

	return (left->first > right->first) - (left->first < right->first);
}

/* What `loaded` uses: its readers may still look there, kept or not. */
static void spans_of_loaded(const struct tables *loaded, struct spans *spans)
{
	for (size_t i = 0; loaded && i < DIRECTORY_SLOTS; i++) {
		const struct directory_slot *slot = &loaded->directory.slots[i];

		if (slot->key == 0)
			continue;
		spans->items[spans->count++] =
			(struct span){.first = slot->base, .end = slot->base + directory_block_size(slot->shift)};
	}
	qsort(spans->items, spans->count, sizeof(*spans->items), span_compare);
}

/* Takes the first gap of that size. */
static int spans_take(struct spans *spans, uint32_t size, uint32_t *ret)
{
	uint32_t first = 0;
	size_t at = 0;

	for (; at < spans->count; at++) {
		if (spans->items[at].first >= first && spans->items[at].first - first >= size)
			break;
		if (spans->items[at].end > first)
			first = spans->items[at].end;
	}
	if (first > SLICES_MAX || SLICES_MAX - first < size)
		return -ENOSPC;
	for (size_t i = spans->count++; i > at; i--)
		spans->items[i] = spans->items[i - 1];
	spans->items[at] = (struct span){.first = first, .end = first + size};
	*ret = first;
	return 0;
}

/* The slot of a /24 in `loaded` when it is cut as it was, or NULL. */
static const struct directory_slot *loaded_slot(const struct tables *loaded, const struct directory_block *block)
{
	const struct directory_slot *slot;
	uint32_t addr = block->prefix << 8;

	if (!loaded)
		return NULL;
	slot = &loaded->directory.slots[directory_index(loaded->directory.multiplier, addr)];
	return slot->key == directory_key(addr) && slot->shift == block->shift ? slot : NULL;
}

static int blocks_place(struct directory_blocks *blocks, const struct tables *loaded, const char **why)
{
	struct spans *spans = calloc(1, sizeof(*spans));
	int err = 0;

	if (!spans)
		return -ENOMEM;
	spans_of_loaded(loaded, spans);
	for (size_t i = 0; i < blocks->count && !err; i++) {
		struct directory_block *block = &blocks->items[i];
		const struct directory_slot *slot = loaded_slot(loaded, block);

		if (slot)
			block->base = slot->base;
		else
			err = spans_take(spans, directory_block_size(block->shift), &block->base);
	}
	if (err)
		*why = WHY_SLICES;
	free(spans);
	return err;
}

int directory_blocks_make(const struct fleet *fleet, const struct tables *loaded, struct directory_blocks *ret,
			  const char **why)
{
	struct directory_blocks blocks = {0};
	int err = blocks_collect(fleet, &blocks);

	if (!err)
		err = blocks_merge(&blocks);
	if (err == -ENOSPC)
		*why = WHY_APART;
	else if (err == -EINVAL)
		*why = WHY_SIZES;
	if (!err)
		err = blocks_place(&blocks, loaded, why);
	if (err)
		directory_blocks_free(&blocks);
	else
		*ret = blocks;
	return err;
}

const struct directory_block *directory_blocks_find(const struct directory_blocks *blocks, uint32_t addr)
{
	struct directory_block key = {.prefix = addr >> 8};

	return bsearch(&key, blocks->items, blocks->count, sizeof(key), block_compare);
}

int directory_fill(const struct directory_blocks *blocks, struct directory *ret, const char **why)
{
	uint32_t prefixes[DIRECTORY_SLOTS] = {0};

	for (size_t i = 0; i < blocks->count; i++)
		prefixes[i] = blocks->items[i].prefix;
	if (directory_multiplier(prefixes, blocks->count, &ret->multiplier)) {
		*why = WHY_APART;
		return -ENOSPC;
	}
	for (size_t i = 0; i < blocks->count; i++) {
		const struct directory_block *block = &blocks->items[i];
		uint32_t addr = block->prefix << 8;

		ret->slots[directory_index(ret->multiplier, addr)] =
			(struct directory_slot){.key = directory_key(addr), .base = block->base, .shift = block->shift};
	}
	return 0;
}

void directory_blocks_free(struct directory_blocks *blocks)
{
	free(blocks->items);
	*blocks = (struct directory_blocks){0};
}
