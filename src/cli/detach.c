/* SPDX-License-Identifier: Apache-2.0 */
/* `berth detach` */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../control/control.h"
#include "../kernel/teardown.h"
#include "message.h"
#include "places.h"
#include "verb.h"

/* The agent answers when everything is down, its wait for routers included. */
#define DETACH_TIMEOUT_MS 60000
#define DETACH_TRIES 10
/* Without an agent: how long routers have to stop sending here. */
#define WITHDRAW_WAIT_MS 2000u

static int detach_without_agent(const struct places *places)
{
	const struct teardown_options options = {
		.bpffs = places->bpffs,
		.run_dir = places->run_dir,
		.wait_ms = WITHDRAW_WAIT_MS,
	};
	char *why = NULL;
	int err = teardown_run(&options, &why);

	if (err) {
		message_error(err, why);
		message("something is left: mend that, then berth detach again");
		return VERB_FAILED;
	}
	printf("detached; no agent was running\n");
	return VERB_DONE;
}

/*
 * An agent that was killed a moment ago may still be taken for one that listens, and hangs up as the kernel clears it
 * away: then it is gone at the next try.
 */
static int ask_agent(const struct places *places, json_t **reply, char **why)
{
	const struct control_request request = {.verb = CONTROL_DETACH};
	const struct timespec pause = {.tv_nsec = 200 * 1000 * 1000};
	int err = control_call(places->run_dir, &request, DETACH_TIMEOUT_MS, reply, NULL, why);

	for (int i = 0; err == -ECONNRESET && i < DETACH_TRIES; i++) {
		nanosleep(&pause, NULL);
		free(*why);
		*why = NULL;
		err = control_call(places->run_dir, &request, DETACH_TIMEOUT_MS, reply, NULL, why);
	}
	return err;
}

static int detach(const struct places *places)
{
	json_t *reply = NULL;
	char *why = NULL;
	int err;

	if (geteuid() != 0) {
		message("detach needs root");
		return VERB_FAILED;
	}
	err = ask_agent(places, &reply, &why);
	if (err == -ECONNREFUSED) {
		free(why);
		return detach_without_agent(places);
	}
	json_decref(reply);
	if (err) {
		message_error(err, why);
		message("stop the agent, then berth detach again: it goes without one");
		return VERB_FAILED;
	}
	printf("detached by the agent, which has ended\n");
	return VERB_DONE;
}

int verb_detach(const struct arguments *arguments)
{
	struct places places = {0};
	int exit_code = places_find(arguments, &places);

	if (exit_code != VERB_DONE)
		return exit_code;
	exit_code = detach(&places);
	places_clear(&places);
	return exit_code;
}
