/* SPDX-License-Identifier: Apache-2.0 */
/* A connection of the control socket against peers of all kinds, which are this process as well. */
#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define ANSWER_SIZE 100000 /* bytes: several fit between "unread" and "too much unread" */

static uv_loop_t loop;
static struct connection *connection;
static int peer; /* the other end */
static unsigned answered;
static int passed; /* with the last message */

static json_t *answer(struct connection *from, const json_t *message)
{
	static char text[ANSWER_SIZE + 1];

	(void)message;
	assert_ptr_equal(from, connection);
	answered++;
	passed = from->passed;
	memset(text, 'x', ANSWER_SIZE);
	return json_pack("{s:s}", "text", text);
}

static void closed(struct connection *from)
{
	assert_ptr_equal(from, connection);
	connection = NULL;
}

static const struct connection_owner owner = {.answer = answer, .closed = closed};

static int set_up(void **state)
{
	int ends[2];

	(void)state;
	answered = 0;
	passed = -1;
	if (uv_loop_init(&loop) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends))
		return -1;
	peer = ends[0];
	return connection_open(&loop, ends[1], &owner, &connection);
}

static int tear_down(void **state)
{
	(void)state;
	if (connection)
		connection_close(connection);
	uv_run(&loop, UV_RUN_DEFAULT);
	close(peer);
	return uv_loop_close(&loop);
}

/* Until nothing is left to do. */
static void settle(void)
{
	for (int i = 0; i < 20; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
}

/* One request, with descriptors beside it. */
static void request(size_t count, int fd)
{
	static const char frame[] = "\0\0\0\2{}";
	struct iovec part = {.iov_base = (void *)frame, .iov_len = sizeof(frame) - 1};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *header;

	if (count) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(count * sizeof(int));
		for (size_t i = 0; i < count; i++)
			memcpy(CMSG_DATA(header) + i * sizeof(int), &fd, sizeof(fd));
	}
	assert_int_equal(sendmsg(peer, &message, MSG_NOSIGNAL), sizeof(frame) - 1);
}

/* Of the replies that have come. */
static size_t read_all(void)
{
	char data[65536];
	size_t size = 0;
	ssize_t n;

	while ((n = recv(peer, data, sizeof(data), 0)) > 0) {
		size += (size_t)n;
		settle();
	}
	return size;
}

/* Of a pipe, whose other end tells when all copies are closed. */
static bool is_closed(int writing)
{
	for (int i = 0; i < 200; i++) {
		if (write(writing, "x", 1) < 0 && errno == EPIPE)
			return true;
		usleep(5000);
	}
	return false;
}

static void test_long_replies_come_whole(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5; i++)
		request(0, -1);
	settle();
	assert_int_equal(answered, 5);
	assert_non_null(connection);
	assert_true(connection->unsent_size > 0);
	assert_true(read_all() > 5 * ANSWER_SIZE);
	assert_int_equal(connection->unsent_size, 0);
}

static void test_who_never_reads_is_hung_up_on(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 200 && connection; i++) {
		request(0, -1);
		settle();
	}
	assert_null(connection);
	assert_true(answered < 40);
}

static void test_peer_that_is_gone(void **state)
{
	(void)state;
	request(0, -1);
	shutdown(peer, SHUT_RDWR);
	settle();
	assert_null(connection);
}

static void test_nonsense(void **state)
{
	(void)state;
	assert_int_equal(send(peer, "\377\377\377\377", 4, 0), 4);
	settle();
	assert_null(connection);
	assert_int_equal(answered, 0);
}

static void test_one_descriptor(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	request(1, ends[0]);
	close(ends[0]);
	settle();
	assert_int_equal(answered, 1);
	assert_true(passed >= 0);
	assert_true(fcntl(passed, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(ends[1], "x", 1), 1);
	/* It waits for the request that takes it. */
	request(0, -1);
	settle();
	assert_int_equal(answered, 2);
	assert_true(passed >= 0);
	connection_dispose(connection);
	assert_true(is_closed(ends[1]));
	request(0, -1);
	settle();
	assert_int_equal(passed, -1);
	close(ends[1]);
}

/* At once, or one after another. */
static void test_two_descriptors(void **state)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	request(2, ends[0]);
	settle();
	assert_null(connection);
	assert_int_equal(answered, 0);
	assert_int_equal(tear_down(state), 0);
	assert_int_equal(set_up(state), 0);
	request(1, ends[0]);
	request(1, ends[0]);
	settle();
	assert_null(connection);
	assert_int_equal(answered, 1);
	close(ends[0]);
	assert_true(is_closed(ends[1]));
	close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_long_replies_come_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_who_never_reads_is_hung_up_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_peer_that_is_gone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nonsense, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_descriptor, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_descriptors, set_up, tear_down),
	};

	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
