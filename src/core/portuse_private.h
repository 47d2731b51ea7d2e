/* SPDX-License-Identifier: Apache-2.0 */
/* What collecting and summing up share. */
#ifndef BERTH_CORE_PORTUSE_PRIVATE_H
#define BERTH_CORE_PORTUSE_PRIVATE_H

#include <stdbool.h>

#include "portuse.h"

#define NO_SLICE UINT32_MAX

/* Ports in use of one slice (or of none) towards one destination. */
struct share {
	uint64_t dest; /* address << 24 | port << 8 | protocol */
	uint32_t slice; /* index, NO_SLICE */
	uint32_t used;
};

/* That a policy has a slice. Sorted by slice, so that a slice's are next to each other. */
struct membership {
	uint32_t addr, first, count; /* the slice */
	uint32_t slice; /* its index */
	uint32_t policy; /* index */
};

struct portuse {
	struct use_policy *policies;
	size_t policy_count;
	struct membership *memberships;
	size_t membership_count;
	struct use_slice *slices;
	size_t slice_count;
	bool indexed; /* slices are there, memberships sorted */
	struct share *shares;
	size_t share_count, share_room;
	uint32_t *policy_used; /* by policy, towards the destination at hand; 0 in between */
};

/* Sorts the memberships, and makes the slices: each once, however many policies have it. -ENOMEM. */
int portuse_index(struct portuse *portuse);

static inline int number_compare(uint32_t a, uint32_t b)
{
	return a < b ? -1 : a > b;
}

#endif
