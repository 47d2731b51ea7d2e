/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the agent
 *
 * One thread, one libuv loop. State comes in from the store (follow.h) and from the kernel (the netlink monitor); each
 * time reconcile() compares what should be with what is, in boot order, and changes the difference. Every step may be
 * done again without harm, so a restart, an adoption and a change are the same thing.
 */
#ifndef BERTH_AGENT_AGENT_H
#define BERTH_AGENT_AGENT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "../core/compile.h"
#include "../kernel/dataplane.h"
#include "../kernel/rtnl.h"
#include "follow.h"
#include "hops.h"
#include "options.h"
#include "problems.h"
#include "runs.h"
#include "uplinks.h"

struct control_server;
struct lookups;
struct refusals_heard;
struct scrubber;

struct agent {
	struct options options;
	char *cgroup_root; /* absolute, in the cgroup2 tree */
	char instance[37];
	int64_t started; /* Unix time, seconds */
	uv_loop_t loop;

	int lock; /* descriptor of RUN_DIR/lock */
	struct dataplane *dataplane; /* NULL once detached */
	struct rtnl *rtnl;
	struct rtnl_monitor *monitor;
	struct follow *follow;
	struct control_server *control;
	struct refusals_heard *refusals; /* NULL: events cannot be heard */
	struct lookups *lookups; /* of the names that policies allow */
	struct scrubber *scrubber; /* NULL: lost ports cannot be looked for */

	struct state *state; /* newest from the store; NULL before the first */
	struct tables *tables; /* loaded; NULL before the first */
	struct uplinks uplinks;
	struct hops_known hops;
	struct runs runs;
	struct problems problems;
	uint64_t loaded; /* revision that `tables` are of */
	uint64_t applied; /* the same, once they count: what is reported; 0: none */
	uint64_t ready_since; /* uv_now() since which announcing would be right; 0: it would not */
	uint64_t settled; /* uv_now() of the last answer to the kernel's events */
	bool allocator_attached;
	bool host_prepared; /* local routes and host settings are there */
	bool incomplete; /* something of the newest state could not be done: try again */
	bool addresses_changed; /* of the host, since policies were written */
	bool detached; /* taken down on request: touch nothing any more */

	uv_poll_t monitor_poll;
	uv_timer_t settle; /* runs once, shortly after the kernel reported a change */
	uv_timer_t tick; /* every TICK_MS: neighbours, runs that ended */
	uv_signal_t terminate, interrupt;
};

/* This server in the newest state; NULL: not in the fleet, or nothing read yet. */
const struct fleet_server *agent_self(const struct agent *agent);

#endif
