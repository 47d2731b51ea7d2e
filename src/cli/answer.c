/* SPDX-License-Identifier: Apache-2.0 */
#include "answer.h"

#include <stdio.h>

#include "message.h"
#include "verb.h"

int answer_print(json_t *object)
{
	json_t *answer = json_pack("{s:i}", "schema", ANSWER_SCHEMA);
	int exit_code = VERB_DONE;

	if (!object || json_object_update(answer, object) || json_dumpf(answer, stdout, JSON_INDENT(2)) ||
	    putchar('\n') == EOF) {
		message("the answer could not be printed: no memory, or nowhere to write to");
		exit_code = VERB_FAILED;
	}
	json_decref(answer);
	json_decref(object);
	return exit_code;
}
