/* SPDX-License-Identifier: Apache-2.0 */
/* What the measured programs and the suite share. Addresses in host byte order unless the type says otherwise. */
#ifndef BERTH_BENCH_FORWARDER_FLOW_H
#define BERTH_BENCH_FORWARDER_FLOW_H

#include <linux/types.h>

#include "../../src/abi/forwarder.h"

#define BENCH_POOL 0xc6120000u /* 198.18.0.0, for benchmarks (RFC 2544): 65,536 addresses of 32 slices */
#define BENCH_UNDERLAY 0x0a000107u /* 10.0.1.7 */
#define L2_OVERHEAD 28 /* IPv4 and UDP */
#define FLOWS_MAX (1u << 20)

struct flow {
	__be32 saddr, daddr;
	__be32 ports; /* source and destination port, as in the packet */
};

struct l2_hop {
	__u8 macs[12];
	__be32 to;
};

/* Of the running measurement. */
struct loop {
	__u32 next; /* flow */
	__u32 mask; /* flows in use, less one */
	__u64 right; /* packets with the right outcome */
	__u8 macs[16];
	__u8 front[64]; /* of the frame */
};

/* Where frames of a live run arrive: a counter for each CPU, on cache lines of their own. */
#define LIVE_CPUS 64u

struct live {
	__u32 size; /* of the right frame */
	__u32 reserved[15];
	struct {
		__u64 arrived;
		__u64 reserved[7];
	} cpu[LIVE_CPUS];
};

#endif
