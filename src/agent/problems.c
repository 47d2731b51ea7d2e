/* SPDX-License-Identifier: Apache-2.0 */
#include "problems.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

static struct problem *find(struct problems *problems, const char *subject)
{
	for (size_t i = 0; i < problems->count; i++)
		if (!strcmp(problems->items[i].subject, subject))
			return &problems->items[i];
	return NULL;
}

static void clear(struct problem *problem)
{
	free(problem->subject);
	free(problem->text);
	free(problem->sentence);
}

static void take_out(struct problems *problems, struct problem *problem)
{
	clear(problem);
	*problem = problems->items[--problems->count];
}

static void put_in(struct problems *problems, const char *subject, const char *text)
{
	struct problem *items = reallocarray(problems->items, problems->count + 1, sizeof(*items));
	struct problem new = {.subject = strdup(subject), .text = strdup(text)};

	if (asprintf(&new.sentence, "%s: %s", subject, text) < 0)
		new.sentence = NULL;
	if (items)
		problems->items = items;
	if (!items || !new.subject || !new.text || !new.sentence) {
		clear(&new);
		return; /* it stands in the log at least */
	}
	problems->items[problems->count++] = new;
}

void problems_set(struct problems *problems, const char *subject, const char *text)
{
	struct problem *known = find(problems, subject);

	if (known && text && !strcmp(known->text, text))
		return;
	if (known) {
		take_out(problems, known);
		if (!text)
			log_line(LOG_NOTICE, "%s: works again", subject);
	}
	if (text) {
		log_line(LOG_ERROR, "%s: %s", subject, text);
		put_in(problems, subject, text);
	}
}

void problems_settle(struct problems *problems, const char *subject, int err, char *why)
{
	problems_set(problems, subject, err == 0 ? NULL : why ? why : strerror(-err));
	free(why);
}

void problems_sweep(struct problems *problems, const char *prefix, problem_stays *stays, const void *arg)
{
	size_t len = strlen(prefix);

	for (size_t i = problems->count; i-- > 0;) {
		const char *subject = problems->items[i].subject;

		if (!strncmp(subject, prefix, len) && !stays(arg, subject + len))
			take_out(problems, &problems->items[i]);
	}
}

void problems_free(struct problems *problems)
{
	while (problems->count > 0)
		take_out(problems, &problems->items[problems->count - 1]);
	free(problems->items);
	*problems = (struct problems){0};
}
