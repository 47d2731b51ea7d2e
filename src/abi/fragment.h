/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: what the forwarder remembers of fragments
 *
 * Only a datagram's first fragment has ports. Where it entered, its steering port is kept for those that follow: the
 * one thing that the forwarder remembers of packets. The table is bounded; when it is full, what was not used for
 * longest goes.
 */
#ifndef BERTH_ABI_FRAGMENT_H
#define BERTH_ABI_FRAGMENT_H

#include <linux/types.h>

#define FRAGMENTS_MAX 16384u
/* As long as Linux waits for a datagram's missing parts (net.ipv4.ipfrag_time), ns. */
#define FRAGMENT_LIFE 30000000000ull

/* What all fragments of a datagram have in common (RFC 791). */
struct fragment_key {
	__be32 saddr;
	__be32 daddr;
	__u32 datagram; /* protocol << 16 | identification, host byte order */
};

struct fragment {
	__u64 seen; /* when the first fragment came, ns of CLOCK_MONOTONIC */
	__u32 steering; /* steering port, host byte order */
	__u32 reserved;
};

#endif
