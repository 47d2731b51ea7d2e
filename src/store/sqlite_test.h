/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of what is the SQLite store's own: a file in a new directory, and other processes and programs at it.
 */
#ifndef BERTH_STORE_SQLITE_TEST_H
#define BERTH_STORE_SQLITE_TEST_H

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/wait.h>

#include "store_test.h"

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_make_directory(f, "/tmp");
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	remove_directory(f->directory);
	free(f);
	return 0;
}

static inline const char *file_path(const struct fixture *f)
{
	return f->url + strlen("sqlite://");
}

static inline void side_path(const struct fixture *f, const char *suffix, char path[192])
{
	snprintf(path, 192, "%s%s", file_path(f), suffix);
}

/* No store may be open here: SQLite's locks do not survive a fork. */
static inline pid_t fork_child(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		setenv("CMOCKA_TEST_ABORT", "1", 1); /* a check that fails must not go on with the next test */
	return pid;
}

/* Runs a function in a child with a store of its own. */
static inline pid_t spawn(const struct fixture *parent, int (*run)(struct fixture *f, int fd), int fd)
{
	pid_t pid = fork_child();
	struct fixture f = {0};

	if (pid)
		return pid;
	snprintf(f.url, sizeof(f.url), "%s", parent->url);
	fixture_start(&f);
	_exit(run(&f, fd) | fixture_stop(&f));
}

static inline int wait_for(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static inline void write_file(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

/* Another program's connection to the same file. */
static inline sqlite3 *stranger_open(const struct fixture *f)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(file_path(f), &db), SQLITE_OK);
	return db;
}

static inline void stranger_exec(sqlite3 *db, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
}

static inline void stranger_run(const struct fixture *f, const char *sql)
{
	sqlite3 *db = stranger_open(f);

	stranger_exec(db, sql);
	sqlite3_close(db);
}

static inline void start_with_one_key(struct fixture *f)
{
	fixture_start(f);
	put(f, "a", "1");
}

/* A request, its error, and that its sentence has a word in it. */
struct told {
	int calls;
	int err;
	char why[512];
};

static inline void on_told(void *arg, int err, const struct store_result *result)
{
	struct told *told = arg;

	told->calls++;
	told->err = err;
	snprintf(told->why, sizeof(told->why), "%s", result->why ? result->why : "");
}

static inline void assert_told(const struct told *told, int err, const char *word)
{
	if (told->err != err || !strstr(told->why, word))
		fail_msg("error %d: %s", told->err, told->why);
}

static inline void assert_read_fails(struct fixture *f, int err, const char *word)
{
	struct told told = {0};

	assert_int_equal(store_read(f->store, "", on_told, &told), 0);
	run_until(f, &told.calls, 1);
	assert_told(&told, err, word);
}

static inline void assert_commit_fails(struct fixture *f, int err, const char *word)
{
	struct store_write write = {"late", "x", 1};
	struct store_txn txn = {NULL, 0, &write, 1};
	struct told told = {0};

	assert_int_equal(store_commit(f->store, &txn, on_told, &told), 0);
	run_until(f, &told.calls, 1);
	assert_told(&told, err, word);
}

static inline void assert_holds(struct fixture *f, const char *key, const char *text, uint64_t revision)
{
	struct answer answer = read_from(f, f->store, key);

	assert_int_equal(answer.err, 0);
	assert_int_equal(answer.entries.count, 1);
	assert_entry(&answer.entries.items[0], key, text, revision);
	entries_free(&answer.entries);
}

static inline uint64_t now_us(void)
{
	return uv_hrtime() / 1000;
}

/* The fixture is the test's state. */
#define SQLITE_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

#endif
