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
#include "alloc_table.h"
#include "alloc_uses.h"
#include "alloc_way.h"

/* Buckets, bitmaps that came and went meanwhile: more steps than that mean that others are at it all the time. */
#define STEPS_MAX 8

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
