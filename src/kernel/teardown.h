/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes the data plane of one agent down, from what is pinned and journaled alone: the agent may be alive, dead or
 * never to start again. An agent that is alive must know, or it puts everything back.
 */
#ifndef BERTH_KERNEL_TEARDOWN_H
#define BERTH_KERNEL_TEARDOWN_H

struct teardown_options {
	const char *bpffs; /* as in struct dataplane_options */
	const char *run_dir; /* of the host settings' journal; NULL: host settings stay */
	unsigned wait_ms; /* between the withdrawal and the rest, so that routers stop sending here */
};

/*
 * In this order: announced routes, wait, allocator, local routes of the pools, forwarder, guard, neighbours, host
 * settings, pins.
 * To be called in the agent's network namespace. Does as much as it can; the first error is returned, and *why (the
 * caller frees) names everything that it could not undo. What is gone already is fine. Without announced routes there
 * is no wait.
 */
int teardown_run(const struct teardown_options *options, char **why);

#endif
