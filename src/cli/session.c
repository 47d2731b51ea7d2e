/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../kernel/why.h"
#include "message.h"

struct session {
	uv_loop_t loop;
	uv_timer_t timer;
	struct store *store;
	char *url;
};

/* A request under way; lives in the frame that runs the loop. */
struct request {
	struct session *session;
	bool done, late;
	const char *unknown; /* what is not known when time is up; "" */
	int err;
	struct state *state; /* of a read */
	uint64_t revision; /* of a commit */
	char *why;
};

static void time_is_up(uv_timer_t *timer)
{
	struct request *request = timer->data;

	request->late = true;
	uv_stop(timer->loop);
}

static void request_end(struct request *request)
{
	request->done = true;
	uv_timer_stop(&request->session->timer);
	uv_stop(&request->session->loop);
}

/* What is still under way after the time limit must not come back to a frame that is gone: the store is closed, which
   ends it with -ECANCELED. */
static int request_wait(struct request *request, int err, char **why)
{
	struct session *session = request->session;

	if (!err) {
		session->timer.data = request;
		uv_timer_start(&session->timer, time_is_up, SESSION_TIMEOUT_MS, 0);
		while (!request->done && !request->late)
			uv_run(&session->loop, UV_RUN_DEFAULT);
		err = request->err;
	}
	if (!err && request->late) {
		store_close(session->store);
		session->store = NULL;
		while (!request->done && uv_run(&session->loop, UV_RUN_DEFAULT))
			;
		err = -ETIMEDOUT;
		free(request->why);
		request->why = NULL;
		why_say(&request->why, err, "no answer within %u s%s", SESSION_TIMEOUT_MS / 1000, request->unknown);
		state_free(request->state);
		request->state = NULL;
	}
	if (err)
		why_say(why, err, "store %s: %s", session->url, request->why ? request->why : strerror(-err));
	free(request->why);
	return err;
}

int session_open(const char *url, struct session **ret, char **why)
{
	struct session *session = calloc(1, sizeof(*session));
	const char *sentence = NULL;
	int err;

	if (!session)
		return -ENOMEM;
	err = uv_loop_init(&session->loop);
	if (err) {
		free(session);
		return why_say(why, err, "no event loop: %s", strerror(-err));
	}
	uv_timer_init(&session->loop, &session->timer);
	session->url = strdup(url);
	err = session->url ? store_open(&session->loop, url, &session->store, &sentence) : -ENOMEM;
	if (err) {
		why_say(why, err, "store %s: %s", url, sentence ? sentence : strerror(-err));
		session_close(session);
		return err;
	}
	*ret = session;
	return 0;
}

static void read_done(void *arg, int err, const struct store_result *result)
{
	struct request *request = arg;

	request->err = err;
	if (err && result && result->why)
		why_say(&request->why, err, "%s", result->why);
	else if (!err)
		request->err = state_decode(result, &request->state, &request->why);
	request_end(request);
}

int session_read(struct session *session, struct state **ret, char **why)
{
	struct request request = {.session = session, .unknown = ""};
	int err = store_read(session->store, "", read_done, &request);

	err = request_wait(&request, err, why);
	if (!err)
		*ret = request.state;
	return err;
}

static void commit_done(void *arg, int err, const struct store_result *result)
{
	struct request *request = arg;

	request->err = err;
	if (err == -EAGAIN)
		why_say(&request->why, err, "somebody else changed %s meanwhile",
			result && result->conflict ? result->conflict : "it");
	else if (err && result && result->why)
		why_say(&request->why, err, "%s", result->why);
	else if (!err)
		request->revision = result->revision;
	request_end(request);
}

int session_commit(struct session *session, const struct store_txn *txn, uint64_t *revision, char **why)
{
	struct request request = {.session = session,
				  .unknown = "; it may have been written or not, the same command again tells"};
	int err = store_commit(session->store, txn, commit_done, &request);

	err = request_wait(&request, err, why);
	if (!err)
		*revision = request.revision;
	return err;
}

void session_close(struct session *session)
{
	if (!session)
		return;
	store_close(session->store);
	uv_close((uv_handle_t *)&session->timer, NULL);
	uv_run(&session->loop, UV_RUN_DEFAULT);
	uv_loop_close(&session->loop);
	free(session->url);
	free(session);
}

struct state *session_fleet(const char *url)
{
	struct session *session = NULL;
	struct state *state = NULL;
	char *why = NULL;
	int err = session_open(url, &session, &why);

	if (!err)
		err = session_read(session, &state, &why);
	session_close(session);
	if (!err && state->fleet)
		return state;
	if (err)
		message_error(err, why);
	else if (state->revision > 0)
		message("no fleet was applied to store %s yet: berth apply FILE", url);
	else
		message("store %s is empty or does not exist: --store names another, berth apply FILE makes it", url);
	state_free(state);
	return NULL;
}
