/* SPDX-License-Identifier: Apache-2.0 */
#include "peer_policy.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../kernel/why.h"
#include "admission.h"
#include "agent.h"
#include "lookups.h"

static int look_up_first(struct agent *agent, char **why)
{
	lookups_refresh(agent->lookups);
	free(*why);
	return why_say(why, -EAGAIN, "the agent looks up the users and groups that the policies allow: ask again");
}

/* Root is in no list that would have to be looked up. */
int peer_policy_find(struct agent *agent, const struct peer *peer, const struct control_request *request,
		     const struct fleet_policy **ret, char **why)
{
	struct asker asker = {.uid = peer->cred.uid};
	gid_t *gids = NULL;
	bool known;
	int err;

	if (!agent_self(agent))
		return why_say(why, -EAGAIN, "the agent has no fleet that it is in yet: see berth show servers");
	err = peer_groups(peer, &gids, &asker.gid_count);
	if (err)
		return why_say(why, err, "the groups of the process that asked: %s", strerror(-err));
	asker.gids = gids;
	err = admission_judge(agent->state->fleet, lookups_accounts(agent->lookups), &asker, request->policy,
			      request->selector, ret, why);
	free(gids);
	known = err ? lookups_may_refuse(agent->lookups) : lookups_may_allow(agent->lookups);
	if (asker.uid != 0 && !known && err != -EINVAL && err != -ENOMEM)
		return look_up_first(agent, why);
	return err;
}
