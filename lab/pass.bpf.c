/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For the router's end of a veth: the kernel takes XDP_TX frames only from a peer that runs a program itself. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
