/* SPDX-License-Identifier: Apache-2.0 */
/* Turns the fleet's policies into the allocator's, for the slices that this server owns. */
#ifndef BERTH_AGENT_POLICIES_H
#define BERTH_AGENT_POLICIES_H

#include <stdbool.h>
#include <stdint.h>

#include "../abi/allocator.h"
#include "../core/fleet.h"

struct agent;

/* Number of a policy, by its name: the same in every run, never POLICY_NONE. */
uint32_t policy_id(const char *name);
/*
 * The slices of this server that the selectors (resolved for its site) match, the first POLICY_SLICES_MAX of them: each
 * once, in the tier of the first selector that does, in order of address and port within a tier; and the MSS. Flags
 * stay as they are.
 */
void policy_fill(const struct agent *agent, const struct selector *selectors, size_t count, struct policy *ret);
/* The same for a policy of the fleet file: its selector and its fallbacks. 0; -ENOENT: one asks for what the site's
   place does not have; -ENOMEM. */
int policy_fill_as_asked(const struct agent *agent, const struct fleet_policy *from, struct policy *ret);
/* Takes the slices out that are this server's no more, in the newest state. False: all of them stay. */
bool policy_trim(const struct agent *agent, struct policy *policy);
/* Writes policies, exceptions, serving ports, cgroups and paths; takes out what is wanted no more. 0, or an error that
   stands in agent->problems. */
int policies_reconcile(struct agent *agent);
/* policy_trim() of all policies in the kernel: without slices, what is judged is refused. 0 or -errno. */
int policies_trim(struct agent *agent);
/* Whether the fleet file has a policy of this number. */
bool policy_in_fleet(const struct agent *agent, uint32_t id);
/* The built-in exceptions and `more`, for one policy. 0 or -errno. */
int policy_write_excepts(struct agent *agent, uint32_t id, const struct prefix *more, size_t more_count);

#endif
