/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors whose close waits: TCP sockets with SO_LINGER, with data that nobody takes. */
#include "disposal.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define USER 1000
#define OTHER 1001
#define ROOT 0
#define WAIT_TRIES 1000
#define WAIT_US 10000

static int listener;
static struct sockaddr_in address;

static int set_up(void **state)
{
	socklen_t size = sizeof(address);

	(void)state;
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 100) ||
	    getsockname(listener, (struct sockaddr *)&address, &size))
		return -1;
	return 0;
}

static int stuck_open(void)
{
	static const char bytes[65536];
	const struct linger linger = {.l_onoff = 1, .l_linger = 60};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	return fd;
}

/* A thread for each close that is under way, and this one. */
static unsigned threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	unsigned count = 0;

	assert_non_null(tasks);
	for (struct dirent *entry = readdir(tasks); entry; entry = readdir(tasks))
		count += entry->d_name[0] != '.';
	closedir(tasks);
	return count;
}

/* What waited goes on: connections that nobody accepted are reset. */
static int tear_down(void **state)
{
	(void)state;
	close(listener);
	for (unsigned i = 0; i < WAIT_TRIES; i++) {
		if (threads() == 1)
			return 0;
		usleep(WAIT_US);
	}
	return -1;
}

static void dispose_stuck(uid_t user, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_true(disposal_has_room(user));
		disposal_close(stuck_open(), user);
	}
}

static void user_has_a_few(void **state)
{
	(void)state;
	dispose_stuck(USER, DISPOSALS_USER_MAX);
	assert_false(disposal_has_room(USER));
	assert_true(disposal_has_room(OTHER));
	assert_true(disposal_has_room(ROOT));
}

static void root_has_all(void **state)
{
	(void)state;
	dispose_stuck(ROOT, DISPOSALS_MAX);
	assert_false(disposal_has_room(ROOT));
	assert_false(disposal_has_room(USER));
	assert_int_equal(threads(), DISPOSALS_MAX + 1);
}

/* A place is free again when its close has ended, and whoever had too many may pass more. */
static void room_comes_back(void **state)
{
	int ends[2];

	(void)state;
	for (unsigned i = 0; i < 3 * DISPOSALS_MAX; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
		for (unsigned tries = 0; !disposal_has_room(USER) && tries < WAIT_TRIES; tries++)
			usleep(WAIT_US);
		disposal_close(ends[0], USER);
		assert_int_equal(read(ends[1], &(char){0}, 1), 0); /* it is closed */
		close(ends[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(user_has_a_few, set_up, tear_down),
		cmocka_unit_test_setup_teardown(root_has_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(room_comes_back, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("disposal", tests, NULL, NULL);
}
