/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: ports in use
 *
 * One entry of `ports` for every (egress address, 2,048 ports, protocol, destination) with a connection: a bit a
 * port, under a spin lock. Taking and giving cost the same in an empty and in a full entry.
 *
 * An entry whose last port was given back is not deleted there: between marking it dead and deleting it, a program
 * can be preempted, and every connect() to that destination would have to wait for it. It is queued in `emptied`
 * instead, and goes when the queue is full or the table is, the one that was emptied longest ago first. Most are in
 * use again before that, which saves deleting and inserting them.
 *
 * The functions are global ones, so the verifier reads each of them once, by itself, however often it is called.
 */
#ifndef BERTH_BPF_ALLOC_PORTS_H
#define BERTH_BPF_ALLOC_PORTS_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "../abi/allocator.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DESTINATIONS_DEFAULT);
	__type(key, struct ports_key);
	__type(value, struct ports);
} ports SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, EMPTIED_MAX);
	__type(value, struct ports_key);
} emptied SEC(".maps");

/* How many queued entries are looked at for one that can go: many of them are in use again. */
#define EVICT_TRIES 64
/* How often a place in the queue is looked for: each eviction makes one, which only others could fill again. */
#define PUSH_TRIES 4

static __always_inline bool ports_key_equal(const struct ports_key *a, const struct ports_key *b)
{
	const __u32 *x = (const __u32 *)a, *y = (const __u32 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

/* Called with the lock held: is this still the entry that was looked up? */
static __always_inline bool ports_valid(const struct ports *entry, const struct ports_key *key)
{
	if (*(volatile const __u32 *)&entry->state != PORTS_LIVE)
		return false;
	barrier();
	return ports_key_equal(&entry->key, key);
}

/* n limited to 0..64, without a branch: each would double what the verifier walks through. */
static __always_inline __u32 clamp_64(__s64 n)
{
	n &= ~(n >> 63);
	n -= 64;
	n &= n >> 63;
	return n + 64;
}

/* A word with bits n and above set, n being 0 to 64. */
static __always_inline __u64 bits_from(__u32 n)
{
	return ~0ull << (n >> 1) << (n - (n >> 1));
}

/* The bits of a word that lie in [first, end), both counted from the start of the chunk. */
static __always_inline __u64 word_range(__u32 word, __u32 first, __u32 end)
{
	__s64 base = (__s64)word * 64;

	return bits_from(clamp_64((__s64)first - base)) & ~bits_from(clamp_64((__s64)end - base));
}

/* Index of the lowest set bit; BPF has no instruction for it. */
static __always_inline __u32 lowest_bit(__u64 word)
{
	__u64 bit = word & -word;

	return !!(bit & 0xffffffff00000000ull) << 5 | !!(bit & 0xffff0000ffff0000ull) << 4 |
	       !!(bit & 0xff00ff00ff00ff00ull) << 3 | !!(bit & 0xf0f0f0f0f0f0f0f0ull) << 2 |
	       !!(bit & 0xccccccccccccccccull) << 1 | !!(bit & 0xaaaaaaaaaaaaaaaaull);
}

/* A clear bit in [first, end), looked for from `start` on and around, now set; or -1. Called with the lock held. */
static __always_inline int bit_take(struct ports *entry, __u32 first, __u32 end, __u32 start)
{
	__u32 i;

	/* The word of `start` comes first, with the bits from there on, and once more at the end, with those below. */
	for (i = 0; i <= CHUNK_WORDS; i++) {
		__u32 word = (start / 64 + i) % CHUNK_WORDS;
		__u64 clear = ~entry->bits[word] & word_range(word, first, end);

		if (i == 0)
			clear &= bits_from(start % 64);
		if (clear) {
			entry->bits[word] |= clear & -clear;
			return word * 64 + lowest_bit(clear);
		}
	}
	return -1;
}

/*
 * A port in [first, end), host byte order, both in the key's chunk, that was free towards the key's destination, now
 * in use. -ENOSPC: none is free; -ENOENT: no entry, ports_insert() and take again; -EAGAIN: the entry is being deleted.
 */
__noinline int ports_take(const struct ports_key *wanted, __u32 first, __u32 end)
{
	struct ports_key key;
	struct ports *entry;
	__u32 base, start;
	int bit = -1;

	if (!wanted)
		return -EINVAL;
	key = *wanted;
	base = (__u32)key.chunk << CHUNK_SHIFT;
	first -= base;
	end -= base;
	if (first >= end || end > PORTS_PER_CHUNK)
		return -EINVAL;
	entry = bpf_map_lookup_elem(&ports, &key);
	if (!entry)
		return -ENOENT;
	start = first + bpf_get_prandom_u32() % (end - first);

	bpf_spin_lock(&entry->lock);
	if (!ports_valid(entry, &key)) {
		bpf_spin_unlock(&entry->lock);
		return -EAGAIN;
	}
	bit = bit_take(entry, first, end, start);
	if (bit >= 0)
		entry->used++;
	bpf_spin_unlock(&entry->lock);
	return bit < 0 ? -ENOSPC : (int)(base + bit);
}

/*
 * Deletes the entry that was emptied longest ago. 0: one is gone, or at least one place in the queue is free again;
 * -ENOENT: nothing is queued; -EBUSY: the kernel could not delete it just now.
 */
__noinline int ports_evict(void)
{
	struct ports_key key;
	struct ports *entry;
	bool dead = false;
	int err;

	if (bpf_map_pop_elem(&emptied, &key))
		return -ENOENT;
	entry = bpf_map_lookup_elem(&ports, &key);
	if (!entry)
		return 0;
	bpf_spin_lock(&entry->lock);
	if (ports_valid(entry, &key)) {
		entry->queued = 0;
		dead = !entry->used;
		if (dead)
			entry->state = PORTS_DEAD;
	}
	bpf_spin_unlock(&entry->lock);
	if (!dead)
		return 0;
	err = bpf_map_delete_elem(&ports, &key);
	if (!err)
		return 0;
	/* Kernels before 6.3: this interrupted a change of the same table. Nobody else deletes a dead entry. */
	bpf_spin_lock(&entry->lock);
	entry->state = PORTS_LIVE;
	bpf_spin_unlock(&entry->lock);
	return -EBUSY;
}

/* An entry without ports. 0, also when there is one already; -ENOSPC: the table is full. */
__noinline int ports_insert(const struct ports_key *wanted)
{
	struct ports fresh = {.state = PORTS_LIVE};
	int err, i;

	if (!wanted)
		return -EINVAL;
	fresh.key = *wanted;
	for (i = 0; i <= EVICT_TRIES; i++) {
		err = bpf_map_update_elem(&ports, &fresh.key, &fresh, BPF_NOEXIST);
		if (!err || err == -EEXIST)
			return 0;
		if (ports_evict() == -ENOENT)
			break;
	}
	return -ENOSPC;
}

/* Gives a port back. port: host byte order. */
__noinline int ports_give(const struct ports_key *held, __u32 port)
{
	struct ports_key key;
	struct ports *entry;
	bool empty = false;
	__u64 bit;
	__u32 word;
	int i;

	if (!held)
		return -EINVAL;
	key = *held;
	word = port / 64 % CHUNK_WORDS;
	bit = 1ull << port % 64;
	entry = bpf_map_lookup_elem(&ports, &key);
	if (!entry)
		return -ENOENT;

	bpf_spin_lock(&entry->lock);
	if (ports_valid(entry, &key) && entry->bits[word] & bit) {
		entry->bits[word] &= ~bit;
		entry->used--;
		empty = !entry->used && !entry->queued;
		if (empty)
			entry->queued = 1;
	}
	bpf_spin_unlock(&entry->lock);
	for (i = 0; empty && i < PUSH_TRIES; i++) {
		if (!bpf_map_push_elem(&emptied, &key, 0))
			return 0;
		ports_evict();
	}
	if (empty) { /* others filled the queue each time: the entry is queued when it is next emptied */
		bpf_spin_lock(&entry->lock);
		if (ports_valid(entry, &key))
			entry->queued = 0;
		bpf_spin_unlock(&entry->lock);
	}
	return 0;
}

/* How many bits of a word are set. */
static __always_inline __u32 bits_count(__u64 word)
{
	word -= word >> 1 & 0x5555555555555555ull;
	word = (word & 0x3333333333333333ull) + (word >> 2 & 0x3333333333333333ull);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return word * 0x0101010101010101ull >> 56;
}

/* How many ports in [first, end), both in the key's chunk, are in use: for telling, read without the lock. */
__noinline int ports_count(const struct ports_key *wanted, __u32 first, __u32 end)
{
	struct ports_key key;
	struct ports *entry;
	__u32 word, sum = 0;

	if (!wanted)
		return 0;
	key = *wanted;
	first -= (__u32)key.chunk << CHUNK_SHIFT;
	end -= (__u32)key.chunk << CHUNK_SHIFT;
	entry = bpf_map_lookup_elem(&ports, &key);
	if (!entry)
		return 0;
	for (word = 0; word < CHUNK_WORDS; word++)
		sum += bits_count(entry->bits[word] & word_range(word, first, end));
	return sum;
}

#endif
