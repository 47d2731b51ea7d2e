/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ownership.h"

static const char *const state_names[] = {
	[SLICE_STATE_FREE] = "free",
	[SLICE_STATE_OWNED] = "owned",
	[SLICE_STATE_COOLING] = "cooling",
};

#define STATE_COUNT (sizeof(state_names) / sizeof(state_names[0]))

const char *slice_state_name(enum slice_state state)
{
	return (size_t)state < STATE_COUNT ? state_names[state] : "unknown";
}

int slice_state_parse(const char *name, enum slice_state *ret)
{
	for (size_t i = 0; i < STATE_COUNT; i++) {
		if (strcmp(name, state_names[i]) == 0) {
			*ret = (enum slice_state)i;
			return 0;
		}
	}
	return -EINVAL;
}

size_t ownership_position(const struct ownership *ownership, uint32_t addr, uint32_t column)
{
	size_t low = 0, high = ownership->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct ownership_row *row = &ownership->rows[middle];

		if (row->addr < addr || (row->addr == addr && row->column < column))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool row_is_at(const struct ownership *ownership, size_t at, uint32_t addr, uint32_t column)
{
	return at < ownership->count && ownership->rows[at].addr == addr && ownership->rows[at].column == column;
}

const struct ownership_row *ownership_find(const struct ownership *ownership, uint32_t addr, uint32_t column)
{
	size_t at = ownership_position(ownership, addr, column);

	return row_is_at(ownership, at, addr, column) ? &ownership->rows[at] : NULL;
}

static void row_remove(struct ownership *ownership, size_t at)
{
	ownership->count--;
	memmove(&ownership->rows[at], &ownership->rows[at + 1], (ownership->count - at) * sizeof(*ownership->rows));
}

static int row_insert(struct ownership *ownership, size_t at, const struct ownership_row *row)
{
	struct ownership_row *rows = reallocarray(ownership->rows, ownership->count + 1, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	memmove(&rows[at + 1], &rows[at], (ownership->count - at) * sizeof(*rows));
	rows[at] = *row;
	ownership->rows = rows;
	ownership->count++;
	return 0;
}

int ownership_set(struct ownership *ownership, const struct ownership_row *row)
{
	struct ownership_row copy = *row; /* `row` may point into the rows that are about to move */
	size_t at = ownership_position(ownership, copy.addr, copy.column);
	bool there = row_is_at(ownership, at, copy.addr, copy.column);

	if (ownership_row_plain(&copy)) {
		if (there)
			row_remove(ownership, at);
		return 0;
	}
	if (!there)
		return row_insert(ownership, at, &copy);
	ownership->rows[at] = copy;
	return 0;
}

bool ownership_row_plain(const struct ownership_row *row)
{
	return row->state == SLICE_STATE_FREE && row->home == 0;
}

int ownership_copy(const struct ownership *from, struct ownership *ret)
{
	struct ownership_row *rows = NULL;

	if (from->count > 0) {
		rows = reallocarray(NULL, from->count, sizeof(*rows));
		if (!rows)
			return -ENOMEM;
		memcpy(rows, from->rows, from->count * sizeof(*rows));
	}
	*ret = (struct ownership){.rows = rows, .count = from->count};
	return 0;
}

void ownership_free(struct ownership *ownership)
{
	if (!ownership)
		return;
	free(ownership->rows);
	*ownership = (struct ownership){0};
}
