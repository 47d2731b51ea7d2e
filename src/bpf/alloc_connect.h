/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: what becomes of connect() and sendto()
 *
 * One body for both address families. A hook returns 1 to let the call go on, 0 with an errno set to refuse it; it
 * never returns 1 after a bind that failed, since the kernel would then choose a source itself.
 */
#ifndef BERTH_BPF_ALLOC_CONNECT_H
#define BERTH_BPF_ALLOC_CONNECT_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/in.h>
#include <linux/tcp.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "alloc_events.h"
#include "alloc_policy.h"
#include "alloc_ports.h"
#include "alloc_search.h"
#include "alloc_socket.h"
#include "counters.h"

#define ALLOW 1
#define REFUSE 0

static __always_inline int refuse(const struct attempt *attempt, enum verdict verdict, int err)
{
	count(verdict);
	event_of_call(attempt, verdict);
	bpf_set_retval(err);
	return REFUSE;
}

/* The socket's storage, under this policy from now on. NULL: no memory. */
static __always_inline struct socket_state *socket_put_under(struct bpf_sock_addr *ctx, __u32 policy)
{
	struct socket_state *socket = bpf_sk_storage_get(&sockets, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);

	if (socket && socket->policy != policy) {
		socket->policy = policy;
		socket->foreign = netns_is_foreign(ctx);
	}
	return socket;
}

/*
 * The storage of a socket under a policy: what it asks for, or that which was recorded. A socket older than its
 * cgroup's policy has none yet, nor has one that the kernel made, like MPTCP's first subflow: the caller's cgroup
 * counts. NULL: no policy, or no memory (*policy is set).
 */
static __always_inline struct socket_state *socket_judged(struct bpf_sock_addr *ctx, __u32 *policy)
{
	struct socket_state *socket;

	*policy = policy_asked(ctx->sk);
	if (*policy == POLICY_NONE) {
		socket = bpf_sk_storage_get(&sockets, ctx->sk, NULL, 0);
		if (socket) {
			*policy = socket->policy;
			return socket;
		}
		*policy = policy_of_current();
	}
	return *policy == POLICY_NONE ? NULL : socket_put_under(ctx, *policy);
}

/* Egress addresses are not local there, so it can't have one: it is refused, or keeps what its namespace gives it. */
static __always_inline int foreign_judge(const struct attempt *attempt)
{
	if (policy_flags(attempt->policy) & POLICY_NETNS_HOST)
		return ALLOW;
	return refuse(attempt, VERDICT_REFUSED_NETNS, -EPERM);
}

/* The source of ctx->sk, read once: LLVM would otherwise do arithmetic on the socket's pointer, which is refused. */
static __always_inline __u32 source_port(struct bpf_sock *sk)
{
	__u32 port = sk->src_port;

	barrier_var(port);
	return port;
}

/* A smaller one that the program asked for itself stays. */
static __always_inline void mss_limit(struct bpf_sock_addr *ctx, __u32 mss)
{
	struct tcp_sock *tcp = (struct tcp_sock *)bpf_skc_to_tcp_sock(ctx->sk);
	int value = mss;

	if (!mss || (tcp && tcp->rx_opt.user_mss && tcp->rx_opt.user_mss <= mss))
		return;
	bpf_setsockopt(ctx, IPPROTO_TCP, TCP_MAXSEG, &value, sizeof(value));
}

/* own: it is the socket's already, which has claimed it. */
static __always_inline int port_take_this(struct search *search, __u32 port, bool own)
{
	search->wish.first = port;
	search->wish.end = port + 1;
	search->own = own;
	return port_take(search);
}

/* The socket's port is its own towards everybody. A TCP connection from now on shares it with those to elsewhere. */
static __always_inline int connect_claimed(struct socket_state *socket, struct search *search, __u32 port,
					   const struct attempt *attempt)
{
	if (search->wish.key.proto == IPPROTO_TCP) {
		if (port_take_this(search, port, true) < 0)
			return refuse(attempt, VERDICT_REFUSED_FULL, -EADDRNOTAVAIL);
		socket_unclaim(socket, 1);
		socket_hold(socket, &search->wish.key, port, search->holding, true);
	}
	count(VERDICT_ALLOCATED);
	return ALLOW;
}

/*
 * The socket has a source already: from a connection that failed, an earlier destination (UDP), or the program's own
 * bind(). It stays, when it is the policy's, and free towards the new destination.
 */
static __always_inline int connect_bound(struct bpf_sock_addr *ctx, struct socket_state *socket, struct search *search,
					 __u32 port, const struct attempt *attempt)
{
	struct ports_key *key = &search->wish.key;
	int err;

	key->egress = ctx->sk->src_ip4;
	key->chunk = port >> CHUNK_SHIFT;
	if (!policy_owns(search->policy, key->egress, port)) {
		waster_count(search->policy);
		return refuse(attempt, VERDICT_REFUSED_BOUND, -EADDRNOTAVAIL);
	}
	if (socket_claims(socket, key->proto, key->egress, port))
		return connect_claimed(socket, search, port, attempt);
	if (!socket_holds(socket, key, port)) {
		err = port_take_this(search, port, false);
		if (err < 0)
			return refuse(attempt, VERDICT_REFUSED_FULL, -EADDRNOTAVAIL);
		socket_hold(socket, key, port, search->holding, search->counted);
	}
	count(VERDICT_ALLOCATED);
	return ALLOW;
}

static __always_inline int connect_unbound(struct bpf_sock_addr *ctx, struct socket_state *socket,
					   struct search *search, const struct policy *policy, struct attempt *attempt)
{
	int port;

	search_begin(search, policy);
	if (!search->slice_count)
		return refuse(attempt, VERDICT_REFUSED_NO_SLICE, -EADDRNOTAVAIL);
	port = search_run(ctx, search, policy);
	if (port >= 0) {
		socket_hold(socket, &search->wish.key, port, search->holding, search->counted);
		fallback_count(search);
		count(VERDICT_ALLOCATED);
		return ALLOW;
	}
	attempt->used = search->used;
	attempt->busy = search->busy;
	if (!search->refused)
		return refuse(attempt, VERDICT_REFUSED_FULL, -EADDRNOTAVAIL);
	return refuse(attempt, VERDICT_REFUSED_BIND, -EADDRNOTAVAIL);
}

/* dest: as struct inet_addr has it. */
static __always_inline int connect_judge(struct bpf_sock_addr *ctx, const struct inet_addr *dest)
{
	struct search search = {};
	struct attempt attempt = {.dest = *dest, .dest_port = ctx->user_port, .proto = ctx->protocol};
	struct socket_state *socket;
	struct policy *policy;
	bool udp = ctx->protocol == IPPROTO_UDP;
	__u32 port, mss;

	if (ctx->protocol != IPPROTO_TCP && !udp)
		return ALLOW; /* the egress program judges these */
	socket = socket_judged(ctx, &search.policy);
	if (search.policy == POLICY_NONE)
		return ALLOW;
	attempt.policy = search.policy;
	if (!socket)
		return refuse(&attempt, VERDICT_REFUSED_TABLE_FULL, -EADDRNOTAVAIL);
	policy = policy_find(search.policy);
	if (!policy)
		return refuse(&attempt, VERDICT_REFUSED_NO_POLICY, -EPERM);
	mss = policy->mss;
	search.wish.slot = policy->slot;
	search.wish.destinations = policy->destinations;
	port = source_port(ctx->sk);
	if (policy_excepts(search.policy, dest)) {
		/* From an egress address it would get no answer. */
		if (port && policy_owns(search.policy, ctx->sk->src_ip4, port))
			return refuse(&attempt, VERDICT_REFUSED_BOUND, -EADDRNOTAVAIL);
		count(VERDICT_EXCEPTED);
		return ALLOW;
	}
	if (socket->foreign)
		return foreign_judge(&attempt);
	/* getaddrinfo() connects to port 0 to learn its source address, and sends nothing. */
	if (udp && (!ctx->user_port || policy_serves(search.policy, port)))
		return ALLOW;
	if (!inet_addr_is_mapped(dest))
		return refuse(&attempt, VERDICT_REFUSED_IPV6, -ENETUNREACH);

	search.wish.key.dest = dest->word[3];
	search.wish.key.dest_port = ctx->user_port;
	search.wish.key.proto = udp ? IPPROTO_UDP : IPPROTO_TCP;
	if (!udp)
		mss_limit(ctx, mss);
	if (gate_is_closed())
		return refuse(&attempt, VERDICT_REFUSED_TAKEOVER, -EADDRNOTAVAIL);
	if (port)
		return connect_bound(ctx, socket, &search, port, &attempt);
	return connect_unbound(ctx, socket, &search, policy, &attempt);
}

/*
 * A UDP datagram with a destination of its own. Without one (port 0) this is a connected socket that sends with
 * control data, and the egress program judges it.
 */
static __always_inline int sendmsg_judge(struct bpf_sock_addr *ctx, const struct inet_addr *dest)
{
	struct attempt attempt = {.dest = *dest, .dest_port = ctx->user_port, .proto = IPPROTO_UDP};
	struct socket_state *socket;
	__u32 port;

	attempt.policy = policy_asked(ctx->sk);
	if (attempt.policy != POLICY_NONE) {
		socket = socket_put_under(ctx, attempt.policy);
		if (!socket)
			return refuse(&attempt, VERDICT_REFUSED_TABLE_FULL, -EADDRNOTAVAIL);
	} else {
		socket = bpf_sk_storage_get(&sockets, ctx->sk, NULL, 0);
	}
	if (!socket || socket->policy == POLICY_NONE || !ctx->user_port)
		return ALLOW;
	if (inet_addr_is_mapped(dest) && socket->held && socket->key.dest == dest->word[3] &&
	    socket->key.dest_port == (__be16)ctx->user_port)
		return ALLOW; /* where it is connected to */
	attempt.policy = socket->policy;
	if (!policy_find(socket->policy))
		return refuse(&attempt, VERDICT_REFUSED_NO_POLICY, -EPERM);
	port = source_port(ctx->sk);
	if (policy_excepts(socket->policy, dest)) {
		/* From an egress address it would get no answer. */
		if (policy_owns(socket->policy, ctx->sk->src_ip4, port))
			return refuse(&attempt, VERDICT_REFUSED_BOUND, -EADDRNOTAVAIL);
		count(VERDICT_EXCEPTED);
		return ALLOW;
	}
	if (socket->foreign)
		return foreign_judge(&attempt);
	if (inet_addr_is_mapped(dest) && socket_claims(socket, IPPROTO_UDP, ctx->sk->src_ip4, port))
		return ALLOW;
	if (policy_serves(socket->policy, port))
		return ALLOW;
	if (policy_flags(socket->policy) & POLICY_UNCONNECTED_OWN &&
	    !policy_owns(socket->policy, ctx->sk->src_ip4, port))
		return ALLOW;
	return refuse(&attempt, VERDICT_REFUSED_UNCONNECTED, -EPERM);
}

#endif
