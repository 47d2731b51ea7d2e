/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cgroup of one `berth run`: a child of the caller's own, so that the command stays under the limits that the
 * caller is under.
 */
#ifndef BERTH_CLI_RUN_CGROUP_H
#define BERTH_CLI_RUN_CGROUP_H

struct run_cgroup {
	char *dir; /* in the file system */
	const char *path; /* below the agent's cgroup root; within dir */
};

/*
 * cgroup_root: the agent's, NULL for where cgroup2 is mounted. 0: it was made; or -errno with *why, which the caller
 * frees: -EXDEV: the caller's cgroup is not below the agent's root.
 */
int run_cgroup_make(const char *cgroup_root, struct run_cgroup *ret, char **why);
/* Removes it, when its last process has gone: -EBUSY after a moment of waiting for that. */
int run_cgroup_remove(const struct run_cgroup *cgroup);
void run_cgroup_clear(struct run_cgroup *cgroup);

#endif
