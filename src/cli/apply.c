/* SPDX-License-Identifier: Apache-2.0 */
/* `berth apply FILE` */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "answer.h"
#include "difference.h"
#include "message.h"
#include "places.h"
#include "proposal.h"
#include "verb.h"

/* Times that a store that others write at the same moment is read anew. */
#define ATTEMPTS 5

static bool answered_yes(void)
{
	char *line = NULL;
	size_t room = 0;
	bool yes;

	fputs("Go on? [y/N] ", stderr);
	yes = getline(&line, &room, stdin) > 0 && (line[0] == 'y' || line[0] == 'Y');
	free(line);
	return yes;
}

/* What servers use is not taken from them without somebody's word. */
static bool consent(const struct proposal *proposal, const struct arguments *arguments)
{
	size_t losses = proposal_losses(proposal);

	if (losses == 0 || arguments->yes)
		return true;
	message(losses == 1 ? "%zu slice in use would be taken from its server; connections from there break"
			    : "%zu slices in use would be taken from their servers; connections from there break",
		losses);
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		message("nothing was written: --yes goes on");
		return false;
	}
	if (answered_yes())
		return true;
	message("nothing was written");
	return false;
}

/* applied: the new revision; 0: nothing was written. */
static int report(const struct proposal *proposal, const struct arguments *arguments, uint64_t applied)
{
	json_t *object;

	if (!arguments->json) {
		if (proposal_empty(proposal))
			printf("nothing to change (revision %llu)\n", (unsigned long long)proposal->before->revision);
		else if (applied)
			printf("applied as revision %llu\n", (unsigned long long)applied);
		return VERB_DONE;
	}
	object = difference_json(proposal);
	if (object &&
	    json_object_set_new(object, "applied", applied ? json_integer((json_int_t)applied) : json_null())) {
		json_decref(object);
		object = NULL;
	}
	return answer_print(object);
}

static int show_difference(const struct proposal *proposal, const struct arguments *arguments)
{
	if (arguments->json || proposal_empty(proposal))
		return 0;
	return difference_print(proposal, stdout);
}

static int commit(const struct proposal *proposal, struct session *session, uint64_t *revision, char **why)
{
	struct state_txn txn = {0};
	int err =
		state_encode(proposal->before, proposal->fleet, proposal->text, proposal->size, &proposal->plan, &txn);

	if (!err)
		err = session_commit(session, &txn.txn, revision, why);
	state_txn_free(&txn);
	return err;
}

/* One look at the store. *again: it changed under us, look anew. */
static int attempt(struct proposal *proposal, struct session *session, const struct arguments *arguments, bool *again)
{
	uint64_t revision = 0;
	char *why = NULL;
	int err, exit_code = proposal_make(proposal, session);

	*again = false;
	if (exit_code != VERB_DONE)
		return exit_code;
	err = show_difference(proposal, arguments);
	if (!arguments->json)
		difference_warn(proposal);
	if (!err && (arguments->dry_run || proposal_empty(proposal)))
		return report(proposal, arguments, 0);
	if (!err && !consent(proposal, arguments))
		return VERB_FAILED;
	if (!err)
		err = commit(proposal, session, &revision, &why);
	if (!err)
		return report(proposal, arguments, revision);
	*again = err == -EAGAIN;
	message_error(err, why);
	return VERB_FAILED;
}

static int attempts(struct proposal *proposal, struct session *session, const struct arguments *arguments)
{
	for (int i = 0; i < ATTEMPTS; i++) {
		bool again;
		int exit_code = attempt(proposal, session, arguments, &again);

		if (!again)
			return exit_code;
		message("nothing was written; looking at the store again");
	}
	message("others write the store all the time: nothing was written, try again later");
	return VERB_FAILED;
}

int verb_apply(const struct arguments *arguments)
{
	struct proposal proposal = {0};
	struct session *session = NULL;
	struct places places = {0};
	char *why = NULL;
	int err, exit_code = proposal_load(arguments->operands[0], &proposal);

	if (exit_code == VERB_DONE)
		exit_code = places_find(arguments, &places);
	if (exit_code != VERB_DONE)
		goto out;
	err = session_open(places.store, &session, &why);
	if (err) {
		message_error(err, why);
		exit_code = VERB_FAILED;
		goto out;
	}
	exit_code = attempts(&proposal, session, arguments);
	session_close(session);
out:
	places_clear(&places);
	proposal_clear(&proposal);
	return exit_code;
}
