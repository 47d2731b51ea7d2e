/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent.h"
#include "log.h"
#include "policies.h"
#include "routes.h"
#include "version.h"

/* How long a fresh agent waits for all hops before it announces with those it has. */
#define HOPS_PATIENCE_S 3

const struct fleet_server *agent_self(const struct agent *agent)
{
	if (!agent->state || !agent->state->fleet)
		return NULL;
	return fleet_find_server(agent->state->fleet, agent->options.server);
}

static void write_config(struct agent *agent)
{
	const struct fleet *fleet = agent->state->fleet;
	const struct fleet_server *self = agent_self(agent);
	const struct fleet_site *site = &fleet->sites[self->site];
	struct forwarder_config config = {
		.server_id = self->id,
		.site_id = site->id,
		.underlay = __builtin_bswap32(self->underlay),
		.tunnel = __builtin_bswap32(site->tunnel),
		.wrap_port = __builtin_bswap16(WRAP_PORT),
		.max_hops = (__u8)fleet->max_hops,
	};

	dataplane_config_write(agent->dataplane, &config);
}

static int write_tables(struct agent *agent)
{
	struct tables *loaded = NULL, *next = NULL;
	const char *why = NULL;
	int err;

	/* Read back, not remembered: what the kernel has is what must not move. */
	err = dataplane_tables_read(agent->dataplane, &loaded);
	if (!err)
		err = tables_compile(agent->state->fleet, &agent->state->held, agent_self(agent)->id, loaded, &next,
				     &why);
	if (!err)
		err = dataplane_tables_write(agent->dataplane, next);
	tables_free(loaded);
	problems_settle(&agent->problems, "tables", err, err && why ? strdup(why) : NULL);
	if (err) {
		tables_free(next);
		return err;
	}
	tables_free(agent->tables);
	agent->tables = next;
	return 0;
}

static int attach_allocator(struct agent *agent)
{
	char *why = NULL;
	int err;

	if (agent->allocator_attached)
		return 0;
	err = dataplane_allocator_attach(agent->dataplane, &why);
	problems_settle(&agent->problems, "allocator", err, why);
	agent->allocator_attached = err == 0;
	return err;
}

static void announce_when_ready(struct agent *agent)
{
	bool patient = time(NULL) - agent->started < HOPS_PATIENCE_S && !dataplane_adopted(agent->dataplane);

	if (!uplinks_ready(agent) || !agent->allocator_attached || !agent->tables)
		routes_withdraw(agent);
	else if (hops_unresolved(&agent->hops) == 0 || !patient)
		routes_announce(agent);
}

static void report(struct agent *agent, uint64_t revision)
{
	struct server_status status = {
		.server = agent_self(agent)->id,
		.instance = agent->instance,
		.applied = revision,
		.version = (char *)BERTH_VERSION,
	};

	if (agent->applied == revision)
		return;
	agent->applied = revision;
	follow_report(agent->follow, agent->options.server, &status);
	log_line(LOG_NOTICE, "revision %llu is loaded", (unsigned long long)revision);
}

/* What this server's tables say is its own becomes free: the guard lets nothing leave from there. */
static int free_own_slices(struct agent *agent)
{
	struct tables *tables = NULL;
	int err = dataplane_tables_read(agent->dataplane, &tables);

	for (size_t i = 0; !err && i < tables->slice_count; i++)
		if ((tables->slices[i] & SLICE_WHERE_MASK) == SLICE_LOCAL)
			tables->slices[i] = SLICE_FREE;
	if (!err)
		err = dataplane_tables_write(agent->dataplane, tables);
	tables_free(tables);
	return err;
}

/*
 * Not in the fleet (any more). Attracts nothing, and opens nothing: its slices may become another server's. Policies
 * stay, without slices, so that no program leaves from elsewhere unawares; `berth detach` ends that.
 */
static void stand_aside(struct agent *agent)
{
	char text[256];
	int err;

	if (!agent->state->fleet)
		snprintf(text, sizeof(text), "nothing was applied to %s yet: berth apply FILE", agent->options.store);
	else
		snprintf(text, sizeof(text),
			 "no server '%s' in fleet %s: add it to the fleet file, or start with the right --server",
			 agent->options.server, agent->state->fleet->name);
	problems_set(&agent->problems, "fleet", text);
	routes_withdraw(agent);
	err = policies_empty(agent);
	if (!err)
		err = free_own_slices(agent);
	problems_settle(&agent->problems, "giving up slices", err, NULL);
}

/* Up: tables, guard and forwarder, local routes, allocator, announcement. */
void reconcile(struct agent *agent)
{
	int err;

	if (agent->detached || !agent->state)
		return;
	if (!agent_self(agent)) {
		stand_aside(agent);
		return;
	}
	problems_set(&agent->problems, "fleet", NULL);
	err = write_tables(agent);
	if (err)
		return; /* what is loaded goes on */
	hops_reconcile(agent);
	write_config(agent);
	uplinks_reconcile(agent);
	err = routes_local_reconcile(agent);
	if (!err)
		err = policies_reconcile(agent);
	runs_reconcile(agent);
	if (!err)
		err = attach_allocator(agent);
	announce_when_ready(agent);
	if (!err && uplinks_ready(agent))
		report(agent, state_content_revision(agent->state));
}

void reconcile_network(struct agent *agent)
{
	if (agent->detached || !agent_self(agent) || !agent->tables)
		return;
	uplinks_reconcile(agent);
	hops_reconcile(agent);
	if (agent->addresses_changed)
		(void)policies_reconcile(agent); /* the host's own prefixes are excepted */
	agent->addresses_changed = false;
	announce_when_ready(agent);
	if (agent->allocator_attached && uplinks_ready(agent))
		report(agent, state_content_revision(agent->state));
}
