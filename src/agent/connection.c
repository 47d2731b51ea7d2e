/* SPDX-License-Identifier: Apache-2.0 */
#include "connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "disposal.h"

/* Bytes of replies that a peer may leave unread. */
#define UNREAD_MAX (2 * CONTROL_FRAME_MAX)

static void watch(struct connection *connection);

static void poll_closed(uv_handle_t *handle)
{
	struct connection *connection = (struct connection *)handle;

	close(connection->peer.fd);
	control_decoder_clear(&connection->decoder);
	free(connection->unsent);
	free(connection);
}

void connection_dispose(struct connection *connection)
{
	if (connection->passed >= 0)
		disposal_close(connection->passed, connection->peer.cred.uid);
	connection->passed = -1;
}

void connection_close(struct connection *connection)
{
	if (uv_is_closing((uv_handle_t *)&connection->poll))
		return;
	connection_dispose(connection);
	connection->owner->closed(connection);
	uv_close((uv_handle_t *)&connection->poll, poll_closed);
}

/* A frame of the reply, which is taken over; of one that is too long, of words that say so. */
static int make_frame(json_t *reply, void **ret, size_t *size)
{
	int err = reply ? control_frame(reply, ret, size) : -ENOMEM;

	json_decref(reply);
	if (err != -EMSGSIZE)
		return err;
	reply = control_reply_error(err, "the answer is longer than a message may be");
	err = reply ? control_frame(reply, ret, size) : -ENOMEM;
	json_decref(reply);
	return err;
}

/* Sends what the peer has room for. 0, or -errno: it is gone. */
static int flush(struct connection *connection)
{
	size_t sent = 0;
	ssize_t n = 0;

	while (sent < connection->unsent_size && n >= 0) {
		n = send(connection->peer.fd, connection->unsent + sent, connection->unsent_size - sent, MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		if (n < 0 && errno == EINTR)
			n = 0;
	}
	if (n < 0 && errno != EAGAIN)
		return -errno;
	connection->unsent_size -= sent;
	if (sent)
		memmove(connection->unsent, connection->unsent + sent, connection->unsent_size);
	return 0;
}

/* Takes the reply over. */
static int send_reply(struct connection *connection, json_t *reply)
{
	void *frame = NULL;
	size_t size = 0;
	char *more;
	int err = make_frame(reply, &frame, &size);

	if (err)
		return err;
	more = realloc(connection->unsent, connection->unsent_size + size);
	if (more) {
		memcpy(more + connection->unsent_size, frame, size);
		connection->unsent = more;
		connection->unsent_size += size;
	}
	free(frame);
	return more ? flush(connection) : -ENOMEM;
}

/* 0, or an error after which the stream has no frames any more. */
static int feed(struct connection *connection, const char *data, size_t size)
{
	size_t taken;
	json_t *message;
	int err = 0;

	while (!err && size > 0) {
		if (connection->unsent_size > UNREAD_MAX)
			return -ENOBUFS; /* asks and never reads */
		err = control_decoder_feed(&connection->decoder, data, size, &taken, &message, NULL);
		if (err)
			break;
		data += taken;
		size -= taken;
		if (!message)
			continue;
		err = send_reply(connection, connection->owner->answer(connection, message));
		json_decref(message);
	}
	return err;
}

/* Takes what came beside the bytes. 0, or -EPROTO: more than one at a time. */
static int take_passed(struct connection *connection, struct msghdr *message)
{
	struct cmsghdr *header = CMSG_FIRSTHDR(message);
	int fd;

	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(fd))) {
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
		if (connection->passed >= 0) {
			disposal_close(fd, connection->peer.cred.uid);
			return -EPROTO;
		}
		connection->passed = fd;
	}
	return message->msg_flags & MSG_CTRUNC ? -EPROTO : 0;
}

/* What may have come. 0, or an error: the connection is of no more use. */
static int receive(struct connection *connection)
{
	char data[16384];
	struct iovec part = {.iov_base = data, .iov_len = sizeof(data)};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t size;
	int err;

	/* CMSG_SPACE() may have room for two. What is not taken the kernel drops, and says so. */
	if (disposal_has_room(connection->peer.cred.uid)) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_LEN(sizeof(int));
	}
	size = recvmsg(connection->peer.fd, &message, MSG_CMSG_CLOEXEC);
	if (size < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	err = take_passed(connection, &message);
	if (err)
		return err;
	return size == 0 ? -ECONNRESET : feed(connection, data, (size_t)size);
}

static void ready(uv_poll_t *poll, int status, int events)
{
	struct connection *connection = (struct connection *)poll;
	int err = status;

	if (!err && events & UV_WRITABLE)
		err = flush(connection);
	if (!err && events & UV_READABLE)
		err = receive(connection);
	if (err)
		connection_close(connection);
	else
		watch(connection);
}

static void watch(struct connection *connection)
{
	int events = UV_READABLE | (connection->unsent_size ? UV_WRITABLE : 0);

	if (!uv_is_closing((uv_handle_t *)&connection->poll) && uv_poll_start(&connection->poll, events, ready))
		connection_close(connection);
}

int connection_open(uv_loop_t *loop, int fd, const struct connection_owner *owner, struct connection **ret)
{
	struct connection *connection = calloc(1, sizeof(*connection));
	int err = connection ? peer_find(fd, &connection->peer) : -ENOMEM;

	if (!err)
		err = uv_poll_init(loop, &connection->poll, fd);
	if (err) {
		free(connection);
		close(fd);
		return err;
	}
	connection->owner = owner;
	connection->passed = -1;
	connection->decoder.limit = CONTROL_REQUEST_MAX;
	err = uv_poll_start(&connection->poll, UV_READABLE, ready);
	if (err) {
		uv_close((uv_handle_t *)&connection->poll, poll_closed);
		return err;
	}
	*ret = connection;
	return 0;
}
