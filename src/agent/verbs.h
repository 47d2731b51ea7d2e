/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent does for each verb of the control socket. */
#ifndef BERTH_AGENT_VERBS_H
#define BERTH_AGENT_VERBS_H

#include "../control/control.h"
#include "peer.h"

struct agent;

/* The reply, the caller's; NULL: no memory. Rights are checked already. */
json_t *verb_answer(struct agent *agent, const struct control_request *request, const struct peer *peer);

#endif
