/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the SQLite store, on the loop
 *
 * Requests queue up here; one job of a store at a time is in libuv's thread pool, so requests run in order and the
 * connection belongs to whichever job runs. The loop itself never touches the file.
 *
 * Watches learn of commits of other processes by inotify on the directory (who commits touches the file), and by a
 * slow timer for events that get lost. Either leads to a look: a job that reads the changes above the lowest
 * revision waited behind. That is the comparison that PRAGMA data_version would save, for the price of the same read
 * lock, and it also finds out when the file was replaced by another copy.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "sqlite_file.h"
#include "watch.h"

#define LOOK_INTERVAL_MS 2000

struct sqlite_store {
	struct store store;
	uv_loop_t *loop;
	char *directory;
	const char *name; /* of the file, in its directory */
	struct request_queue requests;
	struct watches watches;
	uv_fs_event_t event;
	uv_timer_t timer;
	unsigned open_handles;

	uv_work_t work;
	bool working; /* a job is in the pool, or its callbacks run: the members below are its own */
	struct sqlite_file file;
	struct request *request; /* NULL: the job is a look, or the closing */
	uint64_t look_after;
	int look_err;
	struct sqlite_changes changes;

	bool look_wanted;
	bool looked; /* the last job was a look: requests go first */
	bool closing;
};

static void sqlite_next(struct sqlite_store *store);

static void sqlite_want_look(struct sqlite_store *store)
{
	store->look_wanted = true;
	sqlite_next(store);
}

static void sqlite_timer(uv_timer_t *timer)
{
	sqlite_want_look(timer->data);
}

static void sqlite_event(uv_fs_event_t *event, const char *name, int events, int status)
{
	struct sqlite_store *store = event->data;

	(void)events;
	/* Not the -wal and -shm files: a look at a damaged file makes and removes them, which would ask for the next.
	 */
	if (status == 0 && name && strcmp(name, store->name) != 0)
		return;
	sqlite_want_look(store);
}

/* Active while there are watches. When inotify has no more to give, the timer alone does it. */
static void sqlite_listen(struct sqlite_store *store)
{
	if (store->closing)
		return;
	if (!watches_waiting(&store->watches)) {
		uv_fs_event_stop(&store->event);
		uv_timer_stop(&store->timer);
		return;
	}
	if (!uv_is_active((uv_handle_t *)&store->event))
		uv_fs_event_start(&store->event, sqlite_event, store->directory, 0);
	if (!uv_is_active((uv_handle_t *)&store->timer))
		uv_timer_start(&store->timer, sqlite_timer, LOOK_INTERVAL_MS, LOOK_INTERVAL_MS);
}

static void job_request(uv_work_t *work)
{
	struct sqlite_store *store = work->data;

	if (store->request->kind == REQUEST_READ)
		sqlite_job_read(&store->file, store->request);
	else
		sqlite_job_commit(&store->file, store->request);
}

static void job_look(uv_work_t *work)
{
	struct sqlite_store *store = work->data;

	store->look_err = sqlite_job_changes(&store->file, store->look_after, &store->changes);
}

static void job_close(uv_work_t *work)
{
	struct sqlite_store *store = work->data;

	sqlite_file_close(&store->file);
}

/* After each job, before its own callbacks. */
static void sqlite_check_rewound(struct sqlite_store *store)
{
	if (!store->file.rewound)
		return;
	store->file.rewound = false;
	watches_rewound(&store->watches);
}

static void request_done(uv_work_t *work, int status)
{
	struct sqlite_store *store = work->data;
	struct request *request = store->request;

	(void)status;
	if (request->err)
		memcpy(request->why, store->file.why, sizeof(request->why));
	else if (request->kind == REQUEST_COMMIT)
		store->look_wanted = true;
	store->request = NULL;
	store->looked = false;
	sqlite_check_rewound(store);
	if (store->closing)
		request_cancel(request);
	else
		request_finish(request);
	store->working = false;
	sqlite_next(store);
}

static void look_deliver(struct sqlite_store *store)
{
	struct watch_look look = {
		.revision = store->changes.revision,
		.oldest = store->changes.oldest,
		.to = store->changes.to,
		.changes = store->changes.entries.items,
		.count = store->changes.entries.count,
	};

	if (look.to < look.revision)
		store->look_wanted = true;
	watches_deliver(&store->watches, &look);
	entries_free(&store->changes.entries);
}

static void look_done(uv_work_t *work, int status)
{
	struct sqlite_store *store = work->data;

	(void)status;
	store->looked = true;
	sqlite_check_rewound(store);
	if (store->look_err == 0)
		look_deliver(store);
	else
		watches_trouble(&store->watches, store->look_err, store->file.why);
	store->working = false;
	sqlite_next(store);
}

static void sqlite_free(uv_handle_t *handle)
{
	struct sqlite_store *store = handle->data;

	if (--store->open_handles)
		return;
	free(store->file.path);
	free(store->directory);
	free(store);
}

static void close_done(uv_work_t *work, int status)
{
	struct sqlite_store *store = work->data;

	(void)status;
	uv_close((uv_handle_t *)&store->event, sqlite_free);
	uv_close((uv_handle_t *)&store->timer, sqlite_free);
}

static void sqlite_work(struct sqlite_store *store, uv_work_cb job, uv_after_work_cb done)
{
	store->working = true;
	uv_queue_work(store->loop, &store->work, job, done);
}

static void sqlite_finish(struct sqlite_store *store)
{
	struct request *request;

	while ((request = request_queue_take(&store->requests)))
		request_cancel(request);
	sqlite_work(store, job_close, close_done);
}

/* Starts the next job. Looks and requests take turns, so that neither waits behind an endless row of the other. */
static void sqlite_next(struct sqlite_store *store)
{
	if (store->working)
		return;
	if (store->closing) {
		sqlite_finish(store);
		return;
	}
	sqlite_listen(store);
	if (store->look_wanted && !(store->looked && store->requests.first)) {
		store->look_wanted = false;
		if (watches_arm(&store->watches, &store->look_after)) {
			sqlite_work(store, job_look, look_done);
			return;
		}
	}
	store->request = request_queue_take(&store->requests);
	if (store->request)
		sqlite_work(store, job_request, request_done);
}

static int sqlite_open(uv_loop_t *loop, const char *location, struct store **ret, const char **why)
{
	struct sqlite_store *store;
	const char *slash = strrchr(location, '/');

	/* SQLite's own limit, with room for "-journal". */
	if (location[0] != '/' || !slash[1] || strlen(location) > PATH_MAX - 16) {
		*why = "an SQLite store is given by the absolute path of its file: sqlite:///var/lib/berth/berth.db";
		return -EINVAL;
	}
	store = calloc(1, sizeof(*store));
	if (!store)
		goto fail;
	store->file.path = strdup(location);
	store->directory = strndup(location, slash == location ? 1 : (size_t)(slash - location));
	if (!store->file.path || !store->directory)
		goto fail;
	store->store.backend = &sqlite_backend;
	store->loop = loop;
	store->name = store->file.path + (slash + 1 - location);
	uv_fs_event_init(loop, &store->event);
	uv_timer_init(loop, &store->timer);
	store->open_handles = 2;
	store->event.data = store->timer.data = store->work.data = store;
	*ret = &store->store;
	return 0;
fail:
	if (store) {
		free(store->file.path);
		free(store->directory);
	}
	free(store);
	*why = "no memory";
	return -ENOMEM;
}

static int sqlite_queue(struct store *base, struct request *request)
{
	struct sqlite_store *store = (struct sqlite_store *)base;

	if (!request)
		return -ENOMEM;
	request_queue_add(&store->requests, request);
	sqlite_next(store);
	return 0;
}

static int sqlite_read(struct store *base, const char *prefix, store_done *done, void *arg)
{
	return sqlite_queue(base, request_read(prefix, done, arg));
}

static int sqlite_commit(struct store *base, const struct store_txn *txn, store_done *done, void *arg)
{
	return sqlite_queue(base, request_commit(txn, done, arg));
}

static int sqlite_watch(struct store *base, const char *prefix, uint64_t after, store_changed *changed, void *arg,
			struct store_watch **ret)
{
	struct sqlite_store *store = (struct sqlite_store *)base;
	int err = watches_add(&store->watches, base, prefix, after, changed, arg, ret);

	if (err == 0)
		sqlite_want_look(store);
	return err;
}

static void sqlite_unwatch(struct store_watch *watch)
{
	struct sqlite_store *store = (struct sqlite_store *)watch->store;

	watches_remove(watch);
	sqlite_listen(store);
}

static void sqlite_close(struct store *base)
{
	struct sqlite_store *store = (struct sqlite_store *)base;

	store->closing = true;
	atomic_store(&store->file.closing, true);
	watches_clear(&store->watches);
	sqlite_next(store);
}

const struct store_backend sqlite_backend = {
	.scheme = "sqlite",
	.open = sqlite_open,
	.read = sqlite_read,
	.commit = sqlite_commit,
	.watch = sqlite_watch,
	.unwatch = sqlite_unwatch,
	.close = sqlite_close,
};
