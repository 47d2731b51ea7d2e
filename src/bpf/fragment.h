/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Remembers first fragments (layout: abi/fragment.h). Shared by all CPUs: a network card may spread a datagram's. */
#ifndef BERTH_BPF_FRAGMENT_H
#define BERTH_BPF_FRAGMENT_H

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "../abi/fragment.h"
#include "packet.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FRAGMENTS_MAX);
	__type(key, struct fragment_key);
	__type(value, struct fragment);
} fragments SEC(".maps");

static __always_inline struct fragment_key fragment_key(const struct packet *p)
{
	return (struct fragment_key){.saddr = p->saddr, .daddr = p->daddr, .datagram = p->ports};
}

/* Should there be no memory, the later ones are dropped and counted. */
static __noinline int fragment_remember(const struct packet *p)
{
	struct fragment value = {};
	struct fragment_key key;

	if (!p)
		return 0;
	key = fragment_key(p);
	value.seen = bpf_ktime_get_ns();
	value.steering = p->steering;
	return bpf_map_update_elem(&fragments, &key, &value, BPF_ANY);
}

/* Of a later fragment: true, and its steering port is set. */
static __always_inline bool fragment_recall(struct packet *p)
{
	struct fragment_key key = fragment_key(p);
	struct fragment *first = bpf_map_lookup_elem(&fragments, &key);

	if (!first || bpf_ktime_get_ns() - first->seen > FRAGMENT_LIFE)
		return false;
	p->steering = first->steering;
	return true;
}

#endif
