/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What does not work now, by subject, so that each trouble is logged once when it comes, once when it goes, and can be
 * asked for in between.
 */
#ifndef BERTH_AGENT_PROBLEMS_H
#define BERTH_AGENT_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>

struct problem {
	char *subject;
	char *text;
	char *sentence; /* "SUBJECT: TEXT", for people */
};

struct problems {
	struct problem *items;
	size_t count;
};

/* text: one sentence, copied; NULL: the trouble with this subject is over. */
void problems_set(struct problems *problems, const char *subject, const char *text);
/* The same with a sentence that is the caller's no more; err 0: over. A failure without words gets the errno's. */
void problems_settle(struct problems *problems, const char *subject, int err, char *why);
/* Whether what a subject names, the rest of it after the prefix, is still there. */
typedef bool problem_stays(const void *arg, const char *rest);
/* Drops those whose subject begins with `prefix` and whose thing is gone: nobody would ever say that they are over. */
void problems_sweep(struct problems *problems, const char *prefix, problem_stays *stays, const void *arg);
void problems_free(struct problems *problems);

#endif
