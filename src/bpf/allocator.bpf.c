/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: the allocator
 *
 * Gives what a program under a policy opens an egress address and port of the policy's slices, and sees to it that
 * nothing else of what it opens leaves. Attached once, at the root of the cgroup tree; which cgroup is under which
 * policy stands in maps. docs/allocator.md tells the rules.
 *
 * A port is given back when TCP's state becomes CLOSE, which is also when the connection turns into TIME_WAIT, or when
 * the last descriptor of a socket is closed that never got further.
 */
#include <linux/bpf.h>
#include <linux/in.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "alloc_bind.h"
#include "alloc_connect.h"
#include "alloc_egress.h"
#include "alloc_events.h"
#include "alloc_listen.h"
#include "alloc_policy.h"
#include "alloc_scrub.h"
#include "alloc_socket.h"
#include "counters.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct sock;

struct kernfs_node {
	__u64 id;
} __attribute__((preserve_access_index));

struct cgroup_root {
	int hierarchy_id;
} __attribute__((preserve_access_index));

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
} __attribute__((preserve_access_index));

/* The hierarchy of cgroup2. */
#define HIERARCHY_DEFAULT 0

SEC("cgroup/sock_create")
int sock_create(struct bpf_sock *ctx)
{
	__u32 policy = policy_of_current();
	struct socket_state *socket;

	if (policy == POLICY_NONE)
		return ALLOW;
	socket = bpf_sk_storage_get(&sockets, ctx, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!socket) { /* it would go unjudged */
		count(VERDICT_REFUSED_TABLE_FULL);
		return REFUSE;
	}
	socket->policy = policy;
	socket->foreign = netns_is_foreign(ctx);
	return ALLOW;
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *ctx)
{
	__u32 port = bpf_ntohs(ctx->user_port);
	__be32 addr = ctx->user_ip4;
	int ret = bind_judge(ctx, &addr, &port);

	if (ret > 0) {
		ctx->user_ip4 = addr;
		ctx->user_port = bpf_htons(port);
	}
	return ret < 0 ? REFUSE : ALLOW;
}

/* Only what is an IPv4 address in disguise, or may become one: IPv6 addresses are the host's. */
SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr *ctx)
{
	struct inet_addr given = {{ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]}};
	__u32 port = bpf_ntohs(ctx->user_port);
	__be32 addr = given.word[3];
	int ret;

	if (!bind_is_dual(ctx, &given) && (!inet_addr_is_mapped(&given) || !addr))
		return ALLOW;
	ret = bind_judge(ctx, &addr, &port);
	if (ret > 0) {
		ctx->user_ip6[2] = bpf_htonl(0xffff);
		ctx->user_ip6[3] = addr;
		ctx->user_port = bpf_htons(port);
	}
	return ret < 0 ? REFUSE : ALLOW;
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	struct inet_addr dest = inet_addr_mapped(ctx->user_ip4);

	return connect_judge(ctx, &dest);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	struct inet_addr dest = {{ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]}};

	return connect_judge(ctx, &dest);
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	struct inet_addr dest = inet_addr_mapped(ctx->user_ip4);

	return sendmsg_judge(ctx, &dest);
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	struct inet_addr dest = {{ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]}};

	return sendmsg_judge(ctx, &dest);
}

SEC("cgroup_skb/egress")
int egress(struct __sk_buff *skb)
{
	struct attempt attempt = {};
	struct bpf_sock *sk = skb->sk;

	if (sk)
		sk = bpf_sk_fullsock(sk);
	if (!sk || egress_judge(skb, sk, &attempt))
		return ALLOW;
	count(VERDICT_REFUSED_EGRESS);
	event_of_packet(skb, &attempt, VERDICT_REFUSED_EGRESS);
	return REFUSE;
}

SEC("cgroup/sock_release")
int sock_release(struct bpf_sock *ctx)
{
	struct socket_state *socket;

	/*
	 * A connection that is still closing keeps its port until it has. One that is still opening ends right here,
	 * and nobody may be told of it: with TCP_FASTOPEN_CONNECT there was no SYN yet.
	 */
	if (socket_is_tcp(ctx->type, ctx->protocol) && ctx->state != BPF_TCP_CLOSE && ctx->state != BPF_TCP_SYN_SENT)
		return ALLOW;
	socket = bpf_sk_storage_get(&sockets, ctx, NULL, 0);
	if (socket) {
		socket_release(socket);
		socket_unclaim(socket, 0);
	}
	return ALLOW;
}

/*
 * Told of listeners, and of every state of a TCP socket that asked for it. Unlike a tracing program, which the kernel
 * skips now and then while packets come in, it runs each time. What it returns is "no opinion" on everything else that
 * it is asked.
 */
SEC("sockops")
int tcp_states(struct bpf_sock_ops *ctx)
{
	struct socket_state *socket;

	switch (ctx->op) {
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		listener_judge(ctx);
		break;
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		socket = socket_of_ops(ctx);
		if (socket && socket->held)
			bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		socket = ctx->args[1] == BPF_TCP_CLOSE ? socket_of_ops(ctx) : NULL;
		if (socket)
			socket_release(socket);
		break;
	}
	return ALLOW;
}

/*
 * For sockets that end without any of the above: MPTCP's own, which no program closes, when there was no route. The
 * kernel does not run tracing programs each time, so nothing else may count on it.
 */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(sock_destroy, struct sock *sk)
{
	struct socket_state *socket = bpf_sk_storage_get(&sockets, sk, NULL, 0);

	if (socket) {
		socket_release(socket);
		socket_unclaim(socket, 0);
	}
	return 0;
}

/* Runs before mkdir() returns, so before anybody can be in the cgroup. */
SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cgroup_made, struct cgroup *cgroup, const char *path)
{
	struct cgroup_path key = {};
	__u64 id = cgroup->kn->id;
	__u32 *policy;
	long len;

	if (cgroup->root->hierarchy_id != HIERARCHY_DEFAULT)
		return 0;
	len = bpf_probe_read_kernel_str(key.path, sizeof(key.path), path);
	if (len <= 0 || len == sizeof(key.path)) /* cut off, perhaps */
		return 0;
	policy = bpf_map_lookup_elem(&cgroup_paths, &key);
	if (policy)
		bpf_map_update_elem(&cgroup_policies, &id, policy, BPF_ANY);
	return 0;
}

/* When it and all sockets made in it are gone; rmdir() would be too early for the latter. */
SEC("tp_btf/cgroup_release")
int BPF_PROG(cgroup_gone, struct cgroup *cgroup, const char *path)
{
	__u64 id = cgroup->kn->id;

	if (cgroup->root->hierarchy_id == HIERARCHY_DEFAULT)
		bpf_map_delete_elem(&cgroup_policies, &id);
	return 0;
}
