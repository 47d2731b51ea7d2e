/* SPDX-License-Identifier: Apache-2.0 */
/* The verb `enter`: a process that asks comes under a policy, in a cgroup of its own, if the policy's `allow` lets it.
 */
#ifndef BERTH_AGENT_ENTER_H
#define BERTH_AGENT_ENTER_H

#include <stdint.h>

#include "../control/control.h"
#include "peer.h"

struct agent;

/*
 * 0 with the policy's number, and the peer's process is in the cgroup; else it is where it was. -EPERM: it may not, or
 * is in another network namespace; -ENOENT: no such policy, or no slice for it here; -EAGAIN: not known yet, ask again;
 * -EBUSY: the user has too many; others. *why, the caller's to free, is a sentence.
 */
int enter_begin(struct agent *agent, const struct peer *peer, const struct control_request *request, uint32_t *policy,
		char **why);

#endif
