/* SPDX-License-Identifier: Apache-2.0 */
#include "refusal_table.h"

#include <stdlib.h>
#include <string.h>

static bool alike(const struct event *a, const struct event *b)
{
	return a->policy == b->policy && a->verdict == b->verdict && a->dest_port == b->dest_port &&
	       a->proto == b->proto && !memcmp(a->dest, b->dest, sizeof(a->dest));
}

struct refusal_row *refusal_table_find(struct refusal_table *table, const struct event *event)
{
	for (size_t i = 0; i < table->count; i++)
		if (alike(&table->rows[i].event, event))
			return &table->rows[i];
	return NULL;
}

/* A row that is free, or of what was refused longest ago. */
static struct refusal_row *row_vacate(struct refusal_table *table)
{
	struct refusal_row *oldest = &table->rows[0];

	if (table->count < REFUSAL_ROWS_MAX)
		return &table->rows[table->count++];
	for (size_t i = 1; i < table->count; i++)
		if (table->rows[i].event.time < oldest->event.time)
			oldest = &table->rows[i];
	return oldest;
}

void refusal_table_add(struct refusal_table *table, const struct event *event)
{
	struct refusal_row *row = refusal_table_find(table, event);

	if (!row) {
		row = row_vacate(table);
		*row = (struct refusal_row){.first = event->time};
	}
	row->event = *event;
	row->count += 1 + event->held_back;
}

static bool row_has_news(const struct refusal_row *row, uint64_t now)
{
	return row->count > row->told && (!row->told_at || row->told_at + REFUSAL_LOG_AGAIN_NS <= now);
}

struct refusal_row *refusal_table_due(struct refusal_table *table, uint64_t now)
{
	struct refusal_row *due = NULL;

	if (table->log_next > now + (REFUSAL_LOG_BURST - 1) * REFUSAL_LOG_INTERVAL_NS)
		return NULL;
	for (size_t i = 0; i < table->count; i++) {
		struct refusal_row *row = &table->rows[i];

		if (row_has_news(row, now) && (!due || row->told_at < due->told_at))
			due = row;
	}
	return due;
}

void refusal_table_told(struct refusal_table *table, struct refusal_row *row, uint64_t now)
{
	row->told = row->count;
	row->told_at = now;
	table->log_next = (table->log_next > now ? table->log_next : now) + REFUSAL_LOG_INTERVAL_NS;
}

static int newer(const void *a, const void *b)
{
	uint64_t x = ((const struct refusal_row *)a)->event.time, y = ((const struct refusal_row *)b)->event.time;

	return x > y ? -1 : x < y;
}

void refusal_table_sort(struct refusal_table *table)
{
	qsort(table->rows, table->count, sizeof(table->rows[0]), newer);
}
