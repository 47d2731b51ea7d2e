/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

const struct fleet_server *agent_self(const struct agent *agent)
{
	if (!agent->state || !agent->state->fleet)
		return NULL;
	return fleet_find_server(agent->state->fleet, agent->options.server);
}
