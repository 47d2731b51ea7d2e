/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DOC: libberth
 *
 * For programs on a server with Berth that want to say, socket by socket, which addresses they leave from, and to know
 * what has become of it. Programs that do not care need nothing of this: `berth run`, a cgroup or a mark put them under
 * a policy unchanged.
 *
 *	struct berth *berth;
 *	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
 *
 *	if (berth_open(NULL, &berth) == 0 && berth_choose(berth, fd, "country=DE") == 0)
 *		connect(fd, ...);
 *
 * Functions return 0 or a negative errno; berth_error() then has a sentence for people. What they return through a
 * pointer is untouched after a failure. They block, for ten seconds at most, while the agent (berthd) answers.
 *Different threads use different handles, or lock. Addresses and ports are in host byte order, times in seconds of Unix
 *time.
 *
 * Nothing here has to be open or running for sockets to go on as chosen: what was chosen stands in the kernel.
 */
#ifndef BERTH_BERTH_H
#define BERTH_BERTH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A handle holds no connection: each function makes one. */
struct berth;

/*
 * run_dir: the agent's run directory; NULL: /run/berth. Does not look whether an agent runs there. -EINVAL: empty, or
 * longer than 80 bytes; -ENOMEM. The caller closes.
 */
int berth_open(const char *run_dir, struct berth **ret);
void berth_close(struct berth *berth); /* NULL is fine */
/* What went wrong in the last function of this handle that failed, "" before; until the next one or berth_close(). */
const char *berth_error(const struct berth *berth);

/*
 * Puts a socket under a policy: the first of the fleet's that allows the caller and selects exactly `selector`
 * ("country=DE, product=crawler"), or the one of that name. What it opens from then on leaves from the policy's slices
 * or not at all, whatever its cgroup and mark; that goes with the socket to whoever it is passed to. Choosing again
 * replaces the choice. The socket stays the caller's.
 *
 * socket: TCP or UDP over IPv4 or IPv6, neither bound nor connected, of the host's network namespace. The caller is
 * root, or a member of the group `berth` whom the policy's `allow` names.
 *
 * -EINVAL: such a socket it is not, or no selector; -EBADF: no descriptor; -ENOENT: no such policy here, or no slice
 * for it; -EPERM: the policy does not allow the caller; -EACCES: the caller may not talk to the agent; -ECONNREFUSED:
 * no agent runs; -EAGAIN: it is starting and knows no policies yet; -ETIMEDOUT; others.
 */
int berth_choose(struct berth *berth, int socket, const char *selector);
int berth_choose_policy(struct berth *berth, int socket, const char *policy);

/*
 * A slice of this server's, and its use. A port is in use towards a destination (address, port, protocol), and each
 * destination has the whole slice for itself: a slice is as full as it is towards the one that it is fullest towards.
 */
struct berth_slice {
	uint32_t address; /* egress address */
	uint32_t first; /* port */
	uint32_t count; /* of ports */
	uint32_t destinations; /* that have a connection */
	uint32_t fullest; /* ports in use towards the destination that has most of them */
	uint32_t reserved32;
	uint64_t connections; /* over all destinations */
	uint64_t reserved[4]; /* 0 */
};

/*
 * The slices of this server's policies, by address and port. The caller frees with free(). -EACCES, -ECONNREFUSED,
 * -ETIMEDOUT as above; others.
 */
int berth_slices(struct berth *berth, struct berth_slice **ret, size_t *count);

struct berth_policy {
	char name[128]; /* of `berth run` and its selector: "run:SELECTOR" */
	uint32_t slices; /* of this server */
	uint32_t ports; /* of these, towards each destination */
	uint32_t destinations; /* that have a connection from these ports, whoever's it is: policies may share slices */
	uint32_t fullest; /* ports in use towards the destination that has most of them */
	uint64_t connections; /* over all destinations */
	uint64_t fallbacks; /* ports given out so far of the policy's fallbacks */
	uint64_t reserved[4]; /* 0 */
};

/* The policies that this server has, and their use. As berth_slices(). */
int berth_policies(struct berth *berth, struct berth_policy **ret, size_t *count);

#define BERTH_HOLDERS_MAX 5

struct berth_holder {
	char name[16]; /* of the process, printable ASCII */
	uint32_t pid; /* 0: closed by its program, not over yet */
	uint32_t ports; /* towards the destination, from the policy's slices */
};

struct berth_refusal {
	char policy[128];
	char reason[32]; /* "refused_full": a name of docs/verdicts.md */
	char meaning[160]; /* "every port towards the destination is in use (EADDRNOTAVAIL)" */
	uint64_t count; /* how often the same was refused */
	int64_t first, last;
	uint32_t ports; /* of the policy's slices */
	uint32_t used; /* of them towards the destination, at the last time; 0: not looked at */
	uint32_t pid; /* of the process that was refused last, as the host numbers it */
	uint32_t holder_count;
	struct berth_holder holders[BERTH_HOLDERS_MAX]; /* with most ports towards it, when that was last looked up */
	uint64_t reserved[4]; /* 0 */
};

/*
 * Why was that refused? The newest refusal on this server towards a destination, an IPv4 or IPv6 address with its port:
 * call it right after connect(), bind() or sendto() has failed with EADDRNOTAVAIL, EADDRINUSE, EPERM or ENETUNREACH. (A
 * bind() is told of with the address that it asked for.) -ENOENT: Berth refused nothing there that is remembered, so
 * the reason is another; -EINVAL: no such address; others as berth_slices().
 */
int berth_why(struct berth *berth, const struct sockaddr *destination, socklen_t size, struct berth_refusal *ret);

#ifdef __cplusplus
}
#endif

#endif
