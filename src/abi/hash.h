/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A flow's hash, for the wrap's UDP source port: spreads over ECMP and RSS, keeps no secret. */
#ifndef BERTH_ABI_HASH_H
#define BERTH_ABI_HASH_H

#include <linux/types.h>

/* Finalizer of 32-bit MurmurHash3: every input bit reaches every output bit. */
static inline __attribute__((always_inline)) __u32 hash_mix(__u32 h)
{
	h ^= h >> 16;
	h *= 0x85ebca6bu;
	h ^= h >> 13;
	h *= 0xc2b2ae35u;
	h ^= h >> 16;
	return h;
}

/*
 * saddr, daddr: as they stand in the packet; ports: source and destination port as one word as it stands in the
 * packet; for ICMP the steering port; for any packet with MF or an offset, protocol << 16 | identification, so that
 * every fragment of a datagram hashes alike.
 */
static inline __attribute__((always_inline)) __u32 hash_flow(__be32 saddr, __be32 daddr, __u32 ports)
{
	return hash_mix((__u32)saddr ^ hash_mix((__u32)daddr ^ hash_mix(ports)));
}

#endif
