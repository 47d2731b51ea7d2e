/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hears what the allocator refuses, sums it up and logs it. Looks up in a thread of its own who holds the ports, when
 * a line about full slices is to be logged.
 */
#ifndef BERTH_AGENT_REFUSALS_H
#define BERTH_AGENT_REFUSALS_H

#include <jansson.h>

struct agent;
struct refusals_heard;

/* -errno. What cannot be heard is no reason not to run. */
int refusals_start(struct agent *agent, struct refusals_heard **ret);
/* Logs what waits for its turn. */
void refusals_tick(struct refusals_heard *heard);
/* The reply to the verb `refusals`; NULL: no memory. */
json_t *refusals_reply(struct refusals_heard *heard);
/* Frees it soon, on the loop. NULL is fine. */
void refusals_stop(struct refusals_heard *heard);

#endif
