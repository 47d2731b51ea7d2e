/* SPDX-License-Identifier: Apache-2.0 */
#include "control_server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../control/control.h"
#include "agent.h"
#include "connection.h"
#include "seats.h"
#include "verbs.h"

#define BACKLOG 16
struct control_server {
	uv_pipe_t pipe;
	struct agent *agent;
	struct connection *connections;
};

static json_t *answer(struct connection *connection, const json_t *message)
{
	struct control_server *server = connection->data;
	struct control_request request;
	char *why = NULL;
	json_t *reply;
	int err = control_request_decode(message, &request, &why);

	if (!err && control_verb_needs_root(request.verb) && connection->peer.cred.uid != 0) {
		err = -EPERM;
		why = strdup("only root may ask that of the agent");
	}
	request.socket = connection->passed;
	reply = err ? control_reply_error(err, why ? why : strerror(-err))
		    : verb_answer(server->agent, &request, &connection->peer);
	if (!err && control_verb_takes_socket(request.verb))
		connection_dispose(connection);
	free(why);
	return reply;
}

static void forget(struct connection *connection)
{
	struct control_server *server = connection->data;
	struct connection **link = &server->connections;

	while (*link && *link != connection)
		link = &(*link)->next;
	if (*link)
		*link = connection->next;
}

static const struct connection_owner owner = {.answer = answer, .closed = forget};

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
	connection_close(connection);
}

static void put_in_front(struct control_server *server, struct connection *connection)
{
	connection->data = server;
	connection->next = server->connections;
	server->connections = connection;
	make_room(server);
}

static void accepted(uv_handle_t *handle)
{
	free(handle);
}

/* A descriptor of our own of what is waiting: libuv's way to read takes no descriptors without a handle for each. */
static int accept_one(uv_stream_t *listener, int *ret)
{
	uv_pipe_t *pipe = calloc(1, sizeof(*pipe));
	uv_os_fd_t fd;
	int err;

	if (!pipe)
		return -ENOMEM;
	uv_pipe_init(listener->loop, pipe, 0);
	err = uv_accept(listener, (uv_stream_t *)pipe);
	if (!err)
		err = uv_fileno((uv_handle_t *)pipe, &fd);
	if (!err) {
		*ret = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		err = *ret < 0 ? -errno : 0;
	}
	uv_close((uv_handle_t *)pipe, accepted);
	return err;
}

static void connected(uv_stream_t *stream, int status)
{
	struct control_server *server = stream->data;
	struct connection *connection;
	int fd;

	if (!status && !accept_one(stream, &fd) && !connection_open(stream->loop, fd, &owner, &connection))
		put_in_front(server, connection);
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
		connection_close(server->connections);
	uv_close((uv_handle_t *)&server->pipe, server_closed);
}
