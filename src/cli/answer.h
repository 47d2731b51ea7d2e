/* SPDX-License-Identifier: Apache-2.0 */
/* Answers for programs: one JSON object on standard output, with the number of its schema. */
#ifndef BERTH_CLI_ANSWER_H
#define BERTH_CLI_ANSWER_H

#include <jansson.h>

/* Raised when a field changes its meaning or goes; new fields come without. */
#define ANSWER_SCHEMA 1

/* Prints and frees the object; NULL: there was no memory for it. Returns a verb's exit code. */
int answer_print(json_t *object);

#endif
