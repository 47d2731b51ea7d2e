/* SPDX-License-Identifier: Apache-2.0 */
#include "portuse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "portuse_private.h"

struct portuse *portuse_new(void)
{
	return calloc(1, sizeof(struct portuse));
}

void portuse_free(struct portuse *portuse)
{
	if (!portuse)
		return;
	free(portuse->policies);
	free(portuse->memberships);
	free(portuse->slices);
	free(portuse->shares);
	free(portuse->policy_used);
	free(portuse);
}

void use_clear(struct use *use)
{
	free(use->slices);
	free(use->policies);
	free(use->top);
	*use = (struct use){0};
}

static int memberships_add(struct portuse *portuse, const struct policy *policy, uint32_t index)
{
	size_t count = policy->slice_count < POLICY_SLICES_MAX ? policy->slice_count : POLICY_SLICES_MAX;
	struct membership *more =
		reallocarray(portuse->memberships, portuse->membership_count + count + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	portuse->memberships = more;
	for (size_t i = 0; i < count; i++) {
		const struct policy_slice *slice = &policy->slices[i];

		more[portuse->membership_count++] = (struct membership){
			.addr = ntohl(slice->addr), .first = slice->first, .count = slice->count, .policy = index};
		portuse->policies[index].ports += slice->count;
	}
	portuse->policies[index].slices = (uint32_t)count;
	return 0;
}

int portuse_policy(struct portuse *portuse, uint32_t id, const char *name, const struct policy *policy,
		   uint64_t fallbacks)
{
	struct use_policy *more = reallocarray(portuse->policies, portuse->policy_count + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	portuse->policies = more;
	more[portuse->policy_count] = (struct use_policy){.id = id, .fallbacks = fallbacks};
	snprintf(more[portuse->policy_count].name, POLICY_NAME_MAX, "%s", name);
	return memberships_add(portuse, policy, (uint32_t)portuse->policy_count++);
}

static int slice_compare(const struct membership *a, const struct membership *b)
{
	int order = number_compare(a->addr, b->addr);

	if (!order)
		order = number_compare(a->first, b->first);
	return order ? order : number_compare(a->count, b->count);
}

static int membership_compare(const void *a, const void *b)
{
	const struct membership *x = a, *y = b;
	int order = slice_compare(x, y);

	return order ? order : number_compare(x->policy, y->policy);
}

int portuse_index(struct portuse *portuse)
{
	struct membership *rows = portuse->memberships;

	portuse->slices = calloc(portuse->membership_count + 1, sizeof(*portuse->slices));
	portuse->policy_used = calloc(portuse->policy_count + 1, sizeof(*portuse->policy_used));
	if (!portuse->slices || !portuse->policy_used)
		return -ENOMEM;
	if (rows)
		qsort(rows, portuse->membership_count, sizeof(*rows), membership_compare);
	for (size_t i = 0; i < portuse->membership_count; i++) {
		if (i == 0 || slice_compare(&rows[i - 1], &rows[i]))
			portuse->slices[portuse->slice_count++] = (struct use_slice){
				.addr = rows[i].addr, .first = rows[i].first, .count = rows[i].count};
		rows[i].slice = (uint32_t)portuse->slice_count - 1;
	}
	portuse->indexed = true;
	return 0;
}

static int share_add(struct portuse *portuse, const struct ports_key *key, uint32_t slice, uint32_t used)
{
	if (used == 0)
		return 0;
	if (portuse->share_count == portuse->share_room) {
		size_t room = portuse->share_room ? portuse->share_room * 2 : 1024;
		struct share *more = reallocarray(portuse->shares, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		portuse->shares = more;
		portuse->share_room = room;
	}
	portuse->shares[portuse->share_count++] = (struct share){
		.dest = (uint64_t)ntohl(key->dest) << 24 | (uint64_t)ntohs(key->dest_port) << 8 | key->proto,
		.slice = slice,
		.used = used};
	return 0;
}

/* Bits of an entry in [first, end), counted from the start of its chunk. */
static uint32_t bits_count(const struct port_entry *entry, uint32_t first, uint32_t end)
{
	uint32_t count = 0;

	for (uint32_t word = first / 64; word < CHUNK_WORDS && word * 64 < end; word++) {
		uint64_t bits = entry->bits[word];

		if (!bits)
			continue;
		if (first > word * 64)
			bits &= ~UINT64_C(0) << (first - word * 64);
		if (end < (word + 1) * 64)
			bits &= ~UINT64_C(0) >> ((word + 1) * 64 - end);
		count += (uint32_t)__builtin_popcountll(bits);
	}
	return count;
}

/* The first slice of an address, or of one above it. */
static size_t slice_at(const struct portuse *portuse, uint32_t addr)
{
	size_t low = 0, high = portuse->slice_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (portuse->slices[middle].addr < addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int portuse_entry(struct portuse *portuse, const struct port_entry *entry)
{
	const struct ports_key *key = &entry->key;
	uint32_t base = (uint32_t)key->chunk << CHUNK_SHIFT, addr = ntohl(key->egress), seen = 0, all;
	int err = portuse->indexed ? 0 : portuse_index(portuse);

	if (err || entry->used == 0)
		return err;
	for (size_t i = slice_at(portuse, addr); !err && i < portuse->slice_count; i++) {
		const struct use_slice *slice = &portuse->slices[i];
		uint32_t first = slice->first > base ? slice->first - base : 0;
		uint32_t end = slice->first + slice->count, used;

		if (slice->addr != addr || slice->first >= base + PORTS_PER_CHUNK)
			break;
		if (end <= base)
			continue;
		end = end - base < PORTS_PER_CHUNK ? end - base : PORTS_PER_CHUNK;
		used = bits_count(entry, first, end);
		seen += used;
		err = share_add(portuse, key, (uint32_t)i, used);
	}
	if (seen == entry->used)
		return err; /* the rule, and half of the work saved */
	all = bits_count(entry, 0, PORTS_PER_CHUNK);
	if (!err && all > seen)
		err = share_add(portuse, key, NO_SLICE, all - seen);
	return err;
}
