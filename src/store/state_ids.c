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
	uint32_t highest; /* id given by store or file */
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
static struct state_id *claims_gather(const struct claims *claims, size_t *count)
{
	struct state_id *all = reallocarray(NULL, claims->given->count + claims->count + 1, sizeof(*all));

	if (!all)
		return NULL;
	*count = claims->given->count;
	if (*count)
		memcpy(all, claims->given->items, *count * sizeof(*all));
	for (size_t i = 0; i < claims->count; i++) {
		const struct claim *claim = &claims->items[i];

		if (*claim->id && !state_ids_find(claims->given, claim->name))
			all[(*count)++] = (struct state_id){.name = (char *)claim->name, .id = *claim->id};
	}
	return all;
}

static int claims_check_twice(struct claims *claims, char **why)
{
	size_t count;
	struct state_id *all = claims_gather(claims, &count);
	const struct state_id **by_id = all ? state_ids_by_id(all, count) : NULL;
	int err = by_id ? 0 : -ENOMEM;

	for (size_t i = 1; i < count && !err; i++)
		if (by_id[i - 1]->id == by_id[i]->id)
			err = claims_fault(why, -EEXIST,
					   "id %u cannot be both of %s %s and of %s: an id is never given twice",
					   by_id[i]->id, claims->kind, by_id[i - 1]->name, by_id[i]->name);
	if (!err)
		claims->highest = count ? by_id[count - 1]->id : 0;
	free(by_id);
	free(all);
	return err;
}

static int claims_check(struct claims *claims, char **why)
{
	size_t fresh = 0;
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
	err = claims_check_twice(claims, why);
	if (!err && fresh > claims->max - claims->highest)
		err = claims_fault(why, -ENOSPC, "%zu ids for new %ss are wanted, and of %u only %u are left", fresh,
				   claims->kind, claims->max, claims->max - claims->highest);
	return err;
}

static void claims_fill(struct claims *claims)
{
	for (size_t i = 0; i < claims->count; i++) {
		struct claim *claim = &claims->items[i];
		const struct state_id *known = state_ids_find(claims->given, claim->name);

		if (known)
			*claim->id = known->id;
		else if (!*claim->id)
			*claim->id = ++claims->highest;
	}
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
	free(sites.items);
	free(servers.items);
	return err;
}
