/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "planner.h"

static int shortage_add(struct plan *plan, struct plan_shortage shortage)
{
	struct plan_shortage *shortages = reallocarray(plan->shortages, plan->shortage_count + 1, sizeof(*shortages));

	if (!shortages)
		return -ENOMEM;
	plan->shortages = shortages;
	plan->shortages[plan->shortage_count++] = shortage;
	return 0;
}

/* lacking: by site and ask, in the order of needs. */
static int shortages_list(struct planner *planner, const size_t *lacking)
{
	for (size_t s = 0; s < planner->fleet->site_count; s++) {
		const struct plan_need *need = &planner->demand.needs[s];

		for (size_t a = 0; a < need->ask_count; a++, lacking++) {
			struct plan_shortage shortage = {.site = planner->fleet->sites[s].id,
							 .servers = planner->fleet->sites[s].server_count,
							 .lacking = *lacking};

			if (*lacking == 0)
				continue;
			shortage.selector = selector_format(planner->demand.selectors[need->asks[a].selector]);
			if (!shortage.selector || shortage_add(&planner->plan, shortage)) {
				free(shortage.selector);
				return -ENOMEM;
			}
		}
	}
	return 0;
}

static int shortage_compare(const void *a, const void *b)
{
	const struct plan_shortage *left = a, *right = b;
	int order = (left->site > right->site) - (left->site < right->site);

	return order ? order : strcmp(left->selector, right->selector);
}

int planner_tell_shortages(struct planner *planner)
{
	size_t sites = planner->fleet->site_count, asks = 0;
	size_t *first = calloc(sites + 1, sizeof(*first)), *lacking = NULL;
	int err = -ENOMEM;

	for (size_t s = 0; first && s < sites; s++) {
		first[s] = asks;
		asks += planner->demand.needs[s].ask_count;
	}
	lacking = calloc(asks + 1, sizeof(*lacking));
	if (!first || !lacking)
		goto out;
	for (size_t i = 0; i < planner->fleet->server_count; i++) {
		const struct plan_server *server = &planner->servers[i];
		const struct plan_need *need = &planner->demand.needs[server->site];

		for (size_t a = 0; a < need->ask_count; a++)
			if (need->asks[a].slices > server->have[a])
				lacking[first[server->site] + a] += need->asks[a].slices - server->have[a];
	}
	err = shortages_list(planner, lacking);
	if (!err && planner->plan.shortage_count > 0)
		qsort(planner->plan.shortages, planner->plan.shortage_count, sizeof(*planner->plan.shortages),
		      shortage_compare);
out:
	free(first);
	free(lacking);
	return err;
}

char *plan_shortage_text(const struct plan_shortage *shortage, const struct fleet *fleet)
{
	const struct fleet_site *site = fleet_find_site_id(fleet, shortage->site);
	bool any = strcmp(shortage->selector, "*") == 0;
	char *text;

	if (asprintf(&text, "site %s lacks %zu %s of %s%s for %zu %s", site ? site->name : "unknown", shortage->lacking,
		     shortage->lacking == 1 ? "slice" : "slices", any ? "any address" : "addresses tagged ",
		     any ? "" : shortage->selector, shortage->servers,
		     shortage->servers == 1 ? "server" : "servers") < 0)
		return NULL;
	return text;
}
