/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: ports in use
 *
 * The table that abi/allocator.h describes: which ports are in use towards a destination, in 32 bytes for up to eight
 * of them and in a bitmap beside for more. Taking and giving cost the same in an empty and in a full entry.
 *
 * A table of our own, because the kernel's hash takes 80 bytes for each element before anything is in it, and uses an
 * element again while a program on another CPU may still hold its pointer. Here everything happens under the lock of a
 * bucket, and what was looked up before is looked at again under it.
 *
 * No helper may be called under a lock. So an operation goes in steps, each of which takes one lock once, and says what
 * it lacks: the second bucket, or a bitmap, whose address has to be asked for beforehand. The steps are global
 * functions, which the verifier reads once, by themselves. Their loops stay loops: unrolled, they take more stack than
 * there is for all functions together.
 */
#ifndef BERTH_BPF_ALLOC_PORTS_H
#define BERTH_BPF_ALLOC_PORTS_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "../abi/allocator.h"
#include "../abi/hash.h"
#include "alloc_bits.h"
#include "alloc_uses.h"

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

/* Buckets, bitmaps that came and went meanwhile: more steps than that mean that others are at it all the time. */
#define STEPS_MAX 8
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
	__u64 closed_too; /* all ones: ports that are claimed or avoided may be taken as well */
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

/* Index of the key's entry, or WAYS. */
static __always_inline __u32 way_find(const struct port_bucket *bucket, struct port_seek *seek)
{
	__u32 i;

#pragma clang loop unroll(disable)
	for (i = 0; i < WAYS; i++)
		if (bucket->tags[i] == seek->tag && ports_key_equal(&bucket->ways[i].key, &seek->key))
			break;
	return forget(seek, i);
}

static __always_inline __u32 way_empty(const struct port_bucket *bucket, struct port_seek *seek)
{
	__u32 i;

#pragma clang loop unroll(disable)
	for (i = 0; i < WAYS; i++)
		if (!bucket->tags[i])
			break;
	return forget(seek, i);
}

/* The entry of an index, which the mask keeps inside for the verifier. */
static __always_inline struct port_way *way_at(struct port_bucket *bucket, __u32 i)
{
	return &bucket->ways[i & (WAYS - 1)];
}

static __always_inline bool way_has_bitmap(const struct port_bucket *bucket, __u32 i)
{
	return bucket->has_bitmap >> (i & (WAYS - 1)) & 1;
}

/*
 * The key is not in the bucket. -ENOENT: it may be in the second one, or is to go there; -ENOBUFS: there is no room for
 * it, or it may not be made.
 */
static __always_inline int way_make(struct port_bucket *bucket, struct port_seek *seek)
{
	bool home = seek->bucket == seek->home;
	__u32 i = way_empty(bucket, seek);
	struct port_way *way = way_at(bucket, i);

	if (!seek->may_make)
		return home && bucket->overflow ? -ENOENT : -ENOBUFS;
	if (home && (i == WAYS || bucket->overflow)) {
		bucket->overflow++;
		seek->reserved = true;
		return -ENOENT;
	}
	if (i == WAYS)
		return -ENOBUFS;
	way->key = seek->key;
	way->used = 1;
	way->slot = seek->slot;
	way->ports[0] = seek->start;
	bucket->tags[i & (WAYS - 1)] = seek->tag;
	bucket->has_bitmap &= ~(1u << (i & (WAYS - 1)));
	seek->made = true;
	return seek->start;
}

/* A clear bit in [first, end) of an open port, looked for from `start` on and around, now set; or -ENOSPC. */
static __always_inline int bitmap_take(struct port_bitmap *bitmap, const struct port_seek *seek,
				       const struct port_uses *uses)
{
	__u32 first = seek->first, end = seek->end, start = seek->start, i;

	/* The word of `start` comes first, with the bits from there on, and once more at the end, with those below. */
#pragma clang loop unroll(disable)
	for (i = 0; i <= CHUNK_WORDS; i++) {
		__u32 word = (start / 64 + i) % CHUNK_WORDS;
		__u64 clear = ~(bitmap->bits[word] | *(volatile __u64 *)probe_word(seek->hash, word));

		clear &= word_range(word, first, end);
		clear &= ~uses_closed(uses, seek->key.proto, seek->key.chunk, word) | seek->closed_too;
		if (i == 0)
			clear &= bits_from(start % 64);
		if (clear) {
			bitmap->bits[word] |= clear & -clear;
			return word * 64 + lowest_bit(clear);
		}
	}
	return -ENOSPC;
}

/*
 * A port of the range that is none of the entry's, or -ENOSPC. An entry has at most WAY_PORTS, so of the first
 * WAY_PORTS + 1 ports from `start` on and around one is free, unless the range ends before.
 */
static __always_inline int way_choose(const struct port_way *way, const struct port_seek *seek)
{
	__s32 first = seek->first, end = seek->end, start = seek->start, span = end - first, i;
	__u32 most = span < (__s32)WAY_PORTS + 1 ? span : WAY_PORTS + 1, free;
	__u64 taken = bits_from(most);

#pragma clang loop unroll(disable)
	for (i = 0; i < (__s32)WAY_PORTS; i++) {
		__s32 port = way->ports[i];
		__s32 offset = port - start + ((port - start) >> 31 & span);
		/* One of these is negative where the port is not the entry's, not in the range or far away. */
		__s32 apart = (way->used - 1 - i) | (port - first) | (end - 1 - port) | ((__s32)most - 1 - offset);

		taken |= (__u64)none_negative(apart) << (offset & 63);
	}
	if (!~taken)
		return -ENOSPC;
	free = start + lowest_bit(~taken);
	return free < seek->end ? free : free - span;
}

/* From now on the entry has the bitmap, into which its ports go. */
static __always_inline void way_grow(struct port_bucket *bucket, __u32 i, struct port_bitmap *bitmap, __u32 number)
{
	struct port_way *way = way_at(bucket, i);
	__u32 n;

#pragma clang loop unroll(disable)
	for (n = 0; n < WAY_PORTS; n++)
		bitmap->bits[way->ports[n] / 64 % CHUNK_WORDS] |= 1ull << way->ports[n] % 64;
	way->bitmap = number;
	bucket->has_bitmap |= 1u << (i & (WAYS - 1));
}

static __always_inline int way_take(struct port_bucket *bucket, __u32 i, struct port_seek *seek,
				    struct port_bitmap *bitmap)
{
	struct port_way *way = way_at(bucket, i);
	int port = forget(seek, way_choose(way, seek));

	if (port < 0)
		return port;
	if (way->used < WAY_PORTS) {
		way->ports[way->used++ & (WAY_PORTS - 1)] = port;
		return port;
	}
	if (!bitmap || !seek->fresh)
		return -E2BIG;
	way_grow(bucket, i, bitmap, seek->bitmap);
	seek->fresh = false;
	bitmap->bits[port / 64 % CHUNK_WORDS] |= 1ull << port % 64;
	way->used++;
	return port;
}

/*
 * Takes a port in the seek's bucket. A port, from the start of the chunk, or: -ENOENT: go on in the second bucket;
 * -E2BIG: with a fresh bitmap; -EAGAIN: with the bitmap `seen`. The end: -ENOSPC: none is free; -ENOBUFS: no room.
 */
__noinline int port_take_step(struct port_seek *seek, const struct port_uses *uses)
{
	struct port_bitmap *bitmap = NULL;
	struct port_bucket *bucket;
	struct port_way *way;
	__u32 index, i;
	int ret;

	if (!seek || !uses)
		return -EINVAL;
	index = seek->bitmap - 1;
	if (seek->bitmap)
		bitmap = bpf_map_lookup_elem(&port_bitmaps, &index);
	index = seek->bucket;
	bucket = bpf_map_lookup_elem(&port_buckets, &index);
	if (!bucket)
		return -ENOBUFS;

	bpf_spin_lock(&bucket->lock);
	i = way_find(bucket, seek);
	way = way_at(bucket, i);
	if (i == WAYS) {
		ret = way_make(bucket, seek);
	} else if (!way_has_bitmap(bucket, i)) {
		ret = way_take(bucket, i, seek, bitmap);
	} else if (!bitmap || way->bitmap != seek->bitmap) {
		seek->seen = way->bitmap;
		ret = -EAGAIN;
	} else {
		ret = bitmap_take(bitmap, seek, uses);
		if (ret >= 0)
			way->used++;
	}
	bpf_spin_unlock(&bucket->lock);
	return ret;
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

/* Prepares the next step after one that lacked something. False: it cannot be had. */
static __always_inline bool seek_go_on(struct port_seek *seek, int lacking)
{
	int index;

	switch (lacking) {
	case -ENOENT:
		seek->bucket = seek->second;
		return true;
	case -E2BIG:
		index = free_bitmap_get();
		seek->bitmap = index + 1;
		seek->fresh = index >= 0;
		return seek->fresh;
	default:
		if (seek->fresh) /* somebody else was first */
			free_bitmap_put(seek->bitmap - 1);
		seek->fresh = false;
		seek->bitmap = seek->seen;
		return true;
	}
}

/* What is asked of the table. */
struct port_wish {
	struct ports_key key;
	__u32 first, end; /* ports, host byte order, in the key's chunk: [first, end) */
	__u32 slot, destinations; /* of the policy */
	bool closed_too; /* the port is the socket's own already: claimed by itself */
};

/*
 * A port that was free towards the key's destination, now in use. Where the key has no entry, the policy makes one, as
 * long as it has fewer than `destinations` (0: no limit). An entry without bitmap gives out ports that are claimed,
 * avoided or probed as well: the caller looks. uses: of the key's chunk. -ENOSPC: none is free; -ENOBUFS: no room for
 * an entry, or for more ports in one; -EAGAIN.
 */
__noinline int ports_take(const struct port_wish *wish, const struct port_uses *uses)
{
	__u32 *entries, first, end, slot, base, step;
	struct port_seek seek = {};
	struct ports_key key;
	int ret = -EAGAIN;

	if (!wish || !uses)
		return -EINVAL;
	key = wish->key;
	first = wish->first;
	end = wish->end;
	slot = wish->slot;
	seek.slot = slot;
	seek.closed_too = -(__u64)wish->closed_too;
	base = (__u32)key.chunk << CHUNK_SHIFT;
	first -= base;
	end -= base;
	if (first >= end || end > PORTS_PER_CHUNK)
		return -EINVAL;
	entries = bpf_map_lookup_elem(&policy_entries, &slot);
	seek_begin(&seek, &key);
	seek.first = first;
	seek.end = end;
	seek.start = first + bpf_get_prandom_u32() % (end - first);
	seek.may_make = entries && (!wish->destinations || *(volatile __u32 *)entries < wish->destinations);

	for (step = 0; step < STEPS_MAX; step++) {
		ret = port_take_step(&seek, uses);
		if (ret >= 0 || ret == -ENOSPC || ret == -ENOBUFS)
			break;
		if (!seek_go_on(&seek, ret)) {
			ret = -ENOBUFS;
			break;
		}
		ret = -EAGAIN;
	}
	if (seek.fresh)
		free_bitmap_put(seek.bitmap - 1);
	if (seek.made)
		policy_entries_add(slot, 1);
	else if (seek.reserved)
		overflow_drop(seek.home);
	return ret < 0 ? ret : (int)base + ret;
}

/* The few ports that are left go from the bitmap back into the entry. */
static __always_inline void way_shrink(struct port_bucket *bucket, __u32 i, struct port_seek *seek,
				       struct port_bitmap *bitmap)
{
	struct port_way *way = way_at(bucket, i);
	__u32 word = 0, found = 0, n;

#pragma clang loop unroll(disable)
	for (n = 0; n < CHUNK_WORDS + WAY_PORTS_AGAIN; n++) {
		__u64 bits = bitmap->bits[word % CHUNK_WORDS];

		if (bits) {
			way->ports[found & (WAY_PORTS - 1)] = word * 64 + lowest_bit(bits);
			bitmap->bits[word % CHUNK_WORDS] = bits & (bits - 1);
		}
		found = forget(seek, found + !!bits);
		word = forget(seek, word + !bits);
	}
	bucket->has_bitmap &= ~(1u << (i & (WAYS - 1)));
}

/* Where an entry without bitmap has the port; WAY_PORTS: nowhere. */
static __always_inline __u32 way_port_find(const struct port_way *way, struct port_seek *seek, __u32 port)
{
	__u32 n;

#pragma clang loop unroll(disable)
	for (n = 0; n < WAY_PORTS; n++)
		if (n < way->used && way->ports[n] == port)
			break;
	return forget(seek, n);
}

/* Takes the port out of an entry without bitmap. False: it was not in it. */
static __always_inline bool way_give(struct port_way *way, struct port_seek *seek, __u32 port)
{
	__u32 last = (way->used - 1) & (WAY_PORTS - 1), n = way_port_find(way, seek, port);

	if (n == WAY_PORTS)
		return false;
	way->ports[n & (WAY_PORTS - 1)] = way->ports[last];
	way->used--;
	return true;
}

/*
 * Gives the seek's port, `start`, back. 0, or: -ENOENT: go on in the second bucket; -EAGAIN: with the bitmap `seen`;
 * -ESRCH: it was not in use. When 0, `seen` is a bitmap that nobody needs any more, and `gone` says that the entry
 * went.
 */
__noinline int port_give_step(struct port_seek *seek)
{
	struct port_bitmap *bitmap = NULL;
	struct port_bucket *bucket;
	struct port_way *way;
	__u32 index, port, i;
	int ret = 0;
	__u64 bit;

	if (!seek)
		return -EINVAL;
	port = seek->start % PORTS_PER_CHUNK;
	bit = 1ull << port % 64;
	index = seek->bitmap - 1;
	if (seek->bitmap)
		bitmap = bpf_map_lookup_elem(&port_bitmaps, &index);
	index = seek->bucket;
	bucket = bpf_map_lookup_elem(&port_buckets, &index);
	if (!bucket)
		return -ESRCH;

	bpf_spin_lock(&bucket->lock);
	seek->seen = 0;
	i = way_find(bucket, seek);
	way = way_at(bucket, i);
	if (i == WAYS) {
		ret = seek->bucket == seek->home && bucket->overflow ? -ENOENT : -ESRCH;
	} else if (!way_has_bitmap(bucket, i)) {
		ret = way_give(way, seek, port) ? 0 : -ESRCH;
	} else if (!bitmap || way->bitmap != seek->bitmap) {
		seek->seen = way->bitmap;
		ret = -EAGAIN;
	} else if (!(bitmap->bits[port / 64] & bit)) {
		ret = -ESRCH;
	} else {
		bitmap->bits[port / 64] &= ~bit;
		way->used--;
		if (way->used <= WAY_PORTS_AGAIN) {
			seek->seen = seek->bitmap;
			way_shrink(bucket, i, seek, bitmap);
		}
	}
	if (!ret && !way->used) {
		bucket->tags[i & (WAYS - 1)] = 0;
		seek->slot = way->slot;
		seek->gone = true;
	}
	bpf_spin_unlock(&bucket->lock);
	return ret;
}

/* Gives a port back. port: host byte order, in the key's chunk. 0; -ESRCH: it was not in use; -EAGAIN. */
__noinline int ports_give(const struct ports_key *held, __u32 port)
{
	struct port_seek seek = {.start = port % PORTS_PER_CHUNK};
	struct ports_key key;
	int ret = -EAGAIN;
	__u32 step;

	if (!held)
		return -EINVAL;
	key = *held;
	seek_begin(&seek, &key);
	for (step = 0; step < STEPS_MAX; step++) {
		ret = port_give_step(&seek);
		if (ret == -ENOENT)
			seek.bucket = seek.second;
		else if (ret == -EAGAIN)
			seek.bitmap = seek.seen;
		else
			break;
	}
	if (ret)
		return ret;
	if (seek.seen)
		free_bitmap_put(seek.seen - 1);
	if (!seek.gone)
		return 0;
	policy_entries_add(seek.slot, -1);
	if (seek.bucket != seek.home)
		overflow_drop(seek.home);
	return 0;
}

/* How many ports of [first, end), from the start of the chunk, an entry has; -1: it is not in this bucket. */
__noinline int bucket_count(struct port_seek *seek)
{
	struct port_bitmap *bitmap;
	struct port_bucket *bucket;
	struct port_way *way;
	__u32 index, n, i, sum = 0;

	if (!seek)
		return -1;
	index = seek->bucket;
	bucket = bpf_map_lookup_elem(&port_buckets, &index);
	if (!bucket)
		return -1;
	i = way_find(bucket, seek);
	if (i == WAYS)
		return -1;
	way = way_at(bucket, i);
	if (!way_has_bitmap(bucket, i)) {
		for (n = 0; n < WAY_PORTS; n++)
			sum += none_negative((way->used - 1 - n) | (way->ports[n] - seek->first) |
					     (seek->end - 1 - way->ports[n]));
		return sum;
	}
	index = way->bitmap - 1;
	bitmap = bpf_map_lookup_elem(&port_bitmaps, &index);
	if (!bitmap)
		return 0;
#pragma clang loop unroll(disable)
	for (n = 0; n < CHUNK_WORDS; n++) {
		__u64 range = word_range(n, forget(seek, seek->first), forget(seek, seek->end));

		sum = forget(seek, sum + bits_count(bitmap->bits[n] & range));
	}
	return sum;
}

/* How many ports in [first, end), both in the key's chunk, are in use: for telling, read without the lock. */
__noinline int ports_count(const struct ports_key *wanted, __u32 first, __u32 end)
{
	struct port_seek seek = {};
	struct ports_key key;
	int sum;

	if (!wanted)
		return 0;
	key = *wanted;
	seek_begin(&seek, &key);
	seek.first = first - ((__u32)key.chunk << CHUNK_SHIFT);
	seek.end = end - ((__u32)key.chunk << CHUNK_SHIFT);
	sum = bucket_count(&seek);
	if (sum >= 0)
		return sum;
	seek.bucket = seek.second;
	sum = bucket_count(&seek);
	return sum < 0 ? 0 : sum;
}

/* Whether a port is in use. Under the lock: what is put there later will have seen what the caller did before. */
__noinline int port_has_step(struct port_seek *seek)
{
	struct port_bitmap *bitmap = NULL;
	struct port_bucket *bucket;
	struct port_way *way;
	__u32 index, port, i;
	int ret = 0;

	if (!seek)
		return -EINVAL;
	port = seek->start % PORTS_PER_CHUNK;
	index = seek->bitmap - 1;
	if (seek->bitmap)
		bitmap = bpf_map_lookup_elem(&port_bitmaps, &index);
	index = seek->bucket;
	bucket = bpf_map_lookup_elem(&port_buckets, &index);
	if (!bucket)
		return 0;

	bpf_spin_lock(&bucket->lock);
	i = way_find(bucket, seek);
	way = way_at(bucket, i);
	if (i == WAYS) {
		ret = seek->bucket == seek->home && bucket->overflow ? -ENOENT : 0;
	} else if (!way_has_bitmap(bucket, i)) {
		ret = way_port_find(way, seek, port) < WAY_PORTS;
	} else if (!bitmap || way->bitmap != seek->bitmap) {
		seek->seen = way->bitmap;
		ret = -EAGAIN;
	} else {
		ret = bitmap->bits[port / 64] >> port % 64 & 1;
	}
	bpf_spin_unlock(&bucket->lock);
	return ret;
}

/* 1: the port is in use; 0: it is not; -EAGAIN. port: host byte order, in the key's chunk. */
__noinline int ports_has(const struct ports_key *wanted, __u32 port)
{
	struct port_seek seek = {.start = port % PORTS_PER_CHUNK};
	struct ports_key key;
	int ret = -EAGAIN;
	__u32 step;

	if (!wanted)
		return -EINVAL;
	key = *wanted;
	seek_begin(&seek, &key);
	for (step = 0; step < STEPS_MAX && ret < 0; step++) {
		ret = port_has_step(&seek);
		if (ret == -ENOENT)
			seek.bucket = seek.second;
		else if (ret == -EAGAIN)
			seek.bitmap = seek.seen;
	}
	return ret < 0 ? -EAGAIN : ret;
}

#endif
