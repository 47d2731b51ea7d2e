/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is done to a bucket's entries, with the bucket's lock held: nothing here calls a helper. An entry without bitmap
 * has its ports itself (abi/allocator.h).
 */
#ifndef BERTH_BPF_ALLOC_WAY_H
#define BERTH_BPF_ALLOC_WAY_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "../abi/allocator.h"
#include "alloc_bits.h"
#include "alloc_table.h"
#include "alloc_uses.h"

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
		clear &= ~uses_closed(uses, seek->key.proto, seek->key.chunk, word);
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

#endif
