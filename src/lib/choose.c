/* SPDX-License-Identifier: BSD-2-Clause */
/* A policy for a socket. */
#include <errno.h>

#include "handle.h"

static int choose(struct berth *berth, const struct control_request *request)
{
	json_t *reply = NULL;
	char *why = NULL;
	int err = request->socket < 0 || (!request->selector && !request->policy)
			  ? -EINVAL
			  : handle_call(berth, request, &reply, &why);

	json_decref(reply);
	return handle_settle(berth, err, why);
}

int berth_choose(struct berth *berth, int socket, const char *selector)
{
	return choose(berth, &(struct control_request){.verb = CONTROL_CHOOSE, .selector = selector, .socket = socket});
}

int berth_choose_policy(struct berth *berth, int socket, const char *policy)
{
	return choose(berth, &(struct control_request){.verb = CONTROL_CHOOSE, .policy = policy, .socket = socket});
}
