/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ownership.h"

static struct ownership_row owned(uint32_t addr, uint32_t column, uint32_t owner)
{
	return (struct ownership_row){
		.addr = addr, .column = column, .home = 1, .owner = owner, .state = SLICE_STATE_OWNED, .since = 100};
}

static void set(struct ownership *ownership, struct ownership_row row)
{
	assert_int_equal(ownership_set(ownership, &row), 0);
}

static void names_of_states(void **state)
{
	enum slice_state parsed = SLICE_STATE_COOLING;

	(void)state;
	assert_string_equal(slice_state_name(SLICE_STATE_FREE), "free");
	assert_string_equal(slice_state_name(SLICE_STATE_OWNED), "owned");
	assert_string_equal(slice_state_name(SLICE_STATE_COOLING), "cooling");
	assert_string_equal(slice_state_name((enum slice_state)7), "unknown");
	assert_int_equal(slice_state_parse("owned", &parsed), 0);
	assert_int_equal(parsed, SLICE_STATE_OWNED);
	assert_int_equal(slice_state_parse("Owned", &parsed), -EINVAL);
	assert_int_equal(slice_state_parse("", &parsed), -EINVAL);
	assert_int_equal(slice_state_parse("unknown", &parsed), -EINVAL);
	assert_int_equal(parsed, SLICE_STATE_OWNED);
}

static void rows_stay_sorted_whatever_the_order(void **state)
{
	static const uint32_t order[] = {5, 0, 3, 8, 1, 7, 2, 6, 4};
	struct ownership ownership = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		set(&ownership, owned(0xcb007100 + order[i] / 3, order[i] % 3, order[i] + 1));
	assert_int_equal(ownership.count, 9);
	for (uint32_t i = 0; i < 9; i++) {
		assert_int_equal(ownership.rows[i].addr, 0xcb007100 + i / 3);
		assert_int_equal(ownership.rows[i].column, i % 3);
		assert_ptr_equal(ownership_find(&ownership, 0xcb007100 + i / 3, i % 3), &ownership.rows[i]);
		assert_int_equal(ownership.rows[i].owner, i + 1);
	}
	assert_null(ownership_find(&ownership, 0xcb007100, 3));
	assert_null(ownership_find(&ownership, 0xcb0070ff, 0));
	assert_null(ownership_find(&ownership, 0xffffffff, 0xffffffff));
	ownership_free(&ownership);
}

static void a_row_is_replaced(void **state)
{
	struct ownership ownership = {0};

	(void)state;
	set(&ownership, owned(0xcb007101, 4, 7));
	set(&ownership, owned(0xcb007101, 4, 8));
	assert_int_equal(ownership.count, 1);
	assert_int_equal(ownership.rows[0].owner, 8);
	ownership_free(&ownership);
}

static void a_free_row_without_home_goes(void **state)
{
	struct ownership ownership = {0};
	struct ownership_row row = {.addr = 0xcb007101, .column = 4};

	(void)state;
	set(&ownership, owned(0xcb007101, 3, 7));
	set(&ownership, owned(0xcb007101, 4, 7));
	set(&ownership, owned(0xcb007101, 5, 7));
	set(&ownership, row);
	assert_int_equal(ownership.count, 2);
	assert_null(ownership_find(&ownership, 0xcb007101, 4));
	assert_int_equal(ownership_find(&ownership, 0xcb007101, 5)->owner, 7);
	set(&ownership, row);
	assert_int_equal(ownership.count, 2);
	row.home = 3;
	set(&ownership, row);
	assert_int_equal(ownership_find(&ownership, 0xcb007101, 4)->home, 3);
	ownership_free(&ownership);
}

/* The row given may be one of the rows, which move. */
static void a_row_of_its_own(void **state)
{
	struct ownership ownership = {0};

	(void)state;
	for (uint32_t column = 1; column < 20; column++)
		set(&ownership, owned(0xcb007101, column, column));
	assert_int_equal(ownership_set(&ownership, &ownership.rows[10]), 0);
	assert_int_equal(ownership.count, 19);
	assert_int_equal(ownership.rows[10].owner, 11);
	ownership_free(&ownership);
}

static void a_copy_stands_alone(void **state)
{
	struct ownership ownership = {0}, copy = {0}, empty = {0};

	(void)state;
	set(&ownership, owned(0xcb007101, 4, 7));
	assert_int_equal(ownership_copy(&ownership, &copy), 0);
	set(&ownership, owned(0xcb007101, 4, 8));
	assert_int_equal(copy.count, 1);
	assert_int_equal(copy.rows[0].owner, 7);
	ownership_free(&copy);
	assert_int_equal(ownership_copy(&empty, &copy), 0);
	assert_int_equal(copy.count, 0);
	ownership_free(&copy);
	ownership_free(&ownership);
	assert_null(ownership.rows);
	assert_int_equal(ownership.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_states),   cmocka_unit_test(rows_stay_sorted_whatever_the_order),
		cmocka_unit_test(a_row_is_replaced), cmocka_unit_test(a_free_row_without_home_goes),
		cmocka_unit_test(a_row_of_its_own),  cmocka_unit_test(a_copy_stands_alone),
	};

	return cmocka_run_group_tests_name("ownership", tests, NULL, NULL);
}
