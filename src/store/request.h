/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A read or a commit on its way: what was asked for, copied, and what came of it. For backends, which queue requests
 * and finish each exactly once.
 */
#ifndef BERTH_STORE_REQUEST_H
#define BERTH_STORE_REQUEST_H

#include "entries.h"
#include "store.h"

#define STORE_WHY_MAX 512

enum request_kind { REQUEST_READ, REQUEST_COMMIT };

struct request {
	struct request *next;
	enum request_kind kind;
	store_done *done;
	void *arg;

	char *prefix; /* read */
	struct entries compares; /* commit: keys and the revisions expected, in the caller's order */
	struct entries writes; /* commit: sorted by key; value NULL: delete */

	int err;
	uint64_t revision;
	struct entries found; /* read: sorted by key */
	const char *conflict; /* commit: key of one of `compares` */
	char why[STORE_WHY_MAX]; /* empty: nothing to say */
};

/* First in, first out. */
struct request_queue {
	struct request *first;
	struct request *last;
};

/* NULL: no memory. */
struct request *request_read(const char *prefix, store_done *done, void *arg);
struct request *request_commit(const struct store_txn *txn, store_done *done, void *arg);
/* Tells the caller what came of it, frees the request. */
void request_finish(struct request *request);
/* The same, with -ECANCELED. */
void request_cancel(struct request *request);

void request_queue_add(struct request_queue *queue, struct request *request);
struct request *request_queue_take(struct request_queue *queue); /* NULL: empty */

#endif
