/* SPDX-License-Identifier: Apache-2.0 */
/* The verb `choose`: a socket that a process passes comes under a policy, if the policy's `allow` lets the process. */
#ifndef BERTH_AGENT_CHOOSE_H
#define BERTH_AGENT_CHOOSE_H

#include "../control/control.h"
#include "peer.h"

struct agent;

/*
 * 0: the socket leaves by the policy when it is bound, connected or sent from. -EPERM: the peer may not; -ENOENT: no
 * such policy, or no slice for it here; -EINVAL: a socket that it is too late for, or none at all; -EAGAIN: not known
 * yet, ask again; others. *why, the caller's to free, is a sentence.
 */
int choose_policy(struct agent *agent, const struct peer *peer, const struct control_request *request, char **why);

#endif
