/* SPDX-License-Identifier: Apache-2.0 */
#include "enter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../kernel/cgroup.h"
#include "../kernel/runcgroup.h"
#include "../kernel/why.h"
#include "agent.h"
#include "log.h"
#include "peer_policy.h"

static int check_netns(const struct peer *peer, char **why)
{
	int err = peer_netns_check(peer);

	if (err == -EXDEV)
		return why_say(why, -EPERM,
			       "process %d is in another network namespace than the agent, where the slices' addresses "
			       "are not: run the command on the host",
			       (int)peer->cred.pid);
	return err ? why_say(why, err, "the network namespace of process %d: %s", (int)peer->cred.pid, strerror(-err))
		   : 0;
}

/*
 * A process id is what a cgroup takes. When the peer's process ended while it was moved, somebody else may have got its
 * id: whoever is in the cgroup now goes out again.
 */
static int move(const struct peer *peer, int pidfd, const struct run_cgroup *cgroup, char **why)
{
	int err = process_lives(pidfd);

	if (!err)
		err = cgroup_move(cgroup->dir, peer->cred.pid);
	if (!err)
		err = process_lives(pidfd);
	return err ? why_say(why, err, "process %d cannot be moved into cgroup %s: %s", (int)peer->cred.pid,
			     cgroup->dir, strerror(-err))
		   : 0;
}

/* Under the policy first, then in: no socket is made in between. */
static int put_in(struct agent *agent, const struct peer *peer, int pidfd, const struct fleet_policy *policy,
		  uint32_t *id, char **why)
{
	struct run_cgroup cgroup;
	int err = run_cgroup_make(peer->cred.pid, agent->cgroup_root, &cgroup, why);

	if (err)
		return err;
	err = runs_begin(agent,
			 &(struct run_wish){.cgroup = cgroup.path, .policy_name = policy->name, .user = peer->cred.uid},
			 id, why);
	if (!err) {
		err = move(peer, pidfd, &cgroup, why);
		if (err)
			(void)run_cgroup_leave(&cgroup);
	}
	/* One that does not go now stays on the list, and goes when it is empty. */
	if (err && cgroup_remove(cgroup.dir) == 0)
		runs_end(agent, cgroup.path);
	run_cgroup_clear(&cgroup);
	return err;
}

/* Those that have ended are looked for now and then only, or when there seem to be too many. */
static int check_count(struct agent *agent, const struct peer *peer, char **why)
{
	if (peer->cred.uid == 0)
		return 0;
	if (runs_count(&agent->runs, peer->cred.uid) >= RUNS_USER_MAX)
		runs_sweep(agent);
	if (runs_count(&agent->runs, peer->cred.uid) < RUNS_USER_MAX)
		return 0;
	return why_say(why, -EBUSY,
		       "user %u has %u commands of berth run under way, which is all that one user may have",
		       (unsigned)peer->cred.uid, RUNS_USER_MAX);
}

int enter_begin(struct agent *agent, const struct peer *peer, const struct control_request *request, uint32_t *policy,
		char **why)
{
	const struct fleet_policy *found;
	int pidfd, err;

	err = peer_policy_find(agent, peer, request, &found, why);
	if (!err)
		err = check_count(agent, peer, why);
	if (!err)
		err = peer_hold(peer, &pidfd, why);
	if (err)
		return err;
	err = check_netns(peer, why);
	if (!err)
		err = put_in(agent, peer, pidfd, found, policy, why);
	close(pidfd);
	if (!err)
		log_line(LOG_INFO, "berth run: process %d of user %u is under policy %s", (int)peer->cred.pid,
			 (unsigned)peer->cred.uid, found->name);
	return err;
}
