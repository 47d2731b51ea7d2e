/* SPDX-License-Identifier: Apache-2.0 */
#include "uplinks.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent.h"
#include "log.h"

/* TEST-NET-1 is in no routing table of its own: the way there is the way to the internet. */
#define INTERNET_ADDRESS 0xc0000201u

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
	uplinks->items[uplinks->count++].link = *link;
}

static void add_way(struct agent *agent, struct uplinks *uplinks, uint32_t dest)
{
	struct rtnl_link link;
	struct rtnl_way way;

	if (rtnl_way_get(agent->rtnl, dest, &way) || way.local)
		return;
	if (!rtnl_link_by_index(agent->rtnl, way.ifindex, &link))
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

/* The guard first: nothing leaves unguarded while the forwarder already brings replies. */
static void attach(struct agent *agent, struct uplink *uplink)
{
	char *why = NULL;
	int err = dataplane_guard_attach(agent->dataplane, uplink->link.ifindex, &why);

	problem_of(agent, "guard", uplink, err, why);
	if (err)
		return;
	why = NULL;
	err = dataplane_forwarder_attach(agent->dataplane, uplink->link.ifindex, false, &why);
	if (err && agent->options.generic) {
		free(why);
		why = NULL;
		uplink->generic = true;
		err = dataplane_forwarder_attach(agent->dataplane, uplink->link.ifindex, true, &why);
	}
	problem_of(agent, "forwarder", uplink, err, why);
	uplink->attached = err == 0;
	if (uplink->attached)
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

/* Devices of an earlier run or an earlier fleet that are uplinks no more. */
static void detach_others(struct agent *agent, struct uplinks *now)
{
	uint32_t *devices = NULL;
	size_t count = 0;

	if (dataplane_forwarder_devices(agent->dataplane, &devices, &count))
		return;
	for (size_t i = 0; i < count; i++)
		if (!find(now, devices[i]))
			detach(agent, devices[i]);
	free(devices);
}

void uplinks_reconcile(struct agent *agent)
{
	struct uplinks now = {0};

	if (!agent_self(agent))
		return;
	search(agent, &now);
	problems_set(&agent->problems, "uplinks",
		     now.count ? NULL : "no device has this server's underlay address or a way to the fleet");
	if (now.count == 0)
		return; /* a link that flaps loses its routes for a moment: leave what is attached */
	for (size_t i = 0; i < now.count; i++) {
		const struct uplink *before = find(&agent->uplinks, now.items[i].link.ifindex);

		if (before && before->attached) {
			now.items[i].attached = true;
			now.items[i].generic = before->generic;
		} else {
			attach(agent, &now.items[i]);
		}
	}
	detach_others(agent, &now);
	agent->uplinks = now;
}

void uplinks_guard_again(struct agent *agent)
{
	for (size_t i = 0; i < agent->uplinks.count; i++) {
		const struct uplink *uplink = &agent->uplinks.items[i];
		char *why = NULL;
		int err;

		if (!uplink->attached)
			continue;
		err = dataplane_guard_attach(agent->dataplane, uplink->link.ifindex, &why);
		problem_of(agent, "guard", uplink, err, why);
	}
}

bool uplinks_ready(const struct agent *agent)
{
	struct rtnl_link link;

	for (size_t i = 0; i < agent->uplinks.count; i++)
		if (!agent->uplinks.items[i].attached)
			return false;
	if (agent->uplinks.count == 0 || rtnl_address_link(agent->rtnl, agent_self(agent)->underlay, &link))
		return false;
	return link.up;
}
