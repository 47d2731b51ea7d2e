/* SPDX-License-Identifier: Apache-2.0 */
/* Who is at the other end of a connection of the control socket, as the kernel says. */
#ifndef BERTH_AGENT_PEER_H
#define BERTH_AGENT_PEER_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

struct peer {
	int fd; /* the connection; belongs to whoever found the peer */
	struct ucred cred; /* of the process that connected, when it did: its effective user and group */
};

/* 0 or -errno. */
int peer_find(int fd, struct peer *ret);
/* Its groups when it connected, the effective one first; the caller frees. 0 or -errno. */
int peer_groups(const struct peer *peer, gid_t **ret, size_t *count);
/*
 * A descriptor of the very process that connected, which the caller closes: while process_lives() it has the peer's
 * process id, and nobody else can. By SO_PEERPIDFD; before Linux 6.5 by that id, which may have become another process
 * of the same user. -ESRCH: the process has ended; -EPERM: it has another effective user by now; *why, the caller's to
 * free, is a sentence.
 */
int peer_hold(const struct peer *peer, int *ret, char **why);
/* The way for kernels before 6.5. */
int peer_hold_by_id(const struct peer *peer, int *ret, char **why);
int process_lives(int pidfd); /* 0 or -ESRCH */
/* 0: the process is in the network namespace of the caller; -EXDEV: in another; -ESRCH. */
int peer_netns_check(const struct peer *peer);

#endif
