/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One counter per verdict and CPU. The three programs define the same map; the loader makes it one. */
#ifndef BERTH_BPF_COUNTERS_H
#define BERTH_BPF_COUNTERS_H

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "../abi/verdict.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICT_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

static __always_inline void count(enum verdict verdict)
{
	__u32 key = verdict;
	__u64 *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		++*counter;
}

#endif
