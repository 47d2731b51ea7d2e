/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first half of the table compiler: which /24s have pool addresses, and where in the slice table each one's
 * entries stand.
 */
#ifndef BERTH_CORE_DIRECTORY_H
#define BERTH_CORE_DIRECTORY_H

#include <stddef.h>
#include <stdint.h>

#include "compile.h"
#include "fleet.h"

/* One /24 with pool addresses in it. */
struct directory_block {
	uint32_t prefix; /* address >> 8 */
	uint32_t base; /* index of its first slice entry */
	unsigned shift;
};

struct directory_blocks {
	struct directory_block *items; /* sorted by prefix */
	size_t count;
};

/* Slice entries of a /24. */
static inline uint32_t directory_block_size(unsigned shift)
{
	return 256u << (16 - shift);
}

/* The /24s of the fleet's pools, with bases as in `loaded` where it has them. Errors as tables_compile()'s. */
int directory_blocks_make(const struct fleet *fleet, const struct tables *loaded, struct directory_blocks *ret,
			  const char **why);
/* The block of an address, or NULL. */
const struct directory_block *directory_blocks_find(const struct directory_blocks *blocks, uint32_t addr);
/* Fills multiplier and slots; *ret is all 0 before. -ENOSPC: no multiplier keeps the /24s apart. */
int directory_fill(const struct directory_blocks *blocks, struct directory *ret, const char **why);
void directory_blocks_free(struct directory_blocks *blocks);

#endif
