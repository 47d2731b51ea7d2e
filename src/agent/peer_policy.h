/* SPDX-License-Identifier: Apache-2.0 */
/* Which policy a peer asks for, and that it may have it. */
#ifndef BERTH_AGENT_PEER_POLICY_H
#define BERTH_AGENT_PEER_POLICY_H

#include "../control/control.h"
#include "../core/fleet.h"
#include "peer.h"

struct agent;

/*
 * 0 with a policy of the newest fleet. -EPERM: it does not allow the peer; -ENOENT: there is none such; -EINVAL: no
 * selector; -EAGAIN: not known yet, ask again; others. *why, the caller's to free, is a sentence.
 */
int peer_policy_find(struct agent *agent, const struct peer *peer, const struct control_request *request,
		     const struct fleet_policy **ret, char **why);

#endif
