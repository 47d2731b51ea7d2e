/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sets of 2,048 ports in 32 words: arithmetic without branches, each of which would double what the verifier walks. */
#ifndef BERTH_BPF_ALLOC_BITS_H
#define BERTH_BPF_ALLOC_BITS_H

#include <bpf/bpf_helpers.h>

#include "../abi/allocator.h"

/* Of numbers or-ed together: 1 when none was negative, else 0. */
static __always_inline __u32 none_negative(__s32 numbers)
{
	return ~(__u32)numbers >> 31;
}

/* n limited to 0..64. */
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

/* The bits of a word that lie in [first, end), both counted from the start of the set. */
static __always_inline __u64 word_range(__u32 word, __u32 first, __u32 end)
{
	__s64 base = (__s64)word * 64;

	return bits_from(clamp_64((__s64)first - base)) & ~bits_from(clamp_64((__s64)end - base));
}

/* How many bits of a word are set. */
static __always_inline __u32 bits_count(__u64 word)
{
	word -= word >> 1 & 0x5555555555555555ull;
	word = (word & 0x3333333333333333ull) + (word >> 2 & 0x3333333333333333ull);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0full;
	return word * 0x0101010101010101ull >> 56;
}

/* Index of the lowest set bit, 64 when there is none: BPF has no instruction for it. */
static __always_inline __u32 lowest_bit(__u64 word)
{
	return bits_count((word & -word) - 1);
}

#endif
