/* SPDX-License-Identifier: Apache-2.0 */
/* The run directory: one agent at a time, and where the rest of it is found. */
#ifndef BERTH_AGENT_RUNDIR_H
#define BERTH_AGENT_RUNDIR_H

struct agent;

/*
 * Makes the directory (mode 0755), locks RUN_DIR/lock into agent->lock and writes RUN_DIR/paths.json, by which
 * commands find pins and cgroup root without an agent. -EBUSY: another agent runs there. Other failures: -errno.
 */
int rundir_open(struct agent *agent);

#endif
