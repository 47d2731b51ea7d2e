/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet_file_fault.h"

#define WORD_MAX 32

bool faults_full(const struct fleet_faults *faults)
{
	return faults->count == FLEET_FAULTS_MAX;
}

int fault_addv(struct fleet_faults *faults, size_t line, size_t column, const char *format, va_list args)
{
	size_t at = faults->count;
	char *text;

	if (faults_full(faults))
		return -EINVAL;
	if (vasprintf(&text, format, args) < 0)
		return -ENOMEM;
	while (at > 0 && (faults->items[at - 1].line > line ||
			  (faults->items[at - 1].line == line && faults->items[at - 1].column > column)))
		at--;
	memmove(&faults->items[at + 1], &faults->items[at], (faults->count - at) * sizeof(faults->items[0]));
	faults->items[at] = (struct fleet_fault){.line = line, .column = column, .text = text};
	faults->count++;
	return -EINVAL;
}

int fault_add(struct fleet_faults *faults, size_t line, size_t column, const char *format, ...)
{
	va_list args;
	int err;

	va_start(args, format);
	err = fault_addv(faults, line, column, format, args);
	va_end(args);
	return err;
}

void fleet_faults_free(struct fleet_faults *faults)
{
	for (size_t i = 0; i < faults->count; i++)
		free(faults->items[i].text);
	*faults = (struct fleet_faults){0};
}

static bool is_continuation(char c)
{
	return ((unsigned char)c & 0xc0) == 0x80;
}

size_t text_characters(const char *text, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		if (!is_continuation(text[i]))
			count++;
	return count;
}

const char *shown_quote(const char *text, struct shown *to)
{
	const size_t room = sizeof(to->text) - sizeof("\"...\"");
	size_t len = strnlen(text, room + 1);
	bool cut = len > room;

	if (cut)
		len = room;
	while (cut && len > 0 && is_continuation(text[len]))
		len--;
	snprintf(to->text, sizeof(to->text), "\"%.*s%s\"", (int)len, text, cut ? "..." : "");
	return to->text;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Insertions, deletions, replacements and swaps of neighbours that lead from one word to the other. */
static size_t words_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t cost[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= a_len; i++)
		cost[i][0] = i;
	for (size_t j = 0; j <= b_len; j++)
		cost[0][j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		for (size_t j = 1; j <= b_len; j++) {
			size_t replaced = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			cost[i][j] = least(replaced, 1 + least(cost[i - 1][j], cost[i][j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				cost[i][j] = least(cost[i][j], cost[i - 2][j - 2] + 1);
		}
	}
	return cost[a_len][b_len];
}

bool words_similar(const char *a, const char *b)
{
	size_t a_len = strnlen(a, WORD_MAX + 1);
	size_t b_len = strnlen(b, WORD_MAX + 1);

	if (a_len > WORD_MAX || b_len > WORD_MAX)
		return false;
	return words_distance(a, a_len, b, b_len) <= 1 + least(a_len, b_len) / 5;
}
