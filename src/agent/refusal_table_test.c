/* SPDX-License-Identifier: Apache-2.0 */
#include "refusal_table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "../abi/verdict.h"

#define SECOND 1000000000ull
#define START (1000 * SECOND)

static struct event event_of(unsigned number, uint64_t time)
{
	return (struct event){.time = time,
			      .verdict = VERDICT_REFUSED_FULL,
			      .policy = 7,
			      .dest = {[10] = 0xff, [11] = 0xff, [14] = (uint8_t)(number >> 8), [15] = (uint8_t)number},
			      .dest_port = 443,
			      .proto = 6};
}

static void add(struct refusal_table *table, unsigned number, uint64_t time)
{
	const struct event event = event_of(number, time);

	refusal_table_add(table, &event);
}

static void test_alike_are_one_row(void **state)
{
	static struct refusal_table table;
	struct event event = event_of(1, START);
	struct refusal_row *row;

	(void)state;
	refusal_table_add(&table, &event);
	event.time += SECOND;
	event.held_back = 40;
	event.pid = 99;
	refusal_table_add(&table, &event);
	assert_int_equal(table.count, 1);
	row = refusal_table_find(&table, &event);
	assert_non_null(row);
	assert_int_equal(row->count, 42);
	assert_int_equal(row->first, START);
	assert_int_equal(row->event.time, START + SECOND);
	assert_int_equal(row->event.pid, 99);
	/* Each part of what makes a kind. */
	event.verdict = VERDICT_REFUSED_BIND;
	refusal_table_add(&table, &event);
	event.policy = 8;
	refusal_table_add(&table, &event);
	event.dest[15] = 9;
	refusal_table_add(&table, &event);
	event.dest_port = 80;
	refusal_table_add(&table, &event);
	event.proto = 17;
	refusal_table_add(&table, &event);
	assert_int_equal(table.count, 6);
	assert_int_equal(row->count, 42);
}

static void test_quietest_goes(void **state)
{
	static struct refusal_table table;
	const struct event first = event_of(0, 0), second = event_of(1, 0);

	(void)state;
	for (unsigned i = 0; i < REFUSAL_ROWS_MAX; i++)
		add(&table, i, START + i);
	add(&table, 0, START + REFUSAL_ROWS_MAX); /* heard of again */
	add(&table, REFUSAL_ROWS_MAX, START + REFUSAL_ROWS_MAX + 1);
	assert_int_equal(table.count, REFUSAL_ROWS_MAX);
	assert_non_null(refusal_table_find(&table, &first));
	assert_null(refusal_table_find(&table, &second));
	refusal_table_sort(&table);
	assert_int_equal(table.rows[0].event.time, START + REFUSAL_ROWS_MAX + 1);
	assert_int_equal(table.rows[0].count, 1);
	assert_int_equal(table.rows[1].event.time, START + REFUSAL_ROWS_MAX);
	assert_int_equal(table.rows[REFUSAL_ROWS_MAX - 1].event.time, START + 2);
}

static bool log_due(struct refusal_table *table, uint64_t now)
{
	struct refusal_row *row = refusal_table_due(table, now);

	if (row)
		refusal_table_told(table, row, now);
	return row != NULL;
}

static void test_a_row_is_told_again_after_a_minute(void **state)
{
	static struct refusal_table table;

	(void)state;
	assert_false(log_due(&table, START));
	add(&table, 1, START);
	assert_true(log_due(&table, START));
	assert_false(log_due(&table, START));
	add(&table, 1, START + SECOND);
	assert_false(log_due(&table, START + REFUSAL_LOG_AGAIN_NS - 1));
	assert_true(log_due(&table, START + REFUSAL_LOG_AGAIN_NS));
	/* Nothing new since. */
	assert_false(log_due(&table, START + 10 * REFUSAL_LOG_AGAIN_NS));
}

static void test_lines_are_limited(void **state)
{
	static struct refusal_table table;
	unsigned lines = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		add(&table, i, START);
	while (log_due(&table, START))
		lines++;
	assert_int_equal(lines, REFUSAL_LOG_BURST);
	assert_false(log_due(&table, START + REFUSAL_LOG_INTERVAL_NS - 1));
	assert_true(log_due(&table, START + REFUSAL_LOG_INTERVAL_NS));
	assert_false(log_due(&table, START + REFUSAL_LOG_INTERVAL_NS));
	/* Those that were never told come before those told long ago. */
	add(&table, 0, START);
	assert_int_equal(refusal_table_due(&table, START + 2 * REFUSAL_LOG_AGAIN_NS)->told_at, 0);
}

static struct refusal_slice slices[] = {{0xcb007105u, 4096, 2048},
					{0xcb007106u, 4096, 2048},
					{0xcb007107u, 4096, 2048},
					{0xcb007108u, 4096, 2048},
					{0xcb007109u, 4096, 2048}};
static struct refusal_holder holders[] = {{"curl", 77, 2000}, {"(closing)", 0, 48}};

static void test_line(void **state)
{
	struct refusal refusal = {.policy = "crawler",
				  .verdict = "refused_full",
				  .dest = "198.51.100.7",
				  .port = 443,
				  .proto = "tcp",
				  .count = 17,
				  .used = 2048,
				  .ports = 2048,
				  .pid = 123,
				  .uid = 1000,
				  .name = "wget",
				  .slices = slices,
				  .slice_count = 1,
				  .holders = holders,
				  .holder_count = 2};
	char text[REFUSAL_LINE_MAX];

	(void)state;
	assert_string_equal(refusal_line(&refusal, "all in use", text),
			    "refused_full: policy crawler (203.0.113.5:4096-6143) to 198.51.100.7 port 443 tcp: all in "
			    "use, 2048 of 2048; last by wget[123] of user 1000, 17 times; held by curl[77] 2000, "
			    "(closing) 48");
	refusal.slice_count = 5;
	refusal.used = refusal.holder_count = 0;
	refusal.port = 0;
	refusal.busy = 16;
	assert_string_equal(
		refusal_line(&refusal, "why", text),
		"refused_full: policy crawler (203.0.113.5:4096-6143, 203.0.113.6:4096-6143, "
		"203.0.113.7:4096-6143, 203.0.113.8:4096-6143 and 1 more) to 198.51.100.7 tcp: why, ports of "
		"other sockets met 16 times (port_busy); last by wget[123] of user 1000, 17 times");
	refusal.slice_count = 0;
	assert_non_null(strstr(refusal_line(&refusal, "why", text), "policy crawler (no slices) to"));
}

/* The longest one that there can be is cut, not overrun. */
static void test_long_line(void **state)
{
	char meaning[2 * REFUSAL_LINE_MAX] = "", text[REFUSAL_LINE_MAX + 1];
	struct refusal refusal = {.policy = "p", .verdict = "v", .proto = "tcp", .holders = holders, .holder_count = 2};

	(void)state;
	text[REFUSAL_LINE_MAX] = 'x';
	memset(meaning, 'm', sizeof(meaning) - 1);
	assert_int_equal(strlen(refusal_line(&refusal, meaning, text)), REFUSAL_LINE_MAX - 1);
	assert_int_equal(text[REFUSAL_LINE_MAX], 'x');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alike_are_one_row),
		cmocka_unit_test(test_quietest_goes),
		cmocka_unit_test(test_a_row_is_told_again_after_a_minute),
		cmocka_unit_test(test_lines_are_limited),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_long_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
