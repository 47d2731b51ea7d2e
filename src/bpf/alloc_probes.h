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

struct port_probes port_probes SEC(".data.port_probes");

/* The word of a port, counted from the start of its chunk. */
static __always_inline __u64 *probe_word(const struct ports_key *key, __u32 port)
{
	return &port_probes.words[(ports_key_hash(key) + port / 64 % CHUNK_WORDS) & (PROBE_WORDS - 1)];
}

/* port: host byte order. */
static __always_inline bool probe_has(const struct ports_key *key, __u32 port)
{
	if (!*(volatile __u32 *)&port_table.probes)
		return false;
	return *(volatile __u64 *)probe_word(key, port % PORTS_PER_CHUNK) >> port % 64 & 1;
}

__noinline int probe_give(const struct ports_key *held, __u32 port)
{
	struct ports_key key;

	if (!held)
		return -EINVAL;
	key = *held;
	__sync_fetch_and_and(probe_word(&key, port % PORTS_PER_CHUNK), ~(1ull << port % 64));
	__sync_fetch_and_sub(&port_table.probes, 1);
	return 0;
}

/* A bit in [first, end), from the start of the chunk, that was clear; or -ENOSPC. */
static __always_inline int probe_set(const struct ports_key *key, __u32 first, __u32 end, __u32 start)
{
	__u32 i;

	for (i = 0; i <= CHUNK_WORDS; i++) {
		__u32 word = (start / 64 + i) % CHUNK_WORDS;
		__u64 *bits = probe_word(key, word * 64);
		__u64 clear = ~*(volatile __u64 *)bits & word_range(word, first, end), bit;

		if (i == 0)
			clear &= bits_from(start % 64);
		bit = clear & -clear;
		if (bit && !(__sync_fetch_and_or(bits, bit) & bit))
			return word * 64 + lowest_bit(bit);
	}
	return -ENOSPC;
}

/*
 * A port in [first, end), host byte order, both in the key's chunk, towards whose destination neither another probe nor
 * the table has it. -ENOSPC: none is free; -EAGAIN: the table had it.
 */
__noinline int probe_take(const struct ports_key *wanted, __u32 first, __u32 end)
{
	struct ports_key key;
	__u32 base;
	int bit;

	if (!wanted)
		return -EINVAL;
	key = *wanted;
	base = (__u32)key.chunk << CHUNK_SHIFT;
	first -= base;
	end -= base;
	if (first >= end || end > PORTS_PER_CHUNK)
		return -EINVAL;
	__sync_fetch_and_add(&port_table.probes, 1);
	bit = probe_set(&key, first, end, first + bpf_get_prandom_u32() % (end - first));
	if (bit < 0) {
		__sync_fetch_and_sub(&port_table.probes, 1);
		return bit;
	}
	if (!ports_has(&key, base + bit))
		return base + bit;
	probe_give(&key, base + bit);
	return -EAGAIN;
}

#endif
