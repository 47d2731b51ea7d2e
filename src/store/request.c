/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"

static void request_free(struct request *request)
{
	if (!request)
		return;
	entries_free(&request->compares);
	entries_free(&request->writes);
	entries_free(&request->found);
	free(request->prefix);
	free(request);
}

static struct request *request_new(enum request_kind kind, store_done *done, void *arg)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	request->kind = kind;
	request->done = done;
	request->arg = arg;
	return request;
}

struct request *request_read(const char *prefix, store_done *done, void *arg)
{
	struct request *request = request_new(REQUEST_READ, done, arg);

	if (!request)
		return NULL;
	request->prefix = strdup(prefix);
	if (!request->prefix) {
		request_free(request);
		return NULL;
	}
	return request;
}

struct request *request_commit(const struct store_txn *txn, store_done *done, void *arg)
{
	struct request *request = request_new(REQUEST_COMMIT, done, arg);

	if (!request)
		return NULL;
	for (size_t i = 0; i < txn->compare_count; i++) {
		const struct store_compare *compare = &txn->compares[i];

		if (entries_add(&request->compares, compare->key, NULL, 0, compare->revision))
			goto fail;
	}
	for (size_t i = 0; i < txn->write_count; i++) {
		const struct store_write *write = &txn->writes[i];

		if (entries_add(&request->writes, write->key, write->value, write->value ? write->size : 0, 0))
			goto fail;
	}
	entries_sort(&request->writes);
	return request;
fail:
	request_free(request);
	return NULL;
}

void request_finish(struct request *request)
{
	struct store_result result = {0};

	if (request->err == 0) {
		result.revision = request->revision;
		result.entries = request->found.items;
		result.count = request->found.count;
	} else {
		result.why = request->why[0] ? request->why : strerror(-request->err);
		result.conflict = request->err == -EAGAIN ? request->conflict : NULL;
	}
	request->done(request->arg, request->err, &result);
	request_free(request);
}

void request_cancel(struct request *request)
{
	request->err = -ECANCELED;
	snprintf(request->why, sizeof(request->why), "the store was closed");
	request_finish(request);
}

void request_queue_add(struct request_queue *queue, struct request *request)
{
	request->next = NULL;
	if (queue->first)
		queue->last->next = request;
	else
		queue->first = request;
	queue->last = request;
}

struct request *request_queue_take(struct request_queue *queue)
{
	struct request *request = queue->first;

	if (request)
		queue->first = request->next;
	return request;
}
