/* SPDX-License-Identifier: Apache-2.0 */
#include "scrubber.h"

#include <errno.h>
#include <stdlib.h>
#include <uv.h>

#include "../kernel/scrub.h"
#include "agent.h"
#include "log.h"

/* After the first two passes, one in so many ticks: a port that was lost is back within two of them. */
#define TICKS_A_PASS 6u

struct scrubber {
	uv_work_t work; /* first */
	struct agent *agent;
	struct scrub *scrub;
	bool running;
	unsigned ticks;
	size_t mended; /* by the pass that ran last */
	int err;
};

static void pass_run(uv_work_t *work)
{
	struct scrubber *scrubber = (struct scrubber *)work;

	scrubber->err = scrub_pass(scrubber->scrub, &scrubber->mended);
}

static void pass_done(uv_work_t *work, int status)
{
	struct scrubber *scrubber = (struct scrubber *)work;

	scrubber->running = false;
	if (status || scrubber->agent->detached)
		return;
	problems_settle(&scrubber->agent->problems, "scrub of ports", scrubber->err, NULL);
	if (!scrubber->err && scrubber->mended)
		log_line(LOG_WARNING, "%zu ports were in use in the table and held by no socket: given back (mended)",
			 scrubber->mended);
}

void scrubber_tick(struct scrubber *scrubber)
{
	if (!scrubber || scrubber->running || scrubber->agent->detached)
		return;
	if (scrubber->ticks++ >= 2 && scrubber->ticks % TICKS_A_PASS)
		return;
	scrubber->running = !uv_queue_work(&scrubber->agent->loop, &scrubber->work, pass_run, pass_done);
}

int scrubber_start(struct agent *agent, struct scrubber **ret)
{
	struct scrubber *scrubber = calloc(1, sizeof(*scrubber));
	int err = scrubber ? scrub_open(agent->dataplane, &scrubber->scrub) : -ENOMEM;

	if (err) {
		free(scrubber);
		return err;
	}
	scrubber->agent = agent;
	*ret = scrubber;
	return 0;
}

void scrubber_free(struct scrubber *scrubber)
{
	if (!scrubber)
		return;
	scrub_close(scrubber->scrub);
	free(scrubber);
}
