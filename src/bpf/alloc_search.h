/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: the search for a port
 *
 * Goes through the slices of a policy, and through the chunks of each, takes a free port in one, and binds the socket
 * to it. A slice is left when it is full towards the destination or cannot be bound at all; a port that another socket
 * has is given back, and another one tried.
 *
 * The loop's state is a struct behind a pointer, and each step a global function, so that the verifier reads a step
 * once instead of once for every round.
 */
#ifndef BERTH_BPF_ALLOC_SEARCH_H
#define BERTH_BPF_ALLOC_SEARCH_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <stdbool.h>

#include <asm/socket.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../abi/allocator.h"
#include "../abi/hash.h"
#include "alloc_policy.h"
#include "alloc_ports.h"
#include "alloc_probes.h"
#include "alloc_socket.h"
#include "counters.h"

#define SEARCH_TRIES 32
/* Of ports that the table may offer although they are closed or probed: so many, before one is looked for beside it. */
#define OFFERS 4
/* The largest slice lies in 16 chunks. */
#define SEARCH_STEPS (POLICY_SLICES_MAX * (32768u / PORTS_PER_CHUNK) + SEARCH_TRIES)

struct search {
	struct port_wish wish; /* key: the destination; egress address, chunk and ports are those of the step */
	__u32 policy;
	__u8 holding; /* enum holding: what a port that was found is */
	bool counted; /* it is among the port's users */
	bool own; /* the port is the socket's own, which has claimed it */
	__u8 tier; /* that is searched */
	__u32 slice_first; /* index of the tier's first slice */
	__u32 slice_count; /* of the tier; 0: the policy has none, or no further ones */
	__u32 slice_start; /* which of the tier's slices to begin with: 0 to slice_count - 1 */
	__u32 slice_seen; /* slices of the tier done with */
	__u32 chunk_random; /* decides which chunk of the slice to begin with */
	__u32 chunks; /* that the slice lies in */
	__u32 chunk_seen; /* those of them done with */
	__u32 used; /* ports in use towards the destination in what was seen so far */
	__u32 busy; /* ports that turned out to be somebody else's */
	__u32 tries; /* steps that led nowhere */
	__s32 refused; /* 0, or -errno of what failed for a reason other than a port in use */
};

struct tcp_timewait_sock {
	int tw_ts_recent_stamp;
} __attribute__((preserve_access_index));

/*
 * Same destination, same address, also when slices come and go beside it: the slice whose address has the highest
 * hash together with the destination's address (rendezvous hashing); of several slices of one address the first.
 * Counts the slices of the tier that begins at slice_first as well.
 */
static __always_inline __u32 tier_sticky(struct search *search, const struct policy *policy, __u32 first)
{
	__u32 salt = hash_mix(search->wish.key.dest ^ hash_mix(search->policy));
	__u32 i, count = 0;
	__s64 best = 0;

	for (i = 0; i < POLICY_SLICES_MAX && i < policy->slice_count; i++) {
		__u32 rank = hash_mix(salt ^ hash_mix(policy->slices[i].addr));
		/* All ones when the slice is of the tier, else 0. Arithmetic instead of branches: each would double
		   what the verifier has to follow. */
		__s64 apart = policy->slices[i].tier ^ search->tier;
		__s64 within = ~(((__s64)i - first) >> 63) & (apart - 1) >> 63;
		__s64 more = (__s64)((rank & ~(POLICY_SLICES_MAX - 1)) | (POLICY_SLICES_MAX - 1 - i)) - best;

		count -= within;
		best += more & ~(more >> 63) & within; /* the maximum, without a branch */
	}
	search->slice_count = count;
	return POLICY_SLICES_MAX - 1 - (best & (POLICY_SLICES_MAX - 1)) - first;
}

/* Begins with the tier of the slice at slice_first. The policy's number, and of the wish all but what is the step's,
   are set. */
__noinline int search_begin(struct search *search, const struct policy *policy)
{
	__u32 first, sticky;

	if (!search || !policy)
		return -EINVAL;
	first = search->slice_first;
	search->slice_seen = 0;
	search->slice_count = 0;
	search->chunk_random = bpf_get_prandom_u32();
	if (first >= POLICY_SLICES_MAX || first >= policy->slice_count)
		return 0;
	search->tier = policy->slices[first].tier;
	sticky = tier_sticky(search, policy, first);
	if (search->slice_count)
		search->slice_start =
			policy->flags & POLICY_SPREAD ? bpf_get_prandom_u32() % search->slice_count : sticky;
	return 0;
}

/* False: there is no further tier. */
static __always_inline bool search_next_tier(struct search *search, const struct policy *policy)
{
	search->slice_first += search->slice_count;
	return !search_begin(search, policy) && search->slice_count;
}

/* The search found a port; when it is one of a fallback's, that is counted. */
static __always_inline void fallback_count(const struct search *search)
{
	__u32 slot = search->wish.slot;
	__u64 *uses;

	if (!search->tier)
		return;
	count(VERDICT_FALLBACK);
	uses = bpf_map_lookup_elem(&policy_fallbacks, &slot);
	if (uses)
		__sync_fetch_and_add(uses, 1);
}

/* Sets egress address, chunk, first and end of the step. -ENOSPC: every slice of the tier was seen; -ESTALE: the policy
   was replaced. */
__noinline int search_aim(struct search *search, const struct policy *policy)
{
	struct policy_slice slice;
	__u32 index, chunk;

	if (!search || !policy || search->slice_seen >= search->slice_count)
		return -ENOSPC;
	index = search->slice_start + search->slice_seen;
	if (index >= search->slice_count)
		index -= search->slice_count;
	index += search->slice_first;
	if (index >= POLICY_SLICES_MAX || index >= policy->slice_count)
		return -ENOSPC;
	slice = policy->slices[index];
	if (!policy_is_current(policy, search->policy))
		return -ESTALE;
	if (!slice.first || !slice.count) /* would turn the arithmetic below around */
		return -ENOSPC;
	chunk = slice.first >> CHUNK_SHIFT;
	search->chunks = ((slice.first + slice.count - 1) >> CHUNK_SHIFT) - chunk + 1;
	chunk += (search->chunk_random % search->chunks + search->chunk_seen) % search->chunks;

	search->wish.key.egress = slice.addr;
	search->wish.key.chunk = chunk;
	search->wish.first = chunk << CHUNK_SHIFT;
	search->wish.end = search->wish.first + PORTS_PER_CHUNK;
	if (search->wish.first < slice.first)
		search->wish.first = slice.first;
	if (search->wish.end > slice.first + slice.count)
		search->wish.end = slice.first + slice.count;
	return 0;
}

/* Gives back what port_take() found. */
static __always_inline void port_give(const struct search *search, __u32 port)
{
	if (search->holding == HOLDS_PROBE)
		probe_give(&search->wish.key, port);
	else
		ports_give(&search->wish.key, port);
	if (search->counted)
		port_uncount(&search->wish.key, port);
}

/* Of a chunk that nobody has made uses for, and for whoever has claimed the port himself: nothing is claimed in it. */
static struct port_uses no_uses;

static __always_inline bool port_is_closed(const struct search *search, const struct port_uses *uses, __u32 port)
{
	return uses_closed(uses, search->wish.key.proto, search->wish.key.chunk, port / 64) >> port % 64 & 1;
}

/* Takes one in the table, or beside it, where that has no room, or offers nothing but what is closed or probed. */
static __always_inline int port_find(struct search *search, const struct port_uses *uses)
{
	const struct port_wish *wish = &search->wish;
	int port = -ENOBUFS, i;

	search->holding = HOLDS_ENTRY;
	for (i = 0; i < OFFERS; i++) {
		port = ports_take(wish, uses);
		if (port < 0 || (!probe_has(&wish->key, port) && !port_is_closed(search, uses, port)))
			break;
		ports_give(&wish->key, port);
		port = -ENOBUFS;
	}
	if (port != -ENOBUFS)
		return port;
	search->holding = HOLDS_PROBE;
	port = probe_take(&wish->key, wish->first, wish->end, uses);
	if (port >= 0)
		count(VERDICT_PORT_PROBED);
	return port;
}

/* Takes a port as wished. -ENOSPC: there is none; -EAGAIN; -EADDRINUSE: somebody else was first. */
static __always_inline int port_take(struct search *search)
{
	struct uses_key chunk = uses_key_of(&search->wish.key);
	struct port_uses *uses = uses_find(&chunk);
	int port = port_find(search, uses && !search->own ? uses : &no_uses);

	search->counted = uses && !search->own;
	if (port < 0 || !search->counted || use_begin(uses, port))
		return port;
	search->counted = false;
	port_give(search, port);
	return -EADDRINUSE;
}

/*
 * True when a socket that is none of ours is in the way. The kernel lets a connection follow one in TIME_WAIT that had
 * timestamps, and refuses it without: too late for another try, so it is found out here. UDP sockets of others, bound
 * with SO_REUSEADDR, would not stop ours, but share its datagrams.
 */
static __always_inline bool port_is_foreign(struct bpf_sock_addr *ctx, const struct ports_key *key, __u32 port)
{
	/* As the answer will come in. */
	struct bpf_sock_tuple tuple = {.ipv4 = {
					       .saddr = key->dest,
					       .daddr = key->egress,
					       .sport = key->dest_port,
					       .dport = bpf_htons(port),
				       }};
	struct tcp_timewait_sock *waiting;
	struct bpf_sock *sk;
	bool foreign = true;

	if (key->proto == IPPROTO_UDP) {
		sk = bpf_sk_lookup_udp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
		if (!sk)
			return false;
		bpf_sk_release(sk);
		return true;
	}
	sk = bpf_skc_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!sk)
		return false;
	waiting = (struct tcp_timewait_sock *)bpf_skc_to_tcp_timewait_sock(sk);
	if (waiting)
		foreign = !waiting->tw_ts_recent_stamp;
	bpf_sk_release(sk);
	return foreign;
}

/* Binds to the key's egress address. 0; -EADDRINUSE: the port is somebody else's; what bind() gave. */
__noinline int port_bind(struct bpf_sock_addr *ctx, const struct ports_key *wanted, __u32 port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = bpf_htons(port)};
	struct ports_key key;
	int one = 1;

	if (!wanted)
		return -EINVAL;
	key = *wanted;
	if (port_is_foreign(ctx, &key, port))
		return -EADDRINUSE;
	/* One port for many destinations; it cannot be put back afterwards. */
	bpf_setsockopt(ctx, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	sin.sin_addr.s_addr = key.egress;
	return bpf_bind(ctx, (struct sockaddr *)&sin, sizeof(sin));
}

static __always_inline void search_next_slice(struct search *search)
{
	search->chunk_seen = 0;
	search->slice_seen++;
}

/* What the outcome of a step means for the next one. False: no further step. */
static __always_inline bool search_goes_on(struct search *search, const struct policy *policy, int outcome)
{
	switch (outcome) {
	case -EADDRINUSE:
		count(VERDICT_PORT_BUSY);
		search->busy++;
		/* fallthrough */
	case -ESTALE:
	case -EAGAIN:
		if (++search->tries < SEARCH_TRIES)
			return true;
		search->used += ports_count(&search->wish.key, search->wish.first, search->wish.end);
		return false;
	case -ENOSPC:
		if (++search->chunk_seen >= search->chunks)
			search_next_slice(search);
		break;
	default: /* the egress address is not to be had here, nor are the slice's other chunks */
		search->refused = outcome;
		search_next_slice(search);
	}
	return search->slice_seen < search->slice_count || search_next_tier(search, policy);
}

/* One try in one chunk. A port, bound to the socket, with the key of its entry in *search; -EAGAIN: another step;
   -EADDRNOTAVAIL: none is to be had. */
__noinline int search_step(struct bpf_sock_addr *ctx, struct search *search, const struct policy *policy)
{
	int port, err;

	if (!search || !policy)
		return -EINVAL;
	err = search_aim(search, policy);
	if (!err) {
		port = port_take(search);
		if (port == -ENOSPC)
			search->used += search->wish.end - search->wish.first;
		err = port < 0 ? port : port_bind(ctx, &search->wish.key, port);
		if (!err)
			return port;
		if (port >= 0)
			port_give(search, port);
	}
	return search_goes_on(search, policy, err) ? -EAGAIN : -EADDRNOTAVAIL;
}

/* As search_step(), never -EAGAIN. */
static __always_inline int search_run(struct bpf_sock_addr *ctx, struct search *search, const struct policy *policy)
{
	__u32 step;
	int port;

	for (step = 0; step < SEARCH_STEPS; step++) {
		port = search_step(ctx, search, policy);
		if (port != -EAGAIN)
			return port;
		policy = policy_find(search->policy); /* it may have been replaced */
		if (!policy)
			break;
	}
	return -EADDRNOTAVAIL;
}

#endif
