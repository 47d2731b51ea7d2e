/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: connections that the table has no room for
 *
 * Such a connection has a bit of `port_probes`, at a place that its key's hash tells plus its port, for as long as it
 * lives. So two of them never have the same port towards the same destination, and finding a free one looks at 33 words
 * at most. Different keys' bits may fall together: then a port is passed over that was free.
 *
 * A key may have connections of both kinds, since there is room in the table later. Whoever takes a bit first adds to
 * `probes`, sets the bit, and then looks the port up in the table, under the lock of the bucket. Whoever takes a port
 * in the table, under the same lock, looks at `probes` and at the bit afterwards. One of the two sees the other.
 */
#ifndef BERTH_BPF_ALLOC_PROBES_H
#define BERTH_BPF_ALLOC_PROBES_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "../abi/allocator.h"
#include "alloc_bits.h"
#include "alloc_ports.h"

/* An entry has at most WAY_PORTS ports that a probe can meet, or a bitmap, and then nobody probes but for want of room.
 */
#define PROBE_TRIES (WAY_PORTS + 1)

/* port: host byte order. */
static __always_inline bool probe_has(const struct ports_key *key, __u32 port)
{
	if (!*(volatile __u32 *)&port_table.probes)
		return false;
	return *(volatile __u64 *)probe_word(ports_key_hash(key), port / 64) >> port % 64 & 1;
}

/* Where in the set the port's bit is: word * 64 + bit. */
static __always_inline __u32 probe_place(const struct ports_key *key, __u32 port)
{
	return (__u32)(probe_word(ports_key_hash(key), port / 64) - port_probes.words) * 64 + port % 64;
}

__noinline int probe_give(const struct ports_key *held, __u32 port)
{
	struct ports_key key;

	if (!held)
		return -EINVAL;
	key = *held;
	__sync_fetch_and_and(probe_word(ports_key_hash(&key), port / 64), ~(1ull << port % 64));
	__sync_fetch_and_sub(&port_table.probes, 1);
	return 0;
}

/* A bit in [first, end), from the start of the chunk, that was clear; or -ENOSPC. */
static __always_inline int probe_set(const struct ports_key *key, __u32 first, __u32 end, __u32 start,
				     const struct port_uses *uses)
{
	__u32 hash = ports_key_hash(key), i;

	for (i = 0; i <= CHUNK_WORDS; i++) {
		__u32 word = (start / 64 + i) % CHUNK_WORDS;
		__u64 *bits = probe_word(hash, word);
		__u64 clear = ~*(volatile __u64 *)bits & word_range(word, first, end), bit;

		clear &= ~uses_closed(uses, key->proto, key->chunk, word);
		if (i == 0)
			clear &= bits_from(start % 64);
		bit = clear & -clear;
		if (bit && !(__sync_fetch_and_or(bits, bit) & bit))
			return word * 64 + lowest_bit(bit);
	}
	return -ENOSPC;
}

/*
 * An open port in [first, end), host byte order, both in the key's chunk, towards whose destination neither another
 * probe nor the table has it. uses: of the key's chunk. -ENOSPC: none is free; -EAGAIN: the table had it.
 */
__noinline int probe_take(const struct ports_key *wanted, __u32 first, __u32 end, const struct port_uses *uses)
{
	struct ports_key key;
	__u32 base, start, i;
	int bit;

	if (!wanted || !uses)
		return -EINVAL;
	key = *wanted;
	base = (__u32)key.chunk << CHUNK_SHIFT;
	first -= base;
	end -= base;
	if (first >= end || end > PORTS_PER_CHUNK)
		return -EINVAL;
	start = first + bpf_get_prandom_u32() % (end - first);
#pragma clang loop unroll(disable)
	for (i = 0; i < PROBE_TRIES; i++) {
		__sync_fetch_and_add(&port_table.probes, 1);
		bit = probe_set(&key, first, end, start, uses);
		if (bit < 0)
			__sync_fetch_and_sub(&port_table.probes, 1);
		if (bit < 0 || !ports_has(&key, base + bit))
			return bit < 0 ? bit : (int)base + bit;
		probe_give(&key, base + bit);
		start = (__u32)bit + 1 < end ? bit + 1 : first;
	}
	return -EAGAIN;
}

#endif
