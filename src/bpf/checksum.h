/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One's complement sums (RFC 1071, RFC 1624) over words as they stand in memory: byte order cancels out. */
#ifndef BERTH_BPF_CHECKSUM_H
#define BERTH_BPF_CHECKSUM_H

#include <linux/types.h>

#include <bpf/bpf_helpers.h>

/* Any 32-bit sum to 16 bits: the second addition takes in the carry of the first. */
static __always_inline __u16 sum_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	return (sum & 0xffff) + (sum >> 16);
}

/* The checksum after one 16-bit word that it covers went from `from` to `to`. */
static __always_inline __u16 checksum_replace(__u16 check, __u16 from, __u16 to)
{
	return ~sum_fold((__u16)~check + (__u16)~from + to);
}

#endif
