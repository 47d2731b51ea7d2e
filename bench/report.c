/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#define P99 0.99

struct result *report_add(struct report *report, const char *name, const char *unit, enum better better,
			  const char *reference)
{
	struct result *result = report->count < REPORT_RESULTS_MAX ? calloc(1, sizeof(*result)) : NULL;

	if (!result)
		return NULL;
	snprintf(result->name, sizeof(result->name), "%s", name);
	result->unit = unit;
	result->better = better;
	result->reference = reference;
	report->results[report->count++] = result;
	return result;
}

void report_free(struct report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		for (enum side side = OURS; side < SIDES; side++)
			series_clear(&report->results[i]->sides[side]);
		free(report->results[i]);
	}
	report->count = 0;
}

/* Ours / reference, to three digits; false: there is none. */
static bool ratio_of(const struct result *result, double *ret)
{
	uint64_t reference = series_median(&result->sides[REFERENCE]);

	if (!result->reference || !reference)
		return false;
	*ret = round((double)series_median(&result->sides[OURS]) / (double)reference * 1000) / 1000;
	return true;
}

/* In the result's unit. */
static double in_unit(const struct result *result, uint64_t value)
{
	return (double)value / (result->parts ? result->parts : 1);
}

static void print_value(FILE *out, const struct result *result, uint64_t value)
{
	double number = in_unit(result, value);

	fprintf(out, " %9.*f", result->parts <= 1 ? 0 : number < 1 ? 5 : 1, number);
}

static void print_number(FILE *out, const struct result *result, const struct series *series, double quantile)
{
	bool none = !series->count || (quantile != 0.5 && result->single);

	if (none)
		fprintf(out, " %9s", "-");
	else
		print_value(out, result, quantile == 0.5 ? series_median(series) : series_quantile(series, quantile));
}

static void print_result(const struct result *result, FILE *out)
{
	double ratio;

	fprintf(out, "%-22s %-12s", result->name, result->unit);
	for (enum side side = OURS; side < SIDES; side++) {
		print_number(out, result, &result->sides[side], 0.5);
		print_number(out, result, &result->sides[side], P99);
	}
	if (ratio_of(result, &ratio))
		fprintf(out, " %7.3f", ratio);
	else
		fprintf(out, " %7s", "-");
	fprintf(out, "  %s", result->reference ? result->reference : "-");
	for (size_t i = 0; i < RESULT_EXTRAS_MAX && result->extras[i].name; i++)
		fprintf(out, "%s%s %" PRIu64, i ? ", " : "; ", result->extras[i].name, result->extras[i].value);
	fputc('\n', out);
}

void report_print(const struct report *report, FILE *out)
{
	fprintf(out, "%-22s %-12s %9s %9s %9s %9s %7s  %s\n", "name", "unit", "median", "p99", "ref", "ref p99",
		"ratio", "reference");
	for (size_t i = 0; i < report->count; i++)
		print_result(report->results[i], out);
}

static json_t *number(const struct result *result, const struct series *series, double quantile)
{
	uint64_t value;

	if (!series->count || (quantile != 0.5 && result->single))
		return json_null();
	value = quantile == 0.5 ? series_median(series) : series_quantile(series, quantile);
	return result->parts > 1 ? json_real(in_unit(result, value)) : json_integer((json_int_t)value);
}

static json_t *result_json(const struct result *result)
{
	const struct series *ours = &result->sides[OURS], *theirs = &result->sides[REFERENCE];
	double ratio;
	json_t *object = json_pack("{s:s, s:s, s:o, s:o, s:s?, s:o, s:o, s:o, s:s}", "name", result->name, "unit",
				   result->unit, "median", number(result, ours, 0.5), "p99", number(result, ours, P99),
				   "reference", result->reference, "reference_median", number(result, theirs, 0.5),
				   "reference_p99", number(result, theirs, P99), "ratio",
				   ratio_of(result, &ratio) ? json_real(ratio) : json_null(), "better",
				   result->better == BETTER_LOWER ? "lower" : "higher");

	for (size_t i = 0; i < RESULT_EXTRAS_MAX && result->extras[i].name; i++)
		json_object_set_new(object, result->extras[i].name, json_integer((json_int_t)result->extras[i].value));
	return object;
}

static json_t *report_json(const struct report *report)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < report->count; i++) {
		if (json_array_append_new(list, result_json(report->results[i]))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int report_write(const struct report *report, const char *path)
{
	json_t *list = report_json(report);
	char aside[PATH_MAX];
	int err = 0;

	if (!list)
		return -ENOMEM;
	snprintf(aside, sizeof(aside), "%s.new", path);
	if (json_dump_file(list, aside, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) || rename(aside, path) < 0) {
		err = errno ? -errno : -EIO;
		unlink(aside);
	}
	json_decref(list);
	return err;
}
