/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What does not work now, by subject, so that each trouble is logged once when it comes, once when it goes, and can be
 * asked for in between.
 */
#ifndef BERTH_AGENT_PROBLEMS_H
#define BERTH_AGENT_PROBLEMS_H

#include <stddef.h>

struct problem {
	char *subject;
	char *text;
};

struct problems {
	struct problem *items;
	size_t count;
};

/* text: one sentence, copied; NULL: the trouble with this subject is over. */
void problems_set(struct problems *problems, const char *subject, const char *text);
/* The same with a sentence that is the caller's no more; err 0: over. A failure without words gets the errno's. */
void problems_settle(struct problems *problems, const char *subject, int err, char *why);
void problems_free(struct problems *problems);

#endif
