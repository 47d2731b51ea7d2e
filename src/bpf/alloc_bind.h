/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: what becomes of bind()
 *
 * Nobody binds to an egress address but a socket under a policy, to a port of the policy's slices. Where the kernel
 * would choose a port, which then is none of the slice's, the policy's is put into the call; either way the port is
 * claimed, since it is not known yet where the socket will go. With IP_BIND_ADDRESS_NO_PORT the choice is left to
 * connect().
 *
 * Other binds are left alone: to the host's own addresses, and of servers, which have a port in mind.
 */
#ifndef BERTH_BPF_ALLOC_BIND_H
#define BERTH_BPF_ALLOC_BIND_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "alloc_connect.h"
#include "alloc_search.h"
#include "alloc_uses.h"
#include "tables.h"

/* Since 6.6 the option is this bit of inet_flags (net/inet_sock.h), before that a bit field of its own. */
#define INET_FLAGS_BIND_ADDRESS_NO_PORT 18

struct inet_sock {
	unsigned long inet_flags;
} __attribute__((preserve_access_index));

struct inet_sock___before_6_6 {
	__u8 bind_address_no_port : 1;
} __attribute__((preserve_access_index));

struct sock_common {
	unsigned char skc_ipv6only : 1;
} __attribute__((preserve_access_index));

/* The kernel's own address of the socket: the verifier lets it be read only as a number that came out of memory. */
static __always_inline const void *socket_address(struct bpf_sock_addr *ctx)
{
	const void *sk = ctx->sk, *ret = NULL;

	bpf_probe_read_kernel(&ret, sizeof(ret), &sk);
	return ret;
}

static __always_inline bool port_is_left_to_connect(struct bpf_sock_addr *ctx)
{
	const struct inet_sock *inet = socket_address(ctx);

	if (!inet)
		return false;
	if (bpf_core_field_exists(inet->inet_flags))
		return BPF_CORE_READ(inet, inet_flags) >> INET_FLAGS_BIND_ADDRESS_NO_PORT & 1;
	return BPF_CORE_READ_BITFIELD_PROBED((const struct inet_sock___before_6_6 *)inet, bind_address_no_port);
}

/* One try in one chunk, of slices on that address (0: any). A claimed port, or -EAGAIN, or -EADDRINUSE: none is left.
 */
__noinline int claim_step(struct search *search, const struct policy *policy, __be32 addr)
{
	struct uses_key chunk;
	__u32 base;
	int port, err;

	if (!search || !policy)
		return -EINVAL;
	err = search_aim(search, policy);
	if (err == -ESTALE)
		return -EAGAIN;
	if (err)
		return search_next_tier(search, policy) ? -EAGAIN : -EADDRINUSE;
	if (addr && search->wish.key.egress != addr) {
		search_next_slice(search);
		return -EAGAIN;
	}
	chunk = uses_key_of(&search->wish.key);
	base = (__u32)search->wish.key.chunk << CHUNK_SHIFT;
	port = claim_any(&chunk, search->wish.first - base, search->wish.end - base);
	if (port >= 0)
		return base + port;
	if (++search->chunk_seen >= search->chunks)
		search_next_slice(search);
	return -EAGAIN;
}

/* A port of the policy's that nobody uses; key.egress is its address. -EADDRNOTAVAIL: the policy has no slice; -ESRCH:
   there is no such policy. */
static __always_inline int claim_search(struct search *search, __be32 addr)
{
	struct policy *policy = policy_find(search->policy);
	__u32 step;
	int port;

	if (!policy)
		return -ESRCH;
	search->wish.slot = policy->slot;
	search_begin(search, policy);
	if (!search->slice_count)
		return -EADDRNOTAVAIL;
	for (step = 0; step < SEARCH_STEPS && policy; step++) {
		port = claim_step(search, policy, addr);
		if (port != -EAGAIN)
			return port;
		policy = policy_find(search->policy); /* it may have been replaced */
	}
	return -EADDRINUSE;
}

static __always_inline int claim_exactly(struct search *search, __be32 addr, __u32 port)
{
	struct uses_key chunk;
	int err;

	search->wish.key.egress = addr;
	search->wish.key.chunk = port >> CHUNK_SHIFT;
	chunk = uses_key_of(&search->wish.key);
	err = claim_one(&chunk, port);
	return err ? err : (int)port;
}

static __always_inline void socket_claim(struct socket_state *socket, const struct search *search, __u32 port)
{
	socket_unclaim(socket, 0);
	socket->claim = uses_key_of(&search->wish.key);
	socket->claimed_port = port;
	barrier();
	socket->claims = 1;
}

/*
 * *addr: as bind() has it, 0 for any; what it becomes. *port: host byte order, likewise. Says whether the caller is to
 * put them into the call: 1; 0: the call goes on as it is; or -errno, refused and told of.
 */
static __always_inline int bind_choose(struct bpf_sock_addr *ctx, struct socket_state *socket, struct attempt *attempt,
				       __be32 *addr, __u32 *port)
{
	struct search search = {.policy = attempt->policy, .wish.key = {.proto = attempt->proto}};
	int one = 1, found;

	if (*port && !*addr)
		return 0; /* a server's */
	if (!*port && port_is_left_to_connect(ctx))
		return 0;
	if (gate_is_closed())
		return -ESHUTDOWN;
	found = *port ? claim_exactly(&search, *addr, *port) : claim_search(&search, *addr);
	if (found < 0)
		return found;
	if (!*port)
		waster_count(attempt->policy);
	/* Once it is connected, other sockets may have the port towards other destinations. */
	if (attempt->proto == IPPROTO_TCP)
		bpf_setsockopt(ctx, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	socket_claim(socket, &search, found);
	fallback_count(&search);
	count(VERDICT_CLAIMED);
	*addr = search.wish.key.egress;
	*port = found;
	return 1;
}

/*
 * An IPv6 UDP socket for both families, of a program that lets the kernel choose the port: it is going to send, and
 * gets what an IPv4 socket gets. With TCP it is going to listen.
 */
static __always_inline bool bind_is_dual(struct bpf_sock_addr *ctx, const struct inet_addr *given)
{
	const struct sock_common *sk;

	if (given->word[0] || given->word[1] || given->word[2] || given->word[3] || ctx->user_port ||
	    ctx->protocol != IPPROTO_UDP)
		return false;
	sk = socket_address(ctx);
	return sk && !BPF_CORE_READ_BITFIELD_PROBED(sk, skc_ipv6only);
}

/* As bind_choose(). */
static __always_inline int bind_judge(struct bpf_sock_addr *ctx, __be32 *addr, __u32 *port)
{
	struct attempt attempt = {.dest = inet_addr_mapped(*addr), .dest_port = ctx->user_port, .proto = ctx->protocol};
	bool egress = *addr && pool_contains(*addr);
	struct socket_state *socket;
	int ret;

	if (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_UDP)
		return 0; /* the guard and the egress program judge what these send */
	if (source_port(ctx->sk))
		return 0; /* bound already, which the kernel is about to say: the claim stays with the port that it is
			     for */
	socket = socket_judged(ctx, &attempt.policy);
	if (attempt.policy == POLICY_NONE)
		return egress ? refuse(&attempt, VERDICT_REFUSED_FOREIGN, -EPERM), -EPERM : 0;
	if (socket && socket->foreign)
		return 0; /* connect() says what becomes of it */
	if (*addr && !policy_has(attempt.policy, *addr, *port))
		return egress ? refuse(&attempt, VERDICT_REFUSED_FOREIGN, -EPERM), -EPERM : 0;
	if (!socket)
		return refuse(&attempt, VERDICT_REFUSED_TABLE_FULL, -ENOBUFS), -ENOBUFS;
	if (ctx->protocol == IPPROTO_UDP && !*addr && policy_serves(attempt.policy, *port))
		return 0;
	ret = bind_choose(ctx, socket, &attempt, addr, port);
	if (ret == -ESRCH)
		return refuse(&attempt, VERDICT_REFUSED_NO_POLICY, -EPERM), ret;
	if (ret == -ESHUTDOWN)
		return refuse(&attempt, VERDICT_REFUSED_TAKEOVER, -EADDRNOTAVAIL), ret;
	if (ret == -EADDRNOTAVAIL)
		return refuse(&attempt, VERDICT_REFUSED_NO_SLICE, ret), ret;
	if (ret < 0)
		return refuse(&attempt, VERDICT_REFUSED_CLAIM, -EADDRINUSE), ret;
	return ret;
}

#endif
