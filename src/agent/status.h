/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent says of itself on the control socket. */
#ifndef BERTH_AGENT_STATUS_H
#define BERTH_AGENT_STATUS_H

#include <jansson.h>

struct agent;

/* The reply to `status`, the caller's; NULL: no memory. */
json_t *status_reply(struct agent *agent);

#endif
