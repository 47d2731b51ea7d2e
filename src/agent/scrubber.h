/* SPDX-License-Identifier: Apache-2.0 */
/* Now and then a pass of the scrub (kernel/scrub.h), in a thread of its own: a large table takes a while. */
#ifndef BERTH_AGENT_SCRUBBER_H
#define BERTH_AGENT_SCRUBBER_H

struct agent;
struct scrubber;

/* -errno. The first two passes come with the next ticks: what an agent takes over is looked at soon. */
int scrubber_start(struct agent *agent, struct scrubber **ret);
/* Every TICK_MS. NULL is fine. */
void scrubber_tick(struct scrubber *scrubber);
/* Once the loop has run empty. NULL is fine. */
void scrubber_free(struct scrubber *scrubber);

#endif
