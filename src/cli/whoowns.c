/* SPDX-License-Identifier: Apache-2.0 */
/* `berth whoowns ADDRESS:PORT` */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/slice.h"
#include "../kernel/why.h"
#include "answer.h"
#include "message.h"
#include "names.h"
#include "places.h"
#include "session.h"
#include "verb.h"

struct question {
	uint32_t addr;
	uint32_t port;
};

static int port_parse(const char *text, uint32_t *ret)
{
	uint32_t port = 0;

	for (const char *at = text; *at; at++) {
		if (*at < '0' || *at > '9' || at - text == 5)
			return -EINVAL;
		port = port * 10 + (uint32_t)(*at - '0');
	}
	if (!*text || port >= BERTH_PORT_SPACE)
		return -EINVAL;
	*ret = port;
	return 0;
}

static int question_parse(const char *text, struct question *ret, char **why)
{
	const char *colon = strrchr(text, ':');
	char *addr = colon ? strndup(text, (size_t)(colon - text)) : NULL;
	struct question question = {0};
	int err = 0;

	if (!addr)
		return why_say(why, -EINVAL, "\"%s\" is not ADDRESS:PORT, like 203.0.113.5:4100", text);
	if (addr_parse(addr, &question.addr))
		err = why_say(why, -EINVAL, "\"%s\" is no IPv4 address, like 203.0.113.5", addr);
	else if (port_parse(colon + 1, &question.port))
		err = why_say(why, -EINVAL, "\"%s\" is no port, 0 to 65535", colon + 1);
	else
		*ret = question;
	free(addr);
	return err;
}

static int answer_json(const struct state *state, const struct question *question, uint32_t column,
		       const struct ownership_row *row)
{
	char server[NAMES_TEXT_MAX] = "", site[NAMES_TEXT_MAX] = "";
	json_t *object = slice_json(state->fleet, question->addr, column);

	if (json_object_update_new(
		    object, json_pack("{s:i, s:o, s:o, s:s, s:I}", "port", (int)question->port, "server",
				      text_json(row ? server_text(state->fleet, state, row->owner, server) : ""),
				      "site", text_json(row ? site_text(state->fleet, state, row->home, site) : ""),
				      "state", slice_state_name(row ? row->state : SLICE_STATE_FREE), "since",
				      (json_int_t)(row ? row->since : 0)))) {
		json_decref(object);
		object = NULL;
	}
	return answer_print(object);
}

static void print_nobody(const struct state *state, const struct question *question, uint32_t column)
{
	char text[NAMES_TEXT_MAX];

	if (!slice_port_usable(question->port))
		printf("nobody: ports below %u are never handed out\n", BERTH_PORT_FLOOR);
	else if (!fleet_find_address(state->fleet, question->addr))
		printf("nobody: %s is in a pool, but not among the addresses of fleet %s\n",
		       addr_format(question->addr, text), state->fleet->name);
	else
		printf("nobody: slice %s is free\n", slice_text(state->fleet, question->addr, column, text));
}

static void print_owner(const struct state *state, const struct ownership_row *row)
{
	char slice[NAMES_TEXT_MAX], server[NAMES_TEXT_MAX], site[NAMES_TEXT_MAX], since[NAMES_TEXT_MAX];

	printf("%s in site %s: slice %s, %s since %s\n", server_text(state->fleet, state, row->owner, server),
	       site_text(state->fleet, state, row->home, site), slice_text(state->fleet, row->addr, row->column, slice),
	       slice_state_name(row->state), time_text(row->since, since));
}

static int answer(const struct state *state, const struct question *question, bool json)
{
	const struct fleet_pool *pool = fleet_find_pool(state->fleet, question->addr);
	const struct ownership_row *row;
	char dotted[ADDR_TEXT_MAX];
	uint32_t column;

	if (!pool) {
		message("%s is in no pool of fleet %s: berth show fleet lists them",
			addr_format(question->addr, dotted), state->fleet->name);
		return VERB_USAGE;
	}
	column = slice_column(question->port, pool->shift);
	row = slice_port_usable(question->port) ? ownership_find(&state->held, question->addr, column) : NULL;
	if (row && row->state == SLICE_STATE_FREE)
		row = NULL;
	if (json && answer_json(state, question, column, row) != VERB_DONE)
		return VERB_FAILED;
	if (!json && row)
		print_owner(state, row);
	if (!json && !row)
		print_nobody(state, question, column);
	return row ? VERB_DONE : VERB_NO;
}

int verb_whoowns(const struct arguments *arguments)
{
	struct places places = {0};
	struct question question = {0};
	struct state *state;
	char *why = NULL;
	int exit_code, err = question_parse(arguments->operands[0], &question, &why);

	if (err) {
		message_error(err, why);
		return VERB_USAGE;
	}
	exit_code = places_find(arguments, &places);
	if (exit_code != VERB_DONE)
		return exit_code;
	state = session_fleet(places.store);
	exit_code = state ? answer(state, &question, arguments->json) : VERB_FAILED;
	state_free(state);
	places_clear(&places);
	return exit_code;
}
