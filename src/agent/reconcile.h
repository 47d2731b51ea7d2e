/* SPDX-License-Identifier: Apache-2.0 */
/* Makes the kernel's state what the newest state from the store asks for, in boot order. */
#ifndef BERTH_AGENT_RECONCILE_H
#define BERTH_AGENT_RECONCILE_H

struct agent;

/* All of it: after a new state. */
void reconcile(struct agent *agent);
/* What depends on links, routes and neighbours: after the kernel reported a change. */
void reconcile_network(struct agent *agent);
/* Now and then: what failed, and what nobody tells about. */
void reconcile_again(struct agent *agent);

#endif
