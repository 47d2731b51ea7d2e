/* SPDX-License-Identifier: Apache-2.0 */
#include "control_server.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../control/control.h"
#include "agent.h"
#include "peer.h"
#include "seats.h"
#include "verbs.h"

#define BACKLOG 16
/* Bytes of replies that a peer may leave unread. */
#define UNREAD_MAX (2 * CONTROL_FRAME_MAX)

struct connection {
	uv_pipe_t pipe; /* first: a handle is its connection */
	struct control_server *server;
	struct control_decoder decoder;
	struct peer peer;
	struct connection *next;
};

struct control_server {
	uv_pipe_t pipe;
	struct agent *agent;
	struct connection *connections;
};

struct sending {
	uv_write_t request;
	void *frame;
};

static void connection_closed(uv_handle_t *handle)
{
	struct connection *connection = (struct connection *)handle;

	control_decoder_clear(&connection->decoder);
	free(connection);
}

static void drop(struct connection *connection)
{
	struct connection **link = &connection->server->connections;

	if (uv_is_closing((uv_handle_t *)&connection->pipe))
		return;
	while (*link && *link != connection)
		link = &(*link)->next;
	if (*link)
		*link = connection->next;
	uv_close((uv_handle_t *)&connection->pipe, connection_closed);
}

static void sent(uv_write_t *request, int status)
{
	struct sending *sending = (struct sending *)request;

	if (status && status != UV_ECANCELED)
		drop((struct connection *)request->handle);
	free(sending->frame);
	free(sending);
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

/* Takes the reply over. */
static int send_reply(struct connection *connection, json_t *reply)
{
	struct sending *sending = calloc(1, sizeof(*sending));
	uv_buf_t buffer;
	size_t size;
	int err;

	if (!sending) {
		json_decref(reply);
		return -ENOMEM;
	}
	err = make_frame(reply, &sending->frame, &size);
	if (err) {
		free(sending);
		return err;
	}
	buffer = uv_buf_init(sending->frame, (unsigned)size);
	err = uv_write(&sending->request, (uv_stream_t *)&connection->pipe, &buffer, 1, sent);
	if (err) {
		free(sending->frame);
		free(sending);
	}
	return err;
}

static json_t *answer(struct connection *connection, const json_t *message)
{
	struct control_request request;
	char *why = NULL;
	json_t *reply;
	int err = control_request_decode(message, &request, &why);

	if (!err && control_verb_needs_root(request.verb) && connection->peer.cred.uid != 0) {
		err = -EPERM;
		why = strdup("only root may ask that of the agent");
	}
	reply = err ? control_reply_error(err, why ? why : strerror(-err))
		    : verb_answer(connection->server->agent, &request, &connection->peer);
	free(why);
	return reply;
}

/* 0, or an error after which the stream has no frames any more. */
static int feed(struct connection *connection, const char *data, size_t size)
{
	size_t taken;
	json_t *message;
	int err = 0;

	while (!err && size > 0) {
		if (uv_stream_get_write_queue_size((uv_stream_t *)&connection->pipe) > UNREAD_MAX)
			return -ENOBUFS; /* asks and never reads */
		err = control_decoder_feed(&connection->decoder, data, size, &taken, &message, NULL);
		if (err)
			break;
		data += taken;
		size -= taken;
		if (!message)
			continue;
		err = send_reply(connection, answer(connection, message));
		json_decref(message);
	}
	return err;
}

static void got(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
	struct connection *connection = (struct connection *)stream;

	if (size < 0 || (size > 0 && feed(connection, buffer->base, (size_t)size)))
		drop(connection);
	free(buffer->base);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	(void)handle;
	buffer->base = malloc(suggested);
	buffer->len = buffer->base ? suggested : 0;
}

static int find_peer(struct connection *connection)
{
	uv_os_fd_t fd;
	int err = uv_fileno((uv_handle_t *)&connection->pipe, &fd);

	return err ? err : peer_find(fd, &connection->peer);
}

static void make_room(struct control_server *server)
{
	struct connection *connection = server->connections;
	uid_t users[SEATS_MAX + 1];
	size_t count = 0, clear;

	for (; connection && count < SEATS_MAX + 1; connection = connection->next)
		users[count++] = connection->peer.cred.uid;
	clear = seats_to_clear(users, count);
	if (clear == count)
		return;
	connection = server->connections;
	while (clear-- > 0)
		connection = connection->next;
	drop(connection);
}

static void put_in_front(struct control_server *server, struct connection *connection)
{
	connection->next = server->connections;
	server->connections = connection;
	make_room(server);
}

static void connected(uv_stream_t *stream, int status)
{
	struct control_server *server = stream->data;
	struct connection *connection = status ? NULL : calloc(1, sizeof(*connection));

	if (!connection)
		return;
	connection->server = server;
	connection->decoder.limit = CONTROL_REQUEST_MAX;
	uv_pipe_init(&server->agent->loop, &connection->pipe, 0);
	if (uv_accept(stream, (uv_stream_t *)&connection->pipe) || find_peer(connection)) {
		uv_close((uv_handle_t *)&connection->pipe, connection_closed);
		return;
	}
	put_in_front(server, connection);
	if (uv_read_start((uv_stream_t *)&connection->pipe, give_buffer, got))
		drop(connection);
}

/* Everybody's who is in the group, where there is one; else root's alone. */
static int set_mode(const char *path)
{
	const struct group *group = getgrnam(CONTROL_GROUP); /* before the loop runs: it may take its time */

	if (group && chown(path, 0, group->gr_gid))
		return -errno;
	return chmod(path, group ? 0660 : 0600) ? -errno : 0;
}

static int listen_at(struct control_server *server, const char *path)
{
	/* The run directory's lock is ours: a socket that is there is a dead agent's. */
	if (unlink(path) && errno != ENOENT)
		return -errno;
	int err = uv_pipe_bind(&server->pipe, path);

	if (!err)
		err = set_mode(path);
	return err ? err : uv_listen((uv_stream_t *)&server->pipe, BACKLOG, connected);
}

static void server_closed(uv_handle_t *handle)
{
	free(handle->data);
}

int control_server_start(struct agent *agent, struct control_server **ret)
{
	struct control_server *server = calloc(1, sizeof(*server));
	char *path = NULL;
	int err = -ENOMEM;

	if (!server)
		return err;
	server->agent = agent;
	uv_pipe_init(&agent->loop, &server->pipe, 0);
	server->pipe.data = server;
	if (asprintf(&path, "%s/" CONTROL_SOCKET, agent->options.run_dir) >= 0)
		err = listen_at(server, path);
	if (err)
		uv_close((uv_handle_t *)&server->pipe, server_closed);
	else
		*ret = server;
	free(path);
	return err;
}

void control_server_stop(struct control_server *server)
{
	if (!server)
		return;
	while (server->connections)
		drop(server->connections);
	uv_close((uv_handle_t *)&server->pipe, server_closed);
}
