/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "../kernel/wasters.h"
#include "answer.h"
#include "ask.h"
#include "message.h"
#include "names.h"
#include "show.h"
#include "table.h"
#include "verb.h"

static int agent_wasters(const struct places *places, struct wastes *ret, char **why)
{
	const struct control_request request = {.verb = CONTROL_WASTERS};
	json_t *reply = NULL;
	int err = agent_ask(places, &request, &reply, why);

	if (!err)
		err = control_wasters_decode(reply, ret, why);
	json_decref(reply);
	return err;
}

/* As show_usage has it: pins first. */
static int wasters_find(const struct places *places, struct wastes *ret, char **why)
{
	char *refused = NULL;
	int err = wasters_read(places->bpffs, ret, &refused);

	if (err == -EACCES || err == -EPERM) {
		free(refused);
		return agent_wasters(places, ret, why);
	}
	if (err)
		*why = refused;
	return err;
}

static int print_json(const struct wastes *wastes)
{
	json_t *list = json_array();

	for (size_t i = 0; i < wastes->count; i++) {
		const struct waste *waste = &wastes->items[i];

		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:I, s:I}", "name", waste->name, "policy", waste->policy,
						"count", (json_int_t)waste->count, "last", (json_int_t)waste->last));
	}
	return answer_print(json_pack("{s:o}", "wasters", list));
}

static int print_table(const struct wastes *wastes)
{
	static const struct table_column columns[] = {
		{"PROGRAM", false}, {"POLICY", false}, {"SOCKETS", true}, {"LAST", false}};
	struct table *table = table_new(columns, 4);

	for (size_t i = 0; i < wastes->count; i++) {
		const struct waste *waste = &wastes->items[i];
		char text[NAMES_TEXT_MAX];

		table_cell(table, "%s", waste->name);
		table_cell(table, "%s", waste->policy);
		table_cell(table, "%" PRIu64, waste->count);
		table_cell(table, "%s", time_text(waste->last, text));
	}
	if (wastes->count == 0)
		message("no program came to connect() with a port of its own");
	return table_print(table, stdout) ? VERB_FAILED : VERB_DONE;
}

int show_wasters(const struct places *places, const struct arguments *arguments)
{
	struct wastes wastes = {0};
	char *why = NULL;
	int exit_code, err = wasters_find(places, &wastes, &why);

	if (err) {
		message_error(err, why);
		return VERB_FAILED;
	}
	exit_code = arguments->json ? print_json(&wastes) : print_table(&wastes);
	wasters_clear(&wastes);
	return exit_code;
}
