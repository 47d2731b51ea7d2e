/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: measuring
 *
 * A figure says something only beside another one that was taken under the same load of the same machine. So a
 * measurement goes in rounds, and each round has both sides, ours and the reference, in turns first. The first round
 * warms up and does not count.
 *
 * What is reported: the median of the rounds' medians, and the 99th percentile of all samples of all rounds (a round
 * may hold too few for one of its own).
 */
#ifndef BERTH_BENCH_MEASURE_H
#define BERTH_BENCH_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The samples of one side. All zeros is an empty one. */
struct series {
	uint64_t *samples;
	size_t count, capacity;
	size_t round; /* index of the running round's first sample */
	uint64_t *medians; /* of the rounds that ended */
	size_t rounds, rounds_capacity;
	int err; /* -ENOMEM: something was not taken down */
};

void series_add(struct series *series, uint64_t sample);
/* A round without samples leaves no median. */
void series_end_round(struct series *series);
void series_clear(struct series *series);
/* Median of the rounds' medians; 0 without any. */
uint64_t series_median(const struct series *series);
/* quantile: over 0, up to 1; nearest rank, over all rounds. 0 without samples. */
uint64_t series_quantile(const struct series *series, double quantile);

enum side { OURS, REFERENCE, SIDES };

enum better { BETTER_LOWER, BETTER_HIGHER };

#define RESULT_EXTRAS_MAX 6

/* One entry of the report. */
struct result {
	char name[48];
	const char *unit;
	const char *reference; /* NULL: there is none */
	enum better better;
	bool single; /* not of many samples: has no 99th percentile */
	unsigned parts; /* of the unit that a sample counts, 1,000 say for thousandths; 0: one */
	struct series sides[SIDES];
	struct {
		const char *name;
		uint64_t value;
	} extras[RESULT_EXTRAS_MAX]; /* of our side; ends with the first without a name */
};

void result_extra(struct result *result, const char *name, uint64_t value);
/* A figure that was found once. */
void result_set(struct result *result, enum side side, uint64_t value);

/* One round of one side: adds its samples to the results. -errno, with a sentence in *why. */
typedef int round_run(void *context, enum side side, char **why);

int measure_rounds(struct result *const *results, size_t count, unsigned rounds, round_run *run, void *context,
		   char **why);

/* Nanoseconds of the monotonic clock. */
uint64_t clock_now(void);

#endif
