/* SPDX-License-Identifier: Apache-2.0 */
#include "routes.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "../kernel/hostsettings.h"
#include "agent.h"
#include "log.h"

static bool same_route(const struct rtnl_route *a, const struct rtnl_route *b)
{
	return a->type == b->type && a->table == b->table && a->prefix.addr == b->prefix.addr &&
	       a->prefix.len == b->prefix.len;
}

static bool wanted(const struct rtnl_route *route, const struct rtnl_route *want, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (same_route(route, &want[i]))
			return true;
	return false;
}

/* Removes our routes of one table that are not wanted; the wanted ones that are missing are added if `add`. */
static int reconcile_table(struct agent *agent, uint32_t table, const struct rtnl_route *want, size_t count, bool add)
{
	struct rtnl_route *there = NULL;
	size_t there_count = 0;
	int err = rtnl_routes(agent->rtnl, table, &there, &there_count);

	for (size_t i = 0; add && !err && i < count; i++)
		if (!wanted(&want[i], there, there_count))
			err = rtnl_route_add(agent->rtnl, &want[i]);
	for (size_t i = 0; !err && i < there_count; i++)
		if (!wanted(&there[i], want, count))
			err = rtnl_route_remove(agent->rtnl, &there[i]);
	free(there);
	return err;
}

/* One route a pool, with room for one more. */
static struct rtnl_route *pool_routes(const struct fleet *fleet, enum rtnl_route_type type, uint32_t table)
{
	struct rtnl_route *routes = calloc(fleet->pool_count + 1, sizeof(*routes));

	for (size_t i = 0; routes && i < fleet->pool_count; i++)
		routes[i] = (struct rtnl_route){.type = type, .prefix = fleet->pools[i].prefix, .table = table};
	return routes;
}

static int reconcile_anyip(struct agent *agent)
{
	const struct fleet *fleet = agent->state->fleet;
	struct rtnl_route *routes = pool_routes(fleet, RTNL_ROUTE_LOCAL, RT_TABLE_LOCAL);
	int err = -ENOMEM;

	if (routes)
		err = reconcile_table(agent, RT_TABLE_LOCAL, routes, fleet->pool_count, true);
	free(routes);
	return err;
}

/* The ports of own slices: the same column on many addresses is one run. */
static int own_ports(const struct agent *agent, struct port_run **ret, size_t *count)
{
	const struct ownership *held = &agent->state->held;
	struct port_run *runs = calloc(held->count + 1, sizeof(*runs));
	size_t filled = 0;

	if (!runs)
		return -ENOMEM;
	for (size_t i = 0; i < held->count; i++) {
		const struct ownership_row *row = &held->rows[i];
		const struct fleet_pool *pool = fleet_find_pool(agent->state->fleet, row->addr);

		if (row->owner != agent_self(agent)->id || !pool)
			continue;
		runs[filled].first = slice_first_port(row->column, pool->shift);
		runs[filled++].count = slice_port_count(row->column, pool->shift);
	}
	*ret = runs;
	*count = filled;
	return 0;
}

static int reconcile_settings(struct agent *agent, char **why)
{
	const struct fleet *fleet = agent->state->fleet;
	struct prefix *pools = calloc(fleet->pool_count + 1, sizeof(*pools));
	struct host_settings want = {.pools = pools, .pool_count = fleet->pool_count};
	struct port_run *own = NULL;
	int err = -ENOMEM;

	if (!pools)
		return err;
	for (size_t i = 0; i < fleet->pool_count; i++)
		pools[i] = fleet->pools[i].prefix;
	err = own_ports(agent, &own, &want.own_count);
	want.own = own;
	if (!err)
		err = host_settings_apply(agent->options.run_dir, &want, why);
	free(own);
	free(pools);
	return err;
}

int routes_local_reconcile(struct agent *agent)
{
	char *why = NULL;
	int err = reconcile_settings(agent, &why);

	problems_settle(&agent->problems, "host settings", err, why);
	if (err)
		return err;
	err = reconcile_anyip(agent);
	problems_settle(&agent->problems, "local routes of the pools", err, NULL);
	return err;
}

/* What the pools and the site's tunnel address have in the announced table; nothing else stays there. */
static int reconcile_announced(struct agent *agent, bool add)
{
	const struct fleet *fleet = agent->state->fleet;
	const struct fleet_site *site = &fleet->sites[agent_self(agent)->site];
	struct rtnl_route *routes = pool_routes(fleet, RTNL_ROUTE_BLACKHOLE, RTNL_TABLE_ANNOUNCE);
	size_t count = fleet->pool_count;
	int err = -ENOMEM;

	if (routes) {
		if (site->tunnel)
			routes[count++] = (struct rtnl_route){.type = RTNL_ROUTE_BLACKHOLE,
							      .prefix = {.addr = site->tunnel, .len = 32},
							      .table = RTNL_TABLE_ANNOUNCE};
		err = reconcile_table(agent, RTNL_TABLE_ANNOUNCE, routes, count, add);
	}
	free(routes);
	return err;
}

void routes_announce(struct agent *agent)
{
	problems_settle(&agent->problems, "announcing", reconcile_announced(agent, true), NULL);
}

void routes_withdraw_others(struct agent *agent)
{
	problems_settle(&agent->problems, "withdrawing old prefixes", reconcile_announced(agent, false), NULL);
}

void routes_withdraw(struct agent *agent)
{
	int err = reconcile_table(agent, RTNL_TABLE_ANNOUNCE, NULL, 0, false);

	problems_settle(&agent->problems, "withdrawing the announcement", err, NULL);
}
