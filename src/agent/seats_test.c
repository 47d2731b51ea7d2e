/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "seats.h"

#define ROOM (SEATS_MAX + 1)

/* So many of a user's in front of what is there. */
static size_t put(uid_t users[ROOM], size_t count, uid_t user, size_t more)
{
	memmove(users + more, users, count * sizeof(*users));
	for (size_t i = 0; i < more; i++)
		users[i] = user;
	return count + more;
}

static void test_there_is_room(void **state)
{
	uid_t users[ROOM];
	size_t count = put(users, 0, 1, SEATS_USER_MAX);

	(void)state;
	assert_int_equal(seats_to_clear(users, 0), 0);
	assert_int_equal(seats_to_clear(users, count), count);
	count = put(users, count, 0, SEATS_MAX - SEATS_USER_MAX);
	assert_int_equal(seats_to_clear(users, count), count);
}

static void test_a_user_s_own_oldest(void **state)
{
	uid_t users[ROOM];
	size_t count = put(users, 0, 2, 3);

	(void)state;
	count = put(users, count, 1, 1);
	count = put(users, count, 0, 1);
	count = put(users, count, 1, SEATS_USER_MAX - 1);
	assert_int_equal(seats_to_clear(users, count), count);
	count = put(users, count, 1, 1);
	assert_int_equal(seats_to_clear(users, count), SEATS_USER_MAX + 1);
}

static void test_root_s_last(void **state)
{
	uid_t users[ROOM];
	size_t count = put(users, 0, 0, 40);

	(void)state;
	count = put(users, count, 3, 2);
	count = put(users, count, 4, 15);
	count = put(users, count, 5, 7);
	assert_int_equal(count, SEATS_MAX);
	assert_int_equal(seats_to_clear(users, count), count);
	count = put(users, count, 5, 1);
	assert_int_equal(seats_to_clear(users, count), 8 + 15 + 1);
}

static void test_root_has_no_limit_but_the_room(void **state)
{
	uid_t users[ROOM];
	size_t count = put(users, 0, 0, SEATS_MAX);

	(void)state;
	assert_int_equal(seats_to_clear(users, count), count);
	count = put(users, count, 0, 1);
	assert_int_equal(seats_to_clear(users, count), SEATS_MAX);
	/* Nobody but who came is there to go. */
	users[0] = 7;
	assert_int_equal(seats_to_clear(users, count), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_is_room),
		cmocka_unit_test(test_a_user_s_own_oldest),
		cmocka_unit_test(test_root_s_last),
		cmocka_unit_test(test_root_has_no_limit_but_the_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
