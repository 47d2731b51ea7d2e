/* SPDX-License-Identifier: Apache-2.0 */
/* The results of a suite: a table for people, JSON for programs. docs/bench.md tells what the JSON holds. */
#ifndef BERTH_BENCH_REPORT_H
#define BERTH_BENCH_REPORT_H

#include <stddef.h>
#include <stdio.h>

#include "measure.h"

#define REPORT_RESULTS_MAX 64

struct report {
	struct result *results[REPORT_RESULTS_MAX];
	size_t count;
};

/*
 * A new entry, empty, that the report owns; NULL without memory or room. unit and reference must outlive the report;
 * name is copied.
 */
struct result *report_add(struct report *report, const char *name, const char *unit, enum better better,
			  const char *reference);
void report_free(struct report *report);

void report_print(const struct report *report, FILE *out);
/* Writes the file whole or not at all. -errno. */
int report_write(const struct report *report, const char *path);

#endif
