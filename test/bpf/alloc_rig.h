/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the rig of the allocator's tests
 *
 * Each case runs in a child of its own: a fresh network namespace in which every address used is local to lo, a
 * cgroup of its own with the allocator attached, and under it the cgroup "app", which is under policy POLICY_ONE. The
 * child starts outside "app", where it opens what plays the origin, and enters it by rig_enter(). When a case returns,
 * all its sockets are closed and every port must have been given back.
 *
 * Addresses and ports are in host byte order.
 */
#ifndef BERTH_TEST_ALLOC_RIG_H
#define BERTH_TEST_ALLOC_RIG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../src/abi/allocator.h"
#include "../../src/abi/forwarder.h"
#include "../../src/abi/verdict.h"

#define EGRESS 0xcb007105u /* 203.0.113.5 */
#define ORIGIN 0xc6336407u /* 198.51.100.7 */
#define HOST_ADDR 0xc0000201u /* 192.0.2.1 */
#define ORIGIN_PORT 443u
#define POLICY_ONE 1u
#define RIG_MSS 1380

struct allocator;

#define RIG_LINKS_MAX 16

struct rig {
	struct allocator *skel;
	struct bpf_link *links[RIG_LINKS_MAX];
	size_t link_count;
	char top[256]; /* directory of the case's cgroup */
};

typedef void rig_case(struct rig *rig);

/* Ends the case when the condition does not hold. */
#define expect(condition) rig_expect(condition, #condition, __FILE__, __LINE__)
/* Ends the case when the two numbers differ, and says them. */
#define expect_equal(a, b) rig_expect_equal((long)(a), (long)(b), #a " == " #b, __FILE__, __LINE__)
void rig_expect(bool holds, const char *what, const char *file, int line);
void rig_expect_equal(long a, long b, const char *what, const char *file, int line);

/* cmocka's view of a case: the function is the test's initial state. */
void rig_test(void **state);
#define RIG_CASE(function) \
	{ \
		.name = #function, .test_func = rig_test, .initial_state = (void *)(function) \
	}
/* The same with a table for that many destinations. */
void rig_test_small(void **state);
#define RIG_TABLE 4096u
#define RIG_SMALL_TABLE 64u
#define RIG_CASE_SMALL(function) \
	{ \
		.name = #function, .test_func = rig_test_small, .initial_state = (void *)(function) \
	}

/* The rig's policy: one slice of EGRESS, nothing excepted. */
struct policy rig_policy(uint32_t first, uint32_t count);
void rig_policy_write(struct rig *rig, uint32_t id, const struct policy *policy);
void rig_policy_remove(struct rig *rig, uint32_t id);
/* Starts the case in "app", under rig_policy(first, count). */
void rig_begin(struct rig *rig, uint32_t first, uint32_t count);
void rig_except(struct rig *rig, uint32_t policy, uint32_t addr, unsigned len, bool leave);
/* addr: an IPv6 address as text. */
void rig_except6(struct rig *rig, uint32_t policy, const char *addr, unsigned len);
/* Sockets with that mark are under the policy. */
void rig_mark(struct rig *rig, uint32_t mark, uint32_t policy);
/* That socket is under the policy. */
void rig_choose(struct rig *rig, int fd, uint32_t policy);
void rig_serve(struct rig *rig, uint32_t policy, uint16_t port);

/* Cgroups are named from the case's own one on: "app", "app/inner"; "" is the case's own. */
void rig_cgroup_make(struct rig *rig, const char *name);
void rig_cgroup_remove(struct rig *rig, const char *name);
uint64_t rig_cgroup_id(struct rig *rig, const char *name);
void rig_cgroup_policy(struct rig *rig, const char *name, uint32_t policy);
/* -1: no entry. */
long rig_cgroup_policy_of(struct rig *rig, uint64_t cgroup);
void rig_cgroup_path(struct rig *rig, const char *name, uint32_t policy);
void rig_enter(struct rig *rig, const char *name);

/* fork(); the child dies with its parent. */
pid_t rig_child(void);

uint64_t rig_counter(struct rig *rig, enum verdict verdict);
struct port_table rig_table(struct rig *rig);
/* Ports in use in the table and beside it. */
unsigned rig_ports_used(struct rig *rig);
/* Makes the /24 of an address a pool of the fleet's, as the forwarder's tables have it. */
void rig_pool(struct rig *rig, uint32_t addr);
/* Of all chunks: ports that are claimed, and connections that are counted. Ends the case where these contradict. */
struct rig_uses {
	unsigned claimed, users;
};
struct rig_uses rig_uses(struct rig *rig);
/* A port that is not given out for UDP. */
void rig_avoid(struct rig *rig, uint16_t port);
/* Entries that live in their second bucket. */
unsigned rig_overflows(struct rig *rig);
/* Entries that the policy of a slot has made. */
unsigned rig_policy_entries(struct rig *rig, uint32_t slot);
/* How often the policy of a slot went beyond its first tier. */
uint64_t rig_policy_fallbacks(struct rig *rig, uint32_t slot);
/* Entries of the table. */
unsigned rig_ports_entries(struct rig *rig);
/* Waits until as many bits are set, for up to two seconds. */
void rig_ports_expect(struct rig *rig, unsigned used);

/* Runs a command, with printf's format; ends the case when it fails. */
__attribute__((format(printf, 1, 2))) void rig_shell(const char *format, ...);

/* Sockets. Those that open something end the case when they can't; connect and send return 0 or -errno. */
int tcp_socket(void);
int udp_socket(void);
void socket_mark(int fd, uint32_t mark);
int tcp_listen(uint32_t addr, uint16_t port);
int udp_bind(uint32_t addr, uint16_t port);
int inet_bind(int fd, uint32_t addr, uint16_t port);
int inet_connect(int fd, uint32_t addr, uint16_t port);
/* The IPv6 socket's connect to ::ffff:addr. */
int mapped_connect(int fd, uint32_t addr, uint16_t port);
int inet_sendto(int fd, uint32_t addr, uint16_t port);
uint16_t local_port(int fd);
uint32_t local_addr(int fd);
/* A connection that is there, or ends the case. */
int tcp_opened(uint32_t addr, uint16_t port);
int udp_opened(uint32_t addr, uint16_t port);
/* Closes with a reset, so that nothing of the connection lingers. */
void hang_up(int fd);

#endif
