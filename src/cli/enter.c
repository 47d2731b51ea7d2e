/* SPDX-License-Identifier: Apache-2.0 */
#include "enter.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../control/control.h"
#include "command.h"
#include "message.h"
#include "verb.h"

#define AGENT_TIMEOUT_MS 10000
#define PATIENCE_MS 5000

static const char *own_name(void)
{
	const struct passwd *user = getpwuid(geteuid());

	return user ? user->pw_name : "?";
}

static void say_what_to_do(int err, int code)
{
	unsigned user = (unsigned)geteuid();

	if (err == -EACCES && !getgrnam(CONTROL_GROUP))
		message("this host has no group %s, so only root may talk to the agent: groupadd --system %s, then "
			"restart "
			"berthd",
			CONTROL_GROUP, CONTROL_GROUP);
	else if (err == -EACCES)
		message("you are %s (user %u); only root and members of the group %s may talk to the agent: usermod "
			"-aG "
			"%s %s, then log in again",
			own_name(), user, CONTROL_GROUP, CONTROL_GROUP, own_name());
	else if (err == -ECONNREFUSED)
		message("the command was not run: berthd has to be started, or give its --run-dir");
	else if (err == -EREMOTEIO && code == -EPERM)
		message("you are %s (user %u); the fleet file says who may use a policy, by its `allow`", own_name(),
			user);
}

int enter_and_become(const struct places *places, const struct arguments *arguments)
{
	const struct control_request request = {
		.verb = CONTROL_ENTER, .selector = arguments->select, .policy = arguments->policy};
	char *const *argv = arguments->command;
	json_t *reply = NULL;
	char *why = NULL;
	int code = 0,
	    err = control_call_patiently(places->run_dir, &request, AGENT_TIMEOUT_MS, PATIENCE_MS, &reply, &code, &why);

	json_decref(reply);
	if (err) {
		message_error(err, why);
		say_what_to_do(err, code);
		return err == -EREMOTEIO && (code == -EPERM || code == -ENOENT) ? VERB_NO : VERB_FAILED;
	}
	execvp(argv[0], argv);
	err = errno;
	message("%s: %s", argv[0], strerror(err));
	return err == ENOENT || err == ENOTDIR ? COMMAND_NOT_FOUND : COMMAND_NOT_EXECUTABLE;
}
