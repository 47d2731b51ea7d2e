/* SPDX-License-Identifier: Apache-2.0 */
/* `berth run --select SELECTOR | --policy NAME -- COMMAND [ARGS]` */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../control/control.h"
#include "../core/selector.h"
#include "../kernel/runcgroup.h"
#include "command.h"
#include "enter.h"
#include "message.h"
#include "places.h"
#include "verb.h"

#define AGENT_TIMEOUT_MS 10000

static int selector_check(const char *text)
{
	struct selector selector = {0};
	const char *why = "no memory";
	size_t at = 0;
	int err = selector_parse(text, &selector, &at, &why);

	if (!err)
		selector_free(&selector);
	else
		message("--select \"%s\", character %zu: %s", text, at + 1, why);
	return err ? VERB_USAGE : VERB_DONE;
}

static int which_check(const struct arguments *arguments)
{
	if (!arguments->select == !arguments->policy) {
		message("run needs --select or --policy, one of them: berth run --select country=DE -- COMMAND");
		return VERB_USAGE;
	}
	return arguments->select ? selector_check(arguments->select) : VERB_DONE;
}

/* Asks the agent for a policy. Without one nothing runs. */
static int policy_begin(const struct places *places, const char *cgroup, const struct arguments *arguments)
{
	const struct control_request request = {
		.verb = CONTROL_RUN, .cgroup = cgroup, .selector = arguments->select, .policy = arguments->policy};
	json_t *reply = NULL;
	char *why = NULL;
	int code = 0;
	int err = control_call(places->run_dir, &request, AGENT_TIMEOUT_MS, &reply, &code, &why);

	json_decref(reply);
	if (!err)
		return VERB_DONE;
	message_error(err, why);
	if (err == -ECONNREFUSED)
		message("the command was not run: start berthd, or give its --run-dir");
	return err == -EREMOTEIO && code == -ENOENT ? VERB_NO : VERB_FAILED;
}

/* The agent finds out by itself as well, only later. */
static void policy_end(const struct places *places, const char *cgroup)
{
	const struct control_request request = {.verb = CONTROL_RUN_END, .cgroup = cgroup};
	json_t *reply = NULL;
	char *why = NULL;

	if (control_call(places->run_dir, &request, AGENT_TIMEOUT_MS, &reply, NULL, &why) == 0)
		json_decref(reply);
	free(why);
}

/* Processes that the command left behind keep cgroup and policy: without it they would leave from the host's address.
 */
static void clean_up(const struct places *places, const struct run_cgroup *cgroup)
{
	int err = run_cgroup_remove(cgroup);

	if (err == -EBUSY)
		message("the command left processes behind; cgroup %s and its policy stay while they run", cgroup->dir);
	else if (err)
		message("cgroup %s: %s", cgroup->dir, strerror(-err));
	else
		policy_end(places, cgroup->path);
}

/* As root. */
static int run(const struct places *places, const struct arguments *arguments)
{
	struct run_cgroup cgroup = {0};
	char *why = NULL;
	int exit_code, err = run_cgroup_make(0, places->cgroup_root, &cgroup, &why);

	if (err) {
		message_error(err, why);
		return VERB_FAILED;
	}
	exit_code = policy_begin(places, cgroup.path, arguments);
	if (exit_code == VERB_DONE) {
		err = command_run(cgroup.dir, arguments->command, &exit_code, &why);
		if (err) {
			message_error(err, why);
			exit_code = VERB_FAILED;
		}
	}
	clean_up(places, &cgroup);
	run_cgroup_clear(&cgroup);
	return exit_code;
}

int verb_run(const struct arguments *arguments)
{
	struct places places = {0};
	int exit_code = which_check(arguments);

	if (exit_code != VERB_DONE)
		return exit_code;
	exit_code = places_find(arguments, &places);
	if (exit_code != VERB_DONE)
		return exit_code;
	exit_code = geteuid() ? enter_and_become(&places, arguments) : run(&places, arguments);
	places_clear(&places);
	return exit_code;
}
