/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../src/kernel/why.h"

/* Makes room for one more. */
static int grow(uint64_t **items, size_t count, size_t *capacity)
{
	size_t more = *capacity ? *capacity * 2 : 1024;
	uint64_t *bigger;

	if (count < *capacity)
		return 0;
	bigger = reallocarray(*items, more, sizeof(**items));
	if (!bigger)
		return -ENOMEM;
	*items = bigger;
	*capacity = more;
	return 0;
}

void series_add(struct series *series, uint64_t sample)
{
	if (grow(&series->samples, series->count, &series->capacity))
		series->err = -ENOMEM;
	else
		series->samples[series->count++] = sample;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Nearest rank; leaves the items as they are. 0 without any, and without memory. */
static uint64_t quantile_of(const uint64_t *items, size_t count, double quantile)
{
	size_t rank = (size_t)ceil(quantile * (double)count);
	uint64_t *sorted, value;

	if (!count)
		return 0;
	sorted = calloc(count, sizeof(*sorted));
	if (!sorted)
		return 0;
	memcpy(sorted, items, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare);
	value = sorted[rank ? rank - 1 : 0];
	free(sorted);
	return value;
}

void series_end_round(struct series *series)
{
	size_t samples = series->count - series->round;

	if (!samples)
		return;
	if (grow(&series->medians, series->rounds, &series->rounds_capacity))
		series->err = -ENOMEM;
	else
		series->medians[series->rounds++] = quantile_of(series->samples + series->round, samples, 0.5);
	series->round = series->count;
}

void series_clear(struct series *series)
{
	free(series->samples);
	free(series->medians);
	*series = (struct series){0};
}

uint64_t series_median(const struct series *series)
{
	return quantile_of(series->medians, series->rounds, 0.5);
}

uint64_t series_quantile(const struct series *series, double quantile)
{
	return quantile_of(series->samples, series->count, quantile);
}

void result_extra(struct result *result, const char *name, uint64_t value)
{
	for (size_t i = 0; i < RESULT_EXTRAS_MAX; i++) {
		if (result->extras[i].name && strcmp(result->extras[i].name, name) != 0)
			continue;
		result->extras[i].name = name;
		result->extras[i].value = value;
		return;
	}
}

void result_set(struct result *result, enum side side, uint64_t value)
{
	series_add(&result->sides[side], value);
	series_end_round(&result->sides[side]);
	result->single = true;
}

static int round_end(struct result *const *results, size_t count, bool warm_up)
{
	int err = 0;

	for (size_t i = 0; i < count; i++) {
		for (enum side side = OURS; side < SIDES; side++) {
			struct series *series = &results[i]->sides[side];

			series_end_round(series);
			if (series->err)
				err = series->err;
			if (warm_up)
				series_clear(series);
		}
	}
	return err;
}

int measure_rounds(struct result *const *results, size_t count, unsigned rounds, round_run *run, void *context,
		   char **why)
{
	for (unsigned round = 0; round <= rounds; round++) {
		enum side first = round % 2 ? OURS : REFERENCE;
		int err = run(context, first, why);

		if (!err)
			err = run(context, first == OURS ? REFERENCE : OURS, why);
		if (err)
			return err;
		err = round_end(results, count, round == 0);
		if (err)
			return why_say(why, err, "no memory for the samples");
	}
	return 0;
}

uint64_t clock_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
