/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../abi/slice.h"

struct shape {
	uint32_t shift;
	uint32_t columns;
	uint32_t first_column;
	uint32_t owners;
};

static const struct shape shapes[] = {
	{8, 256, 8, 248}, {9, 128, 4, 124}, {10, 64, 2, 62}, {11, 32, 1, 31},
	{12, 16, 0, 16},  {13, 8, 0, 8},    {14, 4, 0, 4},   {15, 2, 0, 2},
};

static void shapes_of_all_shifts(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		const struct shape *shape = &shapes[i];

		assert_int_equal(slice_columns(shape->shift), shape->columns);
		assert_int_equal(slice_first_column(shape->shift), shape->first_column);
		assert_int_equal(slice_owners(shape->shift), shape->owners);
	}
}

static void columns_at_the_borders(void **state)
{
	(void)state;
	assert_int_equal(slice_column(0, 11), 0);
	assert_int_equal(slice_column(1, 11), 0);
	assert_int_equal(slice_column(2047, 11), 0);
	assert_int_equal(slice_column(2048, 11), 1);
	assert_int_equal(slice_column(4095, 11), 1);
	assert_int_equal(slice_column(4096, 11), 2);
	assert_int_equal(slice_column(65535, 11), 31);
	assert_int_equal(slice_column(65535, 8), 255);
	assert_int_equal(slice_column(65535, 15), 1);
}

static void a_column_that_straddles_the_floor_starts_at_it(void **state)
{
	(void)state;
	assert_int_equal(slice_first_port(0, 12), 2048);
	assert_int_equal(slice_port_count(0, 12), 2048);
	assert_int_equal(slice_first_port(0, 15), 2048);
	assert_int_equal(slice_port_count(0, 15), 30720);
	assert_int_equal(slice_first_port(1, 12), 4096);
	assert_int_equal(slice_port_count(1, 12), 4096);
}

static void a_masked_column_has_no_ports(void **state)
{
	(void)state;
	assert_int_equal(slice_first_port(0, 11), 2048);
	assert_int_equal(slice_port_count(0, 11), 0);
	assert_int_equal(slice_first_port(7, 8), 2048);
	assert_int_equal(slice_port_count(7, 8), 0);
	assert_int_equal(slice_port_count(8, 8), 256);
}

static void the_last_column_ends_past_the_last_port(void **state)
{
	(void)state;
	assert_int_equal(slice_end_port(31, 11), 65536);
	assert_int_equal(slice_end_port(255, 8), 65536);
	assert_int_equal(slice_port_count(31, 11), 2048);
}

/* Counts each column's ports one by one: every usable port lies in exactly one column, and no other port in any. */
static void columns_partition_the_usable_ports(void **state)
{
	(void)state;
	for (uint32_t shift = BERTH_SLICE_SHIFT_MIN; shift <= BERTH_SLICE_SHIFT_MAX; shift++) {
		uint32_t counted[256] = {0};
		uint32_t sum = 0;

		for (uint32_t port = 0; port < BERTH_PORT_SPACE; port++) {
			uint32_t column = slice_column(port, shift);
			bool inside = port >= slice_first_port(column, shift) && port < slice_end_port(column, shift);

			assert_int_equal(slice_port_usable(port), inside);
			assert_true(!inside || column >= slice_first_column(shift));
			counted[column] += inside;
		}
		for (uint32_t column = 0; column < slice_columns(shift); column++) {
			assert_int_equal(slice_port_count(column, shift), counted[column]);
			sum += counted[column];
		}
		assert_int_equal(sum, 65536 - 2048);
	}
}

static void usable_ports(void **state)
{
	(void)state;
	assert_false(slice_port_usable(0));
	assert_false(slice_port_usable(1));
	assert_false(slice_port_usable(2047));
	assert_true(slice_port_usable(2048));
	assert_true(slice_port_usable(65535));
	assert_false(slice_port_usable(65536));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shapes_of_all_shifts),
		cmocka_unit_test(columns_at_the_borders),
		cmocka_unit_test(a_column_that_straddles_the_floor_starts_at_it),
		cmocka_unit_test(a_masked_column_has_no_ports),
		cmocka_unit_test(the_last_column_ends_past_the_last_port),
		cmocka_unit_test(columns_partition_the_usable_ports),
		cmocka_unit_test(usable_ports),
	};

	return cmocka_run_group_tests_name("slice", tests, NULL, NULL);
}
