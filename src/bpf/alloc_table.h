/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The maps of the table of ports in use, what is looked for in it, and what is kept beside the entries. */
#ifndef BERTH_BPF_ALLOC_TABLE_H
#define BERTH_BPF_ALLOC_TABLE_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "../abi/allocator.h"
#include "../abi/hash.h"

struct port_table port_table SEC(".data.port_table");
struct port_probes port_probes SEC(".data.port_probes"); /* alloc_probes.h */

/* The loader sets how many there are of these three. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DESTINATIONS_DEFAULT / DESTINATIONS_PER_BUCKET);
	__type(key, __u32);
	__type(value, struct port_bucket);
} port_buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, DESTINATIONS_DEFAULT / DESTINATIONS_PER_BITMAP);
	__type(key, __u32);
	__type(value, struct port_bitmap);
} port_bitmaps SEC(".maps");

/* Indexes of bitmaps that were in use; all their bits are 0. */
struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, DESTINATIONS_DEFAULT / DESTINATIONS_PER_BITMAP);
	__type(value, __u32);
} free_bitmaps SEC(".maps");

/* Entries that each policy has made, by slot. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POLICIES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} policy_entries SEC(".maps");

/* How often the queue of bitmaps is tried: on newer kernels its lock may be refused. */
#define PUSH_TRIES 4

/* An operation on one port of one key, or on any of a range. Ports are counted from the start of the chunk. */
struct port_seek {
	struct ports_key key;
	__u32 hash;
	__u32 home, bucket; /* indexes; where the key belongs, and where the next step looks */
	__u32 second; /* where the key goes when the home bucket is full */
	__u32 first, end, start; /* the range, and where in it the search begins; or just the port, in start */
	__u32 bitmap; /* 1 + index of the bitmap that the next step may use; 0: none */
	__u32 seen; /* likewise: the one that it would have needed */
	__u32 scratch;
	__u16 tag;
	__u16 slot; /* of the policy that makes an entry, or made the one that went */
	bool may_make; /* an entry, where there is none */
	bool fresh; /* `bitmap` is one that nobody uses */
	bool reserved; /* the home bucket's `overflow` counts us */
	bool made, gone; /* what became of the entry */
};

static __always_inline bool ports_key_equal(const struct ports_key *a, const struct ports_key *b)
{
	const __u32 *x = (const __u32 *)a, *y = (const __u32 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

static __always_inline __u32 ports_key_hash(const struct ports_key *key)
{
	const __u32 *x = (const __u32 *)key;

	return hash_mix(x[0] ^ hash_mix(x[1] ^ hash_mix(x[2] ^ port_table.seed)));
}

/* Those of a word of the chunk's ports that probes have towards the key, by the key's hash. */
static __always_inline __u64 *probe_word(__u32 hash, __u32 word)
{
	return &port_probes.words[(hash + word % CHUNK_WORDS) & (PROBE_WORDS - 1)];
}

static __always_inline void seek_begin(struct port_seek *seek, const struct ports_key *key)
{
	__u32 hash = ports_key_hash(key), buckets = port_table.buckets;

	seek->key = *key;
	seek->hash = hash;
	seek->home = (__u64)hash * buckets >> 32;
	seek->second = (__u64)hash_mix(hash ^ port_table.seed) * buckets >> 32;
	if (seek->second == seek->home)
		seek->second = seek->home + 1 < buckets ? seek->home + 1 : 0;
	seek->bucket = seek->home;
	seek->tag = (hash & 0xffff) + !(hash & 0xffff);
}

/*
 * The verifier knows nothing of a number that comes out of the caller's memory. Thus the many ways on which a loop
 * finds it become one again, and what follows is walked through once.
 */
static __always_inline __u32 forget(struct port_seek *seek, __u32 number)
{
	*(volatile __u32 *)&seek->scratch = number;
	return *(volatile __u32 *)&seek->scratch;
}

/* An entry in the second bucket went, or was not made there after all. */
__noinline int overflow_drop(__u32 home)
{
	struct port_bucket *bucket = bpf_map_lookup_elem(&port_buckets, &home);

	if (!bucket)
		return -EINVAL;
	bpf_spin_lock(&bucket->lock);
	if (bucket->overflow)
		bucket->overflow--;
	bpf_spin_unlock(&bucket->lock);
	return 0;
}

static __always_inline void policy_entries_add(__u32 slot, int more)
{
	__u32 *entries = bpf_map_lookup_elem(&policy_entries, &slot);

	if (entries)
		__sync_fetch_and_add(entries, more);
}

/* An index, or -ENOBUFS. */
static __always_inline int free_bitmap_get(void)
{
	__u32 index;

	if (!bpf_map_pop_elem(&free_bitmaps, &index))
		return index;
	if (*(volatile __u32 *)&port_table.fresh >= port_table.bitmaps)
		return -ENOBUFS;
	index = __sync_fetch_and_add(&port_table.fresh, 1);
	return index < port_table.bitmaps ? (int)index : -ENOBUFS;
}

static __always_inline void free_bitmap_put(__u32 index)
{
	int i;

#pragma clang loop unroll(disable)
	for (i = 0; i < PUSH_TRIES; i++)
		if (!bpf_map_push_elem(&free_bitmaps, &index, 0))
			return;
}

#endif
