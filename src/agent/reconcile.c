/* SPDX-License-Identifier: Apache-2.0 */
#include "reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "log.h"
#include "policies.h"
#include "routes.h"
#include "version.h"

/* How long an announcement waits for all hops before it is made with those there are. */
#define HOPS_PATIENCE_MS 3000

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
	agent->loaded = state_content_revision(agent->state);
	return 0;
}

static int attach_allocator(struct agent *agent)
{
	bool taking_over = dataplane_taking_over(agent->dataplane);
	char *why = NULL;
	int err;

	if (agent->allocator_attached)
		return 0;
	err = dataplane_allocator_attach(agent->dataplane, &why);
	if (!err && taking_over)
		log_line(LOG_NOTICE, "another version's data plane is taken over; ports were closed for %.1f ms",
			 (double)dataplane_takeover_ns(agent->dataplane) / 1e6);
	problems_settle(&agent->problems, "allocator", err, why);
	agent->allocator_attached = err == 0;
	return err;
}

/* Whether what packets find here works. */
static bool ready(const struct agent *agent)
{
	return agent->tables && agent->host_prepared && agent->allocator_attached && uplinks_ready(agent);
}

/* True: not ready, and withdrawn. */
static bool withdraw_unless_ready(struct agent *agent)
{
	if (ready(agent))
		return false;
	agent->ready_since = 0;
	routes_withdraw(agent);
	return true;
}

static void announce_when_ready(struct agent *agent)
{
	uint64_t now = uv_now(&agent->loop);

	if (withdraw_unless_ready(agent))
		return;
	if (agent->ready_since == 0)
		agent->ready_since = now;
	/* What is announced already stays so while hops are looked for. */
	if (hops_unresolved(&agent->hops) == 0 || now - agent->ready_since >= HOPS_PATIENCE_MS)
		routes_announce(agent);
}

/* Says which revision's tables are loaded, once programs and devices use them. */
static void report(struct agent *agent)
{
	struct server_status status = {
		.server = agent_self(agent)->id,
		.instance = agent->instance,
		.applied = agent->loaded,
		.version = (char *)BERTH_VERSION,
	};

	if (agent->applied == agent->loaded || !agent->allocator_attached || !uplinks_ready(agent))
		return;
	agent->applied = agent->loaded;
	follow_report(agent->follow, agent->options.server, &status);
	log_line(LOG_NOTICE, "revision %llu is loaded", (unsigned long long)agent->applied);
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

	snprintf(text, sizeof(text),
		 "no server '%s' in fleet %s: add it to the fleet file, or start with the right --server",
		 agent->options.server, agent->state->fleet->name);
	problems_set(&agent->problems, "fleet", text);
	routes_withdraw(agent);
	/* The tables that packets and programs go by are another version's: no new connections then. */
	if (dataplane_taking_over(agent->dataplane))
		dataplane_close_gate(agent->dataplane);
	err = policies_trim(agent);
	if (!err)
		err = free_own_slices(agent);
	problems_settle(&agent->problems, "giving up slices", err, NULL);
	agent->incomplete = err != 0;
	agent->applied = 0;
}

/* A store without a fleet gives no order to give anything up: it is new, or was lost and made anew. */
static void wait_for_fleet(struct agent *agent)
{
	char text[256];

	snprintf(text, sizeof(text), "nothing was applied to %s yet: berth apply FILE%s", agent->options.store,
		 dataplane_adopted(agent->dataplane) || dataplane_taking_over(agent->dataplane)
			 ? "; what is loaded goes on"
			 : "");
	problems_set(&agent->problems, "fleet", text);
}

/* What this host must have beside the tables; what fails is tried again. */
static void prepare_host(struct agent *agent)
{
	int err = routes_local_reconcile(agent);

	agent->host_prepared = err == 0;
	if (policies_reconcile(agent))
		err = -EIO;
	if (runs_reconcile(agent))
		err = -EIO;
	/* One policy that can't be written is no reason to leave all others unjudged, but one to leave what judges now.
	 */
	if ((err && dataplane_taking_over(agent->dataplane)) || attach_allocator(agent))
		err = -EIO;
	agent->incomplete = err != 0;
	agent->addresses_changed = false;
}

/* Down first: what is no more announced, and slices that are gone. Up: tables, guard and forwarder, local routes,
   allocator, announcement. */
void reconcile(struct agent *agent)
{
	if (agent->detached || !agent->state)
		return;
	if (!agent->state->fleet) {
		wait_for_fleet(agent);
		return;
	}
	if (!agent_self(agent)) {
		stand_aside(agent);
		return;
	}
	problems_set(&agent->problems, "fleet", NULL);
	routes_withdraw_others(agent);
	problems_settle(&agent->problems, "giving up slices", policies_trim(agent), NULL);
	agent->incomplete = write_tables(agent) != 0;
	if (agent->incomplete)
		return; /* what is loaded goes on */
	hops_reconcile(agent);
	write_config(agent);
	uplinks_reconcile(agent);
	prepare_host(agent);
	announce_when_ready(agent);
	report(agent);
}

void reconcile_network(struct agent *agent)
{
	if (agent->detached || !agent_self(agent) || !agent->tables)
		return;
	uplinks_reconcile(agent);
	if (agent->addresses_changed)
		prepare_host(agent); /* the host's own prefixes are excepted */
	else
		agent->host_prepared = routes_local_reconcile(agent) == 0;
	withdraw_unless_ready(agent); /* finding hops takes a while */
	hops_reconcile(agent);
	announce_when_ready(agent);
	report(agent);
}

void reconcile_again(struct agent *agent)
{
	if (agent->detached)
		return;
	uplinks_reconcile(agent);
	uplinks_attach_again(agent);
	runs_sweep(agent);
	if (agent->incomplete)
		reconcile(agent);
	reconcile_network(agent);
}
