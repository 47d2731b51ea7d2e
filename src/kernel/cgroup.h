/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The version 2 cgroup tree: where it is mounted, what the kernel calls a directory of it, and the few changes that
 * `berth run` and the agent make there.
 */
#ifndef BERTH_KERNEL_CGROUP_H
#define BERTH_KERNEL_CGROUP_H

#include <stdint.h>
#include <sys/types.h>

/* Where cgroup2 is mounted, by /proc/self/mountinfo; the caller frees. -ENOENT: nowhere. */
int cgroup_mount_point(char **ret);
/*
 * The directory of a process's cgroup, as seen from here; pid 0 is the caller; the caller frees. -ESRCH: no such
 * process; -ENODEV: cgroup2 is mounted nowhere; -ENODATA: the process is in no cgroup of version 2; others: the
 * directory is not to be seen here.
 */
int cgroup_of_process(pid_t pid, char **ret);
/* The id that BPF programs and maps know a cgroup by. -ENOTDIR, -ENOENT; -EMEDIUMTYPE: not in a cgroup2 tree. */
int cgroup_id(const char *dir, uint64_t *ret);
/*
 * The path of a cgroup within the hierarchy ("/system.slice/x.service", "/" for its root), as tp_btf/cgroup_mkdir
 * sees it; the caller frees. `dir` need not exist yet, its nearest existing parent must. -EMEDIUMTYPE: not in a
 * cgroup2 tree.
 */
int cgroup_hierarchy_path(const char *dir, char **ret);
/* Makes DIR and its missing parents. One that exists is fine. */
int cgroup_make(const char *dir);
/* Removes one. One that is gone is fine; -EBUSY: it holds processes or children. */
int cgroup_remove(const char *dir);
/* Moves a process, with all its threads; pid 0 is the caller. */
int cgroup_move(const char *dir, pid_t pid);
/* Moves all processes that are in one now into another. */
int cgroup_move_all(const char *from, const char *to);

#endif
