/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../abi/allocator.h"
#include "options.h"

#define WORDS_MAX 16

struct outcome {
	int ret;
	int status;
	struct options options;
	char *out, *err; /* what it printed */
};

/* Options keep pointers into the words. */
static char line[256];

static struct outcome parse(const char *words)
{
	struct outcome outcome = {.status = -1};
	FILE *out = stdout, *err = stderr;
	char *argv[WORDS_MAX + 1];
	size_t size;
	int argc = 0;

	snprintf(line, sizeof(line), "berthd %s", words);
	for (char *word = strtok(line, " "); word && argc < WORDS_MAX; word = strtok(NULL, " "))
		argv[argc++] = word;
	argv[argc] = NULL;
	optind = 0; /* glibc: begin anew */
	stdout = open_memstream(&outcome.out, &size);
	stderr = open_memstream(&outcome.err, &size);
	outcome.ret = options_parse(argc, argv, &outcome.options, &outcome.status);
	fclose(stdout);
	fclose(stderr);
	stdout = out;
	stderr = err;
	return outcome;
}

static void done(struct outcome *outcome)
{
	free(outcome->out);
	free(outcome->err);
}

static void assert_refused(const char *words, const char *named)
{
	struct outcome outcome = parse(words);

	assert_int_equal(outcome.ret, 1);
	assert_int_equal(outcome.status, 2);
	assert_non_null(strstr(outcome.err, named));
	assert_string_equal(outcome.out, "");
	assert_null(outcome.options.server);
	done(&outcome);
}

static void test_defaults(void **state)
{
	struct outcome outcome;

	(void)state;
	unsetenv("BERTH_STORE");
	outcome = parse("--server fra-1");
	assert_int_equal(outcome.ret, 0);
	assert_string_equal(outcome.options.server, "fra-1");
	assert_string_equal(outcome.options.store, STORE_DEFAULT);
	assert_string_equal(outcome.options.bpffs, BPFFS_DEFAULT);
	assert_string_equal(outcome.options.run_dir, RUN_DIR_DEFAULT);
	assert_null(outcome.options.cgroup_root);
	assert_int_equal(outcome.options.destinations, DESTINATIONS_DEFAULT);
	assert_false(outcome.options.generic);
	assert_string_equal(outcome.err, "");
	done(&outcome);
}

static void test_all_given(void **state)
{
	struct outcome outcome;

	(void)state;
	setenv("BERTH_STORE", "memory://environment", 1);
	outcome = parse(
		"--server=a --store sqlite:///x --cgroup-root /c --bpffs /b --run-dir /r --destinations 77 --generic");
	unsetenv("BERTH_STORE");
	assert_int_equal(outcome.ret, 0);
	assert_string_equal(outcome.options.server, "a");
	assert_string_equal(outcome.options.store, "sqlite:///x");
	assert_string_equal(outcome.options.cgroup_root, "/c");
	assert_string_equal(outcome.options.bpffs, "/b");
	assert_string_equal(outcome.options.run_dir, "/r");
	assert_int_equal(outcome.options.destinations, 77);
	assert_true(outcome.options.generic);
	done(&outcome);
}

static void test_store_of_the_environment(void **state)
{
	struct outcome outcome;

	(void)state;
	setenv("BERTH_STORE", "memory://environment", 1);
	outcome = parse("--server a");
	assert_string_equal(outcome.options.store, "memory://environment");
	done(&outcome);
	setenv("BERTH_STORE", "", 1);
	outcome = parse("--server a");
	assert_string_equal(outcome.options.store, STORE_DEFAULT);
	done(&outcome);
	unsetenv("BERTH_STORE");
}

static void test_refused(void **state)
{
	(void)state;
	assert_refused("", "--server");
	assert_refused("--server=", "--server");
	assert_refused("--server a more", "'more'");
	assert_refused("--server a --nonsense", "--help");
	assert_refused("--serv a", "'--serv'");
	assert_refused("--server a --gen", "'--gen'");
	assert_refused("--server a --store", "--help");
	assert_refused("--server a --destinations 63", "--destinations 63");
	assert_refused("--server a --destinations -1", "--destinations -1");
	assert_refused("--server a --destinations 12x", "12x");
	assert_refused("--server a --destinations 4194305", "4194304");
	assert_refused("--server a --destinations 99999999999999999999", "4194304");
}

static void test_asked_for(void **state)
{
	struct outcome outcome = parse("--help");

	(void)state;
	assert_int_equal(outcome.ret, 1);
	assert_int_equal(outcome.status, 0);
	assert_non_null(strstr(outcome.out, "--cgroup-root DIR"));
	assert_string_equal(outcome.err, "");
	done(&outcome);
	outcome = parse("--version");
	assert_int_equal(outcome.ret, 1);
	assert_int_equal(outcome.status, 0);
	assert_memory_equal(outcome.out, "berthd ", 7);
	done(&outcome);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_all_given),
		cmocka_unit_test(test_store_of_the_environment),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
