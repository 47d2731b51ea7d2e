/* SPDX-License-Identifier: Apache-2.0 */
/* What store.h promises, on every backend: each test runs once for each entry of `kinds`. */
#include "store_test.h"
#include "watch.h"

static const char *const kinds[] = {"memory", "sqlite"};
static const char *kind;

static int setup(void **state)
{
	static unsigned number;
	struct fixture *f = calloc(1, sizeof(*f));

	if (strcmp(kind, "sqlite") == 0)
		fixture_make_directory(f, access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	else
		snprintf(f->url, sizeof(f->url), "memory://contract-%u", number++);
	fixture_start(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int left = fixture_stop(f);

	if (f->directory[0])
		remove_directory(f->directory);
	free(f);
	return left;
}

static void test_empty(void **state)
{
	struct fixture *f = *state;
	struct answer answer = read_from(f, f->store, "");

	assert_int_equal(answer.err, 0);
	assert_int_equal(answer.revision, 0);
	assert_int_equal(answer.entries.count, 0);
	assert_false(answer.has_why);
}

static void test_compare_and_swap(void **state)
{
	struct fixture *f = *state;
	uint64_t first, second;

	assert_int_equal(write_key(f, f->store, "a", "1", 0, &first), 0);
	assert_int_equal(first, 1);
	assert_int_equal(write_key(f, f->store, "a", "again", 0, NULL), -EAGAIN);
	assert_int_equal(write_key(f, f->store, "b", "other", UINT64_MAX, NULL), 0);
	assert_int_equal(write_key(f, f->store, "a", "2", first, &second), 0);
	assert_int_equal(second, 3);
	assert_int_equal(write_key(f, f->store, "a", "late", first, NULL), -EAGAIN);

	struct answer answer = read_from(f, f->store, "a");

	assert_int_equal(answer.entries.count, 1);
	assert_entry(&answer.entries.items[0], "a", "2", second);
	assert_int_equal(answer.revision, second);
	entries_free(&answer.entries);
}

static void test_conflict_names_the_key(void **state)
{
	struct fixture *f = *state;
	uint64_t revision = put(f, "a", "1");
	struct store_compare compares[] = {{"a", revision}, {"missing", 0}, {"z", 7}, {"a", 9}};
	struct store_write writes[] = {{"a", "2", 1}, {"b", "2", 1}};
	struct store_txn txn = {compares, 4, writes, 2};
	struct answer answer = commit_to(f, f->store, &txn);

	assert_int_equal(answer.err, -EAGAIN);
	assert_string_equal(answer.conflict, "z");
	assert_true(answer.has_why);
	answer = read_from(f, f->store, "");
	assert_int_equal(answer.revision, revision);
	assert_int_equal(answer.entries.count, 1);
	assert_entry(&answer.entries.items[0], "a", "1", revision);
	entries_free(&answer.entries);
}

static void test_one_revision_for_all(void **state)
{
	struct fixture *f = *state;
	struct store_write writes[] = {{"c", "3", 1}, {"a", "1", 1}, {"b", "", 0}};
	struct store_txn txn = {NULL, 0, writes, 3};
	struct answer answer = commit_to(f, f->store, &txn);
	uint64_t revision = answer.revision;

	assert_int_equal(revision, 1);
	answer = read_from(f, f->store, "");
	assert_int_equal(answer.entries.count, 3);
	assert_entry(&answer.entries.items[0], "a", "1", revision);
	assert_entry(&answer.entries.items[1], "b", "", revision);
	assert_entry(&answer.entries.items[2], "c", "3", revision);
	entries_free(&answer.entries);
}

/* Reads while another client commits pairs: both of a pair are always there together. */
static void test_read_sees_one_revision(void **state)
{
	struct fixture *f = *state;
	struct store *other = open_store(f);
	struct answer reads[20] = {0}, commits[20] = {0};

	for (int i = 0; i < 20; i++) {
		char text[16];
		struct store_write writes[] = {{"pair/a", text, 0}, {"pair/b", text, 0}};
		struct store_txn txn = {NULL, 0, writes, 2};

		writes[0].size = writes[1].size = (size_t)snprintf(text, sizeof(text), "%d", i);
		assert_int_equal(store_commit(other, &txn, on_done, &commits[i]), 0);
		assert_int_equal(store_read(f->store, "pair/", on_done, &reads[i]), 0);
	}
	for (int i = 0; i < 20; i++) {
		run_until(f, &commits[i].calls, 1);
		run_until(f, &reads[i].calls, 1);
		assert_int_equal(commits[i].err, 0);
		assert_int_equal(reads[i].err, 0);
		if (reads[i].entries.count == 0)
			continue;
		assert_int_equal(reads[i].entries.count, 2);
		const struct store_entry *pair = reads[i].entries.items;

		assert_int_equal(pair[0].revision, pair[1].revision);
		assert_true(pair[0].revision <= reads[i].revision);
		assert_int_equal(pair[0].size, pair[1].size);
		assert_memory_equal(pair[0].value, pair[1].value, pair[0].size);
		entries_free(&reads[i].entries);
	}
	store_close(other);
}

static void test_requests_run_in_order(void **state)
{
	struct fixture *f = *state;
	struct store_write writes[] = {{"a", "1", 1}};
	struct store_txn txn = {NULL, 0, writes, 1};
	struct answer first = {0}, second = {0}, third = {0};

	assert_int_equal(store_read(f->store, "", on_done, &first), 0);
	assert_int_equal(store_commit(f->store, &txn, on_done, &second), 0);
	assert_int_equal(store_read(f->store, "", on_done, &third), 0);
	writes[0] = (struct store_write){"b", "x", 1}; /* arguments may change after the call */
	run_until(f, &third.calls, 1);
	assert_int_equal(first.calls + second.calls, 2);
	assert_int_equal(first.entries.count, 0);
	assert_int_equal(second.revision, 1);
	assert_int_equal(third.entries.count, 1);
	assert_entry(&third.entries.items[0], "a", "1", 1);
	entries_free(&third.entries);
}

static void test_prefix_borders(void **state)
{
	struct fixture *f = *state;
	static const char *const keys[] = {"a",
					   "a/",
					   "a/b",
					   "a/b/c",
					   "a/bb",
					   "a0",
					   "aa",
					   "b",
					   "b%c",
					   "b_c",
					   "bXc",
					   "\xc3\xa4/1",
					   "\xf4\x8f\xbf\xbf",
					   "A/b"};
	static const struct {
		const char *prefix;
		size_t count;
	} cases[] = {{"", 14},  {"a", 7},  {"a/", 4}, {"a/b", 3}, {"a/b/", 1},     {"a/b/c/", 0},           {"b", 4},
		     {"b%", 1}, {"b_", 1}, {"A", 1},  {"c", 0},   {"\xc3\xa4", 1}, {"\xf4\x8f\xbf\xbf", 1}, {"*", 0}};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		put(f, keys[i], keys[i]);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct answer answer = read_from(f, f->store, cases[i].prefix);

		assert_int_equal(answer.err, 0);
		if (answer.entries.count != cases[i].count)
			fail_msg("prefix %s gave %zu", cases[i].prefix, answer.entries.count);
		for (size_t j = 0; j < answer.entries.count; j++) {
			const struct store_entry *entry = &answer.entries.items[j];

			assert_memory_equal(entry->key, cases[i].prefix, strlen(cases[i].prefix));
			if (j)
				assert_true(strcmp(entry[-1].key, entry->key) < 0);
		}
		entries_free(&answer.entries);
	}
}

static void test_delete_and_create_again(void **state)
{
	struct fixture *f = *state;
	uint64_t first = put(f, "a", "1"), deleted, third;

	assert_int_equal(write_key(f, f->store, "a", NULL, first, &deleted), 0);
	assert_int_equal(deleted, first + 1);
	assert_int_equal(read_from(f, f->store, "a").entries.count, 0);
	assert_int_equal(write_key(f, f->store, "a", "x", first, NULL), -EAGAIN);
	assert_int_equal(write_key(f, f->store, "a", "x", deleted, NULL), -EAGAIN);
	assert_int_equal(write_key(f, f->store, "a", "2", 0, &third), 0);
	assert_int_equal(third, deleted + 1);
	assert_int_equal(write_key(f, f->store, "a", "x", first, NULL), -EAGAIN);
}

static void test_commit_that_changes_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t before = put(f, "a", "1"), after = 0;
	struct store_compare compare = {"a", before};
	struct store_txn empty = {&compare, 1, NULL, 0};
	struct answer answer;

	assert_int_equal(write_key(f, f->store, "none", NULL, UINT64_MAX, &after), 0);
	assert_int_equal(after, before);
	answer = commit_to(f, f->store, &empty);
	assert_int_equal(answer.err, 0);
	assert_int_equal(answer.revision, before);
	assert_int_equal(put(f, "a", "1"), before + 1);
	answer = commit_to(f, f->store, &empty);
	assert_int_equal(answer.err, -EAGAIN);
}

static void test_two_clients_share(void **state)
{
	struct fixture *f = *state;
	struct store *other = open_store(f);
	uint64_t first = put(f, "a", "1"), second;
	struct answer answer;

	assert_int_equal(write_key(f, other, "a", "2", first, &second), 0);
	assert_int_equal(write_key(f, f->store, "a", "x", first, NULL), -EAGAIN);
	answer = read_from(f, f->store, "a");
	assert_entry(&answer.entries.items[0], "a", "2", second);
	entries_free(&answer.entries);
	store_close(other);
}

static void test_watch_order(void **state)
{
	struct fixture *f = *state;
	struct record record = {0};
	struct store_write writes[] = {{"w/c", "3", 1}, {"x", "-", 1}, {"w/a", "1", 1}, {"w/b", "", 0}};
	struct store_txn txn = {NULL, 0, writes, 4};

	put(f, "w/a", "0");
	watch(f->store, "w/", 1, &record);
	commit_to(f, f->store, &txn);
	put(f, "y", "not watched");
	put(f, "w/a", NULL);
	run_until(f, &record.calls, 2);
	run_for(f, 20);
	assert_int_equal(record.calls, 2);
	assert_int_equal(record.changes.count, 4);
	assert_entry(&record.changes.items[0], "w/a", "1", 2);
	assert_entry(&record.changes.items[1], "w/b", "", 2);
	assert_entry(&record.changes.items[2], "w/c", "3", 2);
	assert_entry(&record.changes.items[3], "w/a", NULL, 4);
	entries_free(&record.changes);
}

static void test_watch_sees_other_client(void **state)
{
	struct fixture *f = *state;
	struct store *other = open_store(f);
	struct record record = {0};

	watch(other, "", 0, &record);
	run_for(f, 20);
	put(f, "a", "1");
	run_until(f, &record.calls, 1);
	assert_entry(&record.changes.items[0], "a", "1", 1);
	entries_free(&record.changes);
	store_close(other);
}

static void test_watch_resumes(void **state)
{
	struct fixture *f = *state;

	for (int i = 1; i <= 10; i++)
		put(f, i % 2 ? "w/odd" : "w/even", "v");
	for (uint64_t after = 0; after <= 10; after++) {
		struct record record = {0};

		watch(f->store, "w/", after, &record);
		run_until(f, &record.calls, (int)(10 - after));
		run_for(f, 5);
		assert_int_equal(record.changes.count, 10 - after);
		assert_int_equal(record.errors, 0);
		for (size_t i = 0; i < record.changes.count; i++)
			assert_int_equal(record.changes.items[i].revision, after + 1 + i);
		store_unwatch(record.watch);
		entries_free(&record.changes);
	}
}

static void test_watch_ahead_is_stale(void **state)
{
	struct fixture *f = *state;
	struct record record = {0};

	put(f, "a", "1");
	watch(f->store, "", 2, &record);
	run_until(f, &record.calls, 1);
	assert_int_equal(record.err, -ESTALE);
	put(f, "a", "2");
	put(f, "a", "3");
	run_for(f, 20);
	assert_int_equal(record.calls, 1);
	store_unwatch(record.watch);
}

static void test_history_is_bounded(void **state)
{
	struct fixture *f = *state;
	enum { EACH = 500 };
	struct store_write writes[EACH];
	static char keys[EACH][16];
	struct record old = {0}, kept = {0}, live = {0};
	uint64_t commits = WATCH_HISTORY_CHANGES / EACH + 2, start;

	for (int i = 0; i < EACH; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k/%03d", i);
		writes[i] = (struct store_write){keys[i], "v", 1};
	}
	watch(f->store, "k/", 0, &live);
	for (uint64_t i = 0; i < commits; i++) {
		struct store_txn txn = {NULL, 0, writes, EACH};

		assert_int_equal(commit_to(f, f->store, &txn).err, 0);
	}
	run_until(f, &live.calls, (int)commits);
	assert_int_equal(live.errors, 0);
	assert_int_equal(live.changes.count, commits * EACH);

	watch(f->store, "k/", 1, &old);
	run_until(f, &old.calls, 1);
	assert_int_equal(old.err, -ESTALE);
	start = uv_hrtime();
	watch(f->store, "k/", 2, &kept);
	run_until(f, &kept.calls, (int)commits - 2);
	assert_true(uv_hrtime() - start < 1500000000); /* no pause between the parts of a long way */
	assert_int_equal(kept.errors, 0);
	assert_int_equal(kept.changes.count, WATCH_HISTORY_CHANGES);
	assert_int_equal(kept.changes.items[0].revision, 3);
	entries_free(&kept.changes);
	entries_free(&live.changes);
}

static void test_many_watches(void **state)
{
	struct fixture *f = *state;
	enum { MANY = 200 };
	static struct record records[MANY];

	memset(records, 0, sizeof(records));
	for (int i = 0; i < MANY; i++) {
		char prefix[16];

		snprintf(prefix, sizeof(prefix), "m/%d/", i % 20);
		watch(f->store, prefix, 0, &records[i]);
	}
	for (int i = 0; i < 20; i++) {
		char key[16];

		snprintf(key, sizeof(key), "m/%d/x", i);
		put(f, key, "v");
	}
	for (int i = 0; i < MANY; i++) {
		run_until(f, &records[i].calls, 1);
		assert_int_equal(records[i].calls, 1);
		assert_int_equal(records[i].changes.count, 1);
		assert_int_equal(records[i].changes.items[0].revision, i % 20 + 1);
		entries_free(&records[i].changes);
		if (i % 2)
			store_unwatch(records[i].watch);
	}
}

/* A callback that removes watches, its own or another. */
struct remover {
	struct store_watch *own, *victim;
	struct store *close;
	int calls;
};

static void on_changed_remove(void *arg, int err, const struct store_result *result)
{
	struct remover *remover = arg;

	(void)err;
	(void)result;
	remover->calls++;
	store_unwatch(remover->victim);
	remover->victim = NULL;
	if (remover->own) {
		store_unwatch(remover->own);
		remover->own = NULL;
	}
	if (remover->close) {
		store_close(remover->close);
		remover->close = NULL;
	}
}

static void test_unwatch_in_callback(void **state)
{
	struct fixture *f = *state;
	struct remover self = {0}, killer = {0};
	struct record before = {0}, victim = {0};

	watch(f->store, "", 0, &before);
	store_watch(f->store, "", 0, on_changed_remove, &self, &self.own);
	store_watch(f->store, "", 0, on_changed_remove, &killer, &(struct store_watch *){NULL});
	watch(f->store, "", 0, &victim);
	killer.victim = victim.watch;
	for (int i = 0; i < 3; i++)
		put(f, "a", "v");
	run_until(f, &before.calls, 3);
	run_until(f, &killer.calls, 3);
	run_for(f, 20);
	assert_int_equal(before.calls, 3);
	assert_int_equal(self.calls, 1);
	assert_int_equal(killer.calls, 3);
	assert_int_equal(victim.calls, 0);
	entries_free(&before.changes);
}

static void test_close_in_watch_callback(void **state)
{
	struct fixture *f = *state;
	struct remover closer = {0};
	struct record later = {0};
	struct answer pending = {0};

	store_watch(f->store, "", 0, on_changed_remove, &closer, &(struct store_watch *){NULL});
	watch(f->store, "", 0, &later);
	closer.close = f->store;
	struct store_write write = {"a", "1", 1};
	struct store_txn txn = {NULL, 0, &write, 1};

	assert_int_equal(store_commit(f->store, &txn, on_done, &pending), 0);
	run_until(f, &closer.calls, 1);
	run_for(f, 20);
	assert_int_equal(pending.calls, 1);
	assert_int_equal(closer.calls, 1);
	assert_int_equal(later.calls, 0);
	f->store = NULL;
}

struct done_closer {
	struct fixture *f;
	int calls;
};

static void on_done_close(void *arg, int err, const struct store_result *result)
{
	struct done_closer *closer = arg;

	(void)err;
	(void)result;
	closer->calls++;
	store_close(closer->f->store);
	closer->f->store = NULL;
}

static void test_close_in_done_callback(void **state)
{
	struct fixture *f = *state;
	struct done_closer closer = {.f = f};
	struct answer after = {0};

	assert_int_equal(store_read(f->store, "", on_done_close, &closer), 0);
	assert_int_equal(store_read(f->store, "", on_done, &after), 0);
	run_until(f, &after.calls, 1);
	assert_int_equal(closer.calls, 1);
	assert_int_equal(after.err, -ECANCELED);
}

static void test_close_cancels(void **state)
{
	struct fixture *f = *state;
	struct answer answers[10] = {0};
	struct record record = {0};
	struct store_write write = {"a", "1", 1};
	struct store_txn txn = {NULL, 0, &write, 1};

	put(f, "a", "0");
	for (int i = 0; i < 10; i++)
		assert_int_equal(i % 2 ? store_commit(f->store, &txn, on_done, &answers[i])
				       : store_read(f->store, "", on_done, &answers[i]),
				 0);
	watch(f->store, "", 0, &record);
	store_close(f->store);
	f->store = NULL;
	for (int i = 0; i < 10; i++)
		assert_int_equal(answers[i].calls, 0);
	run_for(f, 50);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(answers[i].calls, 1);
		assert_int_equal(answers[i].err, -ECANCELED);
		assert_true(answers[i].has_why);
	}
	assert_int_equal(record.calls, 0);
}

/* A request made in a callback is not answered within it. */
struct chain {
	struct fixture *f;
	int left;
	int calls;
	bool inside;
};

static void on_done_chain(void *arg, int err, const struct store_result *result)
{
	struct chain *chain = arg;

	(void)result;
	assert_int_equal(err, 0);
	assert_false(chain->inside);
	chain->calls++;
	chain->inside = true;
	if (--chain->left > 0)
		assert_int_equal(store_read(chain->f->store, "", on_done_chain, chain), 0);
	chain->inside = false;
}

static void test_callbacks_never_nest(void **state)
{
	struct fixture *f = *state;
	struct chain chain = {.f = f, .left = 50};

	assert_int_equal(store_read(f->store, "", on_done_chain, &chain), 0);
	run_until(f, &chain.calls, 50);
	assert_int_equal(chain.calls, 50);
}

static void test_big_values(void **state)
{
	struct fixture *f = *state;
	char *value = malloc(STORE_VALUE_MAX + 1);
	struct record record = {0};

	for (size_t i = 0; i <= STORE_VALUE_MAX; i++)
		value[i] = (char)(i * 7 + (i >> 8));
	struct store_write writes[] = {{"a", value, STORE_VALUE_MAX}, {"b", value, STORE_VALUE_MAX}};
	struct store_txn txn = {NULL, 0, writes, 2};

	watch(f->store, "", 0, &record);
	assert_int_equal(commit_to(f, f->store, &txn).err, 0);
	assert_int_equal(commit_to(f, f->store, &txn).err, 0);
	run_until(f, &record.calls, 2);
	assert_int_equal(record.changes.count, 4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(record.changes.items[i].size, STORE_VALUE_MAX);
		assert_memory_equal(record.changes.items[i].value, value, STORE_VALUE_MAX);
	}
	entries_free(&record.changes);
	writes[1].size++;
	assert_int_equal(store_commit(f->store, &txn, on_done, NULL), -EINVAL);
	free(value);
}

static void test_bad_arguments(void **state)
{
	struct fixture *f = *state;
	char long_key[STORE_KEY_MAX + 2];
	const char *const bad[] = {"",         "a\n",          "\x01",
				   "a\x7f",    "\xff",         "a\xc3",
				   "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80",
				   "\xc2\x85", "\xe2\x82",     long_key};
	struct store_watch *none = NULL;

	memset(long_key, 'k', sizeof(long_key));
	long_key[STORE_KEY_MAX + 1] = 0;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct store_compare compare = {bad[i], 0};
		struct store_write write = {bad[i], "v", 1};
		struct store_txn compares = {&compare, 1, NULL, 0}, writes = {NULL, 0, &write, 1};

		assert_int_equal(store_commit(f->store, &compares, on_done, NULL), -EINVAL);
		assert_int_equal(store_commit(f->store, &writes, on_done, NULL), -EINVAL);
		if (!bad[i][0])
			continue;
		assert_int_equal(store_read(f->store, bad[i], on_done, NULL), -EINVAL);
		assert_int_equal(store_watch(f->store, bad[i], 0, on_changed, NULL, &none), -EINVAL);
	}
	struct store_write twice[] = {{"a", "1", 1}, {"b", "1", 1}, {"a", "2", 1}};
	struct store_txn txn = {NULL, 0, twice, 3};

	assert_int_equal(store_commit(f->store, &txn, on_done, NULL), -EINVAL);
	assert_null(none);
	run_for(f, 20);
}

static void test_hostile_keys(void **state)
{
	struct fixture *f = *state;
	char longest[STORE_KEY_MAX + 1];
	const char *const keys[] = {"'; DROP TABLE entries; --",
				    "..",
				    "/",
				    "//",
				    "%00",
				    "%s%n",
				    " ",
				    "a b",
				    "\"",
				    "\\",
				    "\xe2\x82\xac",
				    "NULL",
				    "0",
				    longest};
	size_t count = sizeof(keys) / sizeof(keys[0]);

	memset(longest, 'k', STORE_KEY_MAX);
	longest[STORE_KEY_MAX] = 0;
	for (size_t i = 0; i < count; i++)
		put(f, keys[i], keys[i]);
	for (size_t i = 0; i < count; i++) {
		struct answer answer = read_from(f, f->store, keys[i]);

		assert_entry(&answer.entries.items[0], keys[i], keys[i], i + 1);
		entries_free(&answer.entries);
	}
}

static void test_null_is_fine(void **state)
{
	(void)state;
	store_close(NULL);
	store_unwatch(NULL);
}

static int run_kind(const char *name)
{
	const struct CMUnitTest tests[] = {
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
		TEST(test_empty),
		TEST(test_compare_and_swap),
		TEST(test_conflict_names_the_key),
		TEST(test_one_revision_for_all),
		TEST(test_read_sees_one_revision),
		TEST(test_requests_run_in_order),
		TEST(test_prefix_borders),
		TEST(test_delete_and_create_again),
		TEST(test_commit_that_changes_nothing),
		TEST(test_two_clients_share),
		TEST(test_watch_order),
		TEST(test_watch_sees_other_client),
		TEST(test_watch_resumes),
		TEST(test_watch_ahead_is_stale),
		TEST(test_history_is_bounded),
		TEST(test_many_watches),
		TEST(test_unwatch_in_callback),
		TEST(test_close_in_watch_callback),
		TEST(test_close_in_done_callback),
		TEST(test_close_cancels),
		TEST(test_callbacks_never_nest),
		TEST(test_big_values),
		TEST(test_bad_arguments),
		TEST(test_hostile_keys),
		TEST(test_null_is_fine),
#undef TEST
	};

	kind = name;
	return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}

int main(void)
{
	int failed = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		failed += run_kind(kinds[i]);
	return failed ? 1 : 0;
}
