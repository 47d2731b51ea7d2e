/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: what the agent's scrub and takeover ask of the kernel
 *
 * Which socket holds what stands in the sockets' storage alone, so an iterator over that tells it: of every socket,
 * bound, connecting or closing, in every network namespace. (sock_diag knows no bound TCP socket that is not connected,
 * and not who will give a port back.) A port is given back by a program as well, under the lock that everybody takes.
 *
 * These are not attached to anything: the agent runs them.
 */
#ifndef BERTH_BPF_ALLOC_SCRUB_H
#define BERTH_BPF_ALLOC_SCRUB_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

#include "../abi/allocator.h"
#include "alloc_policy.h"
#include "alloc_ports.h"
#include "alloc_probes.h"
#include "alloc_search.h"
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

/* Writes a struct port_holder for everything that a socket holds. */
SEC("iter/bpf_sk_storage_map")
int list_holders(struct bpf_iter__bpf_sk_storage_map *ctx)
{
	const struct socket_state *socket = ctx->value;
	struct port_holder holder;

	if (!socket)
		return 0;
	if (socket->held) {
		holder = (struct port_holder){
			.key = socket->key,
			.port = socket->port,
			.holding = socket->held,
			.probe = socket->held == HOLDS_PROBE ? probe_place(&socket->key, socket->port) : 0,
			.policy = socket->policy,
			.counted = socket->counted,
		};
		bpf_seq_write(ctx->meta->seq, &holder, sizeof(holder));
	}
	if (socket->claims) {
		holder = (struct port_holder){
			.key = {.egress = socket->claim.egress,
				.proto = socket->claim.proto,
				.chunk = socket->claim.chunk},
			.port = socket->claimed_port,
			.holding = HOLDS_CLAIM,
			.policy = socket->policy,
		};
		bpf_seq_write(ctx->meta->seq, &holder, sizeof(holder));
	}
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

/* False: it is not claimed any more. */
static __always_inline bool claim_give(const struct ports_key *key, __u32 port)
{
	struct uses_key chunk = uses_key_of(key);
	struct port_uses *uses = uses_find(&chunk);

	if (!uses || *(volatile __u32 *)&uses->users[port % PORTS_PER_CHUNK] != USERS_CLAIMED)
		return false;
	claim_end(uses, port, 0);
	return true;
}

/* False: the bit is clear. Which port it was is not known, so the port's users stay one too many: nobody claims it. */
static __always_inline bool probe_give_at(__u32 place)
{
	__u64 bit = 1ull << place % 64;

	if (!(__sync_fetch_and_and(&port_probes.words[place / 64 & (PROBE_WORDS - 1)], ~bit) & bit))
		return false;
	__sync_fetch_and_sub(&port_table.probes, 1);
	return true;
}

/*
 * Gives back what the struct port_holder behind the packet's Ethernet header says. 0; 1: it was not held any more. Of a
 * type that may take spin locks and be run by hand, which only programs for packets are on every kernel.
 */
SEC("tc")
int give_back(struct __sk_buff *skb)
{
	struct port_holder holder;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &holder, sizeof(holder)))
		return 1;
	if (holder.holding == HOLDS_CLAIM) {
		if (!claim_give(&holder.key, holder.port))
			return 1;
	} else if (holder.holding == HOLDS_PROBE) {
		if (!probe_give_at(holder.probe))
			return 1;
	} else {
		if (ports_give(&holder.key, holder.port))
			return 1;
		use_end_if_any(&holder.key, holder.port);
	}
	count(VERDICT_MENDED);
	return 0;
}

/* Sets the probe's bit. Another seed may have put two of them together: then they share it, and whoever is offered the
   port again finds the socket that has it (port_is_foreign). */
static __always_inline int probe_hold(const struct ports_key *key, __u32 port)
{
	__u64 bit = 1ull << port % 64;

	if (__sync_fetch_and_or(probe_word(ports_key_hash(key), port % PORTS_PER_CHUNK / 64), bit) & bit)
		return -EEXIST;
	__sync_fetch_and_add(&port_table.probes, 1);
	return 0;
}

static __always_inline int entry_hold(const struct port_holder *holder)
{
	struct port_wish wish = {.key = holder->key, .first = holder->port, .end = (__u32)holder->port + 1};
	struct policy *policy = policy_find(holder->policy);

	if (policy)
		wish.slot = policy->slot;
	return ports_take(&wish, &no_uses);
}

/*
 * Writes down in this version's table what a socket holds by another version's: likewise. 0; 1: it is there already;
 * 2: there is no room for it.
 */
SEC("tc")
int hold_again(struct __sk_buff *skb)
{
	struct port_holder holder;
	struct port_uses *uses;
	struct uses_key chunk;
	int ret;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &holder, sizeof(holder)))
		return 2;
	chunk = uses_key_of(&holder.key);
	if (holder.holding == HOLDS_CLAIM)
		return claim_one(&chunk, holder.port) ? 1 : 0;
	ret = holder.holding == HOLDS_ENTRY ? entry_hold(&holder) : probe_hold(&holder.key, holder.port);
	if (ret == -ENOSPC)
		return 1;
	/* Also what has no room: its end will count it out. */
	uses = holder.counted ? uses_find(&chunk) : NULL;
	if (uses)
		__sync_fetch_and_add(&uses->users[holder.port % PORTS_PER_CHUNK], 1);
	return ret == -ENOBUFS || ret == -EAGAIN ? 2 : 0;
}

#endif
