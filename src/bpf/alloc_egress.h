/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: what leaves
 *
 * The last word on packets of sockets under a policy: whatever way they took past connect() and sendto() (raw, ping
 * and SCTP sockets, IP_PKTINFO, subflows of MPTCP), they leave from the port that the socket holds, or to where an
 * exception lets them, or not at all. Of TCP only the opening of a connection is judged, which is all that a socket in
 * SYN_SENT sends: accepted connections have the host's address, and every other packet has its SYN's.
 */
#ifndef BERTH_BPF_ALLOC_EGRESS_H
#define BERTH_BPF_ALLOC_EGRESS_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <stdbool.h>
#include <stddef.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "alloc_events.h"
#include "alloc_policy.h"
#include "alloc_socket.h"
#include "counters.h"

/* What of a packet is judged. */
struct flow {
	struct inet_addr dest;
	__be32 source; /* 0: not IPv4 */
	__be16 ports[2]; /* source and destination; 0 for a protocol without ports, and for IPv6 */
};

/* False: cut short. */
static __always_inline bool flow_read(struct __sk_buff *skb, struct flow *flow, bool has_ports)
{
	struct iphdr ip;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return !bpf_skb_load_bytes(skb, offsetof(struct ipv6hdr, daddr), &flow->dest, sizeof(flow->dest));
	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return false;
	flow->dest = inet_addr_mapped(ip.daddr);
	flow->source = ip.saddr;
	return !has_ports || !bpf_skb_load_bytes(skb, ip.ihl * 4, flow->ports, sizeof(flow->ports));
}

static __always_inline bool flow_is_held(const struct flow *flow, const struct socket_state *socket, __u8 proto)
{
	const struct ports_key *key = &socket->key;

	return socket->held && key->proto == proto && flow->source && key->egress == flow->source &&
	       bpf_htons(socket->port) == flow->ports[0] && key->dest == flow->dest.word[3] &&
	       key->dest_port == flow->ports[1];
}

/* A UDP socket that serves, or that may send from the host's own address. */
static __always_inline bool udp_is_own(const struct flow *flow, __u32 policy, __u32 port)
{
	if (policy_serves(policy, port))
		return true;
	return policy_flags(policy) & POLICY_UNCONNECTED_OWN && !policy_owns(policy, flow->source, port);
}

/*
 * A socket of MPTCP's: those after the first are connected by the kernel itself, past connect(), and so have no
 * storage.
 */
static __always_inline bool socket_is_subflow(struct bpf_sock *sk)
{
	struct tcp_sock *tcp = (struct tcp_sock *)bpf_skc_to_tcp_sock(sk);

	return tcp && bpf_core_field_exists(tcp->is_mptcp) && tcp->is_mptcp;
}

/* Policy of a socket without storage: it was never bound, connected or sent from in a way that is told of. */
static __always_inline __u32 policy_unrecorded(struct __sk_buff *skb, struct bpf_sock *sk, bool tcp)
{
	__u32 policy = policy_asked(sk);

	if (policy == POLICY_NONE && tcp && socket_is_subflow(sk))
		policy = policy_of_skb(skb);
	return policy;
}

/* True: the packet may leave. Otherwise *attempt is told of. */
static __always_inline bool egress_judge(struct __sk_buff *skb, struct bpf_sock *sk, struct attempt *attempt)
{
	__u32 type = sk->type, proto = sk->protocol;
	bool tcp = socket_is_tcp(type, proto), udp = socket_is_udp(type, proto);
	struct socket_state *socket;
	struct flow flow = {};
	__u32 policy;

	if (tcp && sk->state != BPF_TCP_SYN_SENT)
		return true;
	socket = bpf_sk_storage_get(&sockets, sk, NULL, 0);
	policy = socket ? socket->policy : policy_unrecorded(skb, sk, tcp);
	if (policy == POLICY_NONE)
		return true;
	attempt->policy = policy;
	attempt->proto = proto;
	if (!flow_read(skb, &flow, tcp || udp))
		return false;
	attempt->dest = flow.dest;
	attempt->dest_port = flow.ports[1];
	if (socket && flow_is_held(&flow, socket, proto))
		return true;
	if (socket && flow.source && socket_claims(socket, proto, flow.source, bpf_ntohs(flow.ports[0])))
		return !policy_excepts(policy, &flow.dest);
	if (policy_excepts(policy, &flow.dest))
		return true;
	if (socket && socket->foreign && policy_flags(policy) & POLICY_NETNS_HOST)
		return true;
	return udp && udp_is_own(&flow, policy, sk->src_port);
}

#endif
