/* SPDX-License-Identifier: Apache-2.0 */
/* Several processes at one SQLite file: none loses a commit, each hears of the others', locks are waited for. */
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "sqlite_file.h"
#include "sqlite_test.h"

enum { INCREMENTS = 500 };

static int run_increments(struct fixture *f, int fd)
{
	int done = 0, conflicts = 0;

	(void)fd;
	while (done < INCREMENTS) {
		struct answer answer = read_from(f, f->store, "counter");
		struct store_entry *found = answer.entries.count ? answer.entries.items : NULL;
		char text[32] = "0";
		int err;

		if (found)
			snprintf(text, sizeof(text), "%.*s", (int)found->size, (const char *)found->value);
		snprintf(text, sizeof(text), "%ld", strtol(text, NULL, 10) + 1);
		usleep(300); /* so that the other has its chance */
		err = write_key(f, f->store, "counter", text, found ? found->revision : 0, NULL);
		entries_free(&answer.entries);
		if (err == 0)
			done++;
		else if (err == -EAGAIN)
			conflicts++;
		else
			return 1;
	}
	printf("%d increments, %d conflicts\n", done, conflicts);
	fflush(stdout);
	return conflicts ? 0 : 2; /* without contention this shows nothing */
}

static void test_processes_compare_and_swap(void **state)
{
	struct fixture *f = *state;
	uint64_t start = now_us();
	pid_t first = spawn(f, run_increments, -1), second = spawn(f, run_increments, -1);

	assert_int_equal(wait_for(first), 0);
	assert_int_equal(wait_for(second), 0);
	printf("%.2f ms an increment\n", (double)(now_us() - start) / 1e3 / (2 * INCREMENTS));
	fixture_start(f);
	assert_holds(f, "counter", "1000", 2 * INCREMENTS);
	assert_int_equal(fixture_stop(f), 0);
}

/* Commits far enough from each other that none is noticed by the next one's event. */
enum { COMMITS = 60, COMMIT_PAUSE_MS = 50 };

/* Shared with the child that commits: when each was confirmed there. */
static uint64_t *confirmed_us;

static int run_commits(struct fixture *f, int fd)
{
	char go;

	put(f, "ready", "");
	if (read(fd, &go, 1) != 1)
		return 1;
	for (int i = 0; i < COMMITS; i++) {
		put(f, "watched", "x");
		confirmed_us[i] = now_us();
		run_for(f, COMMIT_PAUSE_MS);
	}
	return 0;
}

struct arrivals {
	uint64_t us[COMMITS];
	int count;
	uint64_t revision;
};

static void on_arrival(void *arg, int err, const struct store_result *result)
{
	struct arrivals *arrivals = arg;

	assert_int_equal(err, 0);
	assert_true(result->revision > arrivals->revision);
	arrivals->revision = result->revision;
	arrivals->us[arrivals->count++] = now_us();
}

static int i64_order(const void *a, const void *b)
{
	int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

	return (left > right) - (left < right);
}

static void assert_prompt(const struct arrivals *arrivals)
{
	int64_t late[COMMITS]; /* below 0: the watch was told before the writer was */

	for (int i = 0; i < COMMITS; i++)
		late[i] = (int64_t)(arrivals->us[i] - confirmed_us[i]);
	qsort(late, COMMITS, sizeof(late[0]), i64_order);
	printf("from confirmed there to told here: median %.2f ms, p95 %.2f ms, worst %.2f ms\n",
	       (double)late[COMMITS / 2] / 1e3, (double)late[COMMITS * 95 / 100] / 1e3,
	       (double)late[COMMITS - 1] / 1e3);
	assert_true(late[COMMITS * 3 / 4] < COMMIT_PAUSE_MS * 1000 / 2);
}

static void test_watch_across_processes(void **state)
{
	struct fixture *f = *state;
	struct arrivals arrivals = {0};
	size_t size = COMMITS * sizeof(*confirmed_us);
	struct store_watch *handle;
	int go[2];
	pid_t pid;

	confirmed_us = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(confirmed_us != MAP_FAILED);
	assert_int_equal(pipe(go), 0);
	pid = spawn(f, run_commits, go[0]);
	fixture_start(f);
	while (read_from(f, f->store, "none").revision == 0)
		run_for(f, 5);
	assert_int_equal(store_watch(f->store, "watched", 1, on_arrival, &arrivals, &handle), 0);
	run_for(f, 50);
	assert_int_equal(write(go[1], "", 1), 1);
	run_until(f, &arrivals.count, COMMITS);
	assert_int_equal(wait_for(pid), 0);
	assert_int_equal(arrivals.revision, COMMITS + 1);
	assert_prompt(&arrivals);
	assert_int_equal(fixture_stop(f), 0);
	munmap(confirmed_us, size);
	close(go[0]);
	close(go[1]);
}

static int run_one_put(struct fixture *f, int fd)
{
	char go;

	if (read(fd, &go, 1) != 1)
		return 1;
	put(f, "a", "2");
	return 0;
}

/* Without a descriptor for inotify, the timer must do. */
static void test_watch_without_inotify(void **state)
{
	struct fixture *f = *state;
	struct record record = {0};
	struct rlimit old, none;
	int go[2];
	pid_t pid;

	assert_int_equal(pipe(go), 0);
	pid = spawn(f, run_one_put, go[0]);
	start_with_one_key(f);
	run_for(f, 20);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	watch(f->store, "", 1, &record);
	run_for(f, 100);
	assert_int_equal(write(go[1], "", 1), 1);
	run_until(f, &record.calls, 1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_entry(&record.changes.items[0], "a", "2", 2);
	entries_free(&record.changes);
	assert_int_equal(wait_for(pid), 0);
	assert_int_equal(fixture_stop(f), 0);
	close(go[0]);
	close(go[1]);
}

/* Commits until it is killed, and tells each revision that was confirmed. */
static int run_until_killed(struct fixture *f, int fd)
{
	for (;;) {
		char text[32];
		struct store_write writes[] = {{"one", text, 0}, {"two", text, 0}};
		struct store_txn txn = {NULL, 0, writes, 2};
		uint64_t before = read_from(f, f->store, "none").revision;
		struct answer answer;

		writes[0].size = writes[1].size =
			(size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)before + 1);
		answer = commit_to(f, f->store, &txn);
		if (answer.err || write(fd, &answer.revision, sizeof(answer.revision)) < 0)
			return 1;
	}
}

static void assert_sound(const struct fixture *f)
{
	sqlite3 *db = stranger_open(f);
	sqlite3_stmt *statement;

	assert_int_equal(sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	assert_string_equal(sqlite3_column_text(statement, 0), "ok");
	sqlite3_finalize(statement);
	sqlite3_close(db);
}

/* Returns the last revision that the writer had confirmed. */
static uint64_t kill_a_writer(struct fixture *f, unsigned after_ms)
{
	uint64_t confirmed = 0, revision;
	int told[2];
	pid_t pid;

	assert_int_equal(pipe(told), 0);
	pid = spawn(f, run_until_killed, told[1]);
	close(told[1]);
	assert_int_equal(read(told[0], &confirmed, sizeof(confirmed)), sizeof(confirmed));
	usleep(after_ms * 1000);
	kill(pid, SIGKILL);
	assert_int_equal(wait_for(pid), 128 + SIGKILL);
	while (read(told[0], &revision, sizeof(revision)) == sizeof(revision))
		confirmed = revision;
	close(told[0]);
	return confirmed;
}

static void test_killed_writer_loses_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t confirmed = 0;

	for (unsigned round = 0; round < 20; round++) {
		struct answer answer;
		char text[32];

		confirmed = kill_a_writer(f, round * 3);
		fixture_start(f);
		answer = read_from(f, f->store, "");
		assert_int_equal(answer.err, 0);
		assert_true(answer.revision >= confirmed && answer.revision <= confirmed + 1);
		assert_int_equal(answer.entries.count, 2);
		snprintf(text, sizeof(text), "%llu", (unsigned long long)answer.revision);
		assert_entry(&answer.entries.items[0], "one", text, answer.revision);
		assert_entry(&answer.entries.items[1], "two", text, answer.revision);
		entries_free(&answer.entries);
		assert_int_equal(fixture_stop(f), 0);
		assert_sound(f);
	}
	printf("20 writers killed, %llu commits confirmed\n", (unsigned long long)confirmed);
}

/* Counts what SQLite, in its library, asks of the kernel. */
static atomic_uint syncs;

int fdatasync(int fd)
{
	atomic_fetch_add(&syncs, 1);
	return (int)syscall(SYS_fdatasync, fd);
}

/* A killed process shows only that a commit reached the kernel; power cuts want this. */
static void test_commits_are_synced(void **state)
{
	struct fixture *f = *state;
	unsigned before;

	start_with_one_key(f);
	before = atomic_load(&syncs);
	for (int i = 0; i < 10; i++)
		put(f, "a", "2");
	assert_true(atomic_load(&syncs) - before >= 10);
	assert_int_equal(fixture_stop(f), 0);
}

/* Locks */

struct ticks {
	uint64_t last, longest;
};

static void on_tick(uv_timer_t *timer)
{
	struct ticks *ticks = timer->data;
	uint64_t now = now_us();

	if (ticks->last && now - ticks->last > ticks->longest)
		ticks->longest = now - ticks->last;
	ticks->last = now;
}

static void test_locked(void **state)
{
	struct fixture *f = *state;
	struct ticks ticks = {0};
	uint64_t start;
	uv_timer_t timer;
	sqlite3 *db;

	start_with_one_key(f);
	db = stranger_open(f);
	stranger_exec(db, "BEGIN IMMEDIATE");
	uv_timer_init(&f->loop, &timer);
	timer.data = &ticks;
	uv_timer_start(&timer, on_tick, 0, 10);
	start = now_us();
	assert_commit_fails(f, -EBUSY, "locked by another process");
	assert_true(now_us() - start >= SQLITE_FILE_WAIT_MS * 1000);
	assert_true(now_us() - start < 3 * SQLITE_FILE_WAIT_MS * 1000);
	assert_true(ticks.longest > 0 && ticks.longest < 500000); /* the loop went on */
	uv_close((uv_handle_t *)&timer, NULL);
	assert_holds(f, "a", "1", 1);
	stranger_exec(db, "ROLLBACK");
	assert_int_equal(put(f, "a", "2"), 2);
	sqlite3_close(db);
	assert_int_equal(fixture_stop(f), 0);
}

static void test_lock_that_passes_is_waited_for(void **state)
{
	struct fixture *f = *state;
	struct answer answer = {0};
	struct store_write write = {"a", "2", 1};
	struct store_txn txn = {NULL, 0, &write, 1};
	sqlite3 *db;

	start_with_one_key(f);
	db = stranger_open(f);
	stranger_exec(db, "BEGIN IMMEDIATE");
	assert_int_equal(store_commit(f->store, &txn, on_done, &answer), 0);
	run_for(f, 300);
	assert_int_equal(answer.calls, 0);
	stranger_exec(db, "ROLLBACK");
	run_until(f, &answer.calls, 1);
	assert_int_equal(answer.err, 0);
	sqlite3_close(db);
	assert_int_equal(fixture_stop(f), 0);
}

static void test_close_does_not_wait_for_a_lock(void **state)
{
	struct fixture *f = *state;
	struct answer answer = {0};
	struct store_write write = {"a", "2", 1};
	struct store_txn txn = {NULL, 0, &write, 1};
	uint64_t start;
	sqlite3 *db;

	start_with_one_key(f);
	db = stranger_open(f);
	stranger_exec(db, "BEGIN IMMEDIATE");
	assert_int_equal(store_commit(f->store, &txn, on_done, &answer), 0);
	run_for(f, 50);
	start = now_us();
	assert_int_equal(fixture_stop(f), 0);
	assert_true(now_us() - start < SQLITE_FILE_WAIT_MS * 1000 / 2);
	assert_int_equal(answer.err, -ECANCELED);
	sqlite3_close(db);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SQLITE_TEST(test_processes_compare_and_swap),
		SQLITE_TEST(test_watch_across_processes),
		SQLITE_TEST(test_watch_without_inotify),
		SQLITE_TEST(test_killed_writer_loses_nothing),
		SQLITE_TEST(test_commits_are_synced),
		SQLITE_TEST(test_locked),
		SQLITE_TEST(test_lock_that_passes_is_waited_for),
		SQLITE_TEST(test_close_does_not_wait_for_a_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
