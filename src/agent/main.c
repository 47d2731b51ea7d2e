/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: berthd
 *
 * The boot order is main(), top to bottom. What is loaded into the kernel outlives this process on purpose: ending, by
 * whatever cause, takes nothing down.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../kernel/cgroup.h"
#include "../kernel/features.h"
#include "agent.h"
#include "control_server.h"
#include "log.h"
#include "lookups.h"
#include "reconcile.h"
#include "refusals.h"
#include "rundir.h"
#include "scrubber.h"
#include "strays.h"
#include "version.h"

/* A burst of netlink events is answered once, a storm so often. */
#define SETTLE_MS 5
#define STORM_MS 100
#define TICK_MS 5000

static int find_cgroup_root(struct agent *agent)
{
	uint64_t id;
	int err;

	if (agent->options.cgroup_root)
		agent->cgroup_root = realpath(agent->options.cgroup_root, NULL);
	else if ((err = cgroup_mount_point(&agent->cgroup_root))) {
		log_line(LOG_ERROR, "cgroup2 is mounted nowhere: mount -t cgroup2 cgroup2 /sys/fs/cgroup");
		return err;
	}
	err = agent->cgroup_root ? cgroup_id(agent->cgroup_root, &id) : -errno;
	if (err)
		log_line(LOG_ERROR, "--cgroup-root %s: no directory of a cgroup2 tree: %s",
			 agent->options.cgroup_root ? agent->options.cgroup_root : agent->cgroup_root, strerror(-err));
	return err;
}

static int make_instance(struct agent *agent)
{
	FILE *file = fopen("/proc/sys/kernel/random/uuid", "re");
	size_t size = sizeof(agent->instance) - 1;
	int err = 0;

	if (!file || fread(agent->instance, 1, size, file) != size)
		err = -EIO;
	if (file)
		(void)fclose(file);
	agent->started = time(NULL);
	return err;
}

static int open_rundir(struct agent *agent)
{
	int err = rundir_open(agent);

	if (err == -EBUSY)
		log_line(LOG_ERROR, "another agent runs in %s: give each its own --run-dir", agent->options.run_dir);
	else if (err)
		log_line(LOG_ERROR, "--run-dir %s: %s", agent->options.run_dir, strerror(-err));
	return err;
}

/* The data plane did not load: says which thing that it needs is missing here. */
static void name_what_is_missing(const struct agent *agent)
{
	struct features_options options = {.bpffs = agent->options.bpffs, .cgroup_root = agent->cgroup_root};
	struct features features;

	if (features_probe(&options, &features))
		return;
	for (size_t i = 0; i < features.count; i++) {
		const struct feature *feature = &features.items[i];

		if (feature->state == FEATURE_FAIL)
			log_line(LOG_ERROR, "%s: %s%s%s", feature->name, feature->detail,
				 feature->remedy ? "; try: " : "", feature->remedy ? feature->remedy : "");
	}
	features_free(&features);
}

static int open_dataplane(struct agent *agent)
{
	struct dataplane_options options = {.bpffs = agent->options.bpffs,
					    .cgroup_root = agent->cgroup_root,
					    .destinations = agent->options.destinations};
	char *why = NULL;
	int err = dataplane_open(&options, &agent->dataplane, &why);

	if (err) {
		log_line(LOG_ERROR, "data plane: %s", why ? why : strerror(-err));
		if (err != -EBUSY && err != -ENOTSUP)
			name_what_is_missing(agent);
	} else {
		log_line(LOG_NOTICE, "data plane is loaded, its maps %s",
			 dataplane_taking_over(agent->dataplane) ? "are new: another version's are taken over"
			 : dataplane_adopted(agent->dataplane)   ? "adopted from an earlier run"
								 : "are new");
	}
	free(why);
	return err;
}

/* The agent's own connections (to the store) never wait for a policy, whatever cgroup the policy is for. */
static void exempt_self(struct agent *agent)
{
	uint64_t self, root;
	char *dir;

	if (cgroup_of_process(0, &dir))
		return;
	/* The root of the tree may be under a policy of its own: its entry is not ours to take. */
	if (!cgroup_id(dir, &self) && !cgroup_id(agent->cgroup_root, &root) && self != root)
		(void)dataplane_cgroup_write(agent->dataplane, self, POLICY_NONE);
	free(dir);
}

/*
 * An older copy of the store was put back. Others may hold what changed since: nothing here moves until the newer one
 * is back, or somebody says by a restart that the older one counts.
 */
static bool went_back(struct agent *agent, const struct state *state)
{
	uint64_t before = agent->state ? state_content_revision(agent->state) : 0;
	uint64_t now = state_content_revision(state);
	char text[256];

	snprintf(text, sizeof(text),
		 "went back from %" PRIu64 " to %" PRIu64 ", an older copy was put back: what is loaded stays; put the "
		 "newer copy back, or restart the agents to go on from this one",
		 before, now);
	problems_set(&agent->problems, "revision of the store", now < before ? text : NULL);
	return now < before;
}

/* Whether the newest state has what this run of the agent reported. */
static bool report_stands(const struct agent *agent)
{
	const struct state *state = agent->state;

	for (size_t i = 0; i < state->status_count; i++)
		if (agent_self(agent) && state->statuses[i].server == agent_self(agent)->id)
			return state->statuses[i].applied == agent->applied &&
			       !strcmp(state->statuses[i].instance, agent->instance);
	return false;
}

static void on_state(void *arg, struct state *state)
{
	struct agent *agent = arg;

	if (went_back(agent, state)) {
		state_free(state);
		return;
	}
	state_free(agent->state);
	agent->state = state;
	if (!report_stands(agent))
		agent->applied = 0; /* the store lost it: say it again */
	lookups_refresh(agent->lookups);
	reconcile(agent);
}

static void on_store_trouble(void *arg, const char *what, const char *why)
{
	struct agent *agent = arg;

	problems_set(&agent->problems, what, why);
}

static void on_settled(uv_timer_t *timer)
{
	struct agent *agent = timer->data;

	reconcile_network(agent);
	uv_update_time(&agent->loop);
	agent->settled = uv_now(&agent->loop);
}

static void on_tick(uv_timer_t *timer)
{
	struct agent *agent = timer->data;

	reconcile_again(agent);
	refusals_tick(agent->refusals);
	scrubber_tick(agent->scrubber);
	strays_close(agent);
}

/* Routes that we added come back as events too: they are no news. Ours that went may have been taken away. */
static void on_kernel_event(void *arg, const struct rtnl_event *event)
{
	struct agent *agent = arg;

	if (event->type == RTNL_EVENT_ROUTE && event->ours && !event->gone)
		return;
	if (event->type == RTNL_EVENT_ADDRESS || event->type == RTNL_EVENT_RESYNC)
		agent->addresses_changed = true;
	if (event->type == RTNL_EVENT_LINK && event->gone)
		uplinks_forget(agent, event->ifindex);
	if (!agent->detached && !uv_is_active((uv_handle_t *)&agent->settle))
		uv_timer_start(&agent->settle, on_settled,
			       uv_now(&agent->loop) - agent->settled < STORM_MS ? STORM_MS : SETTLE_MS, 0);
}

static void on_monitor_readable(uv_poll_t *poll, int status, int events)
{
	struct agent *agent = poll->data;

	(void)status;
	(void)events;
	problems_settle(&agent->problems, "netlink monitor", rtnl_monitor_read(agent->monitor, on_kernel_event, agent),
			NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
	log_line(LOG_NOTICE, "signal %d: ending; what is loaded stays and works", number);
	uv_stop(handle->loop);
}

static int open_netlink(struct agent *agent)
{
	int err = rtnl_open(&agent->rtnl);

	if (!err)
		err = rtnl_monitor_open(&agent->monitor);
	if (err)
		log_line(LOG_ERROR, "netlink: %s", strerror(-err));
	return err;
}

static void start_watching(struct agent *agent)
{
	uv_poll_init(&agent->loop, &agent->monitor_poll, rtnl_monitor_fd(agent->monitor));
	uv_timer_init(&agent->loop, &agent->settle);
	uv_timer_init(&agent->loop, &agent->tick);
	uv_signal_init(&agent->loop, &agent->terminate);
	uv_signal_init(&agent->loop, &agent->interrupt);
	agent->monitor_poll.data = agent->settle.data = agent->tick.data = agent;
	agent->terminate.data = agent->interrupt.data = agent;
	uv_poll_start(&agent->monitor_poll, UV_READABLE, on_monitor_readable);
	uv_timer_start(&agent->tick, on_tick, TICK_MS, TICK_MS);
	uv_signal_start(&agent->terminate, on_signal, SIGTERM);
	uv_signal_start(&agent->interrupt, on_signal, SIGINT);
	problems_settle(&agent->problems, "events", refusals_start(agent, &agent->refusals), NULL);
	problems_settle(&agent->problems, "scrub of ports", scrubber_start(agent, &agent->scrubber), NULL);
}

static int start_serving(struct agent *agent)
{
	struct follow_hooks hooks = {.changed = on_state, .trouble = on_store_trouble, .arg = agent};
	int err = lookups_start(agent, &agent->lookups);

	if (!err)
		err = control_server_start(agent, &agent->control);

	if (err) {
		log_line(LOG_ERROR, "control socket in %s: %s", agent->options.run_dir, strerror(-err));
		return err;
	}
	return follow_start(&agent->loop, agent->options.store, &hooks, &agent->follow);
}

static void close_handles(struct agent *agent)
{
	uv_handle_t *handles[] = {(uv_handle_t *)&agent->monitor_poll, (uv_handle_t *)&agent->settle,
				  (uv_handle_t *)&agent->tick, (uv_handle_t *)&agent->terminate,
				  (uv_handle_t *)&agent->interrupt};

	follow_stop(agent->follow);
	agent->follow = NULL;
	control_server_stop(agent->control);
	agent->control = NULL;
	refusals_stop(agent->refusals);
	agent->refusals = NULL;
	lookups_stop(agent->lookups);
	agent->lookups = NULL;
	for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++)
		if (handles[i]->type != UV_UNKNOWN_HANDLE && !uv_is_closing(handles[i]))
			uv_close(handles[i], NULL);
}

static void agent_close(struct agent *agent)
{
	close_handles(agent);
	while (uv_run(&agent->loop, UV_RUN_DEFAULT))
		;
	(void)uv_loop_close(&agent->loop);
	scrubber_free(agent->scrubber);
	rtnl_monitor_close(agent->monitor);
	rtnl_close(agent->rtnl);
	dataplane_close(agent->dataplane);
	state_free(agent->state);
	tables_free(agent->tables);
	hops_free(&agent->hops);
	runs_free(&agent->runs);
	problems_free(&agent->problems);
	free(agent->cgroup_root);
	if (agent->lock >= 0)
		close(agent->lock);
}

int main(int argc, char **argv)
{
	struct agent agent = {.lock = -1};
	int status, err;

	if (options_parse(argc, argv, &agent.options, &status))
		return status;
	/* A peer of the control socket that goes away is no reason to end. */
	(void)signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&agent.loop);
	log_line(LOG_NOTICE, "%s: agent of server %s, store %s", BERTH_VERSION, agent.options.server,
		 agent.options.store);

	err = make_instance(&agent);
	if (!err)
		err = find_cgroup_root(&agent);
	if (!err)
		err = open_rundir(&agent);
	if (!err)
		err = open_netlink(&agent);
	if (!err)
		err = open_dataplane(&agent);
	if (!err) {
		exempt_self(&agent);
		runs_load(&agent);
		start_watching(&agent);
		err = start_serving(&agent);
	}
	if (!err)
		uv_run(&agent.loop, UV_RUN_DEFAULT);
	agent_close(&agent);
	return err ? 1 : 0;
}
