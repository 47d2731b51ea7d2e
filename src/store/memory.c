/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the store in memory
 *
 * For tests: what the store's contract says and nothing more. Contents belong to a name and go with the last store of
 * that name. Everything happens on one thread, in an idle handle's callback, so that no callback runs from within the
 * call that asked for it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "key.h"
#include "request.h"
#include "watch.h"

struct memory_store;

struct contents {
	struct contents *next;
	char *name;
	struct memory_store *stores;
	uint64_t revision;
	uint64_t oldest; /* a watch can resume from this revision on */
	struct entries entries; /* sorted by key */
	struct entries history; /* sorted by revision, then key */
	size_t history_bytes;
};

struct memory_store {
	struct store store;
	struct memory_store *next; /* of the same contents */
	struct contents *contents;
	uv_idle_t idle; /* active while there is something to do */
	struct request_queue requests;
	struct watches watches;
	bool closing;
};

static struct contents *all_contents;

static void memory_step(uv_idle_t *idle);

static struct contents *contents_get(const char *name)
{
	struct contents *contents;

	for (contents = all_contents; contents; contents = contents->next)
		if (strcmp(contents->name, name) == 0)
			return contents;
	contents = calloc(1, sizeof(*contents));
	if (!contents)
		return NULL;
	contents->name = strdup(name);
	if (!contents->name) {
		free(contents);
		return NULL;
	}
	contents->next = all_contents;
	all_contents = contents;
	return contents;
}

static void contents_put(struct contents *contents)
{
	struct contents **at = &all_contents;

	if (contents->stores)
		return;
	while (*at != contents)
		at = &(*at)->next;
	*at = contents->next;
	entries_free(&contents->entries);
	entries_free(&contents->history);
	free(contents->name);
	free(contents);
}

static size_t change_bytes(const struct store_entry *change)
{
	return strlen(change->key) + change->size;
}

/* Drops whole commits from the old end while enough is left without them. */
static void history_trim(struct contents *contents)
{
	struct entries *history = &contents->history;

	for (;;) {
		uint64_t first = history->items[0].revision;
		size_t count = 0, bytes = 0;

		for (; count < history->count && history->items[count].revision == first; count++)
			bytes += change_bytes(&history->items[count]);
		if (count == history->count || (history->count - count < WATCH_HISTORY_CHANGES &&
						contents->history_bytes - bytes < WATCH_HISTORY_BYTES))
			return;
		entries_remove(history, 0, count);
		contents->history_bytes -= bytes;
		contents->oldest = first;
	}
}

static const struct store_entry *contents_find(const struct contents *contents, const char *key, size_t *index)
{
	size_t at = entries_find(&contents->entries, key);

	*index = at;
	if (at == contents->entries.count || strcmp(contents->entries.items[at].key, key) != 0)
		return NULL;
	return &contents->entries.items[at];
}

/* Returns the number of keys changed, 0 or 1, or -ENOMEM. */
static int contents_write(struct contents *contents, const struct store_entry *write, uint64_t revision)
{
	size_t index;
	bool exists = contents_find(contents, write->key, &index);

	if (!exists && !write->value)
		return 0;
	if (entries_add(&contents->history, write->key, write->value, write->size, revision))
		return -ENOMEM;
	contents->history_bytes += change_bytes(write);
	if (write->value && entries_insert(&contents->entries, index, write->key, write->value, write->size, revision))
		return -ENOMEM;
	if (exists)
		entries_remove(&contents->entries, write->value ? index + 1 : index, 1);
	return 1;
}

static void memory_wake(struct memory_store *store)
{
	if (!uv_is_closing((uv_handle_t *)&store->idle))
		uv_idle_start(&store->idle, memory_step);
}

static void memory_read(struct memory_store *store, struct request *request)
{
	const struct contents *contents = store->contents;

	for (size_t i = entries_find(&contents->entries, request->prefix); i < contents->entries.count; i++) {
		const struct store_entry *entry = &contents->entries.items[i];

		if (!key_has_prefix(entry->key, request->prefix))
			break;
		request->err = entries_add(&request->found, entry->key, entry->value, entry->size, entry->revision);
		if (request->err)
			return;
	}
	request->revision = contents->revision;
}

static const struct store_entry *memory_conflict(const struct contents *contents, const struct entries *compares)
{
	for (size_t i = 0; i < compares->count; i++) {
		size_t index;
		const struct store_entry *found = contents_find(contents, compares->items[i].key, &index);

		if ((found ? found->revision : 0) != compares->items[i].revision)
			return &compares->items[i];
	}
	return NULL;
}

static void memory_commit(struct memory_store *store, struct request *request)
{
	struct contents *contents = store->contents;
	const struct store_entry *conflict = memory_conflict(contents, &request->compares);
	int changed = 0;

	if (conflict) {
		request->err = -EAGAIN;
		request->conflict = conflict->key;
		snprintf(request->why, sizeof(request->why), "%s was changed meanwhile", conflict->key);
		return;
	}
	for (size_t i = 0; i < request->writes.count; i++) {
		int one = contents_write(contents, &request->writes.items[i], contents->revision + 1);

		if (one < 0)
			abort(); /* half a commit in a store that only tests use */
		changed += one;
	}
	if (changed) {
		contents->revision++;
		history_trim(contents);
		for (struct memory_store *other = contents->stores; other; other = other->next)
			memory_wake(other);
	}
	request->revision = contents->revision;
}

static void memory_look(struct memory_store *store)
{
	const struct contents *contents = store->contents;
	struct watch_look look = {
		.revision = contents->revision,
		.oldest = contents->oldest,
		.to = contents->revision,
		.changes = contents->history.items,
		.count = contents->history.count,
	};
	uint64_t after;

	if (!watches_arm(&store->watches, &after))
		return;
	while (look.count && look.changes[0].revision <= after) {
		look.changes++;
		look.count--;
	}
	watches_deliver(&store->watches, &look);
}

static void memory_free(uv_handle_t *handle)
{
	struct memory_store *store = handle->data;
	struct memory_store **at = &store->contents->stores;

	while (*at != store)
		at = &(*at)->next;
	*at = store->next;
	contents_put(store->contents);
	free(store);
}

static void memory_cancel(struct memory_store *store)
{
	struct request *request;

	while ((request = request_queue_take(&store->requests)))
		request_cancel(request);
	uv_close((uv_handle_t *)&store->idle, memory_free);
}

static void memory_step(uv_idle_t *idle)
{
	struct memory_store *store = idle->data;
	struct request *request;

	if (!store->closing && (request = request_queue_take(&store->requests))) {
		if (request->kind == REQUEST_READ)
			memory_read(store, request);
		else
			memory_commit(store, request);
		request_finish(request);
	}
	if (!store->closing)
		memory_look(store);
	if (store->closing)
		memory_cancel(store);
	else if (!store->requests.first)
		uv_idle_stop(idle);
}

static int memory_open(uv_loop_t *loop, const char *location, struct store **ret, const char **why)
{
	struct memory_store *store;

	if (!key_valid(location)) {
		*why = "a store in memory needs a name: memory://NAME";
		return -EINVAL;
	}
	store = calloc(1, sizeof(*store));
	if (!store || !(store->contents = contents_get(location))) {
		free(store);
		*why = "no memory";
		return -ENOMEM;
	}
	store->store.backend = &memory_backend;
	store->next = store->contents->stores;
	store->contents->stores = store;
	uv_idle_init(loop, &store->idle);
	store->idle.data = store;
	*ret = &store->store;
	return 0;
}

static int memory_queue(struct store *base, struct request *request)
{
	struct memory_store *store = (struct memory_store *)base;

	if (!request)
		return -ENOMEM;
	request_queue_add(&store->requests, request);
	memory_wake(store);
	return 0;
}

static int memory_queue_read(struct store *base, const char *prefix, store_done *done, void *arg)
{
	return memory_queue(base, request_read(prefix, done, arg));
}

static int memory_queue_commit(struct store *base, const struct store_txn *txn, store_done *done, void *arg)
{
	return memory_queue(base, request_commit(txn, done, arg));
}

static int memory_watch(struct store *base, const char *prefix, uint64_t after, store_changed *changed, void *arg,
			struct store_watch **ret)
{
	struct memory_store *store = (struct memory_store *)base;
	int err = watches_add(&store->watches, base, prefix, after, changed, arg, ret);

	if (err == 0)
		memory_wake(store);
	return err;
}

static void memory_close(struct store *base)
{
	struct memory_store *store = (struct memory_store *)base;

	store->closing = true;
	watches_clear(&store->watches);
	memory_wake(store);
}

const struct store_backend memory_backend = {
	.scheme = "memory",
	.open = memory_open,
	.read = memory_queue_read,
	.commit = memory_queue_commit,
	.watch = memory_watch,
	.unwatch = watches_remove,
	.close = memory_close,
};
