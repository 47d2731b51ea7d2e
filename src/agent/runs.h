/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands started by `berth run`: each has a cgroup of its own, under a policy of the fleet file or under that of a
 * selector, made for the time that it runs. Kept in RUN_DIR/runs.json, so that an agent that restarts knows them.
 */
#ifndef BERTH_AGENT_RUNS_H
#define BERTH_AGENT_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RUNS_MAX 4096

/* So that one user leaves room for the others; root has no limit of its own. */
#define RUNS_USER_MAX 256
#define RUN_BY_BERTH (-1)

struct run {
	char *cgroup; /* path below the agent's cgroup root */
	char *selector; /* canonical text; NULL: of a policy */
	char *policy_name; /* of the fleet file's; NULL: of a selector */
	int64_t user; /* whose process the agent moved into the cgroup, which the agent made and removes; RUN_BY_BERTH:
			 `berth` does all that itself */
	uint64_t id; /* of the cgroup */
	uint32_t policy;
};

/* What a run is to be. */
struct run_wish {
	const char *cgroup; /* exists already */
	const char *selector; /* as a policy's `select`; NULL: policy_name */
	const char *policy_name;
	int64_t user; /* as struct run has it */
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
 * Puts a cgroup under a policy. 0 with *policy; -ENOENT: this server owns no slice for it, or the fleet has no such
 * policy; -EINVAL: no such selector, or no such cgroup; -EBUSY: there are too many; -EAGAIN: what it takes is not
 * loaded yet. *why, the caller's to free, is a sentence.
 */
int runs_begin(struct agent *agent, const struct run_wish *wish, uint32_t *policy, char **why);
/* Ends it; one that is not known is fine. */
void runs_end(struct agent *agent, const char *cgroup);
/* Removes the cgroups that the agent made and that are empty, and ends the runs whose cgroup is gone. */
void runs_sweep(struct agent *agent);
/* The same, and writes policies and cgroups of the others anew. 0, or an error that stands in agent->problems. */
int runs_reconcile(struct agent *agent);
/* How many of a user's there are. */
size_t runs_count(const struct runs *runs, int64_t user);
/* Whether a run of a selector has this policy; whether a run has this cgroup. */
bool runs_policy(const struct runs *runs, uint32_t policy);
bool runs_cgroup(const struct runs *runs, uint64_t cgroup);
void runs_free(struct runs *runs);

#endif
