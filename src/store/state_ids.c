/* SPDX-License-Identifier: Apache-2.0 */
/* Giving ids. They stand in packets and maps of the whole fleet, so a number that was given once is never given to
   another name, and the id of a name never changes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/wrap.h"
#include "state_private.h"

/* A site or server of the fleet file, wanting its id. */
struct claim {
	const char *name;
	uint32_t *id;
};

/* All claims of one kind. */
struct claims {
	const char *kind;
	struct claim *items;
	size_t count;
	const struct state_ids *given; /* by the store */
	uint32_t max;
	struct state_id *taken; /* by the store's ids and the file's */
	const struct state_id **by_id; /* the same, sorted */
	size_t taken_count;
	uint32_t highest; /* id that is taken */
	uint32_t low; /* all ids up to here are taken; with `low_index` of them in by_id */
	size_t low_index;
};

static int claims_fault(char **why, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));

static int claims_fault(char **why, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(why, format, args) < 0) {
		*why = NULL;
		err = -ENOMEM;
	}
	va_end(args);
	return err;
}

/* Ids of the store, and those that the file gives to names the store does not know: in one list. */
static int claims_gather(struct claims *claims)
{
	struct state_id *taken = reallocarray(NULL, claims->given->count + claims->count + 1, sizeof(*taken));
	size_t count = claims->given->count;

	if (!taken)
		return -ENOMEM;
	if (count)
		memcpy(taken, claims->given->items, count * sizeof(*taken));
	for (size_t i = 0; i < claims->count; i++) {
		const struct claim *claim = &claims->items[i];

		if (*claim->id && !state_ids_find(claims->given, claim->name))
			taken[count++] = (struct state_id){.name = (char *)claim->name, .id = *claim->id};
	}
	claims->taken = taken;
	claims->taken_count = count;
	claims->by_id = state_ids_by_id(taken, count);
	if (!claims->by_id)
		return -ENOMEM;
	claims->highest = count ? claims->by_id[count - 1]->id : 0;
	return 0;
}

static int claims_check_twice(const struct claims *claims, char **why)
{
	const struct state_id **by_id = claims->by_id;

	for (size_t i = 1; i < claims->taken_count; i++)
		if (by_id[i - 1]->id == by_id[i]->id)
			return claims_fault(why, -EEXIST,
					    "id %u cannot be both of %s %s and of %s: an id is never given twice",
					    by_id[i]->id, claims->kind, by_id[i - 1]->name, by_id[i]->name);
	return 0;
}

static int claims_check(struct claims *claims, char **why)
{
	size_t fresh = 0, left;
	int err;

	for (size_t i = 0; i < claims->count; i++) {
		const struct claim *claim = &claims->items[i];
		const struct state_id *known = state_ids_find(claims->given, claim->name);

		if (known && *claim->id && *claim->id != known->id)
			return claims_fault(why, -EEXIST, "%s %s has id %u, the file says %u: an id never changes",
					    claims->kind, claim->name, known->id, *claim->id);
		if (!known && !*claim->id)
			fresh++;
	}
	err = claims_gather(claims);
	if (!err)
		err = claims_check_twice(claims, why);
	left = claims->max - claims->taken_count;
	if (!err && fresh > left)
		err = claims_fault(why, -ENOSPC,
				   "ids are wanted for %zu new %s%s, and only %zu of %u were never given to another",
				   fresh, claims->kind, fresh == 1 ? "" : "s", left, claims->max);
	return err;
}

/* Above all that were ever given, as long as there is room; then the lowest that never was. claims_check() has seen
   that there are enough. */
static uint32_t claims_next(struct claims *claims)
{
	if (claims->highest < claims->max)
		return ++claims->highest;
	while (claims->low_index < claims->taken_count && claims->by_id[claims->low_index]->id == claims->low + 1) {
		claims->low_index++;
		claims->low++;
	}
	return ++claims->low;
}

static void claims_fill(struct claims *claims)
{
	for (size_t i = 0; i < claims->count; i++) {
		struct claim *claim = &claims->items[i];
		const struct state_id *known = state_ids_find(claims->given, claim->name);

		if (known)
			*claim->id = known->id;
		else if (!*claim->id)
			*claim->id = claims_next(claims);
	}
}

static void claims_clear(struct claims *claims)
{
	free(claims->items);
	free(claims->taken);
	free(claims->by_id);
}

int state_assign_ids(struct fleet *fleet, const struct state *before, char **why)
{
	static const struct state_ids none;
	struct claims sites = {
		.kind = "site",
		.items = calloc(fleet->site_count + 1, sizeof(struct claim)),
		.count = fleet->site_count,
		.given = before ? &before->sites : &none,
		.max = WRAP_SITE_ID_MAX,
	};
	struct claims servers = {
		.kind = "server",
		.items = calloc(fleet->server_count + 1, sizeof(struct claim)),
		.count = fleet->server_count,
		.given = before ? &before->servers : &none,
		.max = WRAP_SERVER_ID_MAX,
	};
	int err = sites.items && servers.items ? 0 : -ENOMEM;

	*why = NULL;
	for (size_t i = 0; i < fleet->site_count && !err; i++)
		sites.items[i] = (struct claim){fleet->sites[i].name, &fleet->sites[i].id};
	for (size_t i = 0; i < fleet->server_count && !err; i++)
		servers.items[i] = (struct claim){fleet->servers[i].name, &fleet->servers[i].id};
	if (!err)
		err = claims_check(&sites, why);
	if (!err)
		err = claims_check(&servers, why);
	if (!err) {
		claims_fill(&sites);
		claims_fill(&servers);
	}
	claims_clear(&sites);
	claims_clear(&servers);
	return err;
}
