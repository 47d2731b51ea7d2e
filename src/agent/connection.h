/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of the control socket: requests come in, with a descriptor beside one when the peer passes it, and
 * each gets its reply. On the loop; nothing here waits for the peer.
 */
#ifndef BERTH_AGENT_CONNECTION_H
#define BERTH_AGENT_CONNECTION_H

#include <uv.h>

#include "../control/control.h"
#include "peer.h"

struct connection {
	uv_poll_t poll; /* first: a handle is its connection */
	struct peer peer; /* its descriptor is the connection's */
	const struct connection_owner *owner;
	void *data; /* the owner's */
	struct connection *next; /* the owner's */
	struct control_decoder decoder;
	int passed; /* by the peer, for its next request that takes one; -1: none */
	char *unsent;
	size_t unsent_size;
};

struct connection_owner {
	/* The reply to a message, the callee's to free; NULL: no memory. `passed` is the connection's. */
	json_t *(*answer)(struct connection *connection, const json_t *message);
	/* It is closed, and freed as soon as this has returned. */
	void (*closed)(struct connection *connection);
};

/* Takes the socket over, also on failure. `data` and `next` are the caller's to set. 0 or -errno. */
int connection_open(uv_loop_t *loop, int fd, const struct connection_owner *owner, struct connection **ret);
/* Closes what the peer passed. */
void connection_dispose(struct connection *connection);
void connection_close(struct connection *connection);

#endif
