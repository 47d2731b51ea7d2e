/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks the names in the policies' `allow` up in a thread of its own, for that may wait for the network, and keeps the
 * numbers. The loop never waits: who asks too early is told to ask again.
 */
#ifndef BERTH_AGENT_LOOKUPS_H
#define BERTH_AGENT_LOOKUPS_H

#include <stdbool.h>

#include "accounts.h"

struct agent;
struct lookups;

/* 0 or -ENOMEM. */
int lookups_start(struct agent *agent, struct lookups **ret);
/* Looks all names of the newest fleet up, again if a lookup is under way. NULL is fine. */
void lookups_refresh(struct lookups *lookups);
/* What was found last; names are missing until the first lookup is over. */
const struct accounts *lookups_accounts(const struct lookups *lookups);
/* Whether that is of the newest fleet and new enough to allow somebody by it, or to refuse somebody by it: who was
   made a user just now shall not be told that there is none. */
bool lookups_may_allow(const struct lookups *lookups);
bool lookups_may_refuse(const struct lookups *lookups);
/* Frees it, when the thread is done; that does no more than the lookup that it is at. NULL is fine. */
void lookups_stop(struct lookups *lookups);

#endif
