/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: refusals, summed up
 *
 * Rows of refusals that are alike: policy, verdict, destination and protocol. When there are too many, the one that was
 * quiet longest goes. Also decides what is logged: a row when it is new, then at most once in REFUSAL_LOG_AGAIN_NS,
 * and of all rows together a burst of REFUSAL_LOG_BURST lines and one in REFUSAL_LOG_INTERVAL_NS.
 *
 * No clock: `now` is CLOCK_BOOTTIME in ns, as in events.
 */
#ifndef BERTH_AGENT_REFUSAL_TABLE_H
#define BERTH_AGENT_REFUSAL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../abi/report.h"

#define REFUSAL_ROWS_MAX 256
#define REFUSAL_LOG_AGAIN_NS (60 * 1000000000ull)
#define REFUSAL_LOG_BURST 10
#define REFUSAL_LOG_INTERVAL_NS (6 * 1000000000ull)

struct refusal_row {
	struct event event; /* the last one; what it has in common with the others makes the row */
	uint64_t first; /* time of the first */
	uint64_t count; /* refusals, those without an event of their own as well */
	uint64_t told; /* of these, by the log */
	uint64_t told_at; /* 0: never */
	struct refusal_holder holders[REFUSAL_HOLDERS_MAX];
	size_t holder_count;
};

struct refusal_table {
	struct refusal_row rows[REFUSAL_ROWS_MAX];
	size_t count;
	uint64_t log_next; /* when the allowance of lines is full again */
};

void refusal_table_add(struct refusal_table *table, const struct event *event);
/* The row that an event belongs to, NULL: none (any more). */
struct refusal_row *refusal_table_find(struct refusal_table *table, const struct event *event);
/* The row that is to be logged now, the one that was never told or not for the longest time; NULL: none. */
struct refusal_row *refusal_table_due(struct refusal_table *table, uint64_t now);
/* It is being logged. */
void refusal_table_told(struct refusal_table *table, struct refusal_row *row, uint64_t now);
/* Puts the newest first. */
void refusal_table_sort(struct refusal_table *table);

/* Room for any line. */
#define REFUSAL_LINE_MAX 1024
/* A refusal in one line, for the log. Returns `text`. */
const char *refusal_line(const struct refusal *refusal, const char *meaning, char text[REFUSAL_LINE_MAX]);

#endif
