/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: writing tables that are being read
 *
 * Programs read the tables without a lock. A word is stored whole, with release order, after whatever it leads to. Of
 * what is kept twice the copy is filled that is not live. A program that began before the last flip may still read
 * the copy that went out then; so a grace period is waited for before that copy is written again (once for any number
 * of hops) and before slice entries go that only the old directory leads to.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "dataplane_private.h"

/* Where membarrier(2) has no global command (nohz_full); packets are handled in far less. */
#define GRACE_FALLBACK_NS (50 * 1000 * 1000)

/* Entries that are compared at once: of two million nearly all are as they should be. */
#define SLICE_BLOCK 1024u

/* MEMBARRIER_CMD_GLOBAL is synchronize_rcu() for anybody. */
void grace_period(struct dataplane *dp)
{
	const struct timespec pause = {.tv_nsec = GRACE_FALLBACK_NS};

	if (syscall(__NR_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) < 0)
		nanosleep(&pause, NULL);
	dp->directory_flipped = false;
	memset(dp->hop_flipped, 0, sizeof(dp->hop_flipped));
}

static void store_word(uint32_t *word, uint32_t value)
{
	if (*word != value)
		__atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static size_t used_words(const uint32_t *words, size_t max)
{
	while (max && !words[max - 1])
		max--;
	return max;
}

void dataplane_tables_measure(struct dataplane *dp)
{
	dp->slice_count = used_words(dp->slices->entry, SLICES_MAX);
	dp->member_count = used_words(dp->members->underlay, SERVERS_MAX);
	/* What the agent before us flipped last is not known: all of it counts as just flipped. */
	dp->directory_flipped = dp->adopted;
	memset(dp->hop_flipped, dp->adopted, sizeof(dp->hop_flipped));
}

static void *copy_words(const uint32_t *words, size_t count)
{
	uint32_t *copy = calloc(count ? count : 1, sizeof(*copy));

	if (copy && count)
		memcpy(copy, words, count * sizeof(*copy));
	return copy;
}

int dataplane_tables_read(const struct dataplane *dp, struct tables **ret)
{
	struct tables *tables = calloc(1, sizeof(*tables));

	if (!tables)
		return -ENOMEM;
	tables->directory = dp->directories->copy[dp->directories->live & 1];
	tables->slice_count = dp->slice_count;
	tables->slices = copy_words(dp->slices->entry, tables->slice_count);
	memcpy(tables->hop_target, dp->hops->target, sizeof(tables->hop_target));
	tables->member_count = dp->member_count;
	tables->members = copy_words(dp->members->underlay, tables->member_count);
	if (!tables->slices || !tables->members) {
		tables_free(tables);
		return -ENOMEM;
	}
	for (size_t i = 0; i < tables->member_count; i++)
		tables->members[i] = ntohl(tables->members[i]);
	*ret = tables;
	return 0;
}

static void members_add(struct dataplane *dp, const struct tables *tables)
{
	for (size_t i = 0; i < tables->member_count; i++)
		if (tables->members[i])
			store_word(&dp->members->underlay[i], htonl(tables->members[i]));
}

static void members_remove(struct dataplane *dp, const struct tables *tables)
{
	for (size_t i = 0; i < dp->member_count; i++)
		if (i >= tables->member_count || !tables->members[i])
			store_word(&dp->members->underlay[i], 0);
	dp->member_count = tables->member_count;
}

static void hops_add(struct dataplane *dp, const struct tables *tables)
{
	static const struct hop_wrap no_way;

	for (uint32_t i = 0; i < HOPS_MAX; i++) {
		uint32_t before = dp->hops->target[i];

		if (!tables->hop_target[i] || tables->hop_target[i] == before)
			continue;
		if (before)
			dataplane_hop_write(dp, i, &no_way);
		store_word(&dp->hops->target[i], tables->hop_target[i]);
	}
}

static void hops_remove(struct dataplane *dp, const struct tables *tables)
{
	static const struct hop_wrap no_way;

	for (uint32_t i = 0; i < HOPS_MAX; i++) {
		if (tables->hop_target[i] || !dp->hops->target[i])
			continue;
		dataplane_hop_write(dp, i, &no_way);
		store_word(&dp->hops->target[i], 0);
	}
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The entries from `first` on, as long as both have any. True: as they are wanted. */
static bool block_same(const struct dataplane *dp, const struct tables *tables, size_t first, size_t *end)
{
	*end = smaller(first + SLICE_BLOCK, tables->slice_count);
	return memcmp(&dp->slices->entry[first], &tables->slices[first], (*end - first) * sizeof(uint32_t)) == 0;
}

/* Stores what is there to stay. True: there is something to go as well. */
static bool slices_add(struct dataplane *dp, const struct tables *tables)
{
	bool more = tables->slice_count < dp->slice_count;
	size_t end;

	for (size_t first = 0; first < tables->slice_count; first = end) {
		if (block_same(dp, tables, first, &end))
			continue;
		for (size_t i = first; i < end; i++) {
			if (tables->slices[i] != SLICE_NOT_OURS)
				store_word(&dp->slices->entry[i], tables->slices[i]);
			else
				more |= dp->slices->entry[i] != SLICE_NOT_OURS;
		}
	}
	return more;
}

static void slices_remove(struct dataplane *dp, const struct tables *tables)
{
	for (size_t i = 0; i < dp->slice_count; i++)
		if (i >= tables->slice_count || tables->slices[i] == SLICE_NOT_OURS)
			store_word(&dp->slices->entry[i], SLICE_NOT_OURS);
}

static void directory_write(struct dataplane *dp, const struct tables *tables)
{
	uint32_t live = dp->directories->live & 1;

	if (memcmp(&dp->directories->copy[live], &tables->directory, sizeof(tables->directory)) == 0)
		return;
	if (dp->directory_flipped)
		grace_period(dp);
	memcpy(&dp->directories->copy[!live], &tables->directory, sizeof(tables->directory));
	store_word(&dp->directories->live, !live);
	/* Slice entries that only the old copy leads to go next: its readers must not find them gone. */
	grace_period(dp);
}

int dataplane_tables_write(struct dataplane *dp, const struct tables *tables)
{
	bool more;

	if (tables->slice_count > SLICES_MAX || tables->member_count > SERVERS_MAX)
		return -E2BIG;
	members_add(dp, tables);
	hops_add(dp, tables);
	more = slices_add(dp, tables);
	directory_write(dp, tables);
	if (more)
		slices_remove(dp, tables);
	dp->slice_count = tables->slice_count;
	hops_remove(dp, tables);
	members_remove(dp, tables);
	return 0;
}

int dataplane_hop_write(struct dataplane *dp, uint32_t index, const struct hop_wrap *wrap)
{
	uint32_t live;

	if (index >= HOPS_MAX)
		return -ERANGE;
	live = dp->hops->live[index] & 1;
	if (memcmp(&dp->hops->wrap[index][live], wrap, sizeof(*wrap)) == 0)
		return 0;
	if (dp->hop_flipped[index])
		grace_period(dp);
	memcpy(&dp->hops->wrap[index][!live], wrap, sizeof(*wrap));
	store_word(&dp->hops->live[index], !live);
	dp->hop_flipped[index] = true;
	return 0;
}

int dataplane_hop_read(const struct dataplane *dp, uint32_t index, struct hop_wrap *ret)
{
	if (index >= HOPS_MAX)
		return -ERANGE;
	*ret = dp->hops->wrap[index][dp->hops->live[index] & 1];
	return 0;
}

/* Each field is a word of its own to the programs; the one that opens the gate comes last. */
void dataplane_config_write(struct dataplane *dp, const struct forwarder_config *config)
{
	struct forwarder_config *to = dp->config;

	__atomic_store_n(&to->server_id, config->server_id, __ATOMIC_RELAXED);
	__atomic_store_n(&to->site_id, config->site_id, __ATOMIC_RELAXED);
	__atomic_store_n(&to->underlay, config->underlay, __ATOMIC_RELAXED);
	__atomic_store_n(&to->tunnel, config->tunnel, __ATOMIC_RELAXED);
	__atomic_store_n(&to->wrap_port, config->wrap_port, __ATOMIC_RELAXED);
	__atomic_store_n(&to->max_hops, config->max_hops, __ATOMIC_RELAXED);
	__atomic_store_n(&to->layout, BERTH_LAYOUT_VERSION, __ATOMIC_RELEASE);
}

void dataplane_config_read(const struct dataplane *dp, struct forwarder_config *ret)
{
	*ret = *dp->config;
}
