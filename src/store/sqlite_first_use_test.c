/* SPDX-License-Identifier: Apache-2.0 */
/* Many that use a new SQLite store at the same moment: one makes it, all find it. */
#include "store_test.h"

#define CLIENTS 6
#define ROUNDS 60

static void use_new_file(struct fixture *f)
{
	struct answer reads[CLIENTS] = {0}, commits[CLIENTS] = {0};
	struct store *stores[CLIENTS];

	for (int i = 0; i < CLIENTS; i++) {
		char key[16];
		struct store_write write = {.key = key, .value = "1", .size = 1};
		struct store_txn txn = {.writes = &write, .write_count = 1};

		snprintf(key, sizeof(key), "key/%d", i);
		stores[i] = open_store(f);
		assert_int_equal(store_read(stores[i], "", on_done, &reads[i]), 0);
		assert_int_equal(store_commit(stores[i], &txn, on_done, &commits[i]), 0);
	}
	for (int i = 0; i < CLIENTS; i++) {
		run_until(f, &reads[i].calls, 1);
		run_until(f, &commits[i].calls, 1);
		assert_int_equal(reads[i].err, 0);
		assert_int_equal(commits[i].err, 0);
		entries_free(&reads[i].entries);
	}
	reads[0] = read_from(f, stores[0], "key/");
	assert_int_equal(reads[0].entries.count, CLIENTS);
	assert_int_equal(reads[0].revision, CLIENTS);
	entries_free(&reads[0].entries);
	for (int i = 0; i < CLIENTS; i++)
		store_close(stores[i]);
}

static void test_first_use_by_many(void **state)
{
	struct fixture f = {0};

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		fixture_make_directory(&f, access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
		fixture_start(&f);
		use_new_file(&f);
		assert_int_equal(fixture_stop(&f), 0);
		remove_directory(f.directory);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_first_use_by_many)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
