/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "plan.h"

/* Which of the two comes first by (addr, column); 0 for the same slice. */
static int row_compare(const struct ownership_row *a, const struct ownership_row *b)
{
	if (a->addr != b->addr)
		return a->addr < b->addr ? -1 : 1;
	return (a->column > b->column) - (a->column < b->column);
}

int plan_apply(const struct plan *plan, struct ownership *held)
{
	size_t most = held->count + plan->transition_count, count = 0, h = 0, t = 0;
	struct ownership_row *rows;

	if (plan->transition_count == 0)
		return 0;
	rows = reallocarray(NULL, most, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	while (h < held->count || t < plan->transition_count) {
		const struct ownership_row *row = h < held->count ? &held->rows[h] : NULL;
		const struct ownership_row *to = t < plan->transition_count ? &plan->transitions[t].to : NULL;
		int order = !row ? 1 : !to ? -1 : row_compare(row, to);

		h += order <= 0;
		t += order >= 0;
		if (order < 0)
			rows[count++] = *row;
		else if (!ownership_row_plain(to))
			rows[count++] = *to;
	}
	free(held->rows);
	*held = (struct ownership){.rows = rows, .count = count};
	return 0;
}

const char *plan_reason_text(enum plan_reason reason)
{
	switch (reason) {
	case PLAN_GRANTED:
		return "a selector of the server asks for it";
	case PLAN_SERVER_GONE:
		return "its server left the fleet";
	case PLAN_ADDRESS_GONE:
		return "its address left the fleet";
	case PLAN_UNWANTED:
		return "its server does not ask for it any more";
	case PLAN_REHOMED:
		return "its server is in another site now";
	case PLAN_COOLED:
		return "it has cooled";
	}
	return "unknown";
}

void plan_free(struct plan *plan)
{
	for (size_t i = 0; i < plan->shortage_count; i++)
		free(plan->shortages[i].selector);
	free(plan->shortages);
	free(plan->transitions);
	*plan = (struct plan){0};
}
