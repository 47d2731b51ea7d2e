/* SPDX-License-Identifier: Apache-2.0 */
#include <sqlite3.h>
#include <sys/stat.h>

#include "../store/store_test.h"
#include "follow.h"

static const char fleet_text[] = "version: 1\n"
				 "fleet: test\n"
				 "pools:\n"
				 "  - {prefix: 203.0.113.0/24, slice_ports: 2048}\n"
				 "addresses:\n"
				 "  - {range: 203.0.113.0, tags: {country: DE}}\n"
				 "sites:\n"
				 "  - name: fra\n"
				 "    tunnel: 10.0.1.254\n"
				 "    servers:\n"
				 "      - {name: fra-1, underlay: 10.0.1.1}\n"
				 "policies:\n"
				 "  - {name: all, cgroup: /all, select: \"*\"}\n";

/* What the hooks were told. */
struct seen {
	int states;
	uint64_t revision; /* of the last */
	bool has_fleet;
	int troubles, overs; /* with reading */
	int write_troubles, write_overs;
	char why[512];
	struct follow *stop_at_state; /* what to stop from within the hook */
};

static void on_state(void *arg, struct state *state)
{
	struct seen *seen = arg;

	seen->states++;
	seen->revision = state->revision;
	seen->has_fleet = state->fleet;
	state_free(state);
	follow_stop(seen->stop_at_state);
}

static void on_trouble(void *arg, const char *what, const char *why)
{
	struct seen *seen = arg;

	if (!strcmp(what, FOLLOW_WRITING)) {
		seen->write_troubles += why != NULL;
		seen->write_overs += why == NULL;
		return;
	}
	assert_string_equal(what, FOLLOW_READING);
	seen->troubles += why != NULL;
	seen->overs += why == NULL;
	if (why)
		snprintf(seen->why, sizeof(seen->why), "%s", why);
}

static struct follow *follow(struct fixture *f, struct seen *seen)
{
	struct follow_hooks hooks = {.changed = on_state, .trouble = on_trouble, .arg = seen};
	struct follow *ret = NULL;

	assert_int_equal(follow_start(&f->loop, f->url, &hooks, &ret), 0);
	return ret;
}

static int setup_memory(void **state)
{
	static struct fixture f;

	f = (struct fixture){.url = "memory://follow"};
	fixture_start(&f);
	*state = &f;
	return 0;
}

static int setup_sqlite(void **state)
{
	static struct fixture f;

	f = (struct fixture){.url = ""};
	fixture_make_directory(&f, "/tmp");
	fixture_start(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->directory[0])
		remove_directory(f->directory);
	return 0;
}

static void put_fleet(struct fixture *f)
{
	const struct store_write writes[] = {
		{.key = "fleet", .value = fleet_text, .size = strlen(fleet_text)},
		{.key = "id/server/fra-1", .value = "1", .size = 1},
		{.key = "id/site/fra", .value = "1", .size = 1},
	};
	const struct store_txn txn = {.writes = writes, .write_count = 3};
	struct answer answer = commit_to(f, f->store, &txn);

	assert_int_equal(answer.err, 0);
}

static void report(struct follow *follow, uint64_t applied)
{
	struct server_status status = {.server = 1, .instance = "instance", .applied = applied, .version = "test"};

	follow_report(follow, "fra-1", &status);
}

static void test_states(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {0};
	struct follow *follower = follow(f, &seen);

	assert_int_equal(seen.states, 0); /* never from within the call */
	run_until(f, &seen.states, 1);
	assert_false(seen.has_fleet);
	put_fleet(f);
	run_until(f, &seen.states, 2);
	assert_true(seen.has_fleet);
	assert_int_equal(seen.revision, 1);
	/* Statuses are no news; a commit that has one beside something else is. */
	put(f, "status/fra-1", "{\"instance\": \"x\", \"applied\": 1, \"version\": \"y\"}");
	run_for(f, 150);
	assert_int_equal(seen.states, 2);
	put(f, "statusquo", "1");
	run_until(f, &seen.states, 3);
	assert_int_equal(seen.revision, 3);
	assert_int_equal(seen.troubles, 0);
	follow_stop(follower);
	put(f, "after", "1");
	run_for(f, 50);
	assert_int_equal(seen.states, 3);
	assert_int_equal(fixture_stop(f), 0);
}

/* Commits that come while one is read end in one more read, which has them all. */
static void test_burst(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {0};
	struct follow *follower = follow(f, &seen);

	run_until(f, &seen.states, 1);
	for (int i = 0; i < 50; i++)
		put(f, "key", i % 2 ? "1" : "2");
	run_for(f, 150);
	assert_int_equal(seen.revision, 50);
	assert_in_range(seen.states, 2, 51);
	follow_stop(follower);
	assert_int_equal(fixture_stop(f), 0);
}

static void test_garbage_then_mended(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {0};
	struct follow *follower;

	put(f, "fleet", "no: fleet");
	follower = follow(f, &seen);
	run_until(f, &seen.troubles, 1); /* at the first read, before there is a watch */
	assert_non_null(strstr(seen.why, "fleet"));
	put_fleet(f);
	run_until(f, &seen.states, 1);
	assert_true(seen.has_fleet);
	run_until(f, &seen.overs, 1);
	put(f, "fleet", "\x01\x02");
	run_until(f, &seen.troubles, 2);
	assert_int_equal(seen.states, 1);
	put_fleet(f);
	run_until(f, &seen.states, 2);
	run_until(f, &seen.overs, 2);
	follow_stop(follower);
	assert_int_equal(fixture_stop(f), 0);
}

static void test_report(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {0};
	struct follow *follower = follow(f, &seen);
	struct answer answer;

	put_fleet(f);
	run_until(f, &seen.states, 1);
	/* The last of those that came while one was under way. */
	report(follower, 5);
	report(follower, 6);
	report(follower, 7);
	run_until(f, &seen.write_overs, 2);
	answer = read_from(f, f->store, "status/");
	assert_int_equal(answer.entries.count, 1);
	assert_non_null(memmem(answer.entries.items[0].value, answer.entries.items[0].size, "\"applied\":7", 11));
	assert_int_equal(answer.revision, 3);
	entries_free(&answer.entries);
	run_for(f, 50);
	assert_int_equal(seen.write_troubles, 0);
	follow_stop(follower);
	assert_int_equal(fixture_stop(f), 0);
}

static void test_stop_at_once(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {0};
	struct follow *follower = follow(f, &seen);

	report(follower, 1);
	follow_stop(follower);
	follow_stop(NULL);
	assert_int_equal(fixture_stop(f), 0); /* every handle went */
	assert_int_equal(seen.states + seen.troubles + seen.overs + seen.write_troubles + seen.write_overs, 0);
}

static void test_stop_in_the_hook(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {0};

	seen.stop_at_state = follow(f, &seen);
	report(seen.stop_at_state, 1);
	run_until(f, &seen.states, 1);
	run_for(f, 50);
	assert_int_equal(seen.states, 1);
	assert_int_equal(seen.overs, 0);
	assert_int_equal(fixture_stop(f), 0);
}

static void test_store_that_can_be_opened_later(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {0};
	struct follow *follower;
	char directory[96];

	snprintf(directory, sizeof(directory), "%s/later", f->directory);
	snprintf(f->url, sizeof(f->url), "sqlite://%s/berth.db", directory);
	follower = follow(f, &seen);
	run_until(f, &seen.troubles, 1);
	assert_non_null(strstr(seen.why, directory));
	run_until(f, &seen.troubles, 2); /* it goes on trying */
	assert_int_equal(mkdir(directory, 0700), 0);
	run_until(f, &seen.states, 1);
	assert_int_equal(seen.revision, 0);
	run_until(f, &seen.overs, 1);
	follow_stop(follower);
	assert_int_equal(fixture_stop(f), 0);
	remove_directory(directory);
}

static void test_store_of_no_kind(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {0};
	struct follow *follower;

	snprintf(f->url, sizeof(f->url), "redis://host");
	follower = follow(f, &seen);
	run_until(f, &seen.troubles, 1);
	report(follower, 1);
	run_for(f, 50);
	follow_stop(follower);
	assert_int_equal(fixture_stop(f), 0);
}

static void copy_file(const char *from, const char *to)
{
	FILE *source = fopen(from, "r"), *copy = fopen(to, "w");
	char bytes[4096];
	size_t size;

	assert_non_null(source);
	assert_non_null(copy);
	while ((size = fread(bytes, 1, sizeof(bytes), source)) > 0)
		assert_int_equal(fwrite(bytes, 1, size, copy), size);
	fclose(source);
	fclose(copy);
}

/* The watch ends with -ESTALE; what counts is what the store has now. */
static void test_older_copy_put_back(void **state)
{
	struct fixture *f = *state;
	const char *path = f->url + strlen("sqlite://");
	struct seen seen = {0};
	struct follow *follower;
	char older[128], wal[300], shm[300];

	snprintf(older, sizeof(older), "%s/older.db", f->directory);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	snprintf(shm, sizeof(shm), "%s-shm", path);
	put_fleet(f);
	assert_int_equal(fixture_stop(f), 0); /* the last connection: all is in the file */
	copy_file(path, older);
	fixture_start(f);
	follower = follow(f, &seen);
	run_until(f, &seen.states, 1);
	put(f, "more", "1");
	run_until(f, &seen.states, 2);
	assert_int_equal(seen.revision, 2);
	unlink(wal);
	unlink(shm);
	assert_int_equal(rename(older, path), 0);
	run_until(f, &seen.states, 3);
	assert_int_equal(seen.revision, 1);
	/* And it follows on from there. */
	put(f, "again", "1");
	run_until(f, &seen.states, 4);
	assert_int_equal(seen.revision, 2);
	follow_stop(follower);
	assert_int_equal(fixture_stop(f), 0);
}

/* Somebody holds the write lock: that is said, it is tried again, and nothing is read over and over meanwhile. */
static void test_store_that_cannot_be_written(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {0};
	struct follow *follower;
	sqlite3 *other;

	put_fleet(f);
	follower = follow(f, &seen);
	run_until(f, &seen.states, 1);
	assert_int_equal(sqlite3_open(f->url + strlen("sqlite://"), &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	report(follower, 9);
	run_until(f, &seen.write_troubles, 2);
	assert_int_equal(seen.write_overs, 0);
	assert_int_equal(seen.states, 1);
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	run_until(f, &seen.write_overs, 1);
	assert_int_equal(seen.states, 1);
	assert_int_equal(seen.troubles, 0);
	sqlite3_close(other);
	follow_stop(follower);
	assert_int_equal(fixture_stop(f), 0);
}

/* What it asked for ends after it did. */
static void test_stop_while_the_store_waits(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {0};
	struct follow *follower;
	sqlite3 *other;

	put_fleet(f);
	follower = follow(f, &seen);
	run_until(f, &seen.states, 1);
	assert_int_equal(sqlite3_open(f->url + strlen("sqlite://"), &other), SQLITE_OK);
	assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
	report(follower, 9);
	run_for(f, 20);
	follow_stop(follower);
	assert_int_equal(fixture_stop(f), 0);
	assert_int_equal(seen.write_troubles + seen.write_overs, 0);
	sqlite3_close(other);
}

#define TEST(test, setup) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_states, setup_memory),
		TEST(test_states, setup_sqlite),
		TEST(test_burst, setup_memory),
		TEST(test_burst, setup_sqlite),
		TEST(test_garbage_then_mended, setup_memory),
		TEST(test_garbage_then_mended, setup_sqlite),
		TEST(test_report, setup_memory),
		TEST(test_report, setup_sqlite),
		TEST(test_stop_at_once, setup_memory),
		TEST(test_stop_at_once, setup_sqlite),
		TEST(test_stop_in_the_hook, setup_memory),
		TEST(test_stop_in_the_hook, setup_sqlite),
		TEST(test_store_that_can_be_opened_later, setup_sqlite),
		TEST(test_store_of_no_kind, setup_memory),
		TEST(test_older_copy_put_back, setup_sqlite),
		TEST(test_store_that_cannot_be_written, setup_sqlite),
		TEST(test_stop_while_the_store_waits, setup_sqlite),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
