/* SPDX-License-Identifier: Apache-2.0 */
#include "verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/portuse.h"
#include "../kernel/teardown.h"
#include "../kernel/usage.h"
#include "../kernel/wasters.h"
#include "agent.h"
#include "choose.h"
#include "enter.h"
#include "log.h"
#include "refusals.h"
#include "runs.h"
#include "status.h"

/* Routers have the withdrawal within milliseconds; packets that were under way are through by then. */
#define WITHDRAW_WAIT_MS 300
/* So that the reply goes out before the agent ends. */
#define REPLY_MS 20

/* Takes `why` over. */
static json_t *failed(int err, char *why)
{
	json_t *reply = control_reply_error(err, why ? why : strerror(-err));

	free(why);
	return reply;
}

static json_t *begin_run(struct agent *agent, const struct control_request *request)
{
	const struct run_wish wish = {.cgroup = request->cgroup,
				      .selector = request->selector,
				      .policy_name = request->policy,
				      .user = RUN_BY_BERTH};
	char *why = NULL;
	uint32_t policy;
	int err = runs_begin(agent, &wish, &policy, &why);

	return err ? failed(err, why) : control_reply_run(policy);
}

static json_t *enter(struct agent *agent, const struct control_request *request, const struct peer *peer)
{
	char *why = NULL;
	uint32_t policy;
	int err = enter_begin(agent, peer, request, &policy, &why);

	return err ? failed(err, why) : control_reply_run(policy);
}

static json_t *choose(struct agent *agent, const struct control_request *request, const struct peer *peer)
{
	char *why = NULL;
	int err = choose_policy(agent, peer, request, &why);

	return err ? failed(err, why) : control_reply_ok();
}

static void end_after_reply(uv_timer_t *timer)
{
	uv_stop(timer->loop);
}

/* Down, and out: the reply is the last thing that this agent does. */
static json_t *detach(struct agent *agent)
{
	struct teardown_options options = {
		.bpffs = agent->options.bpffs, .run_dir = agent->options.run_dir, .wait_ms = WITHDRAW_WAIT_MS};
	char *why = NULL;
	json_t *reply;
	int err;

	log_line(LOG_NOTICE, "detaching: taking the data plane down");
	agent->detached = true;
	dataplane_close(agent->dataplane);
	agent->dataplane = NULL;
	err = teardown_run(&options, &why);
	if (err)
		log_line(LOG_ERROR, "detach: %s", why ? why : strerror(-err));
	reply = err ? control_reply_error(err, why ? why : strerror(-err)) : control_reply_ok();
	free(why);
	uv_timer_start(&agent->settle, end_after_reply, REPLY_MS, 0);
	return reply;
}

static json_t *tell_refusals(struct agent *agent)
{
	return agent->refusals ? refusals_reply(agent->refusals)
			       : control_reply_error(-EIO, "the agent hears no events: see berth doctor");
}

static json_t *tell_usage(const struct agent *agent, size_t top)
{
	struct use use;
	char *why = NULL;
	json_t *reply;
	int err = usage_read(agent->options.bpffs, top, &use, &why);

	if (err)
		return failed(err, why);
	reply = control_reply_usage(&use);
	use_clear(&use);
	return reply;
}

static json_t *tell_wasters(const struct agent *agent)
{
	struct wastes wastes;
	char *why = NULL;
	json_t *reply;
	int err = wasters_read(agent->options.bpffs, &wastes, &why);

	if (err)
		return failed(err, why);
	reply = control_reply_wasters(&wastes);
	wasters_clear(&wastes);
	return reply;
}

json_t *verb_answer(struct agent *agent, const struct control_request *request, const struct peer *peer)
{
	if (agent->detached)
		return control_reply_error(-ESHUTDOWN, "the agent has been detached and is ending");
	switch (request->verb) {
	case CONTROL_STATUS:
		return status_reply(agent);
	case CONTROL_RUN:
		return begin_run(agent, request);
	case CONTROL_ENTER:
		return enter(agent, request, peer);
	case CONTROL_CHOOSE:
		return choose(agent, request, peer);
	case CONTROL_RUN_END:
		runs_end(agent, request->cgroup);
		return control_reply_ok();
	case CONTROL_DETACH:
		return detach(agent);
	case CONTROL_REFUSALS:
		return tell_refusals(agent);
	case CONTROL_USAGE:
		return tell_usage(agent, request->top);
	case CONTROL_WASTERS:
		return tell_wasters(agent);
	}
	return control_reply_error(-ENOSYS, "unknown verb");
}
