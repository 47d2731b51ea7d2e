/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite files that go and come while a store is open, or come back older than they were. */
#include "sqlite_test.h"

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
		SQLITE_TEST(test_file_gone_and_back),
		SQLITE_TEST(test_reading_makes_no_file),
		SQLITE_TEST(test_emptied_file),
		SQLITE_TEST(test_older_file),
		SQLITE_TEST(test_older_file_that_went_on),
		SQLITE_TEST(test_restored_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
