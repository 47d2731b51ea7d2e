/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a socket holds, in its storage: a socket without storage is under no policy, as far as is known. */
#ifndef BERTH_BPF_ALLOC_SOCKET_H
#define BERTH_BPF_ALLOC_SOCKET_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "../abi/allocator.h"
#include "alloc_policy.h"
#include "alloc_ports.h"
#include "alloc_probes.h"

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_state);
} sockets SEC(".maps");

/* Of few sockets. User space writes it, through a descriptor of the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct socket_choice);
} choices SEC(".maps");

/* Of all versions that are attached. */
struct gate gate SEC(".data.gate");

static __always_inline bool gate_is_closed(void)
{
	return *(volatile __u32 *)&gate.closed;
}

/* Cookie of the agent's network namespace; 0: not known, and then no socket is told to be of another one. */
volatile __u64 home_netns SEC(".data.home_netns");

/* Not in the kernel's UAPI headers. */
#define AF_INET 2
#define SOCK_STREAM 1
#define SOCK_DGRAM 2

/* The parts that are read here. */
struct tcp_options_received {
	__u16 user_mss;
} __attribute__((preserve_access_index));

struct tcp_sock {
	struct tcp_options_received rx_opt;
	bool is_mptcp; /* kernels with MPTCP only */
} __attribute__((preserve_access_index));

static __always_inline bool socket_is_tcp(__u32 type, __u32 proto)
{
	return type == SOCK_STREAM && proto == IPPROTO_TCP;
}

static __always_inline bool socket_is_udp(__u32 type, __u32 proto)
{
	return type == SOCK_DGRAM && proto == IPPROTO_UDP;
}

/* NULL: the socket of a sock_ops program has none, or is no full socket. */
static __always_inline struct socket_state *socket_of_ops(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk = ctx->sk;

	return sk ? bpf_sk_storage_get(&sockets, sk, NULL, 0) : NULL;
}

/* A program's context, of one that is called for a socket. A macro, since the types of these contexts differ. */
#define netns_is_foreign(ctx) (home_netns && bpf_get_netns_cookie(ctx) != home_netns)

/* Policy that a full socket asks for itself: what was chosen for it, else its mark's. POLICY_NONE: it asks for none. */
static __always_inline __u32 policy_asked(struct bpf_sock *sk)
{
	struct socket_choice *choice = bpf_sk_storage_get(&choices, sk, NULL, 0);

	return choice ? choice->policy : policy_of_mark(sk->mark);
}

static __always_inline void port_uncount(const struct ports_key *key, __u32 port)
{
	struct uses_key chunk = uses_key_of(key);
	struct port_uses *uses = uses_find(&chunk);

	if (uses)
		use_end(uses, port);
}

/* Two hooks may come here for one socket, on two CPUs: one of them gives the port back. */
static __always_inline void socket_release(struct socket_state *socket)
{
	__u32 held = __sync_lock_test_and_set(&socket->held, HOLDS_NOTHING);

	if (held == HOLDS_ENTRY)
		ports_give(&socket->key, socket->port);
	else if (held == HOLDS_PROBE)
		probe_give(&socket->key, socket->port);
	if (held && socket->counted)
		port_uncount(&socket->key, socket->port);
}

/* The socket's claim ends, with so many users of the port: 0, or 1 when it goes on as an ordinary connection. */
static __always_inline void socket_unclaim(struct socket_state *socket, __u32 users)
{
	struct uses_key chunk = socket->claim;
	struct port_uses *uses;

	if (!__sync_lock_test_and_set(&socket->claims, 0))
		return;
	uses = uses_find(&chunk);
	if (uses)
		claim_end(uses, socket->claimed_port, users);
}

/* True when the socket alone has that source. port: host byte order. */
static __always_inline bool socket_claims(const struct socket_state *socket, __u32 proto, __be32 egress, __u32 port)
{
	return socket->claims && socket->claim.proto == proto && socket->claim.egress == egress &&
	       socket->claimed_port == port;
}

/* The caller has taken the port, and has the socket's lock. What was held until now is given back. */
static __always_inline void socket_hold(struct socket_state *socket, const struct ports_key *key, __u32 port,
					enum holding holding, bool counted)
{
	socket_release(socket);
	socket->key = *key;
	socket->port = port;
	socket->counted = counted;
	barrier();
	socket->held = holding;
}

static __always_inline bool socket_holds(const struct socket_state *socket, const struct ports_key *key, __u32 port)
{
	return socket->held && socket->port == port && ports_key_equal(&socket->key, key);
}

#endif
