/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "table.h"

static const struct table_column columns[] = {{"NAME", false}, {"COUNT", true}, {"MEANING", false}};

static void expect(struct table *table, const char *expected)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(table_print(table, out), 0);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

static void test_aligned(void **state)
{
	struct table *table = table_new(columns, 3);

	(void)state;
	table_cell(table, "%s", "wrap");
	table_cell(table, "%d", 7);
	table_cell(table, "sent on");
	table_cell(table, "%s", "deliver");
	table_cell(table, "%d", 1234567);
	table_cell(table, "x");
	expect(table, "NAME       COUNT  MEANING\n"
		      "wrap           7  sent on\n"
		      "deliver  1234567  x\n");
}

static void test_last_column_ends_the_line(void **state)
{
	struct table *table = table_new(columns, 2);

	(void)state;
	table_cell(table, "a");
	table_cell(table, "1");
	expect(table, "NAME  COUNT\na         1\n");
}

static void test_empty(void **state)
{
	struct table *table = table_new(columns, 3);

	(void)state;
	expect(table_new(columns, 3), "");
	for (int i = 0; i < 3; i++)
		table_cell(table, "%s", "");
	expect(table, "NAME  COUNT  MEANING\n-         -  -\n");
}

static void test_tame(void **state)
{
	struct table *table = table_new(columns, 1);

	(void)state;
	table_cell(table, "%s", "\033[2Jevil\nline\177");
	expect(table, "NAME\n?[2Jevil?line?\n");
}

static void test_utf8(void **state)
{
	struct table *table = table_new(columns, 2);

	(void)state;
	table_cell(table, "K\303\266ln!!");
	table_cell(table, "1");
	table_cell(table, "Berlin");
	table_cell(table, "2");
	expect(table, "NAME    COUNT\nK\303\266ln!!      1\nBerlin      2\n");
}

static void test_many_rows(void **state)
{
	struct table *table = table_new(columns, 1);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	for (int i = 0; i < 1000; i++)
		table_cell(table, "%03d", i);
	assert_int_equal(table_print(table, out), 0);
	fclose(out);
	assert_int_equal(size, 5 + 1000 * 4);
	free(text);
}

static void test_no_memory(void **state)
{
	(void)state;
	table_cell(NULL, "lost");
	assert_int_equal(table_print(NULL, stdout), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_aligned),   cmocka_unit_test(test_last_column_ends_the_line),
		cmocka_unit_test(test_empty),     cmocka_unit_test(test_tame),
		cmocka_unit_test(test_utf8),      cmocka_unit_test(test_many_rows),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
