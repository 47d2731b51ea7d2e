/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the verbs of `berth`
 *
 * One row of the table in main.c a verb, one file that carries it out. Help is printed from the rows, and from the
 * list of options in arguments.c. A verb returns an exit code; what it has to say, it says with message.h.
 */
#ifndef BERTH_CLI_VERB_H
#define BERTH_CLI_VERB_H

#include "arguments.h"

enum verb_exit {
	VERB_DONE = 0,
	VERB_FAILED = 1,
	VERB_USAGE = 2, /* wrong usage, or input that is wrong */
	VERB_NO = 3, /* asked and answered: the answer is "no" */
};

struct verb {
	const char *name;
	const char *operands; /* as help shows them: "FILE" */
	size_t operands_min, operands_max;
	unsigned options; /* set of OPTION_ bits that it takes beside the global ones */
	bool command; /* takes `-- COMMAND [ARGS]` */
	const char *summary;
	const char *help; /* lines */
	int (*run)(const struct arguments *arguments);
};

int verb_apply(const struct arguments *arguments);
int verb_plan(const struct arguments *arguments);
int verb_show(const struct arguments *arguments);
int verb_run(const struct arguments *arguments);
int verb_whoowns(const struct arguments *arguments);
int verb_doctor(const struct arguments *arguments);
int verb_detach(const struct arguments *arguments);
int verb_version(const struct arguments *arguments);

#endif
