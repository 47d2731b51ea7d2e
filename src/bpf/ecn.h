/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Explicit congestion notification through a tunnel: RFC 6040. */
#ifndef BERTH_BPF_ECN_H
#define BERTH_BPF_ECN_H

#include <linux/types.h>

#include <bpf/bpf_helpers.h>

#define ECN_MASK 3
#define ECN_NOT_ECT 0
#define ECN_ECT_1 1
#define ECN_ECT_0 2
#define ECN_CE 3
#define ECN_DROP 4 /* congestion was marked on a packet that cannot carry the mark: loss is the only way to tell */

/* RFC 6040, figure 4: the ECN field that leaves the tunnel, or ECN_DROP. */
static __always_inline __u32 ecn_decapsulate(__u32 inner, __u32 outer)
{
	if (outer == ECN_CE)
		return inner == ECN_NOT_ECT ? ECN_DROP : ECN_CE;
	if (inner == ECN_ECT_0 && outer == ECN_ECT_1)
		return ECN_ECT_1;
	return inner;
}

#endif
