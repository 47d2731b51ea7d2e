/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket's client: one request, one reply, within one time limit. */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "control.h"
#include "fault.h"

/* Before a call is made again, at first; twice as long each time. */
#define PAUSE_FIRST_MS 10

struct call {
	int fd;
	int64_t deadline; /* CLOCK_MONOTONIC, milliseconds */
	int timeout_ms;
	struct sockaddr_un address;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int call_timed_out(const struct call *call, char **why)
{
	return fault_say(-ETIMEDOUT, why, "the agent at %s did not answer within %d.%d s", call->address.sun_path,
			 call->timeout_ms / 1000, call->timeout_ms % 1000 / 100);
}

static int call_wait(const struct call *call, short events, char **why)
{
	struct pollfd poll_fd = {.fd = call->fd, .events = events};

	for (;;) {
		int64_t left = call->deadline - now_ms();
		int ready = poll(&poll_fd, 1, left > 0 ? (int)left : 0);

		if (ready > 0)
			return 0;
		if (ready == 0)
			return call_timed_out(call, why);
		if (errno != EINTR)
			return fault_say(-errno, why, "waiting for the agent: %m");
	}
}

static int call_connect(struct call *call, char **why)
{
	const char *path = call->address.sun_path;

	call->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (call->fd < 0)
		return fault_say(-errno, why, "no socket: %m");
	/* A Unix socket connects at once, or says EAGAIN while the listener's queue is full. */
	while (connect(call->fd, (const struct sockaddr *)&call->address, sizeof(call->address))) {
		const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};

		if (errno == ENOENT || errno == ECONNREFUSED)
			return fault_say(-ECONNREFUSED, why, "no agent runs here: nobody listens on %s", path);
		if (errno != EAGAIN && errno != EINTR)
			return fault_say(-errno, why, "cannot open %s: %m", path);
		if (now_ms() >= call->deadline)
			return call_timed_out(call, why);
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* Sends what it can. With the first byte goes a copy of the descriptor; -1: none. As sendmsg(). */
static ssize_t send_some(int fd, const void *data, size_t size, int passed)
{
	struct iovec part = {.iov_base = (void *)data, .iov_len = size};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (passed >= 0) {
		struct cmsghdr *header;

		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &passed, sizeof(passed));
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static int call_send(const struct call *call, const struct control_request *request, char **why)
{
	json_t *message = control_request_encode(request);
	void *frame = NULL;
	size_t size = 0;
	int err;

	err = message ? control_frame(message, &frame, &size) : -EINVAL;
	json_decref(message);
	if (err)
		return fault_say(err, why, "the request cannot be sent: it is no UTF-8 text or too long");
	for (size_t sent = 0; sent < size && !err;) {
		int passed = sent == 0 && control_verb_takes_socket(request->verb) ? request->socket : -1;
		ssize_t n = send_some(call->fd, (const char *)frame + sent, size - sent, passed);

		if (n >= 0)
			sent += (size_t)n;
		else if (errno == EAGAIN)
			err = call_wait(call, POLLOUT, why);
		else if (errno == EPIPE || errno == ECONNRESET)
			break; /* what the agent said before it hung up can still be read */
		else if (errno == EBADF)
			err = fault_say(-EBADF, why, "%d is no open descriptor", passed);
		else if (errno != EINTR)
			err = fault_say(-errno, why, "sending to the agent: %m");
	}
	free(frame);
	return err;
}

static int call_receive(const struct call *call, json_t **ret, char **why)
{
	struct control_decoder decoder = {0};
	json_t *message = NULL;
	int err = 0;

	while (!message && !err) {
		char buffer[16384];
		ssize_t n = recv(call->fd, buffer, sizeof(buffer), 0);
		const char *sentence = NULL;
		size_t taken;

		if (n > 0) {
			err = control_decoder_feed(&decoder, buffer, (size_t)n, &taken, &message, &sentence);
			if (err)
				err = fault_say(-EPROTO, why, "the agent's reply is not one: %s", sentence);
		} else if (n == 0 || errno == ECONNRESET) {
			err = fault_say(-ECONNRESET, why, "the agent hung up without a reply");
		} else if (errno == EAGAIN) {
			err = call_wait(call, POLLIN, why);
		} else if (errno != EINTR) {
			err = fault_say(-errno, why, "reading from the agent: %m");
		}
	}
	control_decoder_clear(&decoder);
	if (!err)
		*ret = message;
	return err;
}

static int reply_judge(const json_t *reply, int *code, char **why)
{
	const char *text = NULL;
	int agent_code = 0;
	int err = control_reply_check(reply, &agent_code, &text);

	if (err == -EREMOTEIO) {
		if (code)
			*code = agent_code;
		return fault_say(err, why, "%s", text);
	}
	if (err)
		return fault_say(err, why, "the agent's reply is of another version than this program's, %d",
				 CONTROL_VERSION);
	return 0;
}

int control_call(const char *run_dir, const struct control_request *request, int timeout_ms, json_t **ret, int *code,
		 char **why)
{
	struct call call = {.fd = -1, .deadline = now_ms() + timeout_ms, .timeout_ms = timeout_ms};
	size_t room = sizeof(call.address.sun_path);
	json_t *reply = NULL;
	int err;

	call.address.sun_family = AF_UNIX;
	if ((size_t)snprintf(call.address.sun_path, room, "%s/%s", run_dir, CONTROL_SOCKET) >= room)
		return fault_say(-ENAMETOOLONG, why, "%s/%s is longer than the %zu bytes of a socket's path", run_dir,
				 CONTROL_SOCKET, room - 1);
	err = call_connect(&call, why);
	if (!err)
		err = call_send(&call, request, why);
	if (!err)
		err = call_receive(&call, &reply, why);
	if (!err)
		err = reply_judge(reply, code, why);
	if (call.fd >= 0)
		close(call.fd);
	if (err)
		json_decref(reply);
	else
		*ret = reply;
	return err;
}

static bool may_ask_again(int err, int code)
{
	return (err == -EREMOTEIO && code == -EAGAIN) || err == -ECONNRESET;
}

static void pause_ms(int ms)
{
	const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&pause, NULL);
}

int control_call_patiently(const char *run_dir, const struct control_request *request, int timeout_ms, int patience_ms,
			   json_t **ret, int *code, char **why)
{
	int err, its_code = 0, waited = 0;

	/* Not all who ask at once shall ask again at once. */
	for (int pause = PAUSE_FIRST_MS + (int)getpid() % PAUSE_FIRST_MS;; pause *= 2) {
		err = control_call(run_dir, request, timeout_ms, ret, &its_code, why);
		if (!may_ask_again(err, its_code) || waited + pause > patience_ms)
			break;
		free(*why);
		*why = NULL;
		pause_ms(pause);
		waited += pause;
	}
	if (code)
		*code = its_code;
	return err;
}
