/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: the allocator's tables
 *
 * A socket's policy is found at its creation, by the nearest ancestor cgroup that has an entry in `cgroup_policies`.
 * For every (egress address, 2,048 ports, protocol, destination) with a connection, `ports` holds which ports are in
 * use towards that destination. What a socket holds stands in its own storage, so that it is given back once.
 *
 * Ports are in host byte order unless the type says __be16.
 */
#ifndef BERTH_ABI_ALLOCATOR_H
#define BERTH_ABI_ALLOCATOR_H

#include <linux/bpf.h>
#include <linux/types.h>

#include "slice.h"

#define POLICIES_MAX 1024u
#define POLICY_SLICES_MAX 32u
#define CGROUP_POLICIES_MAX 16384u
#define CGROUP_PATH_MAX 256u
#define CGROUP_DEPTH_MAX 16u
#define EXCEPTS_MAX 16384u
#define SERVE_PORTS_MAX 4096u
#define DESTINATIONS_DEFAULT 16384u
/* Entries of `ports` without a connection that are kept for the next one; the oldest goes first. */
#define EMPTIED_MAX 4096u

/* Policy 0 is "none": a cgroup under it keeps the host's address. */
#define POLICY_NONE 0u

#define POLICY_SPREAD (1u << 0) /* a random slice each time; otherwise the destination picks it (sticky) */
#define POLICY_UNCONNECTED_OWN (1u << 1) /* unconnected UDP leaves from the host's own address, else EPERM */

/* What people call a policy: the fleet file's name; of `berth run` its selector, cut short when need be. */
#define POLICY_NAME_MAX 128u

struct policy_name {
	char text[POLICY_NAME_MAX]; /* ends in 0 */
};

struct policy_slice {
	__be32 addr;
	__u32 first; /* first usable port, BERTH_PORT_FLOOR to 65,535 */
	__u32 count; /* usable ports, 1 to 32,768 */
};

struct policy {
	__u32 flags;
	__u32 slice_count; /* 0: everything judged is refused */
	__u16 mss; /* TCP maximum segment size, bytes, so that a wrapped reply fits the underlay */
	__u16 reserved;
	struct policy_slice slices[POLICY_SLICES_MAX];
};

/* Key of the path map that cgroup_mkdir looks a new cgroup up in: path in the hierarchy, padded with at least one 0. */
struct cgroup_path {
	char path[CGROUP_PATH_MAX];
};

/* Key of the longest-prefix map of excepted destinations. IPv4 is written as ::ffff:a.b.c.d. The value is a __u32:
   1: left alone; 0: judged, a hole in a shorter prefix. */
struct except_key {
	__u32 prefix_len; /* bits of what follows: 32 for the policy, then the address's */
	__u32 policy;
	__u8 addr[16];
};

/* A UDP port below BERTH_PORT_FLOOR always serves; these do beside. The value is a __u32 that nobody reads. */
struct serve_key {
	__u32 policy;
	__u32 port;
};

/* A run of PORTS_PER_CHUNK ports of one egress address, towards one destination. */
#define CHUNK_SHIFT 11u
#define PORTS_PER_CHUNK (1u << CHUNK_SHIFT)
#define CHUNK_WORDS (PORTS_PER_CHUNK / 64)

struct ports_key {
	__be32 egress;
	__be32 dest;
	__be16 dest_port;
	__u8 proto; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 chunk; /* port >> CHUNK_SHIFT: 1 to 31 */
};

_Static_assert(sizeof(struct ports_key) == 12, "no padding in a hashed key");

/*
 * Value of `ports`. A preallocated element is used again as soon as it is deleted, while somebody may still hold the
 * pointer. Hence whoever has taken the lock looks at `state` first and at `key` then, and looks the key up again when
 * either is not what it should be. The kernel copies a new value around the lock, so `state`, behind it, comes last.
 * Entries with connections must never be deleted or overwritten from outside.
 */
enum ports_life {
	PORTS_DEAD, /* being deleted, or deleted */
	PORTS_LIVE,
};

struct ports {
	struct ports_key key;
	__u16 used; /* bits set */
	__u16 queued; /* 1: the key stands in `emptied` */
	__u64 bits[CHUNK_WORDS]; /* bit n % 64 of word n / 64: port (chunk << CHUNK_SHIFT) + n is in use */
	struct bpf_spin_lock lock;
	__u32 state; /* enum ports_life */
};

_Static_assert(sizeof(struct ports) == 280, "the same for every compiler");

/* What a socket holds; in socket storage. */
struct socket_state {
	__u32 policy; /* recorded at creation */
	__u32 held; /* 1: the bit of `port` under `key` is this socket's; taken back once, with an exchange */
	struct ports_key key;
	__u16 port;
	__u16 reserved;
};

#endif
