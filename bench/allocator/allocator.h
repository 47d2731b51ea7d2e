/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the allocator's suite
 *
 * Each part loads the allocator and works in a network namespace of its own. Under the suite's cgroup, where the
 * allocator is attached, "app" is under a policy with one slice and the exceptions of a small fleet, "host" is under
 * none. A reference's rounds run with nothing attached.
 *
 * Addresses and ports are in host byte order.
 */
#ifndef BERTH_BENCH_ALLOCATOR_H
#define BERTH_BENCH_ALLOCATOR_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../src/abi/allocator.h"
#include "../random.h"
#include "../suite.h"

#define EGRESS 0xcb007105u /* 203.0.113.5 */
/* Within the kernel's default ephemeral range: IP_LOCAL_PORT_RANGE ignores a range outside it. */
#define SLICE_FIRST 40960u
#define SLICE_PORTS 2048u
#define ORIGIN_NET 0xc6336400u /* 198.51.100.0: .1 to .127 answer */
#define ORIGIN_DROPPED 0xc6336487u /* 198.51.100.135: nothing gets there */
#define ORIGIN_PORT 443u

#define RANGE_NAME "setsockopt + bind + connect, IP_LOCAL_PORT_RANGE"
#define EXPLICIT_NAME "setsockopt + bind + connect, a port known to be free"
#define NO_HOOKS_NAME "no hooks attached"

struct allocator;

struct rig_size {
	uint32_t table; /* entries of `ports`; 0: the default */
	uint32_t slice_ports; /* 1 to 2,048 */
	uint32_t slices; /* of the policy, one an address from EGRESS on; 0: one */
};

/* The loaded allocator. */
struct rig {
	struct allocator *skel;
	struct bpf_link *links[32];
	size_t link_count;
	struct rig_size size;
	char top[PATH_MAX], app[PATH_MAX], host[PATH_MAX]; /* cgroups */
};

/* In a new network namespace. */
int rig_up(struct rig *rig, struct bench *bench, struct rig_size size, char **why);
/* A rig that is up, half up or all zeros. The caller is in the suite's cgroup afterwards. */
void rig_down(struct rig *rig);
/* Does nothing when that is how it stands. */
int rig_attach(struct rig *rig, char **why);
void rig_detach(struct rig *rig);
/* Attached and in "app" for OURS, detached for REFERENCE. */
int rig_take_side(struct rig *rig, enum side side, char **why);
int rig_enter(const char *cgroup, char **why);
/* Ports in use in all entries. */
uint64_t rig_ports_used(const struct rig *rig);
/* Of those: connections that the table has no room for. */
uint64_t rig_probes(const struct rig *rig);
/* The same, after up to two seconds for what still closes. */
uint64_t rig_ports_leaked(const struct rig *rig);
/* Bytes of all the allocator's maps, by the kernel's count. */
uint64_t rig_memory(const struct rig *rig);

/* Empty programs in the places of those that a connect() comes by. All zeros: none are attached. */
#define EMPTY_HOOKS 3
struct empty {
	int links[EMPTY_HOOKS];
	size_t count;
};
/* Does nothing when they are. */
int empty_attach(struct empty *empty, const struct rig *rig, char **why);
void empty_detach(struct empty *empty);

/* A destination, and for the explicit way the port to leave from. */
struct aim {
	uint32_t addr;
	uint16_t port;
	uint16_t source;
};

/* A way to open a connection on a new socket. 0, also when a non-blocking connection is on its way; -errno. */
typedef int opener(int fd, const struct aim *aim);
int open_plain(int fd, const struct aim *aim);
int open_range(int fd, const struct aim *aim);
int open_explicit(int fd, const struct aim *aim);
/* Where the socket leaves from. */
int source_of(int fd, uint32_t *addr, uint16_t *port);
/* Whether that is the policy's slice, where it has one. */
bool source_is_own(const struct rig *rig, uint32_t addr, uint16_t port);

/*
 * The other end of loads: two processes outside the policy that accept on ORIGIN_PORTS ports of all addresses from
 * ORIGIN_PORT_FIRST on, and close when their peer does.
 */
#define ORIGIN_PORT_FIRST 8000u
#define ORIGIN_PORTS 10u
#define ORIGIN_PROCESSES 2u
struct origin {
	pid_t processes[ORIGIN_PROCESSES];
};
int origin_up(struct origin *origin, char **why);
void origin_down(struct origin *origin);

int part_connect_1t(struct bench *bench, char **why);
int part_connect_2t(struct bench *bench, char **why);
int part_connect_explicit(struct bench *bench, char **why);
int part_connect_no_policy(struct bench *bench, char **why);
int part_connect_empty_hooks(struct bench *bench, char **why);
int part_life(struct bench *bench, char **why);
int part_udp(struct bench *bench, char **why);
int part_churn(struct bench *bench, char **why);
int part_soak(struct bench *bench, char **why);
int part_memory(struct bench *bench, char **why);

#endif
