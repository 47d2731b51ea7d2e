/* SPDX-License-Identifier: Apache-2.0 */
/* A suite: a list of parts, each of which measures something and adds its entries to the report. */
#ifndef BERTH_BENCH_SUITE_H
#define BERTH_BENCH_SUITE_H

#include "report.h"

struct bench {
	struct report *report;
	const char *cgroup; /* the suite's own; parts make their cgroups in it and leave it as they found it */
};

struct part {
	const char *name; /* entries' names begin with it */
	int (*run)(struct bench *bench, char **why); /* in the suite's process: parts follow each other */
};

struct suite {
	const char *name;
	const char *about;
	const struct part *parts; /* ends with one without a name */
};

extern const struct suite suite_allocator;
extern const struct suite suite_forwarder;

#endif
