/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key.h"
#include "request.h"
#include "watch.h"

static void watch_free(struct store_watch *watch)
{
	free(watch->prefix);
	free(watch);
}

static bool watch_live(const struct store_watch *watch)
{
	return !watch->gone && !watch->over;
}

int watches_add(struct watches *watches, struct store *store, const char *prefix, uint64_t after,
		store_changed *changed, void *arg, struct store_watch **ret)
{
	struct store_watch *watch = calloc(1, sizeof(*watch));
	struct store_watch **end = &watches->first;

	if (!watch)
		return -ENOMEM;
	watch->prefix = strdup(prefix);
	if (!watch->prefix) {
		watch_free(watch);
		return -ENOMEM;
	}
	watch->store = store;
	watch->watches = watches;
	watch->after = after;
	watch->changed = changed;
	watch->arg = arg;
	while (*end)
		end = &(*end)->next;
	*end = watch;
	*ret = watch;
	return 0;
}

/* Frees those that are gone, unless a delivery still walks the list. */
static void watches_sweep(struct watches *watches)
{
	struct store_watch **at = &watches->first;

	if (watches->delivering)
		return;
	while (*at) {
		struct store_watch *watch = *at;

		if (!watch->gone) {
			at = &watch->next;
			continue;
		}
		*at = watch->next;
		watch_free(watch);
	}
}

void watches_remove(struct store_watch *watch)
{
	watch->gone = true;
	watches_sweep(watch->watches);
}

void watches_clear(struct watches *watches)
{
	for (struct store_watch *watch = watches->first; watch; watch = watch->next)
		watch->gone = true;
	watches_sweep(watches);
}

bool watches_waiting(const struct watches *watches)
{
	for (const struct store_watch *watch = watches->first; watch; watch = watch->next)
		if (watch_live(watch))
			return true;
	return false;
}

bool watches_arm(struct watches *watches, uint64_t *after)
{
	bool any = false;
	uint64_t lowest = UINT64_MAX;

	for (struct store_watch *watch = watches->first; watch; watch = watch->next) {
		if (!watch_live(watch))
			continue;
		any = true;
		watch->armed = true;
		if (watch->after < lowest)
			lowest = watch->after;
	}
	if (any)
		*after = lowest;
	return any;
}

static void watch_stale(struct store_watch *watch, const char *why)
{
	struct store_result result = {.why = why};

	watch->over = true;
	watch->changed(watch->arg, -ESTALE, &result);
}

/* One call for each commit that touched the prefix. */
static void watch_deliver(struct store_watch *watch, const struct watch_look *look)
{
	const struct store_entry *entry = look->changes;
	const struct store_entry *end = entry + look->count;

	while (entry < end && watch_live(watch)) {
		struct store_result result = {.revision = entry->revision};

		/* Within a commit the entries are sorted, so those under one prefix stand together. */
		for (; entry < end && entry->revision == result.revision; entry++) {
			if (!key_has_prefix(entry->key, watch->prefix))
				continue;
			if (!result.entries)
				result.entries = entry;
			result.count++;
		}
		if (result.revision <= watch->after)
			continue;
		watch->after = result.revision;
		if (result.count)
			watch->changed(watch->arg, 0, &result);
	}
	if (look->to > watch->after)
		watch->after = look->to;
}

/* Delivers, or ends a watch whose revision is not within the store's history. */
static void watch_serve(struct store_watch *watch, const struct watch_look *look)
{
	char why[STORE_WHY_MAX];

	watch->trouble = 0;
	if (watch->after >= look->oldest && watch->after <= look->revision) {
		watch_deliver(watch, look);
		return;
	}
	if (watch->after > look->revision)
		snprintf(why, sizeof(why),
			 "revision %" PRIu64 " is ahead of the store's own, %" PRIu64 ": an older copy was put back",
			 watch->after, look->revision);
	else
		snprintf(why, sizeof(why),
			 "changes after revision %" PRIu64 " were dropped, the history begins after revision %" PRIu64,
			 watch->after, look->oldest);
	watch_stale(watch, why);
}

void watches_deliver(struct watches *watches, const struct watch_look *look)
{
	watches->delivering++;
	for (struct store_watch *watch = watches->first; watch; watch = watch->next)
		if (watch->armed && watch_live(watch))
			watch_serve(watch, look);
	watches->delivering--;
	watches_sweep(watches);
}

void watches_trouble(struct watches *watches, int err, const char *why)
{
	struct store_result result = {.why = why};

	watches->delivering++;
	for (struct store_watch *watch = watches->first; watch; watch = watch->next) {
		if (!watch->armed || !watch_live(watch) || watch->trouble == err)
			continue;
		watch->trouble = err;
		watch->changed(watch->arg, err, &result);
	}
	watches->delivering--;
	watches_sweep(watches);
}

void watches_rewound(struct watches *watches)
{
	watches->delivering++;
	for (struct store_watch *watch = watches->first; watch; watch = watch->next)
		if (watch_live(watch))
			watch_stale(watch,
				    "the store was replaced by another copy, whose history is not the one watched");
	watches->delivering--;
	watches_sweep(watches);
}
