/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closes TCP listeners on egress addresses, in the agent's network namespace: no slice takes connections from outside.
 * Whoever listens there is told of by the allocator (abi/verdict.h: stray_listener); where nothing was told, as of
 * sockets that are older than the programs, they are found all the same.
 */
#ifndef BERTH_AGENT_STRAYS_H
#define BERTH_AGENT_STRAYS_H

struct agent;

/* Looks once. Without a fleet, or detached, nothing is done. */
void strays_close(struct agent *agent);

#endif
