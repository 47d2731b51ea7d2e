/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cgroup of one `berth run`: a child of the caller's own, so that the command stays under the limits that the
 * caller is under. For root `berth` makes it, for others the agent does.
 */
#ifndef BERTH_KERNEL_RUNCGROUP_H
#define BERTH_KERNEL_RUNCGROUP_H

#include <sys/types.h>

struct run_cgroup {
	char *dir; /* in the file system */
	const char *path; /* below the agent's cgroup root; within dir */
};

/*
 * Below the cgroup of process `pid`, 0: the caller's; the process is not moved. cgroup_root: the agent's, NULL for
 * where cgroup2 is mounted. 0: it was made; or -errno with *why, which the caller frees: -EXDEV: that cgroup is not
 * below the agent's root; -ELOOP: it is so deep that the allocator would not see one below it; -ESRCH: no such process.
 */
int run_cgroup_make(pid_t pid, const char *cgroup_root, struct run_cgroup *ret, char **why);
/* Moves what is in it back into the cgroup that it lies in. */
int run_cgroup_leave(const struct run_cgroup *cgroup);
/* Removes it, when its last process has gone: -EBUSY after a moment of waiting for that. */
int run_cgroup_remove(const struct run_cgroup *cgroup);
void run_cgroup_clear(struct run_cgroup *cgroup);

#endif
