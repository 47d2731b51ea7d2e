/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: what the agent's scrub asks of the kernel
 *
 * Which socket holds what stands in the sockets' storage alone, so an iterator over that tells it: of every socket,
 * bound, connecting or closing, in every network namespace. (sock_diag knows no bound TCP socket that is not connected,
 * and not who will give a port back.) A port is given back by a program as well, under the lock that everybody takes.
 *
 * These two are not attached to anything: the agent runs them.
 */
#ifndef BERTH_BPF_ALLOC_SCRUB_H
#define BERTH_BPF_ALLOC_SCRUB_H

#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

#include "../abi/allocator.h"
#include "alloc_ports.h"
#include "alloc_socket.h"
#include "counters.h"

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__bpf_sk_storage_map {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	struct sock *sk;
	void *value;
} __attribute__((preserve_access_index));

/* Writes a struct port_holder for every socket with a port in the table. */
SEC("iter/bpf_sk_storage_map")
int list_holders(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	const struct socket_state *socket = ctx->value;
	struct port_holder holder;

	if (!socket || socket->held != HOLDS_ENTRY)
		return 0;
	holder = (struct port_holder){.key = socket->key, .port = socket->port};
	bpf_seq_write(ctx->meta->seq, &holder, sizeof(holder));
	return 0;
}

/* One connection less on a port, where that was counted: a chunk's uses may be younger than the connection. */
static __always_inline void use_end_if_any(const struct ports_key *key, __u32 port)
{
	struct uses_key chunk = uses_key_of(key);
	struct port_uses *uses = uses_find(&chunk);
	__u32 users;

	if (!uses)
		return;
	users = *(volatile __u32 *)&uses->users[port % PORTS_PER_CHUNK];
	if (users && !(users & USERS_CLAIMED))
		__sync_val_compare_and_swap(&uses->users[port % PORTS_PER_CHUNK], users, users - 1);
}

/*
 * Gives back the port of the struct port_holder behind the packet's Ethernet header. 0; 1: it was not in use any more.
 * Of a type that may take spin locks and be run by hand, which only programs for packets are on every kernel.
 */
SEC("tc")
int give_back(struct __sk_buff *skb)
{
	struct port_holder holder;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &holder, sizeof(holder)) || ports_give(&holder.key, holder.port))
		return 1;
	use_end_if_any(&holder.key, holder.port);
	count(VERDICT_MENDED);
	return 0;
}

#endif
