/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: where a suite runs
 *
 * In a child process with a cgroup of its own, which it may divide further. Whatever ends the child (its own end, time,
 * SIGINT, SIGTERM, SIGHUP), everything in that cgroup is killed and the cgroup removed; network namespaces and BPF
 * programs go with the processes that held them.
 */
#ifndef BERTH_BENCH_PLACE_H
#define BERTH_BENCH_PLACE_H

#include <sys/types.h>

/* Runs in the child, inside the cgroup; its result is the child's exit status. */
typedef int place_body(const char *cgroup, void *argument);

/* The body's result; -ETIMEDOUT; -EINTR: a signal came; -ECHILD: the child was killed; what making the cgroup gave. */
int place_run(place_body *body, void *argument, unsigned seconds, char **why);

/*
 * Puts the process, which must have one thread, into a new network namespace: lo is up, the egress addresses
 * 203.0.113.0/24 and the origins 198.51.100.0/24 are local, the host's own address is 192.0.2.1. Packets to
 * 198.51.100.128/25 are dropped when they reach the device: past every hook that judges them.
 */
int netns_enter_new(char **why);

/* fork(); the child dies with its parent. */
pid_t child_fork(void);

#endif
