/* SPDX-License-Identifier: Apache-2.0 */
#include "follow.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MS 1000

struct follow {
	uv_loop_t *loop;
	char *url;
	struct follow_hooks hooks;
	struct store *store;
	struct store_watch *watch;
	uv_timer_t retry;
	struct state_txn report; /* waiting to be written; txn.write_count 0: none */
	bool reading, read_again, read_failed;
	bool reporting, report_again, report_failed;
	bool stopped;
	unsigned requests; /* callbacks still to come */
};

static void read_all(struct follow *follow);
static void write_report(struct follow *follow);

static void timer_closed(uv_handle_t *handle)
{
	struct follow *follow = handle->data;

	state_txn_free(&follow->report);
	free(follow->url);
	free(follow);
}

/* The struct lives until the last callback has run. */
static void end_if_idle(struct follow *follow)
{
	if (follow->stopped && follow->requests == 0 && !uv_is_closing((uv_handle_t *)&follow->retry))
		uv_close((uv_handle_t *)&follow->retry, timer_closed);
}

static void tell(struct follow *follow, const char *what, const char *why)
{
	if (!follow->stopped)
		follow->hooks.trouble(follow->hooks.arg, what, why);
}

/* Each only if it failed: a store that can be read but not written is not read again and again. */
static void try_again(uv_timer_t *timer)
{
	struct follow *follow = timer->data;

	if (follow->read_failed)
		read_all(follow);
	if (follow->report_failed)
		write_report(follow);
}

static void try_later(struct follow *follow, bool *failed)
{
	*failed = true;
	if (!follow->stopped && !uv_is_active((uv_handle_t *)&follow->retry))
		uv_timer_start(&follow->retry, try_again, RETRY_MS, 0);
}

static bool only_statuses(const struct store_result *result)
{
	for (size_t i = 0; i < result->count; i++)
		if (strncmp(result->entries[i].key, "status/", 7) != 0)
			return false;
	return true;
}

static void on_commit(void *arg, int err, const struct store_result *result)
{
	struct follow *follow = arg;

	if (err == -ESTALE) {
		store_unwatch(follow->watch);
		follow->watch = NULL;
		read_all(follow);
		return;
	}
	if (err) {
		tell(follow, FOLLOW_READING, result && result->why ? result->why : strerror(-err));
		try_later(follow, &follow->read_failed); /* a read that works says that the trouble is over */
	} else if (!only_statuses(result)) {
		read_all(follow);
	}
}

static int watch_from(struct follow *follow, uint64_t revision)
{
	if (follow->watch)
		return 0;
	return store_watch(follow->store, "", revision, on_commit, follow, &follow->watch);
}

/* Takes a read's result in. 0, or an error with *why for people, the caller's to free. */
static int take_in(struct follow *follow, const struct store_result *result, char **why)
{
	struct state *state;
	int err = state_decode(result, &state, why);

	if (err)
		return err;
	err = watch_from(follow, result->revision);
	if (err) {
		state_free(state);
		return err;
	}
	follow->hooks.changed(follow->hooks.arg, state);
	return 0;
}

static void read_done(void *arg, int err, const struct store_result *result)
{
	struct follow *follow = arg;
	char *why = NULL;

	follow->reading = false;
	follow->requests--;
	if (follow->stopped) {
		end_if_idle(follow);
		return;
	}
	if (err)
		tell(follow, FOLLOW_READING, result && result->why ? result->why : strerror(-err));
	else if ((err = take_in(follow, result, &why)))
		tell(follow, FOLLOW_READING, why ? why : strerror(-err));
	else
		tell(follow, FOLLOW_READING, NULL);
	free(why);
	if (follow->stopped)
		return;
	if (err)
		try_later(follow, &follow->read_failed);
	else if (follow->read_again)
		read_all(follow);
}

static int ensure_open(struct follow *follow)
{
	const char *why = NULL;
	int err;

	if (follow->store)
		return 0;
	err = store_open(follow->loop, follow->url, &follow->store, &why);
	if (err)
		tell(follow, FOLLOW_READING, why ? why : strerror(-err));
	return err;
}

static void read_all(struct follow *follow)
{
	int err;

	if (follow->reading) {
		follow->read_again = true;
		return;
	}
	follow->read_again = false;
	follow->read_failed = false;
	err = ensure_open(follow);
	if (!err) {
		err = store_read(follow->store, "", read_done, follow);
		if (!err) {
			follow->reading = true;
			follow->requests++;
		}
	}
	if (err)
		try_later(follow, &follow->read_failed);
}

static void report_done(void *arg, int err, const struct store_result *result)
{
	struct follow *follow = arg;

	follow->requests--;
	follow->reporting = false;
	if (follow->stopped) {
		end_if_idle(follow);
		return;
	}
	tell(follow, FOLLOW_WRITING, err == 0 ? NULL : result && result->why ? result->why : strerror(-err));
	if (follow->stopped)
		return;
	if (err) {
		try_later(follow, &follow->report_failed);
	} else if (follow->report_again) {
		write_report(follow);
	} else {
		state_txn_free(&follow->report);
		follow->report = (struct state_txn){0};
	}
}

static void write_report(struct follow *follow)
{
	int err;

	if (follow->report.txn.write_count == 0)
		return;
	if (follow->reporting) {
		follow->report_again = true;
		return;
	}
	follow->report_again = false;
	follow->report_failed = false;
	err = ensure_open(follow);
	if (!err)
		err = store_commit(follow->store, &follow->report.txn, report_done, follow);
	if (err) {
		try_later(follow, &follow->report_failed);
		return;
	}
	follow->reporting = true;
	follow->requests++;
}

void follow_report(struct follow *follow, const char *server, const struct server_status *status)
{
	struct state_txn next;

	if (state_encode_status(server, status, &next))
		return;
	state_txn_free(&follow->report);
	follow->report = next;
	write_report(follow);
}

int follow_start(uv_loop_t *loop, const char *url, const struct follow_hooks *hooks, struct follow **ret)
{
	struct follow *follow = calloc(1, sizeof(*follow));

	if (!follow)
		return -ENOMEM;
	follow->url = strdup(url);
	if (!follow->url) {
		free(follow);
		return -ENOMEM;
	}
	follow->loop = loop;
	follow->hooks = *hooks;
	uv_timer_init(loop, &follow->retry);
	follow->retry.data = follow;
	read_all(follow);
	*ret = follow;
	return 0;
}

void follow_stop(struct follow *follow)
{
	if (!follow || follow->stopped)
		return;
	follow->stopped = true;
	uv_timer_stop(&follow->retry);
	store_unwatch(follow->watch);
	store_close(follow->store);
	end_if_idle(follow);
}
