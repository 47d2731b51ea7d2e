/* SPDX-License-Identifier: Apache-2.0 */
/* The routes that the agent adds: the pools as local addresses (AnyIP), and the table that is announced. */
#ifndef BERTH_AGENT_ROUTES_H
#define BERTH_AGENT_ROUTES_H

struct agent;

/* Local routes and host settings. 0, or an error that stands in agent->problems. */
int routes_local_reconcile(struct agent *agent);
/* Announces the pools and the site's tunnel address, and nothing else. */
void routes_announce(struct agent *agent);
/* Takes the announcements back that the newest state does not have. */
void routes_withdraw_others(struct agent *agent);
/* Takes every announcement back. */
void routes_withdraw(struct agent *agent);

#endif
