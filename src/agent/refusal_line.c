/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../core/addr.h"
#include "refusal_table.h"

/* More slices than these are only counted. */
#define SLICES_SHOWN 4u

struct line {
	char *text;
	size_t fill;
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
	size_t room = REFUSAL_LINE_MAX - line->fill;
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(line->text + line->fill, room, format, args);
	va_end(args);
	if (size > 0)
		line->fill += (size_t)size < room ? (size_t)size : room - 1;
}

static void add_slices(struct line *line, const struct refusal *refusal)
{
	char text[ADDR_TEXT_MAX];

	if (refusal->slice_count == 0)
		add(line, " (no slices)");
	for (size_t i = 0; i < refusal->slice_count && i < SLICES_SHOWN; i++) {
		const struct refusal_slice *slice = &refusal->slices[i];

		add(line, "%s%s:%u-%u", i ? ", " : " (", addr_format(slice->addr, text), slice->first,
		    slice->first + slice->count - 1);
	}
	if (refusal->slice_count > SLICES_SHOWN)
		add(line, " and %zu more", refusal->slice_count - SLICES_SHOWN);
	if (refusal->slice_count)
		add(line, ")");
}

static void add_holders(struct line *line, const struct refusal *refusal)
{
	for (size_t i = 0; i < refusal->holder_count; i++) {
		const struct refusal_holder *holder = &refusal->holders[i];

		add(line, "%s%s", i ? ", " : "; held by ", holder->name);
		if (holder->pid)
			add(line, "[%u]", holder->pid);
		add(line, " %u", holder->ports);
	}
}

const char *refusal_line(const struct refusal *refusal, const char *meaning, char text[REFUSAL_LINE_MAX])
{
	struct line line = {.text = text};

	text[0] = 0;
	add(&line, "%s: policy %s", refusal->verdict, refusal->policy);
	add_slices(&line, refusal);
	add(&line, " %s %s", strcmp(refusal->verdict, "stray_listener") ? "to" : "on", refusal->dest);
	if (refusal->port)
		add(&line, " port %u", refusal->port);
	add(&line, " %s: %s", refusal->proto, meaning);
	if (refusal->used)
		add(&line, ", %u of %u", refusal->used, refusal->ports);
	if (refusal->busy)
		add(&line, ", ports of other sockets met %u times (port_busy)", refusal->busy);
	add(&line, "; last by %s[%u] of user %u, %" PRIu64 " times", refusal->name, refusal->pid, refusal->uid,
	    refusal->count);
	add_holders(&line, refusal);
	return text;
}
