/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../kernel/why.h"

/* Since Linux 6.5, and younger than the headers of Debian 12. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif
/* The kernel's NGROUPS_MAX. */
#define GROUPS_MAX 65536u

int peer_find(int fd, struct peer *ret)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size))
		return -errno;
	*ret = (struct peer){.fd = fd, .cred = cred};
	return 0;
}

int peer_groups(const struct peer *peer, gid_t **ret, size_t *count)
{
	socklen_t size = 0;
	gid_t *groups;

	/* Without room it says how much it takes. */
	if (getsockopt(peer->fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) && errno != ERANGE)
		return -errno;
	if (size > GROUPS_MAX * sizeof(*groups))
		return -E2BIG;
	groups = malloc(size + sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	if (size > 0 && getsockopt(peer->fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &size)) {
		int err = -errno;

		free(groups);
		return err;
	}
	groups[0] = peer->cred.gid;
	*ret = groups;
	*count = 1 + size / sizeof(*groups);
	return 0;
}

int process_lives(int pidfd)
{
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};

	return poll(&ended, 1, 0) == 0 ? 0 : -ESRCH;
}

/* The effective user in /proc/PID/status, "Uid:\tREAL\tEFFECTIVE\t...". */
static int process_user(pid_t pid, uid_t *ret)
{
	char name[32], line[256];
	unsigned user;
	int err = -ESRCH;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/status", (int)pid);
	file = fopen(name, "re");
	if (!file)
		return -ESRCH;
	while (err && fgets(line, sizeof(line), file))
		if (sscanf(line, "Uid: %*u %u", &user) == 1)
			err = 0;
	fclose(file);
	if (!err)
		*ret = user;
	return err;
}

static int ended(char **why)
{
	return why_say(why, -ESRCH, "the process that asked has ended");
}

/* That a process has the id is looked at last: so far everything was about it. */
static int check(const struct peer *peer, int pidfd, char **why)
{
	uid_t user;
	int err = process_user(peer->cred.pid, &user);

	if (err || process_lives(pidfd))
		return ended(why);
	if (user != peer->cred.uid)
		return why_say(why, -EPERM, "process %d was user %u's when it connected, and is user %u's now",
			       (int)peer->cred.pid, (unsigned)peer->cred.uid, (unsigned)user);
	return 0;
}

static int take(const struct peer *peer, int pidfd, int *ret, char **why)
{
	int err = check(peer, pidfd, why);

	if (err)
		close(pidfd);
	else
		*ret = pidfd;
	return err;
}

/* The kernel says 0 for a peer in a process id namespace that is not below this one. */
static int not_seen(char **why)
{
	return why_say(why, -ESRCH, "the process that asked is not to be seen from the agent's process id namespace");
}

int peer_hold_by_id(const struct peer *peer, int *ret, char **why)
{
	int pidfd;

	if (peer->cred.pid <= 0)
		return not_seen(why);
	pidfd = (int)syscall(SYS_pidfd_open, peer->cred.pid, 0);
	if (pidfd < 0)
		return errno == ESRCH ? ended(why) : why_say(why, -errno, "process %d: %m", (int)peer->cred.pid);
	return take(peer, pidfd, ret, why);
}

int peer_hold(const struct peer *peer, int *ret, char **why)
{
	socklen_t size = sizeof(int);
	int pidfd;

	if (peer->cred.pid <= 0)
		return not_seen(why);
	if (getsockopt(peer->fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) == 0)
		return take(peer, pidfd, ret, why);
	return errno == ENOPROTOOPT ? peer_hold_by_id(peer, ret, why) : ended(why);
}

int peer_netns_check(const struct peer *peer)
{
	struct stat own, its;
	char name[32];

	snprintf(name, sizeof(name), "/proc/%d/ns/net", (int)peer->cred.pid);
	if (stat("/proc/self/ns/net", &own) || stat(name, &its))
		return errno == ENOENT ? -ESRCH : -errno;
	return own.st_dev == its.st_dev && own.st_ino == its.st_ino ? 0 : -EXDEV;
}
