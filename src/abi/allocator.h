/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: the allocator's tables
 *
 * A socket's policy is found at its creation, by the nearest ancestor cgroup that has an entry in `cgroup_policies`.
 * When the socket is bound, connected or sent from, a mark (SO_MARK) that has an entry in `mark_policies` counts for
 * more, and what was chosen for this one socket (`choices`) for more than that.
 * For every (egress address, 2,048 ports, protocol, destination) with a connection, a table (`port_buckets`) holds
 * which ports are in use towards that destination. What a socket holds stands in its own storage, so that it is given
 * back once.
 *
 * Ports are in host byte order unless the type says __be16.
 */
#ifndef BERTH_ABI_ALLOCATOR_H
#define BERTH_ABI_ALLOCATOR_H

#include <linux/bpf.h>
#include <linux/types.h>

#include "slice.h"
#include "takeover.h"

#define POLICIES_MAX 1024u
#define POLICY_SLICES_MAX 32u
#define CGROUP_POLICIES_MAX 16384u
#define CGROUP_PATH_MAX 256u
#define CGROUP_DEPTH_MAX 16u
#define EXCEPTS_MAX 16384u
#define SERVE_PORTS_MAX 4096u
#define DESTINATIONS_DEFAULT 65536u
#define DESTINATIONS_MIN 64u
#define DESTINATIONS_MAX (1u << 22)

/* Policy 0 is "none": a cgroup under it keeps the host's address. */
#define POLICY_NONE 0u

#define POLICY_SPREAD (1u << 0) /* a random slice each time; otherwise the destination picks it (sticky) */
#define POLICY_UNCONNECTED_OWN (1u << 1) /* unconnected UDP leaves from the host's own address, else EPERM */
#define POLICY_NETNS_HOST (1u << 2) /* sockets of other network namespaces are left alone, else EPERM */

/* What people call a policy: the fleet file's name; of `berth run` its selector, cut short when need be. */
#define POLICY_NAME_MAX 128u

struct policy_name {
	char text[POLICY_NAME_MAX]; /* ends in 0 */
};

#define POLICY_TIERS_MAX 8u

struct policy_slice {
	__be32 addr;
	__u32 first; /* first usable port, BERTH_PORT_FLOOR to 65,535 */
	__u16 count; /* usable ports, 1 to 32,768 */
	__u8 tier; /* below POLICY_TIERS_MAX; 0: of the policy's selector; n: of its n-th fallback */
	__u8 reserved;
};

struct policy {
	__u32 flags;
	__u32 slice_count; /* 0: everything judged is refused */
	__u16 mss; /* TCP maximum segment size, bytes, so that a wrapped reply fits the underlay */
	__u16 slot; /* below POLICIES_MAX, no other policy's: index of what it uses of the table */
	__u32 destinations; /* of the table's, at most; 0: as many as there are */
	/* In order of their tiers: one is searched when those before it are full towards the destination. */
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
 * The table of ports in use: buckets of WAYS entries in an array, found by a hash of the key. An entry with up to
 * WAY_PORTS ports holds them itself; one with more has a bitmap of its own, and as soon as WAY_PORTS_AGAIN are left it
 * holds them itself again. Everything about an entry, its bitmap too, happens under its bucket's lock.
 *
 * An entry whose home bucket was full lives in a second one. `overflow` of the home bucket counts those, and whoever is
 * on the way to make one: a key is put into its home bucket only while that is 0, and so never lives in both.
 */
#define WAYS 8u
#define WAY_PORTS 8u
#define WAY_PORTS_AGAIN 4u
/* So many destinations are half of what the buckets have room for. */
#define DESTINATIONS_PER_BUCKET (WAYS / 2)
#define DESTINATIONS_PER_BITMAP 16u

struct port_way {
	struct ports_key key;
	__u16 used; /* ports in use; at least 1 in an entry */
	__u16 slot; /* of the policy that made the entry */
	union {
		__u16 ports[WAY_PORTS]; /* the first `used` count; from the start of the chunk */
		__u32 bitmap; /* 1 + index into `port_bitmaps` */
	};
};

/* The lock and the tags, which tell where to look, lie in one cache line. */
struct port_bucket {
	struct bpf_spin_lock lock;
	__u32 overflow;
	__u16 tags[WAYS]; /* some bits of the key's hash; 0: no entry */
	__u8 has_bitmap; /* bit n: way n has one */
	__u8 reserved[7];
	struct port_way ways[WAYS];
};

_Static_assert(sizeof(struct port_way) == 32 && sizeof(struct port_bucket) == 288, "the same for every compiler");

struct port_bitmap {
	__u64 bits[CHUNK_WORDS]; /* bit n % 64 of word n / 64: port (chunk << CHUNK_SHIFT) + n is in use */
};

/*
 * Connections without an entry, for want of room: each has one bit of a set that all share, at a place that its key's
 * hash tells plus its port. Two that fall together keep each other off a port, never onto the same one.
 */
#define PROBE_WORDS (1u << 14)

/* Written once, before the programs are attached; but for the last two. */
struct port_table {
	__u32 seed; /* of the hash: destinations are chosen by strangers */
	__u32 buckets;
	__u32 bitmaps;
	__u32 fresh; /* bitmaps that were never in use begin here */
	__u32 probes; /* bits set in `port_probes` */
};

struct port_probes {
	__u64 words[PROBE_WORDS];
};

/*
 * Who uses the ports of a chunk of an egress address, whatever their destinations. A port that a program bound before
 * it connects is claimed: its socket's alone, towards every destination.
 */
struct uses_key {
	__be32 egress;
	__u8 proto;
	__u8 chunk;
	__u16 reserved; /* 0 */
};

#define USES_MAX 2048u /* of such chunks; the loader's user makes them, for the slices of each policy */
#define USERS_CLAIMED (1u << 31)

struct port_uses {
	__u64 claimed[CHUNK_WORDS]; /* as in struct port_bitmap: ports that are claimed */
	__u32 users[PORTS_PER_CHUNK]; /* connections that have the port; or USERS_CLAIMED */
};

/* Ports that are not given out for UDP, since networks drop what comes from them: bit n % 64 of word n / 64. */
struct avoid_ports {
	__u64 words[65536 / 64];
};

enum holding {
	HOLDS_NOTHING,
	HOLDS_ENTRY, /* a port in the table */
	HOLDS_PROBE, /* a bit in `port_probes` */
	HOLDS_CLAIM, /* a port towards everybody; of struct port_holder alone */
};

/*
 * One thing that a socket holds: how the agent's scrub and takeover talk with their programs. Of a claim the key has
 * egress address, protocol and chunk.
 */
struct port_holder {
	struct ports_key key;
	__u16 port; /* host byte order */
	__u16 holding; /* enum holding */
	__u32 probe; /* of HOLDS_PROBE: place of its bit, word * 64 + bit. Of one found in the set nothing else is known
		      */
	/* The rest is not known of what was found in the table. */
	__u32 policy;
	__u32 counted; /* 1: among the port's users */
};

/* What makes it the same thing. */
#define PORT_HOLDER_ID_SIZE (sizeof(struct ports_key) + 4)

/* What a socket holds; in socket storage. The same in every version (abi/takeover.h). */
struct socket_state {
	__u32 policy; /* recorded at creation */
	__u32 held; /* enum holding: what `port` under `key` is to this socket; taken back once, with an exchange */
	struct ports_key key;
	__u16 port;
	__u16 counted; /* 1: among the port's users */
	__u32 claims; /* 1: `claimed_port` is this socket's alone; taken back once, with an exchange */
	struct uses_key claim;
	__u16 claimed_port;
	__u8 foreign; /* 1: of another network namespace than the agent's, where egress addresses are not local */
	__u8 reserved[25];
};

_Static_assert(sizeof(struct socket_state) == SOCKET_STATE_SIZE, "the same for every version");

/*
 * What was chosen for a socket, by a program that has it. In storage of its own, which only the agent writes: a write
 * replaces all of it, while the programs change what the socket holds. The same in every version (abi/takeover.h).
 */
struct socket_choice {
	__u32 policy;
	__u32 reserved; /* 0 */
};

#endif
