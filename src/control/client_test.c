/* SPDX-License-Identifier: BSD-2-Clause */
/* The client against servers that are missing, silent, talkative, false. Each server is a forked child. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control.h"

static char run_dir[] = "/tmp/berth-control-XXXXXX";
static char socket_path[sizeof(run_dir) + sizeof(CONTROL_SOCKET)];

static int listener(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	unlink(socket_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

/* Takes one connection, reads the request's first bytes, writes `size` bytes one at a time, hangs up or stays. */
static pid_t serve(const void *bytes, size_t size, bool stay)
{
	int fd = listener();
	pid_t pid = fork();

	if (pid == 0) {
		int peer = accept(fd, NULL, NULL);
		char request[512];

		if (read(peer, request, sizeof(request)) <= 0)
			_exit(1);
		for (size_t i = 0; i < size; i++)
			if (write(peer, (const char *)bytes + i, 1) != 1)
				_exit(1);
		if (stay)
			pause();
		_exit(0);
	}
	close(fd);
	return pid;
}

static void reap(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int call(int *code, json_t **reply)
{
	const struct control_request request = {.verb = CONTROL_STATUS};
	char *why = NULL;
	int err = control_call(run_dir, &request, 300, reply, code, &why);

	assert_int_equal(err != 0, why != NULL);
	free(why);
	return err;
}

static void test_nobody(void **state)
{
	json_t *reply = NULL;

	(void)state;
	unlink(socket_path);
	assert_int_equal(call(NULL, &reply), -ECONNREFUSED);
	close(listener()); /* the socket's file stays behind, as after a crash */
	assert_int_equal(call(NULL, &reply), -ECONNREFUSED);
	assert_null(reply);
}

static void test_answers(void **state)
{
	json_t *messages[] = {control_reply_run(7), control_reply_error(-EPERM, "no")};
	json_t *reply = NULL;
	int code = 0;

	(void)state;
	for (int i = 0; i < 2; i++) {
		void *frame;
		size_t size;
		pid_t pid;

		assert_int_equal(control_frame(messages[i], &frame, &size), 0);
		pid = serve(frame, size, true);
		assert_int_equal(call(&code, &reply), i ? -EREMOTEIO : 0);
		reap(pid);
		free(frame);
		json_decref(messages[i]);
	}
	assert_int_equal(code, -EPERM);
	assert_int_equal(json_integer_value(json_object_get(reply, "policy")), 7);
	json_decref(reply);
}

static void test_false_servers(void **state)
{
	const struct {
		const char *bytes;
		size_t size;
		bool stay;
		int err;
	} cases[] = {
		{"", 0, false, -ECONNRESET}, /* hangs up */
		{"", 0, true, -ETIMEDOUT}, /* silent */
		{"\0\0\0\2{", 5, true, -ETIMEDOUT}, /* stops half way */
		{"\0\0\0\2{", 5, false, -ECONNRESET}, /* hangs up half way */
		{"\377\377\377\377", 4, true, -EPROTO}, /* over the limit */
		{"HTTP/1.1 400 no", 15, true, -EPROTO}, /* another protocol */
		{"\0\0\0\2{}", 6, true, -EPROTO}, /* no version */
	};
	json_t *reply = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pid_t pid = serve(cases[i].bytes, cases[i].size, cases[i].stay);

		assert_int_equal(call(NULL, &reply), cases[i].err);
		assert_null(reply);
		reap(pid);
	}
}

static void test_full_queue(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = listener(), waiting[8];
	json_t *reply = NULL;

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", socket_path);
	for (int i = 0; i < 8; i++) {
		waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(waiting[i], (struct sockaddr *)&address, sizeof(address));
	}
	assert_int_equal(call(NULL, &reply), -ETIMEDOUT);
	for (int i = 0; i < 8; i++)
		close(waiting[i]);
	close(fd);
}

static void test_path_too_long(void **state)
{
	const struct control_request request = {.verb = CONTROL_STATUS};
	char path[256] = "/";
	json_t *reply = NULL;
	char *why = NULL;

	(void)state;
	memset(path + 1, 'x', 200);
	assert_int_equal(control_call(path, &request, 300, &reply, NULL, &why), -ENAMETOOLONG);
	free(why);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(run_dir))
		return -1;
	snprintf(socket_path, sizeof(socket_path), "%s/%s", run_dir, CONTROL_SOCKET);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(socket_path);
	return rmdir(run_dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody),        cmocka_unit_test(test_answers),
		cmocka_unit_test(test_false_servers), cmocka_unit_test(test_full_queue),
		cmocka_unit_test(test_path_too_long),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
