/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite files that are damaged, of somebody else, not to be written, or have no room. */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "sqlite_test.h"

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
	char what_to_do[128];

	snprintf(f->url, sizeof(f->url), "sqlite://%s/none/berth.db", f->directory);
	snprintf(what_to_do, sizeof(what_to_do), "directory does not exist: mkdir -p %s/none", f->directory);
	fixture_start(f);
	assert_read_fails(f, -EIO, what_to_do);
	assert_commit_fails(f, -EIO, what_to_do);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		SQLITE_TEST(test_newer_format),
		SQLITE_TEST(test_other_programs_database),
		SQLITE_TEST(test_not_a_database),
		SQLITE_TEST(test_missing_table),
		SQLITE_TEST(test_trouble_costs_little),
		SQLITE_TEST(test_damaged_pages),
		SQLITE_TEST(test_damaged_rows),
		SQLITE_TEST(test_read_only_file),
		SQLITE_TEST(test_read_only_directory),
		SQLITE_TEST(test_unreadable_file),
		SQLITE_TEST(test_missing_directory),
		SQLITE_TEST(test_urls),
		SQLITE_TEST(test_mode),
		SQLITE_TEST(test_disk_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
