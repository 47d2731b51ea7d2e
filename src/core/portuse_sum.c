/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "portuse_private.h"
#include "proto.h"

static int share_compare(const void *a, const void *b)
{
	const struct share *x = a, *y = b;

	if (x->dest != y->dest)
		return x->dest < y->dest ? -1 : 1;
	return number_compare(x->slice, y->slice);
}

static size_t membership_at(const struct portuse *portuse, uint32_t slice)
{
	size_t low = 0, high = portuse->membership_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (portuse->memberships[middle].slice < slice)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* A destination, summed up. */
struct total {
	uint64_t dest;
	uint32_t used, left_over;
	const struct use_policy *policy; /* the one whose slices are fullest towards it; NULL: none */
	uint32_t policy_used;
};

/* One slice's part of a destination, which may lie in several entries, and so in several shares. */
static void slice_count(struct use_slice *slice, uint32_t used)
{
	slice->destinations++;
	slice->connections += used;
	slice->fullest = used > slice->fullest ? used : slice->fullest;
}

static void slices_count(struct portuse *portuse, const struct share *shares, size_t count)
{
	uint32_t used = 0;

	for (size_t i = 0; i < count && shares[i].slice != NO_SLICE; i++) {
		used += shares[i].used;
		if (i + 1 < count && shares[i + 1].slice == shares[i].slice)
			continue;
		slice_count(&portuse->slices[shares[i].slice], used);
		used = 0;
	}
}

static void policy_count(struct use_policy *policy, uint32_t used, struct total *total)
{
	policy->destinations++;
	policy->connections += used;
	policy->fullest = used > policy->fullest ? used : policy->fullest;
	if (total->policy && (uint64_t)used * total->policy->ports <= (uint64_t)total->policy_used * policy->ports)
		return;
	total->policy = policy;
	total->policy_used = used;
}

/* A share counts for every policy that has its slice; a policy that has several of them counts once. */
static void policies_count(struct portuse *portuse, const struct share *shares, size_t count, struct total *total)
{
	const struct membership *rows = portuse->memberships;
	uint32_t *used = portuse->policy_used;
	size_t rest = portuse->membership_count;

	for (size_t i = 0; i < count; i++)
		for (size_t at = membership_at(portuse, shares[i].slice);
		     at < rest && rows[at].slice == shares[i].slice; at++)
			used[rows[at].policy] += shares[i].used;
	for (size_t i = 0; i < count; i++) {
		for (size_t at = membership_at(portuse, shares[i].slice);
		     at < rest && rows[at].slice == shares[i].slice; at++) {
			if (used[rows[at].policy])
				policy_count(&portuse->policies[rows[at].policy], used[rows[at].policy], total);
			used[rows[at].policy] = 0;
		}
	}
}

static struct use_destination destination_of(const struct total *total)
{
	struct use_destination destination = {.addr = (uint32_t)(total->dest >> 24),
					      .port = (uint16_t)(total->dest >> 8),
					      .used = total->used,
					      .policy_used = total->policy_used};

	proto_text((uint8_t)total->dest, destination.proto);
	if (total->policy) {
		memcpy(destination.policy, total->policy->name, sizeof(destination.policy));
		destination.policy_ports = total->policy->ports;
	}
	return destination;
}

/* Keeps the list sorted, most in use first, and at most `top` long. */
static void top_insert(struct use *use, size_t top, const struct total *total)
{
	size_t at = use->top_count;

	if (total->used == 0 || top == 0 || (at == top && use->top[at - 1].used >= total->used))
		return;
	if (at == top)
		at--;
	else
		use->top_count++;
	for (; at > 0 && use->top[at - 1].used < total->used; at--)
		use->top[at] = use->top[at - 1];
	use->top[at] = destination_of(total);
}

static void destination_count(struct portuse *portuse, const struct share *shares, size_t count, size_t top,
			      struct use *use)
{
	struct total total = {.dest = shares->dest};

	for (size_t i = 0; i < count; i++)
		*(shares[i].slice == NO_SLICE ? &total.left_over : &total.used) += shares[i].used;
	slices_count(portuse, shares, count);
	policies_count(portuse, shares, count, &total);
	use->destinations++;
	use->connections += total.used + total.left_over;
	use->left_over += total.left_over;
	top_insert(use, top, &total);
}

static void destinations_count(struct portuse *portuse, size_t top, struct use *use)
{
	struct share *shares = portuse->shares;
	size_t end;

	if (shares)
		qsort(shares, portuse->share_count, sizeof(*shares), share_compare);
	for (size_t i = 0; i < portuse->share_count; i = end) {
		for (end = i + 1; end < portuse->share_count && shares[end].dest == shares[i].dest; end++)
			;
		destination_count(portuse, &shares[i], end - i, top, use);
	}
}

static int policy_compare(const void *a, const void *b)
{
	return number_compare(((const struct use_policy *)a)->id, ((const struct use_policy *)b)->id);
}

int portuse_sum(struct portuse *portuse, size_t top, struct use *ret)
{
	struct use use = {.top = calloc(top + 1, sizeof(*use.top))};

	if (!use.top || (!portuse->indexed && portuse_index(portuse))) {
		free(use.top);
		return -ENOMEM;
	}
	destinations_count(portuse, top, &use);
	for (size_t i = 0; i < portuse->slice_count; i++)
		use.ports += portuse->slices[i].count;
	if (portuse->policies)
		qsort(portuse->policies, portuse->policy_count, sizeof(*portuse->policies), policy_compare);
	use.slices = portuse->slices;
	use.slice_count = portuse->slice_count;
	use.policies = portuse->policies;
	use.policy_count = portuse->policy_count;
	*ret = use;
	/* The lists are the caller's now; nothing can be added any more. */
	*portuse = (struct portuse){
		.memberships = portuse->memberships, .shares = portuse->shares, .policy_used = portuse->policy_used};
	return 0;
}
