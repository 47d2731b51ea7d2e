/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tables that forwarder and guard share (layout: abi/forwarder.h). Global variables in sections of their own, so
 * that each is a map of its own, which the agent maps into its memory; a lookup is then plain arithmetic and a load,
 * without a helper call.
 */
#ifndef BERTH_BPF_TABLES_H
#define BERTH_BPF_TABLES_H

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../abi/forwarder.h"

struct forwarder_config config SEC(".data.config");
struct directories directories SEC(".data.directories");
struct slices slices SEC(".data.slices") __attribute__((aligned(64)));

/* The agent stores these words while programs run: each is loaded once. */
#define LOAD_ONCE(word) (*(const volatile typeof(word) *)&(word))

/* The slot of the address's /24; NULL: no pool in it. */
static __always_inline const struct directory_slot *directory_find(__u32 addr)
{
	const struct directory *directory = &directories.copy[LOAD_ONCE(directories.live) & 1];
	const struct directory_slot *slot;

	slot = &directory->slots[directory_index(directory->multiplier, addr)];
	return slot->key == directory_key(addr) ? slot : NULL;
}

/* The shift is a table's word and may be half changed: masked, so that arithmetic with it is defined. */
static __always_inline __u32 slot_shift(const struct directory_slot *slot)
{
	return slot->shift & 0xf;
}

static __always_inline __u32 slot_entry(const struct directory_slot *slot, __u32 addr, __u32 port)
{
	__u32 index = directory_slice(slot->base, slot_shift(slot), addr, port);

	return index < SLICES_MAX ? LOAD_ONCE(slices.entry[index]) : SLICE_NOT_OURS;
}

/*
 * The slice entry of an address (network byte order) and port (host byte order). Nobody owns a port below the floor,
 * not even where its column straddles it: whether the address is ours is then read from its last column.
 */
static __always_inline __u32 slice_find(__be32 address, __u32 port)
{
	__u32 addr = bpf_ntohl(address);
	const struct directory_slot *slot = directory_find(addr);

	if (!slot)
		return SLICE_NOT_OURS;
	if (port >= BERTH_PORT_FLOOR)
		return slot_entry(slot, addr, port);
	return slot_entry(slot, addr, BERTH_PORT_SPACE - 1) ? SLICE_FREE : SLICE_NOT_OURS;
}

/* True when the address is an egress address of the fleet. */
static __always_inline bool pool_contains(__be32 address)
{
	return slice_find(address, BERTH_PORT_SPACE - 1) != SLICE_NOT_OURS;
}

#endif
