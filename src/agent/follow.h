/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Follows the store: opens it (again and again while it can't be), reads all of it, and reads again whenever a commit
 * touched more than statuses. Never blocks; a store that is away changes nothing here.
 */
#ifndef BERTH_AGENT_FOLLOW_H
#define BERTH_AGENT_FOLLOW_H

#include <uv.h>

#include "../store/state.h"

/* What may be in trouble, in words that a sentence can begin with. */
#define FOLLOW_READING "store"
#define FOLLOW_WRITING "status in the store"

struct follow;

struct follow_hooks {
	/* A new state, the receiver's to free. */
	void (*changed)(void *arg, struct state *state);
	/* Trouble with reading (FOLLOW_READING) or with writing the status, NULL when it is over. The sentence belongs
	   to the caller. */
	void (*trouble)(void *arg, const char *what, const char *why);
	void *arg;
};

/* url is copied. 0 or -ENOMEM. */
int follow_start(uv_loop_t *loop, const char *url, const struct follow_hooks *hooks, struct follow **ret);
/* Writes a server's status; tried again by itself until it is there or a newer one is given. */
void follow_report(struct follow *follow, const char *server, const struct server_status *status);
/* No hook is called after this; the memory goes with the loop's next turns. NULL is fine. */
void follow_stop(struct follow *follow);

#endif
