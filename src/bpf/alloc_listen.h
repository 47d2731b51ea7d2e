/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: listeners on egress addresses
 *
 * No slice takes connections from outside: the forwarder drops their SYNs. So a program that listens there waits in
 * vain, and is told of. No hook of the kernel's can refuse listen(): the agent closes the socket.
 */
#ifndef BERTH_BPF_ALLOC_LISTEN_H
#define BERTH_BPF_ALLOC_LISTEN_H

#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "alloc_events.h"
#include "alloc_policy.h"
#include "alloc_socket.h"
#include "counters.h"
#include "tables.h"

/* The socket's own address; of an IPv6 one, ::ffff:a.b.c.d alone counts. 0: any, or none of IPv4. */
static __always_inline __be32 listener_addr(struct bpf_sock_ops *ctx)
{
	struct inet_addr addr = {{ctx->local_ip6[0], ctx->local_ip6[1], ctx->local_ip6[2], ctx->local_ip6[3]}};

	if (ctx->family == AF_INET)
		return ctx->local_ip4;
	return inet_addr_is_mapped(&addr) ? addr.word[3] : 0;
}

/* Runs within listen(). */
static __always_inline void listener_judge(struct bpf_sock_ops *ctx)
{
	__be32 addr = listener_addr(ctx);
	struct attempt attempt = {.dest = inet_addr_mapped(addr), .proto = IPPROTO_TCP};
	struct socket_state *socket;

	if (!addr || !pool_contains(addr))
		return;
	attempt.dest_port = bpf_htons(ctx->local_port);
	socket = socket_of_ops(ctx);
	attempt.policy = socket ? socket->policy : POLICY_NONE;
	count(VERDICT_STRAY_LISTENER);
	event_of_task(&attempt, VERDICT_STRAY_LISTENER);
}

#endif
