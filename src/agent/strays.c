/* SPDX-License-Identifier: Apache-2.0 */
#include "strays.h"

#include <errno.h>
#include <stdlib.h>

#include "../kernel/sockdiag.h"
#include "agent.h"
#include "log.h"

/* One that is gone meanwhile is as good as closed. */
static int stray_close(const struct sockdiag_socket *listener)
{
	char addr[ADDR_TEXT_MAX];
	int err = sockdiag_close(listener);

	if (!err)
		log_line(LOG_WARNING,
			 "listener of user %u on %s port %u closed: connections from outside do not reach an egress "
			 "address, listen on an address of the host",
			 listener->uid, addr_format(listener->src, addr), listener->sport);
	return err == -ENOENT ? 0 : err;
}

void strays_close(struct agent *agent)
{
	struct sockdiag_socket *listeners = NULL;
	size_t count = 0;
	int err, worst;

	if (agent->detached || !agent->state || !agent->state->fleet)
		return;
	worst = sockdiag_listeners(&listeners, &count);
	for (size_t i = 0; !worst && i < count; i++) {
		if (!fleet_find_pool(agent->state->fleet, listeners[i].src))
			continue;
		err = stray_close(&listeners[i]);
		worst = err ? err : worst;
	}
	free(listeners);
	problems_settle(&agent->problems, "listeners on egress addresses", worst, NULL);
}
