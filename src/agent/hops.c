/* SPDX-License-Identifier: Apache-2.0 */
#include "hops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../kernel/hop.h"
#include "agent.h"

const char *hop_state_name(enum hop_state state)
{
	static const char *const names[] = {
		[HOP_READY] = "ready", [HOP_NO_ROUTE] = "no_route", [HOP_NO_MAC] = "no_mac"};

	return names[state];
}

static uint32_t target_address(const struct fleet *fleet, uint32_t target)
{
	uint32_t id = target & HOP_ID_MASK;

	if (target & HOP_SITE) {
		const struct fleet_site *site = fleet_find_site_id(fleet, id);

		return site ? site->tunnel : 0;
	}
	const struct fleet_server *server = fleet_find_server_id(fleet, id);

	return server ? server->underlay : 0;
}

static const struct hop_known *find(const struct hops_known *hops, uint32_t index)
{
	for (size_t i = 0; i < hops->count; i++)
		if (hops->items[i].index == index)
			return &hops->items[i];
	return NULL;
}

/* Fills in device, next hop and MTU. -ENETUNREACH and the like: there is no way. */
static int find_way(struct agent *agent, struct hop_known *hop, struct rtnl_link *link)
{
	struct rtnl_way way;
	int err;

	if (hop->addr == 0)
		return -EDESTADDRREQ;
	err = rtnl_way_get(agent->rtnl, hop->addr, &way);
	if (err)
		return err;
	if (way.local)
		return -EHOSTUNREACH;
	err = rtnl_link_by_index(agent->rtnl, way.ifindex, link);
	if (err)
		return err;
	hop->ifindex = way.ifindex;
	hop->next = way.gateway ? way.gateway : hop->addr;
	/* Not the route's own MTU: a default route may be locked to what the internet takes, wraps stay inside. */
	hop->mtu = link->mtu < agent->state->fleet->underlay_mtu ? link->mtu : agent->state->fleet->underlay_mtu;
	return link->up ? 0 : -ENETDOWN;
}

static int find_mac(struct agent *agent, struct hop_known *hop, const struct hop_known *before)
{
	bool same = before && before->kept && before->ifindex == hop->ifindex && before->next == hop->next;
	int err;

	hop->kept = same;
	if (!same)
		(void)rtnl_neighbour_keep(agent->rtnl, hop->ifindex, hop->next, &hop->kept);
	err = rtnl_neighbour_get(agent->rtnl, hop->ifindex, hop->next, hop->mac);
	if (err)
		hop->kept = false; /* ask again: it may have been flushed */
	return err;
}

static void write_wrap(struct agent *agent, const struct hop_known *hop, const struct rtnl_link *link)
{
	struct hop_way way = {.ifindex = 0};
	struct hop_wrap wrap, loaded;
	int err;

	if (hop->state == HOP_READY) {
		way = (struct hop_way){
			.src = agent_self(agent)->underlay,
			.dst = hop->addr,
			.wrap_port = WRAP_PORT,
			.server_id = agent_self(agent)->id,
			.ifindex = hop->ifindex,
			.mtu = hop->mtu,
		};
		memcpy(way.src_mac, link->mac, sizeof(way.src_mac));
		memcpy(way.dst_mac, hop->mac, sizeof(way.dst_mac));
	}
	hop_wrap_build(&way, &wrap);
	if (hop->state != HOP_READY)
		memset(&wrap, 0, sizeof(wrap));
	/* The copy that is not live may still be read by a packet under way: no write without a change. */
	if (!dataplane_hop_read(agent->dataplane, hop->index, &loaded) && !memcmp(&loaded, &wrap, sizeof(wrap)))
		return;
	err = dataplane_hop_write(agent->dataplane, hop->index, &wrap);
	problems_settle(&agent->problems, "writing a hop", err, NULL);
}

static void resolve(struct agent *agent, struct hop_known *hop, const struct hop_known *before)
{
	struct rtnl_link link = {0};

	hop->addr = target_address(agent->state->fleet, hop->target);
	if (find_way(agent, hop, &link))
		hop->state = HOP_NO_ROUTE;
	else if (find_mac(agent, hop, before))
		hop->state = HOP_NO_MAC;
	else
		hop->state = HOP_READY;
	write_wrap(agent, hop, &link);
}

static bool neighbour_used(const struct hops_known *hops, uint32_t ifindex, uint32_t next)
{
	for (size_t i = 0; i < hops->count; i++)
		if (hops->items[i].ifindex == ifindex && hops->items[i].next == next)
			return true;
	return false;
}

static void release_unused(struct agent *agent, const struct hops_known *before, const struct hops_known *now)
{
	for (size_t i = 0; i < before->count; i++) {
		const struct hop_known *hop = &before->items[i];

		/* Asked for was also the one that never answered. */
		if (hop->next && !neighbour_used(now, hop->ifindex, hop->next))
			(void)rtnl_neighbour_release(agent->rtnl, hop->ifindex, hop->next);
	}
}

/* Those that an agent before had kept, of hops that left while there was none. */
static void release_left_over(struct agent *agent, const struct hops_known *now)
{
	struct rtnl_kept *kept = NULL;
	size_t count = 0;

	if (rtnl_neighbours_kept(agent->rtnl, &kept, &count))
		return;
	for (size_t i = 0; i < count; i++)
		if (!neighbour_used(now, kept[i].ifindex, kept[i].addr))
			(void)rtnl_neighbour_release(agent->rtnl, kept[i].ifindex, kept[i].addr);
	free(kept);
}

void hops_reconcile(struct agent *agent)
{
	struct hops_known now = {0};

	if (!agent->tables || !agent_self(agent))
		return;
	for (uint32_t index = 0; index < HOPS_MAX; index++)
		now.count += agent->tables->hop_target[index] != 0;
	now.items = calloc(now.count + 1, sizeof(*now.items));
	if (!now.items) {
		problems_set(&agent->problems, "hops", "out of memory, hops are not refreshed");
		return;
	}
	now.count = 0;
	for (uint32_t index = 0; index < HOPS_MAX; index++) {
		struct hop_known *hop = &now.items[now.count];

		if (!agent->tables->hop_target[index])
			continue;
		hop->index = index;
		hop->target = agent->tables->hop_target[index];
		resolve(agent, hop, find(&agent->hops, index));
		now.count++;
	}
	if (agent->hops.items)
		release_unused(agent, &agent->hops, &now);
	else
		release_left_over(agent, &now);
	hops_free(&agent->hops);
	agent->hops = now;
	problems_set(&agent->problems, "hops", NULL);
}

size_t hops_unresolved(const struct hops_known *hops)
{
	size_t count = 0;

	for (size_t i = 0; i < hops->count; i++)
		count += hops->items[i].state != HOP_READY;
	return count;
}

void hops_free(struct hops_known *hops)
{
	free(hops->items);
	*hops = (struct hops_known){0};
}
