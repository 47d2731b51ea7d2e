/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arguments.h"

#define WORDS_MAX 32

/* A command line, cut at blanks; "''" is an empty word. Lives until the next call. */
static int parse(const char *line, struct arguments *ret, char **why)
{
	static char copy[256];
	static char *words[WORDS_MAX];
	char *at = copy;
	int count = 1;

	assert_true(strlen(line) < sizeof(copy));
	memcpy(copy, line, strlen(line) + 1);
	words[0] = (char *)"berth";
	for (char *word; (word = strsep(&at, " "));)
		words[count++] = strcmp(word, "''") ? word : (char *)"";
	words[count] = NULL;
	return arguments_parse(count, words, ret, why);
}

static struct arguments parsed(const char *line)
{
	struct arguments arguments;
	char *why = NULL;

	assert_int_equal(parse(line, &arguments, &why), 0);
	assert_null(why);
	return arguments;
}

/* The sentence must have this in it. */
static void refused(const char *line, const char *part)
{
	struct arguments arguments = {.verb = "untouched"};
	char *why = NULL;

	assert_int_equal(parse(line, &arguments, &why), -EINVAL);
	assert_non_null(why);
	if (!strstr(why, part))
		fail_msg("\"%s\" lacks \"%s\"", why, part);
	assert_string_equal(arguments.verb, "untouched");
	free(why);
}

static void test_global_options_anywhere(void **state)
{
	const char *lines[] = {
		"--store sqlite:///x show fleet --json",
		"show --store=sqlite:///x fleet --json",
		"show fleet --json --store sqlite:///x",
		"--json --store=sqlite:///x show fleet",
	};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct arguments arguments = parsed(lines[i]);

		assert_string_equal(arguments.verb, "show");
		assert_string_equal(arguments.store, "sqlite:///x");
		assert_true(arguments.json);
		assert_int_equal(arguments.operand_count, 1);
		assert_string_equal(arguments.operands[0], "fleet");
		assert_int_equal(arguments.given, OPTION_STORE | OPTION_JSON);
		assert_null(arguments.command);
	}
}

static void test_every_option(void **state)
{
	struct arguments arguments =
		parsed("run --store a --run-dir b --bpffs c --cgroup-root d --select e --json --yes "
		       "--dry-run --all --help");

	(void)state;
	assert_string_equal(arguments.store, "a");
	assert_string_equal(arguments.run_dir, "b");
	assert_string_equal(arguments.bpffs, "c");
	assert_string_equal(arguments.cgroup_root, "d");
	assert_string_equal(arguments.select, "e");
	assert_true(arguments.json && arguments.yes && arguments.dry_run && arguments.all && arguments.help);
}

static void test_command(void **state)
{
	struct arguments arguments = parsed("run --select a=b -- ls --json -- -l");

	(void)state;
	assert_false(arguments.json);
	assert_int_equal(arguments.operand_count, 0);
	assert_string_equal(arguments.command[0], "ls");
	assert_string_equal(arguments.command[1], "--json");
	assert_string_equal(arguments.command[2], "--");
	assert_string_equal(arguments.command[3], "-l");
	assert_null(arguments.command[4]);
	arguments = parsed("run --");
	assert_non_null(arguments.command);
	assert_null(arguments.command[0]);
}

static void test_odd_values(void **state)
{
	(void)state;
	assert_string_equal(parsed("show --store --json").store, "--json");
	assert_string_equal(parsed("plan -").operands[0], "-");
	assert_string_equal(parsed("run --select=a=b").select, "a=b");
	assert_string_equal(parsed("run --policy web -- ls").policy, "web");
	assert_true(parsed("-h").help);
}

static void test_refused(void **state)
{
	(void)state;
	refused("show --store", "--store needs a value");
	refused("show --store=", "--store needs a value");
	refused("show --store ''", "--store needs a value");
	refused("show --json=yes", "takes no value");
	refused("show --json --json", "given twice");
	refused("show --store a --store b", "given twice");
	refused("show --jsn", "did you mean --json?");
	refused("show --runndir=x", "did you mean --run-dir?");
	refused("show --qqqqqq", "--help lists them");
	refused("show --jso", "did you mean --json?"); /* no abbreviations */
	refused("show -x", "-x");
	refused("show 1 2 3 4 5 6 7 8 9", "\"9\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_global_options_anywhere),
		cmocka_unit_test(test_every_option),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_odd_values),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
