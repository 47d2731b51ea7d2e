/* SPDX-License-Identifier: Apache-2.0 */
#include "proposal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "message.h"
#include "verb.h"

/* Reads to the end, or to one byte past the limit. */
static int file_drain(int fd, char *text, size_t room, size_t *size)
{
	*size = 0;
	while (*size < room) {
		ssize_t n = read(fd, text + *size, room - *size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		*size += (size_t)n;
	}
	return 0;
}

static int file_read(const char *path, char **ret, size_t *size)
{
	const size_t room = FLEET_FILE_MAX + 1;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text;
	int err;

	if (fd < 0)
		return -errno;
	text = malloc(room);
	err = text ? file_drain(fd, text, room, size) : -ENOMEM;
	close(fd);
	if (!err && *size == room)
		err = -EFBIG;
	if (err)
		free(text);
	else
		*ret = text;
	return err;
}

/* Faults end a line of their own each, in the form that editors and compilers share. */
static int fleet_parse(const char *path, struct proposal *proposal, struct fleet **ret)
{
	struct fleet_faults faults = {0};
	int err = fleet_file_read(proposal->text, proposal->size, ret, &faults);

	for (size_t i = 0; i < faults.count; i++)
		fprintf(stderr, "%s:%zu:%zu: %s\n", path, faults.items[i].line, faults.items[i].column,
			faults.items[i].text);
	if (faults.count == FLEET_FAULTS_MAX)
		message("%s: stopped after %d faults", path, FLEET_FAULTS_MAX);
	fleet_faults_free(&faults);
	if (!err)
		return VERB_DONE;
	if (err != -EINVAL)
		message("%s: %s", path, strerror(-err));
	return err == -EINVAL ? VERB_USAGE : VERB_FAILED;
}

int proposal_load(const char *path, struct proposal *ret)
{
	struct proposal proposal = {0};
	int exit_code, err = file_read(path, &proposal.text, &proposal.size);

	if (err == -EFBIG)
		message("%s: a fleet file has at most %u bytes", path, FLEET_FILE_MAX);
	else if (err)
		message("%s: %s", path, strerror(-err));
	if (err)
		return VERB_USAGE;
	exit_code = fleet_parse(path, &proposal, &proposal.fleet);
	if (exit_code == VERB_DONE)
		*ret = proposal;
	else
		proposal_clear(&proposal);
	return exit_code;
}

/* What an earlier store left in the fleet (its ids) must not count as the file's own. */
static int proposal_renew(struct proposal *proposal)
{
	struct fleet_faults faults = {0};
	struct fleet *fleet = NULL;
	int err = fleet_file_read(proposal->text, proposal->size, &fleet, &faults);

	fleet_faults_free(&faults);
	if (err)
		return err;
	fleet_free(proposal->fleet);
	proposal->fleet = fleet;
	state_free(proposal->before);
	proposal->before = NULL;
	plan_free(&proposal->plan);
	proposal->plan = (struct plan){0};
	return 0;
}

int proposal_make(struct proposal *proposal, struct session *session)
{
	char *why = NULL;
	int err = proposal_renew(proposal);

	if (!err)
		err = session_read(session, &proposal->before, &why);
	if (err) {
		message_error(err, why);
		return VERB_FAILED;
	}
	err = state_assign_ids(proposal->fleet, proposal->before, &why);
	if (!err)
		err = plan_make(proposal->fleet, &proposal->before->held, time(NULL), &proposal->plan);
	if (err) {
		message_error(err, why);
		return err == -EEXIST || err == -ENOSPC ? VERB_USAGE : VERB_FAILED; /* ids that the file gives */
	}
	return VERB_DONE;
}

static bool text_same(const struct proposal *proposal)
{
	const struct state *before = proposal->before;

	return before->fleet && before->fleet_size == proposal->size &&
	       memcmp(before->fleet_text, proposal->text, proposal->size) == 0;
}

bool proposal_empty(const struct proposal *proposal)
{
	return text_same(proposal) && proposal->plan.transition_count == 0;
}

size_t proposal_losses(const struct proposal *proposal)
{
	size_t losses = 0;

	for (size_t i = 0; i < proposal->plan.transition_count; i++) {
		const struct plan_transition *move = &proposal->plan.transitions[i];

		if (move->from.state == SLICE_STATE_OWNED &&
		    (move->to.state != SLICE_STATE_OWNED || move->to.owner != move->from.owner))
			losses++;
	}
	return losses;
}

void proposal_clear(struct proposal *proposal)
{
	free(proposal->text);
	fleet_free(proposal->fleet);
	state_free(proposal->before);
	plan_free(&proposal->plan);
	*proposal = (struct proposal){0};
}
