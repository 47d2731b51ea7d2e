/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "addr.h"

static void addresses_are_read_and_written(void **state)
{
	static const struct {
		const char *text;
		uint32_t addr;
	} cases[] = {{"0.0.0.0", 0},
		     {"255.255.255.255", UINT32_MAX},
		     {"192.0.2.1", 0xc0000201},
		     {"10.20.30.40", 0x0a141e28}};
	char text[ADDR_TEXT_MAX];
	uint32_t addr;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(addr_parse(cases[i].text, &addr), 0);
		assert_int_equal(addr, cases[i].addr);
		assert_string_equal(addr_format(addr, text), cases[i].text);
	}
}

static void other_forms_are_refused(void **state)
{
	static const char *const cases[] = {"",
					    "1",
					    "192.0.2",
					    "192.0.2.",
					    "192.0.2.256",
					    "192.0.2.01",
					    "192.0.2.1 ",
					    " 192.0.2.1",
					    "192.0.2.1.1",
					    "192.0.2.0x1",
					    "192.0.2.-1",
					    "+192.0.2.1",
					    "192.0.2.4294967297",
					    "192..2.1",
					    "192,0,2,1",
					    "192.0.2.1/32",
					    "00.0.2.1",
					    "192.0.2.18446744073709551617"};
	uint32_t addr = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(addr_parse(cases[i], &addr), -EINVAL);
		assert_int_equal(addr, 7);
	}
}

static void prefixes_are_read_and_written(void **state)
{
	static const char *const good[] = {"0.0.0.0/0", "10.0.0.0/8", "203.0.113.128/25", "255.255.255.255/32",
					   "128.0.0.0/1"};
	static const char *const bad[] = {"203.0.113.0",
					  "203.0.113.0/",
					  "203.0.113.0/33",
					  "203.0.113.0/024",
					  "203.0.113.0/24 ",
					  "203.0.113.0/-1",
					  "203.0.113/24",
					  "/24",
					  ""};
	struct prefix prefix = {.addr = 7, .len = 7};
	char text[ADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(prefix_parse(bad[i], &prefix), -EINVAL);
	assert_int_equal(prefix_parse("203.0.113.1/24", &prefix), -ERANGE);
	assert_int_equal(prefix_parse("0.0.0.1/0", &prefix), -ERANGE);
	assert_true(prefix.addr == 7 && prefix.len == 7);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(prefix_parse(good[i], &prefix), 0);
		assert_string_equal(prefix_format(prefix, text), good[i]);
	}
}

static void a_prefix_holds_its_addresses_only(void **state)
{
	struct prefix prefix;

	(void)state;
	assert_int_equal(prefix_parse("203.0.113.64/26", &prefix), 0);
	assert_int_equal(prefix_last(prefix), prefix.addr + 63);
	assert_true(prefix_contains(prefix, prefix.addr));
	assert_true(prefix_contains(prefix, prefix.addr + 63));
	assert_false(prefix_contains(prefix, prefix.addr - 1));
	assert_false(prefix_contains(prefix, prefix.addr + 64));
	prefix = (struct prefix){0};
	assert_int_equal(prefix_last(prefix), UINT32_MAX);
	assert_true(prefix_contains(prefix, UINT32_MAX));
	prefix = (struct prefix){.addr = UINT32_MAX, .len = 32};
	assert_int_equal(prefix_last(prefix), UINT32_MAX);
	assert_false(prefix_contains(prefix, UINT32_MAX - 1));
	assert_int_equal(prefix_mask(1), 0x80000000);
}

static void ranges_are_read(void **state)
{
	static const char *const good[] = {"192.0.2.1 - 192.0.2.9", "192.0.2.1-192.0.2.9", "192.0.2.1   -   192.0.2.9"};
	static const char *const bad[] = {"",
					  "192.0.2.1 -",
					  "192.0.2.1 192.0.2.9",
					  "- 192.0.2.9",
					  "192.0.2.1 - 192.0.2.9 ",
					  "192.0.2.1 - 9",
					  "192.0.2.0/24",
					  "192.0.2.1 ",
					  "192.0.2.1 -- 192.0.2.9"};
	struct addr_range range = {7, 7};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(addr_range_parse(bad[i], &range), -EINVAL);
	assert_int_equal(addr_range_parse("192.0.2.9 - 192.0.2.8", &range), -ERANGE);
	assert_true(range.first == 7 && range.last == 7);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(addr_range_parse(good[i], &range), 0);
		assert_true(range.first == 0xc0000201 && range.last == 0xc0000209);
	}
	assert_int_equal(addr_range_parse("192.0.2.5", &range), 0);
	assert_true(range.first == 0xc0000205 && range.last == 0xc0000205);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_and_written),
		cmocka_unit_test(other_forms_are_refused),
		cmocka_unit_test(prefixes_are_read_and_written),
		cmocka_unit_test(a_prefix_holds_its_addresses_only),
		cmocka_unit_test(ranges_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
