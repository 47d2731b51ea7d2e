/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: ports that are one socket's alone
 *
 * What connect() gives out is in use towards one destination. A program that binds before it connects, or never does,
 * needs a port that nobody else has towards any. So each port has a word that counts its connections: a claim turns a
 * 0 into USERS_CLAIMED, and whoever counts up and finds it claimed takes that back and tries another port.
 */
#ifndef BERTH_BPF_ALLOC_USES_H
#define BERTH_BPF_ALLOC_USES_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "../abi/allocator.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, USES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct uses_key);
	__type(value, struct port_uses);
} port_uses SEC(".maps");

struct avoid_ports avoid_ports SEC(".data.avoid_ports");

static __always_inline struct port_uses *uses_find(const struct uses_key *key)
{
	return bpf_map_lookup_elem(&port_uses, key);
}

static __always_inline struct uses_key uses_key_of(const struct ports_key *key)
{
	return (struct uses_key){.egress = key->egress, .proto = key->proto, .chunk = key->chunk};
}

/* Ports of a word of the chunk that connect() passes over. */
static __always_inline __u64 uses_closed(const struct port_uses *uses, __u32 proto, __u32 chunk, __u32 word)
{
	__u64 udp = -(__u64)(proto == IPPROTO_UDP);
	__u32 first = chunk % (65536 / PORTS_PER_CHUNK) * CHUNK_WORDS;

	word %= CHUNK_WORDS;
	/* The compiler would or the two numbers, of which kernels before 6.2 know no bounds afterwards. */
	barrier_var(first);
	return uses->claimed[word] | (avoid_ports.words[first + word] & udp);
}

/* One connection more on the port (host byte order); false: it is claimed. */
static __always_inline bool use_begin(struct port_uses *uses, __u32 port)
{
	__u32 *users = &uses->users[port % PORTS_PER_CHUNK];

	if (!(__sync_fetch_and_add(users, 1) & USERS_CLAIMED))
		return true;
	__sync_fetch_and_sub(users, 1);
	return false;
}

static __always_inline void use_end(struct port_uses *uses, __u32 port)
{
	__sync_fetch_and_sub(&uses->users[port % PORTS_PER_CHUNK], 1);
}

/* False: somebody uses the port. */
static __always_inline bool claim_begin(struct port_uses *uses, __u32 port)
{
	port %= PORTS_PER_CHUNK;
	if (__sync_val_compare_and_swap(&uses->users[port], 0, USERS_CLAIMED))
		return false;
	__sync_fetch_and_or(&uses->claimed[port / 64], 1ull << port % 64);
	return true;
}

/* What was claimed now has so many users: 0, or 1. */
static __always_inline void claim_end(struct port_uses *uses, __u32 port, __u32 users)
{
	port %= PORTS_PER_CHUNK;
	__sync_fetch_and_and(&uses->claimed[port / 64], ~(1ull << port % 64));
	__sync_fetch_and_add(&uses->users[port], users - USERS_CLAIMED);
}

/* Ports that one claim_run() looks at: all of them in one loop are more than the verifier walks through. */
#define CLAIM_RUN 64

/* A port of [from, end), from the start of the chunk, the first CLAIM_RUN of them, that nobody used, now claimed; or
   -ENOSPC. */
__noinline int claim_run(const struct uses_key *wanted, __u32 from, __u32 end)
{
	struct port_uses *uses;
	struct uses_key key;
	__u32 i;

	if (!wanted)
		return -EINVAL;
	key = *wanted;
	uses = uses_find(&key);
	if (!uses || end > PORTS_PER_CHUNK)
		return -ENOSPC;
#pragma clang loop unroll(disable)
	for (i = 0; i < CLAIM_RUN; i++) {
		__u32 port = from + i;

		if (port >= end)
			break;
		if (uses_closed(uses, key.proto, key.chunk, port / 64) >> port % 64 & 1)
			continue;
		if (claim_begin(uses, port))
			return port;
	}
	return -ENOSPC;
}

/* A port of [first, end), from the start of the chunk, that nobody used, now claimed; or -ENOSPC. It begins somewhere,
   and in the end looks once more at the run that it began in. */
__noinline int claim_any(const struct uses_key *wanted, __u32 first, __u32 end)
{
	__u32 from, span = end - first, i;
	struct uses_key key;
	int port;

	if (!wanted || first >= end || end > PORTS_PER_CHUNK)
		return -ENOSPC;
	key = *wanted;
	from = first + bpf_get_prandom_u32() % span;
#pragma clang loop unroll(disable)
	for (i = 0; i < PORTS_PER_CHUNK / CLAIM_RUN + 2; i++) {
		port = claim_run(&key, from, end);
		if (port >= 0)
			return port;
		from = from + CLAIM_RUN < end ? from + CLAIM_RUN : first;
	}
	return -ENOSPC;
}

/* Exactly this port, host byte order. 0, or -EADDRINUSE. */
__noinline int claim_one(const struct uses_key *wanted, __u32 port)
{
	struct port_uses *uses;
	struct uses_key key;

	if (!wanted)
		return -EINVAL;
	key = *wanted;
	uses = uses_find(&key);
	return uses && claim_begin(uses, port) ? 0 : -EADDRINUSE;
}

#endif
