/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "problems.h"

/* The log, caught: it goes to stderr. */
static FILE *real_stderr;
static char *log_text;
static size_t log_size;

static int setup(void **state)
{
	(void)state;
	real_stderr = stderr;
	stderr = open_memstream(&log_text, &log_size);
	return stderr ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	fclose(stderr);
	stderr = real_stderr;
	free(log_text);
	return 0;
}

/* How many lines came since the last call. */
static unsigned lines(void)
{
	static size_t seen;
	unsigned count = 0;

	fflush(stderr);
	if (seen > log_size)
		seen = 0;
	for (; seen < log_size; seen++)
		count += log_text[seen] == '\n';
	return count;
}

static const struct problem *only(const struct problems *problems)
{
	assert_int_equal(problems->count, 1);
	return &problems->items[0];
}

static void test_each_is_told_once(void **state)
{
	struct problems problems = {0};

	(void)state;
	lines();
	problems_set(&problems, "store", NULL);
	assert_int_equal(problems.count, 0);
	assert_int_equal(lines(), 0);
	problems_set(&problems, "store", "it is gone");
	problems_set(&problems, "store", "it is gone");
	assert_string_equal(only(&problems)->sentence, "store: it is gone");
	assert_int_equal(lines(), 1);
	problems_set(&problems, "store", "it is locked");
	assert_string_equal(only(&problems)->sentence, "store: it is locked");
	assert_int_equal(lines(), 1);
	problems_set(&problems, "store", NULL);
	problems_set(&problems, "store", NULL);
	assert_int_equal(problems.count, 0);
	assert_int_equal(lines(), 1);
	problems_free(&problems);
}

static void test_subjects_are_apart(void **state)
{
	struct problems problems = {0};

	(void)state;
	problems_set(&problems, "a", "1");
	problems_set(&problems, "ab", "2");
	problems_set(&problems, "b", "3");
	problems_set(&problems, "a", NULL);
	assert_int_equal(problems.count, 2);
	problems_set(&problems, "b", NULL);
	assert_string_equal(only(&problems)->subject, "ab");
	problems_free(&problems);
	assert_int_equal(problems.count, 0);
}

static void test_settle(void **state)
{
	struct problems problems = {0};

	(void)state;
	problems_settle(&problems, "x", -ENODEV, NULL);
	assert_string_equal(only(&problems)->text, strerror(ENODEV));
	problems_settle(&problems, "x", -ENODEV, strdup("net0 is gone"));
	assert_string_equal(only(&problems)->text, "net0 is gone");
	problems_settle(&problems, "x", 0, strdup("freed all the same"));
	assert_int_equal(problems.count, 0);
	problems_free(&problems);
}

static bool is_odd(const void *arg, const char *rest)
{
	assert_string_equal(arg, "what the caller gave");
	return atoi(rest) % 2;
}

static void test_sweep(void **state)
{
	struct problems problems = {0};
	char subject[16];

	(void)state;
	for (int i = 0; i < 6; i++) {
		snprintf(subject, sizeof(subject), "device %d", i);
		problems_set(&problems, subject, "broken");
	}
	problems_set(&problems, "devices", "too many");
	lines();
	problems_sweep(&problems, "device ", is_odd, "what the caller gave");
	assert_int_equal(problems.count, 4);
	assert_int_equal(lines(), 0); /* nothing works again */
	for (size_t i = 0; i < problems.count; i++)
		assert_true(!strcmp(problems.items[i].subject, "devices") || atoi(problems.items[i].subject + 7) % 2);
	problems_free(&problems);
}

/* What comes from outside cannot forge lines of the log. */
static void test_one_line_each(void **state)
{
	struct problems problems = {0};

	(void)state;
	lines();
	problems_set(&problems, "store", "two\nlines\x1b[31m");
	assert_int_equal(lines(), 1);
	assert_null(strchr(log_text, '\x1b'));
	problems_free(&problems);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_is_told_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_subjects_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_settle, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_line_each, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
