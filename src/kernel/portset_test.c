/* SPDX-License-Identifier: Apache-2.0 */
#include "portset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void formats_what_it_parses(void **state)
{
	static const char *const texts[] = {
		"", "0", "65535", "0-65535", "8080,9000-9010", "63-64,66", "1,3,5-6,65534-65535"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct port_set set;
		char *text;

		assert_int_equal(port_set_parse(texts[i], &set), 0);
		text = port_set_format(&set);
		assert_string_equal(text, texts[i]);
		free(text);
	}
}

static void refuses(void **state)
{
	static const char *const texts[] = {"x",    "65536", "1-", "-1", "2-1",   "1,,2",
					    "1, 2", "1 ",    "1,", ",1", "1-2-3", "99999999999"};
	struct port_set set;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_int_equal(port_set_parse(texts[i], &set), -22);
}

static void newline_ends(void **state)
{
	struct port_set set;

	(void)state;
	assert_int_equal(port_set_parse("5-6\n", &set), 0);
	assert_int_equal(port_set_count(&set, 0, 65536), 2);
}

static void ends_of_the_space(void **state)
{
	struct port_set set = {0};

	(void)state;
	port_set_add(&set, 0, 1);
	port_set_add(&set, 65535, 1);
	port_set_add(&set, 65535, UINT32_MAX); /* cut off, not wrapped */
	assert_true(port_set_has(&set, 0));
	assert_false(port_set_has(&set, 1));
	assert_true(port_set_has(&set, 65535));
	assert_false(port_set_has(&set, 65536));
	assert_int_equal(port_set_count(&set, 0, 65536), 2);
}

static void joins_and_subtracts(void **state)
{
	struct port_set a, b, c;

	(void)state;
	port_set_parse("10-20", &a);
	port_set_parse("15-30", &b);
	c = a;
	port_set_join(&c, &b);
	assert_int_equal(port_set_count(&c, 0, 65536), 21);
	port_set_subtract(&c, &b);
	assert_int_equal(port_set_count(&c, 0, 65536), 5);
	assert_false(port_set_equal(&a, &c));
	port_set_add(&c, 15, 6);
	assert_true(port_set_equal(&a, &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_what_it_parses), cmocka_unit_test(refuses),
		cmocka_unit_test(newline_ends),           cmocka_unit_test(ends_of_the_space),
		cmocka_unit_test(joins_and_subtracts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
