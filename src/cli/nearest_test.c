/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nearest.h"

static const char *const names[] = {"apply", "plan", "show", "run", "whoowns", "doctor", "detach", "version"};

static const char *nearest(const char *typed)
{
	return nearest_name(typed, names, sizeof(names[0]), sizeof(names) / sizeof(names[0]));
}

static void test_typos(void **state)
{
	(void)state;
	assert_string_equal(nearest("aply"), "apply");
	assert_string_equal(nearest("applly"), "apply");
	assert_string_equal(nearest("appky"), "apply");
	assert_string_equal(nearest("paln"), "plan");
	assert_string_equal(nearest("rnu"), "run"); /* swapped: one edit, and three letters allow no second */
	assert_string_equal(nearest("shwo"), "show");
	assert_string_equal(nearest("whoown"), "whoowns");
	assert_string_equal(nearest("dtach"), "detach");
	assert_string_equal(nearest("versoin"), "version");
	assert_string_equal(nearest("rum"), "run");
}

static void test_strangers(void **state)
{
	(void)state;
	assert_null(nearest(""));
	assert_null(nearest("x"));
	assert_null(nearest("status"));
	assert_null(nearest("a-word-that-is-longer-than-every-name-that-there-is"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_typos),
		cmocka_unit_test(test_strangers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
