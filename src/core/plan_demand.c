/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "plan_demand.h"

/* One policy's selector in one site. */
struct wish {
	const struct selector *select; /* resolved */
	size_t site; /* index */
	unsigned slices;
	size_t selector; /* number */
};

/* Which selectors one set of tags matches. */
struct plan_match {
	size_t *selectors;
	size_t count;
};

/* An entry of fleet.addresses on its way into a kind. */
struct entry {
	size_t index;
	const struct tags *tags;
	const struct plan_match *match;
	unsigned shift;
};

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int wish_compare_select(const void *a, const void *b)
{
	const struct wish *left = a, *right = b;

	return left->select == right->select ? 0 : selector_compare(left->select, right->select);
}

static int wish_compare_site(const void *a, const void *b)
{
	const struct wish *left = a, *right = b;
	int order = ORDER(left->site, right->site);

	return order ? order : ORDER(left->selector, right->selector);
}

static bool selector_names_site(const struct selector *select)
{
	for (size_t i = 0; i < select->count; i++)
		if (select->terms[i].from_site)
			return true;
	return false;
}

/* The selector as it reads in that site. One that the site's place cannot resolve stays as it is: it matches nothing.
 */
static int demand_resolve(struct plan_demand *demand, const struct selector *select, const struct fleet_site *site,
			  const struct selector **ret)
{
	struct selector *resolved = &demand->resolved[demand->resolved_count];
	int err;

	*ret = select;
	if (!selector_names_site(select))
		return 0;
	err = selector_resolve(select, &site->place, resolved, NULL);
	if (err)
		return err == -ENOENT ? 0 : err;
	demand->resolved_count++;
	*ret = resolved;
	return 0;
}

/* Wishes on their way. */
struct wishes {
	struct wish *items;
	size_t count;
};

static int wishes_add(struct wishes *wishes, struct plan_demand *demand, const struct fleet *fleet, size_t site,
		      const struct selector *select, unsigned slices)
{
	struct wish *wish = &wishes->items[wishes->count];

	if (slices == 0)
		return 0;
	wishes->count++;
	wish->site = site;
	wish->slices = slices;
	return demand_resolve(demand, select, &fleet->sites[site], &wish->select);
}

/* Every policy of every site that has servers: as many slices as it says, and one for each fallback. */
static int wishes_collect(struct plan_demand *demand, const struct fleet *fleet, struct wishes *wishes)
{
	int err = 0;

	for (size_t s = 0; s < fleet->site_count; s++) {
		for (size_t p = 0; p < fleet->policy_count && fleet->sites[s].server_count > 0; p++) {
			const struct fleet_policy *policy = &fleet->policies[p];

			err = wishes_add(wishes, demand, fleet, s, &policy->select, policy->slices);
			for (size_t f = 0; !err && f < policy->fallback_count; f++)
				err = wishes_add(wishes, demand, fleet, s, &policy->fallback[f], 1);
			if (err)
				return err;
		}
	}
	return 0;
}

static size_t wishes_most(const struct fleet *fleet)
{
	size_t selectors = fleet->policy_count;

	for (size_t p = 0; p < fleet->policy_count; p++)
		selectors += fleet->policies[p].fallback_count;
	return fleet->site_count * selectors;
}

/* Numbers the distinct selectors in their own order, so that the order of policies in the file is forgotten. */
static void wishes_number(struct plan_demand *demand, struct wish *wishes, size_t count)
{
	qsort(wishes, count, sizeof(*wishes), wish_compare_select);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || wish_compare_select(&wishes[i - 1], &wishes[i]) != 0)
			demand->selectors[demand->selector_count++] = wishes[i].select;
		wishes[i].selector = demand->selector_count - 1;
	}
}

/* Turns the wishes of each site into its asks. */
static void wishes_sum(struct plan_demand *demand, struct wish *wishes, size_t count)
{
	size_t asks = 0;

	qsort(wishes, count, sizeof(*wishes), wish_compare_site);
	for (size_t i = 0; i < count; i++) {
		struct plan_need *need = &demand->needs[wishes[i].site];

		if (i == 0 || wish_compare_site(&wishes[i - 1], &wishes[i]) != 0) {
			if (need->ask_count == 0)
				need->asks = &demand->asks[asks];
			demand->asks[asks++] = (struct plan_ask){.selector = wishes[i].selector};
			need->ask_count++;
		}
		if (wishes[i].slices > demand->asks[asks - 1].slices)
			demand->asks[asks - 1].slices = wishes[i].slices;
		if (wishes[i].slices > demand->most)
			demand->most = wishes[i].slices;
	}
}

static int demand_ask(struct plan_demand *demand, const struct fleet *fleet)
{
	size_t most = wishes_most(fleet) + 1;
	struct wishes wishes = {.items = calloc(most, sizeof(*wishes.items))};
	int err = -ENOMEM;

	demand->resolved = calloc(most, sizeof(*demand->resolved));
	demand->selectors = calloc(most, sizeof(*demand->selectors));
	demand->asks = calloc(most, sizeof(*demand->asks));
	demand->needs = calloc(fleet->site_count + 1, sizeof(*demand->needs));
	demand->need_count = fleet->site_count;
	if (wishes.items && demand->resolved && demand->selectors && demand->asks && demand->needs)
		err = wishes_collect(demand, fleet, &wishes);
	if (!err) {
		wishes_number(demand, wishes.items, wishes.count);
		wishes_sum(demand, wishes.items, wishes.count);
	}
	free(wishes.items);
	return err;
}

static int entry_compare_tags(const void *a, const void *b)
{
	const struct entry *left = a, *right = b;

	return tags_compare(left->tags, right->tags);
}

static int match_compare(const struct plan_match *a, const struct plan_match *b)
{
	for (size_t i = 0; i < a->count && i < b->count; i++)
		if (a->selectors[i] != b->selectors[i])
			return ORDER(a->selectors[i], b->selectors[i]);
	return ORDER(a->count, b->count);
}

/* Same kind: same order but for the index. */
static int entry_compare_kind(const struct entry *a, const struct entry *b)
{
	int order = a->match == b->match ? 0 : match_compare(a->match, b->match);

	return order ? order : ORDER(a->shift, b->shift);
}

static int entry_compare(const void *a, const void *b)
{
	const struct entry *left = a, *right = b;
	int order = entry_compare_kind(left, right);

	return order ? order : ORDER(left->index, right->index);
}

static int match_make(const struct plan_demand *demand, const struct tags *tags, struct plan_match *ret)
{
	for (size_t i = 0; i < demand->selector_count; i++) {
		size_t *selectors;

		if (!selector_matches(demand->selectors[i], tags))
			continue;
		selectors = reallocarray(ret->selectors, ret->count + 1, sizeof(*selectors));
		if (!selectors)
			return -ENOMEM;
		ret->selectors = selectors;
		ret->selectors[ret->count++] = i;
	}
	return 0;
}

/* Finds once for each set of tags which selectors match it. */
static int entries_match(struct plan_demand *demand, struct entry *entries, size_t count)
{
	demand->matches = calloc(count + 1, sizeof(*demand->matches));
	if (!demand->matches)
		return -ENOMEM;
	qsort(entries, count, sizeof(*entries), entry_compare_tags);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || entry_compare_tags(&entries[i - 1], &entries[i]) != 0) {
			int err = match_make(demand, entries[i].tags, &demand->matches[demand->match_count++]);

			if (err)
				return err;
		}
		entries[i].match = &demand->matches[demand->match_count - 1];
	}
	return 0;
}

static int kind_compare(const void *a, const void *b)
{
	const struct plan_kind *left = a, *right = b;

	return ORDER(left->entries[0], right->entries[0]);
}

/* Groups the entries by kind, and the kinds by lowest address. */
static void kinds_group(struct plan_demand *demand, struct entry *entries, size_t count)
{
	qsort(entries, count, sizeof(*entries), entry_compare);
	for (size_t i = 0; i < count; i++) {
		demand->kind_entries[i] = entries[i].index;
		if (entries[i].match->count == 0)
			continue;
		if (i == 0 || entry_compare_kind(&entries[i - 1], &entries[i]) != 0)
			demand->kinds[demand->kind_count++] =
				(struct plan_kind){.selectors = entries[i].match->selectors,
						   .selector_count = entries[i].match->count,
						   .shift = entries[i].shift,
						   .entries = &demand->kind_entries[i]};
		demand->kinds[demand->kind_count - 1].entry_count++;
	}
	qsort(demand->kinds, demand->kind_count, sizeof(*demand->kinds), kind_compare);
	for (size_t i = 0; i < count; i++)
		demand->kind_of[i] = PLAN_NO_KIND;
	for (size_t k = 0; k < demand->kind_count; k++)
		for (size_t i = 0; i < demand->kinds[k].entry_count; i++)
			demand->kind_of[demand->kinds[k].entries[i]] = k;
}

static int demand_classify(struct plan_demand *demand, const struct fleet *fleet)
{
	size_t count = fleet->addresses_count;
	struct entry *entries = calloc(count + 1, sizeof(*entries));
	int err = -ENOMEM;

	demand->kinds = calloc(count + 1, sizeof(*demand->kinds));
	demand->kind_entries = calloc(count + 1, sizeof(*demand->kind_entries));
	demand->kind_of = calloc(count + 1, sizeof(*demand->kind_of));
	if (entries && demand->kinds && demand->kind_entries && demand->kind_of) {
		for (size_t i = 0; i < count; i++)
			entries[i] = (struct entry){.index = i,
						    .tags = &fleet->addresses[i].tags,
						    .shift = fleet->pools[fleet->addresses[i].pool].shift};
		err = entries_match(demand, entries, count);
	}
	if (!err)
		kinds_group(demand, entries, count);
	free(entries);
	return err;
}

/* Writes which asks of the need the kind serves (both are sorted by selector), and says how many. */
static size_t candidate_asks(const struct plan_need *need, const struct plan_kind *kind, size_t *asks, unsigned *most)
{
	size_t count = 0;

	for (size_t a = 0, s = 0; a < need->ask_count && s < kind->selector_count;) {
		if (need->asks[a].selector < kind->selectors[s]) {
			a++;
		} else if (need->asks[a].selector > kind->selectors[s]) {
			s++;
		} else {
			if (need->asks[a].slices > *most)
				*most = need->asks[a].slices;
			asks[count++] = a++;
		}
	}
	return count;
}

static int need_add_candidate(struct plan_need *need, size_t kind, const size_t *asks, size_t count, unsigned most)
{
	struct plan_candidate *candidates =
		reallocarray(need->candidates, need->candidate_count + 1, sizeof(*candidates));
	size_t *copy = reallocarray(NULL, count, sizeof(*copy));

	if (candidates)
		need->candidates = candidates;
	if (!candidates || !copy) {
		free(copy);
		return -ENOMEM;
	}
	memcpy(copy, asks, count * sizeof(*copy));
	candidates[need->candidate_count++] =
		(struct plan_candidate){.kind = kind, .asks = copy, .ask_count = count, .most = most};
	return 0;
}

static int need_find_candidates(struct plan_need *need, const struct plan_demand *demand)
{
	size_t *asks = calloc(need->ask_count + 1, sizeof(*asks));
	int err = asks ? 0 : -ENOMEM;

	for (size_t k = 0; k < demand->kind_count && !err; k++) {
		unsigned most = 0;
		size_t count = candidate_asks(need, &demand->kinds[k], asks, &most);

		if (count > 0)
			err = need_add_candidate(need, k, asks, count, most);
	}
	free(asks);
	return err;
}

int plan_demand_make(const struct fleet *fleet, struct plan_demand *ret)
{
	struct plan_demand demand = {0};
	int err = demand_ask(&demand, fleet);

	if (!err)
		err = demand_classify(&demand, fleet);
	for (size_t s = 0; s < fleet->site_count && !err; s++)
		err = need_find_candidates(&demand.needs[s], &demand);
	if (err)
		plan_demand_free(&demand);
	else
		*ret = demand;
	return err;
}

const struct plan_candidate *plan_need_candidate(const struct plan_need *need, size_t kind)
{
	size_t low = 0, high = need->candidate_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (need->candidates[middle].kind == kind)
			return &need->candidates[middle];
		if (need->candidates[middle].kind < kind)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

void plan_demand_free(struct plan_demand *demand)
{
	for (size_t s = 0; demand->needs && s < demand->need_count; s++) {
		for (size_t c = 0; c < demand->needs[s].candidate_count; c++)
			free(demand->needs[s].candidates[c].asks);
		free(demand->needs[s].candidates);
	}
	for (size_t i = 0; i < demand->match_count; i++)
		free(demand->matches[i].selectors);
	for (size_t i = 0; i < demand->resolved_count; i++)
		selector_free(&demand->resolved[i]);
	free(demand->needs);
	free(demand->matches);
	free(demand->resolved);
	free(demand->selectors);
	free(demand->asks);
	free(demand->kinds);
	free(demand->kind_entries);
	free(demand->kind_of);
	*demand = (struct plan_demand){0};
}
