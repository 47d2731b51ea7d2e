/* SPDX-License-Identifier: Apache-2.0 */
/* For the store's tests: a loop with one store on it, requests that are waited for, what watches told. */
#ifndef BERTH_STORE_STORE_TEST_H
#define BERTH_STORE_STORE_TEST_H

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "entries.h"
#include "store.h"

#define DEADLINE_MS 20000

struct fixture {
	uv_loop_t loop;
	uv_timer_t deadline;
	char directory[64]; /* empty: none was made */
	char url[256];
	struct store *store;
};

/* What a request gave, copied out of its callback. */
struct answer {
	bool done;
	int calls;
	int err;
	uint64_t revision;
	struct entries entries;
	char conflict[STORE_KEY_MAX + 1];
	bool has_why;
};

/* What a watch told. */
struct record {
	struct entries changes;
	int calls;
	int err;
	int errors;
	struct store_watch *watch;
};

static inline void on_deadline(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("nothing came within %d ms", DEADLINE_MS);
}

/* Runs the loop until *condition is at least `target`. */
static inline void run_until(struct fixture *f, const int *condition, int target)
{
	uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0);
	while (*condition < target)
		uv_run(&f->loop, UV_RUN_ONCE);
	uv_timer_stop(&f->deadline);
}

/* Lets anything come that should not. */
static inline void on_pause(uv_timer_t *timer)
{
	*(int *)timer->data = 1;
}

static inline void run_for(struct fixture *f, unsigned ms)
{
	uv_timer_t pause;
	int over = 0;

	uv_timer_init(&f->loop, &pause);
	pause.data = &over;
	uv_timer_start(&pause, on_pause, ms, 0);
	while (!over)
		uv_run(&f->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&pause, NULL);
	uv_run(&f->loop, UV_RUN_NOWAIT);
}

static inline struct store *open_store(struct fixture *f)
{
	struct store *store = NULL;
	const char *why = NULL;

	assert_int_equal(store_open(&f->loop, f->url, &store, &why), 0);
	return store;
}

/* Opens the store at f->url. */
static inline void fixture_start(struct fixture *f)
{
	uv_loop_init(&f->loop);
	uv_timer_init(&f->loop, &f->deadline);
	f->store = open_store(f);
}

/* 0, or UV_EBUSY: a handle was left open. */
static inline int fixture_stop(struct fixture *f)
{
	store_close(f->store);
	f->store = NULL;
	uv_close((uv_handle_t *)&f->deadline, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	return uv_loop_close(&f->loop);
}

/* A new directory, and the URL of a file in it. */
static inline void fixture_make_directory(struct fixture *f, const char *parent)
{
	snprintf(f->directory, sizeof(f->directory), "%s/berth-store-XXXXXX", parent);
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->url, sizeof(f->url), "sqlite://%s/berth.db", f->directory);
}

static inline void remove_directory(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;

	while (directory && (entry = readdir(directory)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(directory), entry->d_name, 0);
	if (directory)
		closedir(directory);
	rmdir(path);
}

static inline void on_done(void *arg, int err, const struct store_result *result)
{
	struct answer *answer = arg;

	answer->calls++;
	answer->done = true;
	answer->err = err;
	answer->revision = result->revision;
	answer->has_why = result->why && result->why[0];
	snprintf(answer->conflict, sizeof(answer->conflict), "%s", result->conflict ? result->conflict : "");
	for (size_t i = 0; i < result->count; i++) {
		const struct store_entry *entry = &result->entries[i];

		entries_add(&answer->entries, entry->key, entry->value, entry->size, entry->revision);
	}
}

static inline void on_changed(void *arg, int err, const struct store_result *result)
{
	struct record *record = arg;

	record->calls++;
	if (err) {
		record->err = err;
		record->errors++;
		assert_non_null(result->why);
		return;
	}
	assert_true(result->count > 0);
	for (size_t i = 0; i < result->count; i++) {
		const struct store_entry *entry = &result->entries[i];

		assert_int_equal(entry->revision, result->revision);
		entries_add(&record->changes, entry->key, entry->value, entry->size, entry->revision);
	}
}

static inline struct answer read_from(struct fixture *f, struct store *store, const char *prefix)
{
	struct answer answer = {0};

	assert_int_equal(store_read(store, prefix, on_done, &answer), 0);
	assert_false(answer.done);
	run_until(f, &answer.calls, 1);
	return answer;
}

static inline struct answer commit_to(struct fixture *f, struct store *store, const struct store_txn *txn)
{
	struct answer answer = {0};

	assert_int_equal(store_commit(store, txn, on_done, &answer), 0);
	assert_false(answer.done);
	run_until(f, &answer.calls, 1);
	return answer;
}

/* Writes (text NULL: deletes) one key, expecting `revision` unless that is UINT64_MAX. Returns the error. */
static inline int write_key(struct fixture *f, struct store *store, const char *key, const char *text,
			    uint64_t revision, uint64_t *ret)
{
	struct store_compare compare = {.key = key, .revision = revision};
	struct store_write write = {.key = key, .value = text, .size = text ? strlen(text) : 0};
	struct store_txn txn = {
		.compares = &compare,
		.compare_count = revision == UINT64_MAX ? 0 : 1,
		.writes = &write,
		.write_count = 1,
	};
	struct answer answer = commit_to(f, store, &txn);

	if (ret)
		*ret = answer.revision;
	return answer.err;
}

static inline uint64_t put(struct fixture *f, const char *key, const char *text)
{
	uint64_t revision = 0;

	assert_int_equal(write_key(f, f->store, key, text, UINT64_MAX, &revision), 0);
	return revision;
}

static inline void watch(struct store *store, const char *prefix, uint64_t after, struct record *record)
{
	assert_int_equal(store_watch(store, prefix, after, on_changed, record, &record->watch), 0);
	assert_int_equal(record->calls, 0);
}

static inline void assert_entry(const struct store_entry *entry, const char *key, const char *text, uint64_t revision)
{
	assert_string_equal(entry->key, key);
	assert_int_equal(entry->revision, revision);
	if (!text) {
		assert_null(entry->value);
		return;
	}
	assert_non_null(entry->value);
	assert_int_equal(entry->size, strlen(text));
	assert_memory_equal(entry->value, text, entry->size);
}

#endif
