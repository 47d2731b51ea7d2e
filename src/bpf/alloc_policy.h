/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which policy counts for a cgroup, and what a policy says about destinations and ports. The agent writes these maps,
 * the programs read them; only cgroup_policies is also written here, by cgroup_mkdir and cgroup_release.
 */
#ifndef BERTH_BPF_ALLOC_POLICY_H
#define BERTH_BPF_ALLOC_POLICY_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../abi/allocator.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CGROUP_POLICIES_MAX);
	__type(key, __u64);
	__type(value, __u32);
} cgroup_policies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CGROUP_POLICIES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct cgroup_path);
	__type(value, __u32);
} cgroup_paths SEC(".maps");

/* Policy of a mark; none has mark 0, which is no mark. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, POLICIES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} mark_policies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, POLICIES_MAX);
	__type(key, __u32);
	__type(value, struct policy);
} policies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, EXCEPTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct except_key);
	__type(value, __u32);
} excepts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SERVE_PORTS_MAX);
	__type(key, struct serve_key);
	__type(value, __u32);
} serves SEC(".maps");

/* Not for the programs: whoever reads the pins without an agent finds the names here. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, POLICIES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct policy_name);
} policy_names SEC(".maps");

/* How often a policy's slices beyond the first tier gave a port, by the policy's slot. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, POLICIES_MAX);
	__type(key, __u32);
	__type(value, __u64);
} policy_fallbacks SEC(".maps");

/* As struct except_key has it: network byte order, IPv4 as ::ffff:a.b.c.d. */
struct inet_addr {
	__be32 word[4];
};

static __always_inline struct inet_addr inet_addr_mapped(__be32 addr)
{
	return (struct inet_addr){{0, 0, bpf_htonl(0xffff), addr}};
}

static __always_inline bool inet_addr_is_mapped(const struct inet_addr *addr)
{
	return !addr->word[0] && !addr->word[1] && addr->word[2] == bpf_htonl(0xffff);
}

/*
 * Policy of the calling task's nearest ancestor cgroup that has one, itself included. POLICY_NONE: none counts. From
 * the root down, since most tasks are a few levels deep.
 */
__noinline __u32 policy_of_current(void)
{
	__u32 nearest = POLICY_NONE;
	__u32 level;

	for (level = 0; level < CGROUP_DEPTH_MAX; level++) {
		__u64 cgroup = bpf_get_current_ancestor_cgroup_id(level);
		__u32 *policy;

		if (!cgroup) /* the task's cgroup is not that deep */
			break;
		policy = bpf_map_lookup_elem(&cgroup_policies, &cgroup);
		if (policy)
			nearest = *policy;
	}
	return nearest;
}

/* Likewise for the cgroup of the socket that sends a packet. */
__noinline __u32 policy_of_skb(struct __sk_buff *skb)
{
	__u32 nearest = POLICY_NONE;
	__u32 level;

	for (level = 0; level < CGROUP_DEPTH_MAX; level++) {
		__u64 cgroup = bpf_skb_ancestor_cgroup_id(skb, level);
		__u32 *policy;

		if (!cgroup)
			break;
		policy = bpf_map_lookup_elem(&cgroup_policies, &cgroup);
		if (policy)
			nearest = *policy;
	}
	return nearest;
}

/* Policy that sockets with that mark ask for. POLICY_NONE: none does. */
static __always_inline __u32 policy_of_mark(__u32 mark)
{
	__u32 *policy = mark ? bpf_map_lookup_elem(&mark_policies, &mark) : NULL;

	return policy ? *policy : POLICY_NONE;
}

static __always_inline struct policy *policy_find(__u32 id)
{
	return bpf_map_lookup_elem(&policies, &id);
}

/*
 * Replacing or deleting an entry lets another policy have its memory at once. What was read through `policy` was this
 * policy's when the entry still is at its place afterwards.
 */
static __always_inline bool policy_is_current(const struct policy *policy, __u32 id)
{
	barrier();
	return policy_find(id) == policy;
}

/* 0 also for a policy that is gone or being replaced: every flag allows something. */
static __always_inline __u32 policy_flags(__u32 id)
{
	struct policy *policy = policy_find(id);
	__u32 flags;

	if (!policy)
		return 0;
	flags = *(volatile const __u32 *)&policy->flags;
	return policy_is_current(policy, id) ? flags : 0;
}

/* True when the port of an egress address lies in one of the policy's slices; port 0: when it has one of that address.
   port: host byte order. */
__noinline int policy_has(__u32 id, __be32 addr, __u32 port)
{
	struct policy *policy = policy_find(id);
	int found = 0;
	__u32 i;

	if (!policy)
		return 0;
	for (i = 0; i < POLICY_SLICES_MAX && i < policy->slice_count; i++) {
		const struct policy_slice *slice = &policy->slices[i];

		found |= slice->addr == addr && (!port || (port >= slice->first && port - slice->first < slice->count));
	}
	return found && policy_is_current(policy, id);
}

/* The same of a port that a socket has: one without is nobody's. */
static __always_inline bool policy_owns(__u32 id, __be32 addr, __u32 port)
{
	return port && policy_has(id, addr, port);
}

/* The kernel takes "any" as a destination for loopback, so it is judged as that. */
__noinline int policy_excepts(__u32 id, const struct inet_addr *dest)
{
	struct except_key key = {.prefix_len = 8 * (sizeof(key) - sizeof(key.prefix_len)), .policy = id};
	struct inet_addr addr;
	__u32 *leave;

	if (!dest)
		return 0;
	addr = *dest;
	if (inet_addr_is_mapped(&addr) && !addr.word[3])
		addr.word[3] = bpf_htonl(0x7f000001);
	else if (!addr.word[0] && !addr.word[1] && !addr.word[2] && !addr.word[3])
		addr.word[3] = bpf_htonl(1);
	__builtin_memcpy(key.addr, &addr, sizeof(key.addr));
	leave = bpf_map_lookup_elem(&excepts, &key);
	return leave && *leave;
}

/* port: of a UDP socket, host byte order; 0: not bound. */
static __always_inline bool policy_serves(__u32 id, __u32 port)
{
	struct serve_key key = {.policy = id, .port = port};

	if (!port)
		return false;
	return port < BERTH_PORT_FLOOR || bpf_map_lookup_elem(&serves, &key);
}

#endif
