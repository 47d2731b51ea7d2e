/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands started by `berth run`: each has a cgroup of its own, and the policy of its selector, made for the time
 * that it runs. Kept in RUN_DIR/runs.json, so that an agent that restarts knows them.
 */
#ifndef BERTH_AGENT_RUNS_H
#define BERTH_AGENT_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUNS_MAX 4096

struct run {
	char *cgroup; /* path below the agent's cgroup root */
	char *selector; /* canonical text */
	uint64_t id; /* of the cgroup */
	uint32_t policy;
};

struct runs {
	struct run *items;
	size_t count;
	bool damaged; /* the list could not be read: what the kernel has of runs stays */
};

struct agent;

/* Reads RUN_DIR/runs.json; a missing or damaged one is an empty list (the damage is logged). */
void runs_load(struct agent *agent);
/*
 * Puts a cgroup under the policy of a selector. 0 with *policy; -ENOENT: this server owns no slice that the selector
 * matches; -EINVAL: no such selector, or no such cgroup. *why, the caller's to free, is a sentence.
 */
int runs_begin(struct agent *agent, const char *cgroup, const char *selector, uint32_t *policy, char **why);
/* Ends it; one that is not known is fine. */
void runs_end(struct agent *agent, const char *cgroup);
/* Ends those whose cgroup is gone. */
void runs_sweep(struct agent *agent);
/* The same, and writes policies and cgroups of the others anew. 0, or an error that stands in agent->problems. */
int runs_reconcile(struct agent *agent);
/* Whether a run has this policy; whether a run has this cgroup. */
bool runs_policy(const struct runs *runs, uint32_t policy);
bool runs_cgroup(const struct runs *runs, uint64_t cgroup);
void runs_free(struct runs *runs);

#endif
