/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds what now: one row for every slice that is not plainly free. This is what the store keeps, what the
 * planner reads and changes, and what the table compiler turns into tables.
 */
#ifndef BERTH_CORE_OWNERSHIP_H
#define BERTH_CORE_OWNERSHIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Numbers stand in the store as names; granted and draining come with slice life. */
enum slice_state { SLICE_STATE_FREE, SLICE_STATE_OWNED, SLICE_STATE_COOLING };

struct ownership_row {
	uint32_t addr; /* egress address, host byte order */
	uint32_t column;
	uint32_t home; /* site id; 0: none */
	uint32_t owner; /* server id; cooling: the old owner; free: 0 */
	enum slice_state state;
	int64_t since; /* Unix time of the last change of state, seconds */
};

struct ownership {
	struct ownership_row *rows; /* sorted by (addr, column), no pair twice */
	size_t count;
};

const char *slice_state_name(enum slice_state state);
/* 0 or -EINVAL. */
int slice_state_parse(const char *name, enum slice_state *ret);
/* Index of the first row at or after (addr, column): where it is, or would be put in. */
size_t ownership_position(const struct ownership *ownership, uint32_t addr, uint32_t column);
/* The row, or NULL: free and without home. */
const struct ownership_row *ownership_find(const struct ownership *ownership, uint32_t addr, uint32_t column);
/* True for a row that says no more than no row would: free and without home. */
bool ownership_row_plain(const struct ownership_row *row);
/* Puts a row in or replaces it; a free row without home is taken out. 0 or -ENOMEM. */
int ownership_set(struct ownership *ownership, const struct ownership_row *row);
int ownership_copy(const struct ownership *from, struct ownership *ret);
void ownership_free(struct ownership *ownership); /* frees what is inside */

#endif
