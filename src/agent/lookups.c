/* SPDX-License-Identifier: Apache-2.0 */
#include "lookups.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"

#define ALLOW_MS 60000u
#define REFUSE_MS 5000u

struct lookups {
	uv_work_t work; /* first */
	struct agent *agent;
	struct accounts found;
	struct accounts asked; /* the thread's, while it runs */
	uint64_t found_since; /* uv_now() when the lookup that gave `found` began */
	uint64_t asked_since;
	bool running;
	bool again; /* the fleet has changed since the thread began */
	bool current; /* `found` is of the newest fleet */
	atomic_bool stopped;
};

static void look_up(uv_work_t *work)
{
	struct lookups *lookups = (struct lookups *)work;

	for (size_t i = 0; i < lookups->asked.count && !atomic_load(&lookups->stopped); i++)
		account_look_up(&lookups->asked.items[i]);
}

static void free_all(struct lookups *lookups)
{
	accounts_free(&lookups->found);
	accounts_free(&lookups->asked);
	free(lookups);
}

static void take_found(struct lookups *lookups)
{
	char *problem;

	accounts_free(&lookups->found);
	lookups->found = lookups->asked;
	lookups->found_since = lookups->asked_since;
	lookups->asked = (struct accounts){0};
	problem = accounts_problem(&lookups->found);
	problems_set(&lookups->agent->problems, "allow", problem);
	free(problem);
}

static void looked_up(uv_work_t *work, int status)
{
	struct lookups *lookups = (struct lookups *)work;

	lookups->running = false;
	if (atomic_load(&lookups->stopped)) {
		free_all(lookups);
		return;
	}
	if (status == 0)
		take_found(lookups);
	lookups->current = status == 0 && !lookups->again;
	if (lookups->again)
		lookups_refresh(lookups);
}

int lookups_start(struct agent *agent, struct lookups **ret)
{
	struct lookups *lookups = calloc(1, sizeof(*lookups));

	if (!lookups)
		return -ENOMEM;
	lookups->agent = agent;
	*ret = lookups;
	return 0;
}

static const struct fleet *newest(const struct lookups *lookups)
{
	return lookups->agent->state ? lookups->agent->state->fleet : NULL;
}

void lookups_refresh(struct lookups *lookups)
{
	if (!lookups)
		return;
	lookups->current = false;
	lookups->again = lookups->running;
	if (lookups->running || accounts_gather(newest(lookups), &lookups->asked))
		return;
	lookups->asked_since = uv_now(&lookups->agent->loop);
	if (lookups->asked.count == 0) {
		take_found(lookups);
		lookups->current = true;
	} else if (uv_queue_work(&lookups->agent->loop, &lookups->work, look_up, looked_up)) {
		accounts_free(&lookups->asked);
	} else {
		lookups->running = true;
	}
}

const struct accounts *lookups_accounts(const struct lookups *lookups)
{
	return &lookups->found;
}

static bool younger_than(const struct lookups *lookups, uint64_t ms)
{
	return lookups->current && uv_now(&lookups->agent->loop) - lookups->found_since < ms;
}

bool lookups_may_allow(const struct lookups *lookups)
{
	return younger_than(lookups, ALLOW_MS);
}

bool lookups_may_refuse(const struct lookups *lookups)
{
	return younger_than(lookups, REFUSE_MS);
}

void lookups_stop(struct lookups *lookups)
{
	if (!lookups)
		return;
	atomic_store(&lookups->stopped, true);
	if (!lookups->running)
		free_all(lookups);
}
