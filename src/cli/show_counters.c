/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>

#include "../control/verdictname.h"
#include "../kernel/counters.h"
#include "answer.h"
#include "message.h"
#include "show.h"
#include "table.h"
#include "verb.h"

static int print_json(const uint64_t counters[VERDICT_COUNT])
{
	json_t *object = json_object();

	for (unsigned i = 0; i < VERDICT_COUNT; i++) {
		if (json_object_set_new(object, verdict_name(i), json_integer((json_int_t)counters[i]))) {
			json_decref(object);
			return answer_print(NULL);
		}
	}
	return answer_print(json_pack("{s:o}", "counters", object));
}

static int print_table(const uint64_t counters[VERDICT_COUNT], bool all)
{
	static const struct table_column columns[] = {{"COUNTER", false}, {"COUNT", true}, {"MEANING", false}};
	struct table *table = table_new(columns, 3);
	size_t rows = 0;

	for (unsigned i = 0; i < VERDICT_COUNT; i++) {
		if (counters[i] == 0 && !all)
			continue;
		table_cell(table, "%s", verdict_name(i));
		table_cell(table, "%" PRIu64, counters[i]);
		table_cell(table, "%s", verdict_meaning(i));
		rows++;
	}
	if (rows == 0)
		message("all counters are zero (--all shows them)");
	return table_print(table, stdout) ? VERB_FAILED : VERB_DONE;
}

int show_counters(const struct places *places, const struct arguments *arguments)
{
	uint64_t counters[VERDICT_COUNT];
	char *why = NULL;
	int err = counters_read(places->bpffs, counters, &why);

	if (err) {
		message_error(err, why);
		return VERB_FAILED;
	}
	return arguments->json ? print_json(counters) : print_table(counters, arguments->all);
}
