/* SPDX-License-Identifier: Apache-2.0 */
/* What is the SQLite store's own: several processes, and everything that can happen to a file. */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "sqlite_file.h"
#include "store_test.h"

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_make_directory(f, "/tmp");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	remove_directory(f->directory);
	free(f);
	return 0;
}

static const char *file_path(const struct fixture *f)
{
	return f->url + strlen("sqlite://");
}

static void side_path(const struct fixture *f, const char *suffix, char path[192])
{
	snprintf(path, 192, "%s%s", file_path(f), suffix);
}

/* No store may be open here: SQLite's locks do not survive a fork. */
static pid_t fork_child(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		setenv("CMOCKA_TEST_ABORT", "1", 1); /* a check that fails must not go on with the next test */
	return pid;
}

/* Runs a function in a child with a store of its own. */
static pid_t spawn(const struct fixture *parent, int (*run)(struct fixture *f, int fd), int fd)
{
	pid_t pid = fork_child();
	struct fixture f = {0};

	if (pid)
		return pid;
	snprintf(f.url, sizeof(f.url), "%s", parent->url);
	fixture_start(&f);
	_exit(run(&f, fd) | fixture_stop(&f));
}

static int wait_for(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Another program's connection to the same file. */
static sqlite3 *stranger_open(const struct fixture *f)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(file_path(f), &db), SQLITE_OK);
	return db;
}

static void stranger_exec(sqlite3 *db, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
}

static void stranger_run(const struct fixture *f, const char *sql)
{
	sqlite3 *db = stranger_open(f);

	stranger_exec(db, sql);
	sqlite3_close(db);
}

static void start_with_one_key(struct fixture *f)
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

static void on_told(void *arg, int err, const struct store_result *result)
{
	struct told *told = arg;

	told->calls++;
	told->err = err;
	snprintf(told->why, sizeof(told->why), "%s", result->why ? result->why : "");
}

static void assert_told(const struct told *told, int err, const char *word)
{
	if (told->err != err || !strstr(told->why, word))
		fail_msg("error %d: %s", told->err, told->why);
}

static void assert_read_fails(struct fixture *f, int err, const char *word)
{
	struct told told = {0};

	assert_int_equal(store_read(f->store, "", on_told, &told), 0);
	run_until(f, &told.calls, 1);
	assert_told(&told, err, word);
}

static void assert_commit_fails(struct fixture *f, int err, const char *word)
{
	struct store_write write = {"late", "x", 1};
	struct store_txn txn = {NULL, 0, &write, 1};
	struct told told = {0};

	assert_int_equal(store_commit(f->store, &txn, on_told, &told), 0);
	run_until(f, &told.calls, 1);
	assert_told(&told, err, word);
}

static void assert_holds(struct fixture *f, const char *key, const char *text, uint64_t revision)
{
	struct answer answer = read_from(f, f->store, key);

	assert_int_equal(answer.err, 0);
	assert_int_equal(answer.entries.count, 1);
	assert_entry(&answer.entries.items[0], key, text, revision);
	entries_free(&answer.entries);
}

static uint64_t now_us(void)
{
	return uv_hrtime() / 1000;
}

/* Many processes */

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

/* Files that are not what they should be */

struct bytes {
	char *data;
	size_t size;
};

static struct bytes read_file(const char *path)
{
	struct bytes bytes = {0};
	struct stat info;
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &info), 0);
	bytes.size = (size_t)info.st_size;
	bytes.data = malloc(bytes.size + 1);
	assert_int_equal(read(fd, bytes.data, bytes.size), bytes.size);
	close(fd);
	return bytes;
}

static void write_file(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

/* Opens, expects the error for a read and a commit, and that not one byte of the file changed. */
static void assert_refused(struct fixture *f, int err, const char *word)
{
	struct bytes before = read_file(file_path(f)), after;

	fixture_start(f);
	assert_read_fails(f, err, word);
	assert_commit_fails(f, err, word);
	assert_int_equal(fixture_stop(f), 0);
	after = read_file(file_path(f));
	assert_int_equal(before.size, after.size);
	assert_memory_equal(before.data, after.data, before.size);
	free(before.data);
	free(after.data);
}

static void make_store(struct fixture *f)
{
	start_with_one_key(f);
	assert_int_equal(fixture_stop(f), 0);
}

static void test_newer_format(void **state)
{
	struct fixture *f = *state;

	make_store(f);
	stranger_run(f, "PRAGMA user_version = 2");
	assert_refused(f, -ENOTSUP, "store format 2, this program knows up to 1");
}

static void test_other_programs_database(void **state)
{
	struct fixture *f = *state;

	stranger_run(f, "CREATE TABLE t (x)");
	assert_refused(f, -EBADMSG, "another program");
	unlink(file_path(f));
	make_store(f);
	stranger_run(f, "PRAGMA application_id = 7");
	assert_refused(f, -EBADMSG, "another program (application_id 7)");
}

static void test_not_a_database(void **state)
{
	struct fixture *f = *state;
	char garbage[8192];

	memset(garbage, 'x', sizeof(garbage));
	write_file(file_path(f), garbage, sizeof(garbage));
	assert_refused(f, -EBADMSG, "is damaged");
}

static void test_missing_table(void **state)
{
	struct fixture *f = *state;

	make_store(f);
	stranger_run(f, "DROP TABLE commits");
	assert_refused(f, -EBADMSG, "is damaged");
}

/* A watch on a file that is out of order tries now and then, not all the time. */
static void test_trouble_costs_little(void **state)
{
	struct fixture *f = *state;
	struct record record = {0};
	struct rusage before, after;

	make_store(f);
	stranger_run(f, "DROP TABLE commits");
	fixture_start(f);
	watch(f->store, "", 0, &record);
	run_until(f, &record.errors, 1);
	getrusage(RUSAGE_SELF, &before);
	run_for(f, 1000);
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_nvcsw - before.ru_nvcsw < 200);
	assert_int_equal(record.calls, 1);
	assert_int_equal(fixture_stop(f), 0);
}

/* Overwrites each page in turn: every answer is right or an error, and whatever is written is refused or done. */
static void test_damaged_pages(void **state)
{
	struct fixture *f = *state;
	struct bytes whole;
	unsigned errors = 0;

	fixture_start(f);
	for (int i = 0; i < 50; i++) {
		char key[16];

		snprintf(key, sizeof(key), "key/%d", i);
		put(f, key, "some value");
	}
	assert_int_equal(fixture_stop(f), 0);
	whole = read_file(file_path(f));
	for (size_t at = 4096; at + 4096 <= whole.size; at += 4096) {
		char path[192], saved[4096];
		struct answer answer = {0};

		memcpy(saved, whole.data + at, 4096);
		memset(whole.data + at, 0xff, 4096);
		write_file(file_path(f), whole.data, whole.size);
		memcpy(whole.data + at, saved, 4096);
		fixture_start(f);
		answer = read_from(f, f->store, "");
		assert_true(answer.err == 0 ? answer.entries.count == 50 : answer.err == -EBADMSG && answer.has_why);
		errors += answer.err != 0;
		entries_free(&answer.entries);
		answer.err = write_key(f, f->store, "key/1", "new", UINT64_MAX, NULL);
		assert_true(answer.err == 0 || answer.err == -EBADMSG);
		assert_int_equal(fixture_stop(f), 0);
		side_path(f, "-wal", path);
		unlink(path);
	}
	assert_true(errors >= 2);
	free(whole.data);
}

static void test_damaged_rows(void **state)
{
	static const char *const damages[] = {
		"UPDATE entries SET revision = -1",
		"UPDATE entries SET revision = 9999",
		"UPDATE entries SET key = char(10)",
		"UPDATE entries SET key = 'a' || char(0) || 'b'",
		"UPDATE entries SET key = CAST(x'ff' AS TEXT)",
		"UPDATE entries SET value = zeroblob(4194305)",
		"UPDATE commits SET revision = 9223372036854775807",
		"UPDATE commits SET revision = -5",
	};

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		struct fixture *f = *state;

		make_store(f);
		stranger_run(f, damages[i]);
		fixture_start(f);
		assert_read_fails(f, -EBADMSG, "is damaged");
		assert_int_equal(fixture_stop(f), 0);
		unlink(file_path(f));
	}
}

static void become_nobody(void)
{
	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		_exit(1);
}

static void test_read_only_file(void **state)
{
	struct fixture *f = *state;
	pid_t pid;

	if (geteuid() != 0)
		skip(); /* root writes read-only files, so this needs to become somebody else */
	make_store(f);
	assert_int_equal(chmod(file_path(f), 0444), 0);
	assert_int_equal(chmod(f->directory, 0777), 0);
	pid = fork_child();
	if (pid == 0) {
		become_nobody();
		fixture_start(f);
		assert_holds(f, "a", "1", 1);
		assert_commit_fails(f, -EROFS, "cannot be written");
		assert_holds(f, "a", "1", 1);
		_exit(fixture_stop(f));
	}
	assert_int_equal(wait_for(pid), 0);
}

/* SQLite needs to make the -shm file even for reading. */
static void test_read_only_directory(void **state)
{
	struct fixture *f = *state;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	make_store(f);
	assert_int_equal(chmod(file_path(f), 0444), 0);
	assert_int_equal(chmod(f->directory, 0555), 0);
	pid = fork_child();
	if (pid == 0) {
		become_nobody();
		fixture_start(f);
		assert_read_fails(f, -EROFS, "-shm files cannot be made");
		_exit(fixture_stop(f));
	}
	assert_int_equal(wait_for(pid), 0);
}

static void test_unreadable_file(void **state)
{
	struct fixture *f = *state;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	make_store(f);
	assert_int_equal(chmod(f->directory, 0755), 0);
	pid = fork_child();
	if (pid == 0) {
		become_nobody();
		fixture_start(f);
		assert_read_fails(f, -EIO, "Permission denied");
		_exit(fixture_stop(f));
	}
	assert_int_equal(wait_for(pid), 0);
}

static void test_missing_directory(void **state)
{
	struct fixture *f = *state;
	snprintf(f->url, sizeof(f->url), "sqlite://%s/none/berth.db", f->directory);
	fixture_start(f);
	assert_read_fails(f, -EIO, "directory does not exist");
	assert_read_fails(f, -EIO, "directory does not exist");
	assert_int_equal(fixture_stop(f), 0);
}

static void test_urls(void **state)
{
	static const struct {
		const char *url;
		int err;
	} cases[] = {
		{"sqlite://", -EINVAL},
		{"sqlite://relative.db", -EINVAL},
		{"sqlite:///directory/", -EINVAL},
		{"/var/lib/berth.db", -EINVAL},
		{"", -EINVAL},
		{"memory://", -EINVAL},
		{"redis://host", -ENOTSUP},
		{"://", -ENOTSUP},
		{"sqlite3:///x", -ENOTSUP},
	};
	uv_loop_t loop;

	(void)state;
	uv_loop_init(&loop);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store *store = NULL;
		const char *why = NULL;

		assert_int_equal(store_open(&loop, cases[i].url, &store, &why), cases[i].err);
		assert_null(store);
		assert_non_null(why);
	}
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_mode(void **state)
{
	struct fixture *f = *state;
	mode_t mask = umask(0);
	static const char *const suffixes[] = {"", "-wal", "-shm"};

	start_with_one_key(f);
	for (int i = 0; i < 3; i++) {
		struct stat info;
		char path[192];

		side_path(f, suffixes[i], path);
		assert_int_equal(stat(path, &info), 0);
		assert_int_equal(info.st_mode & 0777, 0600);
	}
	umask(mask);
	assert_int_equal(fixture_stop(f), 0);
}

/* In a mount namespace of its own, on a file system of one megabyte. */
static int run_disk_full(struct fixture *f)
{
	static char value[200000];
	struct answer answer;
	int err = 0, written = 0;

	while (!err && written < 10) {
		struct store_write write = {"big", value, sizeof(value)};
		struct store_txn txn = {NULL, 0, &write, 1};

		memset(value, 'a' + written, sizeof(value));
		answer = commit_to(f, f->store, &txn);
		err = answer.err;
		written += !err;
	}
	assert_int_equal(err, -ENOSPC);
	assert_true(written > 0);
	assert_true(answer.has_why);
	answer = read_from(f, f->store, "big");
	assert_int_equal(answer.err, 0);
	assert_int_equal(answer.revision, written);
	memset(value, 'a' + written - 1, sizeof(value));
	assert_int_equal(answer.entries.items[0].size, sizeof(value));
	assert_memory_equal(answer.entries.items[0].value, value, sizeof(value));
	entries_free(&answer.entries);
	return 0;
}

static void test_disk_full(void **state)
{
	struct fixture *f = *state;
	pid_t pid = fork_child();

	if (pid == 0) {
		if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		    mount("none", f->directory, "tmpfs", 0, "size=1m"))
			_exit(77);
		fixture_start(f);
		run_disk_full(f);
		_exit(fixture_stop(f));
	}

	int status = wait_for(pid);

	if (status == 77)
		skip(); /* mounting needs root */
	assert_int_equal(status, 0);
}

/* Files that go and come */

static void move_aside(const struct fixture *f, bool back)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};

	for (int i = 0; i < 3; i++) {
		char path[192], aside[200];

		side_path(f, suffixes[i], path);
		snprintf(aside, sizeof(aside), "%s.aside", path);
		assert_int_equal(back ? rename(aside, path) : rename(path, aside), 0);
	}
}

static void test_file_gone_and_back(void **state)
{
	struct fixture *f = *state;
	struct record record = {0};

	start_with_one_key(f);
	watch(f->store, "", 0, &record);
	run_until(f, &record.calls, 1);
	move_aside(f, false);
	assert_read_fails(f, -EIO, "is gone");
	assert_commit_fails(f, -EIO, "is gone");
	assert_int_equal(access(file_path(f), F_OK), -1);
	run_until(f, &record.errors, 1);
	assert_int_equal(record.err, -EIO);
	run_for(f, 2500); /* a look more */
	assert_int_equal(record.errors, 1);
	move_aside(f, true);
	assert_holds(f, "a", "1", 1);
	assert_int_equal(put(f, "b", "2"), 2);
	run_until(f, &record.calls, 3);
	assert_int_equal(record.changes.count, 2);
	assert_entry(&record.changes.items[1], "b", "2", 2);
	entries_free(&record.changes);
	assert_int_equal(fixture_stop(f), 0);
}

/* A reader that starts while the file is away finds nothing and leaves nothing, not even for the file that comes. */
static void test_reading_makes_no_file(void **state)
{
	struct fixture *f = *state;
	struct record record = {0};
	struct store *reader;

	start_with_one_key(f);
	move_aside(f, false);
	reader = open_store(f);
	assert_int_equal(read_from(f, reader, "").revision, 0);
	watch(reader, "", 0, &record);
	run_for(f, 100);
	assert_int_equal(record.calls + record.errors, 0);
	for (const char *const *suffix = (const char *const[]){"", "-wal", "-shm", NULL}; *suffix; suffix++) {
		char path[192];

		side_path(f, *suffix, path);
		assert_int_equal(access(path, F_OK), -1);
	}
	move_aside(f, true);
	assert_holds(f, "a", "1", 1);
	run_until(f, &record.calls, 1);
	assert_entry(&record.changes.items[0], "a", "1", 1);
	entries_free(&record.changes);
	store_close(reader);
	assert_int_equal(fixture_stop(f), 0);
}

static void test_emptied_file(void **state)
{
	struct fixture *f = *state;

	start_with_one_key(f);
	move_aside(f, false);
	write_file(file_path(f), "", 0);
	assert_read_fails(f, -EBADMSG, "it is empty, and was not before");
	assert_commit_fails(f, -EBADMSG, "it is empty, and was not before");
	unlink(file_path(f));
	assert_read_fails(f, -EIO, "is gone");
	assert_int_equal(access(file_path(f), F_OK), -1);
	assert_int_equal(fixture_stop(f), 0);
}

enum replacement { BY_OLDER_FILE, BY_OLDER_FILE_THAT_WENT_ON, IN_PLACE };

static void make_copy(const struct fixture *f, const char *path)
{
	char sql[256];

	snprintf(sql, sizeof(sql), "VACUUM INTO '%s'", path);
	stranger_run(f, sql);
}

/* Puts the copy's contents where the file is. */
static void put_copy_back(const struct fixture *f, const char *path, enum replacement how)
{
	if (how == IN_PLACE) {
		sqlite3 *from, *to = stranger_open(f);
		sqlite3_backup *backup;

		assert_int_equal(sqlite3_open(path, &from), SQLITE_OK);
		backup = sqlite3_backup_init(to, "main", from, "main");
		assert_non_null(backup);
		assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
		sqlite3_backup_finish(backup);
		sqlite3_close(from);
		sqlite3_close(to);
		return;
	}
	move_aside(f, false);
	assert_int_equal(rename(path, file_path(f)), 0);
}

static void rewind_store(struct fixture *f, enum replacement how)
{
	struct record record = {0}, after = {0};
	char copy[192];

	side_path(f, ".copy", copy);
	start_with_one_key(f);
	make_copy(f, copy);
	for (int i = 0; i < 3; i++)
		put(f, "a", "lost");
	watch(f->store, "", 1, &record);
	run_until(f, &record.calls, 3);
	assert_int_equal(record.errors, 0);
	if (how == BY_OLDER_FILE_THAT_WENT_ON) {
		struct fixture other = {0};

		snprintf(other.url, sizeof(other.url), "sqlite://%s", copy);
		fixture_start(&other);
		for (int i = 0; i < 10; i++)
			put(&other, "a", "other");
		assert_int_equal(fixture_stop(&other), 0);
	}
	put_copy_back(f, copy, how);
	run_until(f, &record.errors, 1);
	assert_int_equal(record.err, -ESTALE);
	assert_holds(f, "a", how == BY_OLDER_FILE_THAT_WENT_ON ? "other" : "1",
		     how == BY_OLDER_FILE_THAT_WENT_ON ? 11 : 1);
	watch(f->store, "", how == BY_OLDER_FILE_THAT_WENT_ON ? 11 : 1, &after);
	put(f, "a", "on");
	run_until(f, &after.calls, 1);
	run_for(f, 50);
	assert_int_equal(after.errors, 0);
	assert_int_equal(record.errors, 1);
	assert_int_equal(record.calls, 4);
	entries_free(&after.changes);
	entries_free(&record.changes);
	assert_int_equal(fixture_stop(f), 0);
}

static void test_older_file(void **state)
{
	rewind_store(*state, BY_OLDER_FILE);
}

static void test_older_file_that_went_on(void **state)
{
	rewind_store(*state, BY_OLDER_FILE_THAT_WENT_ON);
}

static void test_restored_in_place(void **state)
{
	rewind_store(*state, IN_PLACE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
		TEST(test_processes_compare_and_swap),
		TEST(test_watch_across_processes),
		TEST(test_watch_without_inotify),
		TEST(test_killed_writer_loses_nothing),
		TEST(test_commits_are_synced),
		TEST(test_locked),
		TEST(test_lock_that_passes_is_waited_for),
		TEST(test_close_does_not_wait_for_a_lock),
		TEST(test_newer_format),
		TEST(test_other_programs_database),
		TEST(test_not_a_database),
		TEST(test_missing_table),
		TEST(test_trouble_costs_little),
		TEST(test_damaged_pages),
		TEST(test_damaged_rows),
		TEST(test_read_only_file),
		TEST(test_read_only_directory),
		TEST(test_unreadable_file),
		TEST(test_missing_directory),
		TEST(test_urls),
		TEST(test_mode),
		TEST(test_disk_full),
		TEST(test_file_gone_and_back),
		TEST(test_reading_makes_no_file),
		TEST(test_emptied_file),
		TEST(test_older_file),
		TEST(test_older_file_that_went_on),
		TEST(test_restored_in_place),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
