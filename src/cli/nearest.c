/* SPDX-License-Identifier: Apache-2.0 */
#include "nearest.h"

#include <string.h>

#define NAME_MAX_LENGTH 32u

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Edits between two names, two neighbours swapped counting as one; both at most NAME_MAX_LENGTH long. */
static size_t edits(const char *a, const char *b)
{
	size_t rows[3][NAME_MAX_LENGTH + 1];
	size_t *before = rows[0], *last = rows[1], *now = rows[2];
	size_t a_length = strlen(a), b_length = strlen(b);

	for (size_t j = 0; j <= b_length; j++)
		last[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t *oldest = before;

		now[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			now[j] = least(least(last[j], now[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
		before = last;
		last = now;
		now = oldest;
	}
	return last[b_length];
}

const char *nearest_name(const char *typed, const char *const *names, size_t size, size_t count)
{
	const char *best = NULL;
	size_t best_edits = 0;

	if (strlen(typed) > NAME_MAX_LENGTH)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		const char *name = *(const char *const *)((const char *)names + i * size);
		size_t limit = (strlen(name) + 2) / 3;
		size_t need;

		if (strlen(name) > NAME_MAX_LENGTH)
			continue;
		need = edits(typed, name);
		if (need <= limit && (!best || need < best_edits)) {
			best = name;
			best_edits = need;
		}
	}
	return best;
}
