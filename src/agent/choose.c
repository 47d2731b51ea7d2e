/* SPDX-License-Identifier: Apache-2.0 */
#include "choose.h"

#include <errno.h>
#include <string.h>

#include "../kernel/freshsocket.h"
#include "../kernel/why.h"
#include "agent.h"
#include "peer_policy.h"
#include "policies.h"

/* Whether a connection under it would have a port to leave from. */
static int check_slices(const struct agent *agent, const struct fleet_policy *policy, uint32_t id, char **why)
{
	struct policy loaded = {0};

	if (dataplane_policy_read(agent->dataplane, id, &loaded))
		return why_say(why, -EAGAIN, "policy %s is not loaded on this server yet: see berth doctor",
			       policy->name);
	if (loaded.slice_count == 0)
		return why_say(why, -ENOENT,
			       "server %s owns no slice for policy %s: the slices that it asks for are all taken "
			       "(berth plan tells)",
			       agent_self(agent)->name, policy->name);
	return 0;
}

static int put_under(struct agent *agent, int socket, uint32_t id, char **why)
{
	int err = fresh_socket_check(socket, why);

	if (err)
		return err;
	err = dataplane_choice_write(agent->dataplane, socket, id);
	return err ? why_say(why, err, "the socket's storage: %s", strerror(-err)) : 0;
}

int choose_policy(struct agent *agent, const struct peer *peer, const struct control_request *request, char **why)
{
	const struct fleet_policy *policy;
	uint32_t id;
	int err;

	if (request->socket < 0)
		return why_say(why, -EINVAL, "choose is for a socket that is passed beside the request, and none was");
	/* Another version's programs may not know of choices. */
	if (dataplane_taking_over(agent->dataplane))
		return why_say(why, -EAGAIN, "the data plane of another version is being taken over: ask again");
	err = peer_policy_find(agent, peer, request, &policy, why);
	if (err)
		return err;
	id = policy_id(policy->name);
	err = check_slices(agent, policy, id, why);
	return err ? err : put_under(agent, request->socket, id, why);
}
