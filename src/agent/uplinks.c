/* SPDX-License-Identifier: Apache-2.0 */
#include "uplinks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "log.h"

/* TEST-NET-1 is in no routing table of its own: the way there is the way to the internet. */
#define INTERNET_ADDRESS 0xc0000201u
/*
 * How long a device may be up without a way of the fleet before it counts as no uplink. Attaching resets many a
 * network card, and routing protocols take their time: let go at once, a card would be attached to and lose its routes
 * in turns. Forwarder and guard on a device too many do no harm.
 */
#define IDLE_MS (5 * 60 * 1000)

static struct uplink *find(struct uplinks *uplinks, uint32_t ifindex)
{
	for (size_t i = 0; i < uplinks->count; i++)
		if (uplinks->items[i].link.ifindex == ifindex)
			return &uplinks->items[i];
	return NULL;
}

static void add(struct uplinks *uplinks, const struct rtnl_link *link)
{
	if (!link->has_mac || find(uplinks, link->ifindex) || uplinks->count == UPLINKS_MAX)
		return;
	uplinks->items[uplinks->count++] = (struct uplink){.link = *link, .used = true};
}

static void add_way(struct agent *agent, struct uplinks *uplinks, uint32_t dest)
{
	struct rtnl_link link;
	struct rtnl_way way;

	if (rtnl_way_get(agent->rtnl, dest, &way) || way.local)
		return;
	if (rtnl_link_by_index(agent->rtnl, way.ifindex, &link))
		return;
	if (!link.has_mac)
		memcpy(uplinks->unfit, link.name, sizeof(uplinks->unfit));
	add(uplinks, &link);
}

static void search(struct agent *agent, struct uplinks *ret)
{
	const struct fleet *fleet = agent->state->fleet;
	const struct fleet_site *home = &fleet->sites[agent_self(agent)->site];
	struct rtnl_link link;

	if (!rtnl_address_link(agent->rtnl, agent_self(agent)->underlay, &link))
		add(ret, &link);
	add_way(agent, ret, INTERNET_ADDRESS);
	for (size_t i = 0; i < fleet->site_count; i++)
		if (fleet->sites[i].tunnel)
			add_way(agent, ret, fleet->sites[i].tunnel);
	for (size_t i = 0; i < home->server_count; i++)
		add_way(agent, ret, fleet->servers[home->first_server + i].underlay);
}

static void problem_of(struct agent *agent, const char *what, const struct uplink *uplink, int err, char *why)
{
	char subject[64];

	snprintf(subject, sizeof(subject), "%s on %s", what, uplink->link.name);
	problems_settle(&agent->problems, subject, err, why);
}

static int attach_forwarder(struct agent *agent, struct uplink *uplink, char **why)
{
	uint32_t ifindex = uplink->link.ifindex;
	int err = -EOPNOTSUPP;

	if (!uplink->generic)
		err = dataplane_forwarder_attach(agent->dataplane, ifindex, false, why);
	if (err && agent->options.generic) {
		free(*why);
		*why = NULL;
		err = dataplane_forwarder_attach(agent->dataplane, ifindex, true, why);
		uplink->generic = err == 0;
	}
	return err;
}

/* The guard first: nothing leaves unguarded while the forwarder already brings replies. */
static void attach(struct agent *agent, struct uplink *uplink)
{
	bool before = uplink->attached;
	char *why = NULL;
	int err = dataplane_guard_attach(agent->dataplane, uplink->link.ifindex, &why);

	uplink->attached = false;
	problem_of(agent, "guard", uplink, err, why);
	if (err)
		return;
	why = NULL;
	/* One that an agent before had to attach in generic mode would lose its forwarder while native mode is tried.
	 */
	if (!before && agent->options.generic)
		uplink->generic = dataplane_forwarder_generic(agent->dataplane, uplink->link.ifindex);
	err = attach_forwarder(agent, uplink, &why);
	problem_of(agent, "forwarder", uplink, err, why);
	uplink->attached = err == 0;
	if (uplink->attached && !before)
		log_line(LOG_NOTICE, "forwarder and guard are on %s%s", uplink->link.name,
			 uplink->generic ? " (generic mode)" : "");
}

static void detach(struct agent *agent, uint32_t ifindex)
{
	char *why = NULL;

	if (dataplane_forwarder_detach(agent->dataplane, ifindex, &why))
		log_line(LOG_WARNING, "forwarder: %s", why ? why : "could not be detached");
	free(why);
	why = NULL;
	if (dataplane_guard_detach(agent->dataplane, ifindex, &why))
		log_line(LOG_WARNING, "guard: %s", why ? why : "could not be detached");
	free(why);
}

static bool any_used(const struct uplinks *uplinks)
{
	for (size_t i = 0; i < uplinks->count; i++)
		if (uplinks->items[i].used)
			return true;
	return false;
}

/* A device that has a forwarder, of this run or an earlier one, stays an uplink until it was idle for long. */
static void keep_idle(struct agent *agent, struct uplinks *now, uint32_t ifindex)
{
	const struct uplink *before = find(&agent->uplinks, ifindex);
	uint64_t time = uv_now(&agent->loop);
	struct uplink idle = {.link = {.ifindex = ifindex}, .idle_since = time};

	if (find(now, ifindex) || now->count == UPLINKS_MAX ||
	    rtnl_link_by_index(agent->rtnl, ifindex, &idle.link) == -ENODEV)
		return;
	/* While it is down, or nothing leads anywhere, its routes cannot be there. */
	if (before && !before->used && idle.link.up && any_used(now))
		idle.idle_since = before->idle_since;
	if (time - idle.idle_since < IDLE_MS)
		now->items[now->count++] = idle;
}

static void take_over(struct agent *agent, struct uplink *uplink)
{
	const struct uplink *before = find(&agent->uplinks, uplink->link.ifindex);

	if (before && before->attached) {
		uplink->attached = true;
		uplink->generic = before->generic;
	} else {
		attach(agent, uplink);
	}
}

static void tell_of_search(struct agent *agent, const struct uplinks *found)
{
	char text[128];

	problems_set(&agent->problems, "uplinks",
		     found->count ? NULL : "no device has this server's underlay address or a way to the fleet");
	snprintf(text, sizeof(text),
		 "%s is no Ethernet device: what comes and goes there passes by forwarder and guard", found->unfit);
	problems_set(&agent->problems, "ways", found->unfit[0] ? text : NULL);
}

static bool still_uplink(const void *arg, const char *name)
{
	const struct uplinks *uplinks = arg;

	for (size_t i = 0; i < uplinks->count; i++)
		if (!strcmp(uplinks->items[i].link.name, name))
			return true;
	return false;
}

void uplinks_reconcile(struct agent *agent)
{
	struct uplinks now = {.count = 0};
	uint32_t *devices = NULL;
	size_t count = 0;

	if (!agent_self(agent))
		return;
	search(agent, &now);
	tell_of_search(agent, &now);
	(void)dataplane_forwarder_devices(agent->dataplane, &devices, &count);
	for (size_t i = 0; i < count; i++)
		keep_idle(agent, &now, devices[i]);
	for (size_t i = 0; i < now.count; i++)
		take_over(agent, &now.items[i]);
	for (size_t i = 0; i < count; i++)
		if (!find(&now, devices[i]))
			detach(agent, devices[i]);
	free(devices);
	problems_sweep(&agent->problems, "guard on ", still_uplink, &now);
	problems_sweep(&agent->problems, "forwarder on ", still_uplink, &now);
	agent->uplinks = now;
}

void uplinks_attach_again(struct agent *agent)
{
	for (size_t i = 0; i < agent->uplinks.count; i++)
		attach(agent, &agent->uplinks.items[i]);
}

void uplinks_forget(struct agent *agent, uint32_t ifindex)
{
	struct uplink *uplink = find(&agent->uplinks, ifindex);

	if (uplink)
		uplink->attached = false;
}

bool uplinks_ready(const struct agent *agent)
{
	struct rtnl_link link;
	bool up = false;

	for (size_t i = 0; i < agent->uplinks.count; i++) {
		const struct uplink *uplink = &agent->uplinks.items[i];

		if (uplink->used && !uplink->attached)
			return false;
		up |= uplink->used && uplink->link.up;
	}
	/* The underlay address may be on the loopback device, which is always up. */
	if (!up || rtnl_address_link(agent->rtnl, agent_self(agent)->underlay, &link))
		return false;
	return link.up;
}
