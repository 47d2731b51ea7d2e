/* SPDX-License-Identifier: Apache-2.0 */
/* The store, for a command that waits for it: each call runs the loop until its answer is there or time is up. */
#ifndef BERTH_CLI_SESSION_H
#define BERTH_CLI_SESSION_H

#include "../store/state.h"

#define SESSION_TIMEOUT_MS 15000u

struct session;

/* Functions return 0 or -errno, and then *why is a sentence with the store's URL, the caller's to free. */
int session_open(const char *url, struct session **ret, char **why);
/* All that stands in the store; the caller's (state_free). */
int session_read(struct session *session, struct state **ret, char **why);
/* *revision is the commit's. -EAGAIN: somebody else wrote the store meanwhile, nothing was written. */
int session_commit(struct session *session, const struct store_txn *txn, uint64_t *revision, char **why);
void session_close(struct session *session); /* NULL is fine */

/* Opens, reads, closes: a state with a fleet. NULL: there is none, or it cannot be read, which is said. */
struct state *session_fleet(const char *url);

#endif
