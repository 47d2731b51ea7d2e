/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the store
 *
 * Keys with values, and one revision that every commit raises by one. Three operations: read everything under a
 * prefix at one revision; commit a transaction that compares keys and then writes; watch a prefix from a revision on.
 * That is what etcd offers and what a file or SQLite can be made to offer.
 *
 * Everything is asynchronous on a libuv loop: no call here blocks, callbacks never run from within the call that
 * asked for them, and each request has its callback run exactly once (with -ECANCELED when the store is closed
 * before). A backend that must block does so in libuv's thread pool.
 *
 * Keys are non-empty UTF-8 text without control characters, at most STORE_KEY_MAX bytes, sorted by their bytes;
 * values are bytes, at most STORE_VALUE_MAX.
 *
 * A commit that changes no key (it deletes what does not exist, or writes nothing) succeeds and leaves the revision
 * as it is. A commit that ends with -EIO or -ECANCELED may have happened: read again.
 */
#ifndef BERTH_STORE_STORE_H
#define BERTH_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define STORE_KEY_MAX 255
#define STORE_VALUE_MAX (4u << 20)

/* How an entry of a read or a watch looks to a callback: valid during the callback only. */
struct store_entry {
	const char *key;
	const void *value; /* NULL when the key was deleted (watch) */
	size_t size;
	uint64_t revision; /* of the commit that wrote it last */
};

struct store_result {
	uint64_t revision; /* read: the one revision all entries belong to; commit: the new one */
	const struct store_entry *entries; /* read: sorted by key */
	size_t count;
	const char *why; /* on error a sentence for people; else NULL */
	const char *conflict; /* commit with -EAGAIN: the first key whose comparison failed */
};

/*
 * err: 0; -EAGAIN: a comparison failed, nothing was written; -EIO, -EROFS, -ENOSPC, -EBUSY, -EBADMSG (the store is
 * corrupt), -ENOTSUP (its format is newer), -ENOMEM: the store's trouble, in `why`; -ECANCELED.
 */
typedef void store_done(void *arg, int err, const struct store_result *result);

/*
 * One call per commit that touched the prefix, in order of revision, entries sorted by key. err -ESTALE: the revision
 * asked for is too old (history was dropped) or higher than the store's own (the store was rewound): the watch is
 * over (and still wants store_unwatch()), read again. Other errors: the store's trouble, told once; the watch goes on
 * by itself when it passes.
 */
typedef void store_changed(void *arg, int err, const struct store_result *result);

/* An expectation about one key: its revision, 0 for "does not exist". */
struct store_compare {
	const char *key;
	uint64_t revision;
};

/* value NULL: delete. */
struct store_write {
	const char *key;
	const void *value;
	size_t size;
};

struct store_txn {
	const struct store_compare *compares;
	size_t compare_count;
	const struct store_write *writes; /* no key twice */
	size_t write_count;
};

struct store;
struct store_watch;

/* What a backend provides. It embeds struct store first in its own struct. Arguments are checked and may be used
   only during the call; what is needed later is copied. */
struct store_backend {
	const char *scheme; /* "sqlite", "memory" */
	/* location: the URL after "scheme://". *why, when set, is a static sentence or owned by nobody. */
	int (*open)(uv_loop_t *loop, const char *location, struct store **ret, const char **why);
	int (*read)(struct store *store, const char *prefix, store_done *done, void *arg);
	int (*commit)(struct store *store, const struct store_txn *txn, store_done *done, void *arg);
	int (*watch)(struct store *store, const char *prefix, uint64_t after, store_changed *changed, void *arg,
		     struct store_watch **ret);
	void (*unwatch)(struct store_watch *watch);
	void (*close)(struct store *store);
};

struct store {
	const struct store_backend *backend;
};

/*
 * url: "sqlite:///var/lib/berth/berth.db", "memory://name". The first commit makes the store file when it is missing
 * (not its directory). Only the URL is looked at here, what it leads to is opened by the first request, which tells the
 * trouble with that, and the next one tries again. 0: *ret is the caller's until store_close(). -EINVAL, -ENOTSUP (no
 * such kind of store), -ENOMEM, with *why.
 */
int store_open(uv_loop_t *loop, const char *url, struct store **ret, const char **why);

/* Reads all keys that start with `prefix` ("" for all). 0: `done` will be called; else -EINVAL, -ENOMEM and it won't.
 */
int store_read(struct store *store, const char *prefix, store_done *done, void *arg);
/* Likewise. All comparisons hold and all writes happen, at one revision and durably, or nothing is written. */
int store_commit(struct store *store, const struct store_txn *txn, store_done *done, void *arg);
/* Calls `changed` for every commit with a revision above `after` that touches `prefix`, until store_unwatch(). */
int store_watch(struct store *store, const char *prefix, uint64_t after, store_changed *changed, void *arg,
		struct store_watch **ret);
/* No call of `changed` comes after this. NULL is fine. */
void store_unwatch(struct store_watch *watch);
/* Requests under way end with -ECANCELED, watches without a word (their handles go as well); the memory goes when the
   loop has run them. NULL is fine. */
void store_close(struct store *store);

#endif
