/* SPDX-License-Identifier: Apache-2.0 */
#include "refusals.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../control/control.h"
#include "../control/verdictname.h"
#include "../core/comm.h"
#include "../core/proto.h"
#include "../kernel/boottime.h"
#include "../kernel/events.h"
#include "../kernel/holders.h"
#include "../kernel/policynames.h"
#include "agent.h"
#include "log.h"
#include "refusal_table.h"
#include "strays.h"

struct refusals_heard {
	uv_poll_t poll; /* first: the handle is the whole */
	struct agent *agent;
	struct events *events;
	struct refusal_table table;
	struct lookup *lookup; /* under way; one at a time */
	bool stray; /* somebody listens on an egress address */
	bool stopped; /* nothing is done any more */
	bool closed; /* the loop has let go of the handle */
};

/* Who holds the ports towards a destination: asked in a thread of its own. */
struct lookup {
	uv_work_t work; /* first */
	struct refusals_heard *heard;
	struct event event; /* whose row asks */
	struct policy policy;
	struct refusal_holder holders[REFUSAL_HOLDERS_MAX];
	size_t count;
	int err;
};

/* What it takes to tell of a row. */
struct telling {
	const struct agent *agent;
	struct policy_names names;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool mapped(const struct event *event)
{
	static const uint8_t front[12] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(event->dest, front, sizeof(front));
}

static void dest_text(const struct event *event, char ret[REPORT_ADDR_MAX])
{
	if (mapped(event))
		(void)inet_ntop(AF_INET, event->dest + 12, ret, REPORT_ADDR_MAX);
	else
		(void)inet_ntop(AF_INET6, event->dest, ret, REPORT_ADDR_MAX);
}

/* The policy's slices as they are now. */
static int tell_slices(const struct agent *agent, uint32_t id, struct refusal *ret)
{
	struct policy policy;
	size_t count;

	if (dataplane_policy_read(agent->dataplane, id, &policy))
		return 0; /* the policy is gone */
	count = policy.slice_count < POLICY_SLICES_MAX ? policy.slice_count : POLICY_SLICES_MAX;
	ret->slices = calloc(count + 1, sizeof(*ret->slices));
	if (!ret->slices)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct policy_slice *slice = &policy.slices[i];

		ret->slices[i] = (struct refusal_slice){
			.addr = ntohl(slice->addr), .first = slice->first, .count = slice->count};
		ret->ports += slice->count;
	}
	ret->slice_count = count;
	return 0;
}

/* `ret` borrows the row's holders, and owns its slices. */
static int tell_row(const struct telling *telling, struct refusal_row *row, struct refusal *ret)
{
	const struct event *event = &row->event;

	*ret = (struct refusal){
		.port = ntohs(event->dest_port),
		.count = row->count,
		.first = boottime_unix(row->first),
		.last = boottime_unix(event->time),
		.used = event->used,
		.busy = event->busy,
		.pid = event->pid,
		.uid = event->uid,
		.holders = row->holders,
		.holder_count = row->holder_count,
	};
	policy_names_text(&telling->names, event->policy, ret->policy);
	snprintf(ret->verdict, sizeof(ret->verdict), "%s", verdict_name(event->verdict));
	dest_text(event, ret->dest);
	proto_text(event->proto, ret->proto);
	comm_text(event->comm, ret->name);
	return tell_slices(telling->agent, event->policy, ret);
}

static void log_row(struct refusals_heard *heard, struct refusal_row *row)
{
	struct telling telling = {.agent = heard->agent};
	char text[REFUSAL_LINE_MAX];
	struct refusal refusal;

	(void)policy_names_read(heard->agent->options.bpffs, &telling.names, NULL); /* without: numbers */
	if (!tell_row(&telling, row, &refusal))
		log_line(LOG_WARNING, "%s", refusal_line(&refusal, verdict_meaning(row->event.verdict), text));
	free(refusal.slices);
	policy_names_clear(&telling.names);
}

static void lookup_run(uv_work_t *work)
{
	struct lookup *lookup = (struct lookup *)work;
	uint32_t addr;

	memcpy(&addr, lookup->event.dest + 12, sizeof(addr));
	lookup->err = holders_find(&lookup->policy, lookup->event.proto, ntohl(addr), ntohs(lookup->event.dest_port),
				   lookup->holders, &lookup->count);
}

static void free_when_over(struct refusals_heard *heard)
{
	if (heard->closed && !heard->lookup)
		free(heard);
}

static void lookup_done(uv_work_t *work, int status)
{
	struct lookup *lookup = (struct lookup *)work;
	struct refusals_heard *heard = lookup->heard;
	struct refusal_row *row;

	heard->lookup = NULL;
	if (heard->stopped) {
		free(lookup);
		free_when_over(heard);
		return;
	}
	row = refusal_table_find(&heard->table, &lookup->event);
	if (row && !status && !lookup->err) {
		memcpy(row->holders, lookup->holders, sizeof(row->holders));
		row->holder_count = lookup->count;
	}
	if (row && !heard->agent->detached)
		log_row(heard, row);
	free(lookup);
	refusals_tick(heard);
}

/* False: it cannot be looked up, or there is nothing to look up. */
static bool lookup_start(struct refusals_heard *heard, const struct refusal_row *row)
{
	struct lookup *lookup;

	if (row->event.verdict != VERDICT_REFUSED_FULL || !row->event.used || !mapped(&row->event))
		return false;
	lookup = calloc(1, sizeof(*lookup));
	if (!lookup)
		return false;
	lookup->heard = heard;
	lookup->event = row->event;
	if (dataplane_policy_read(heard->agent->dataplane, row->event.policy, &lookup->policy) ||
	    uv_queue_work(&heard->agent->loop, &lookup->work, lookup_run, lookup_done)) {
		free(lookup);
		return false;
	}
	heard->lookup = lookup;
	return true;
}

void refusals_tick(struct refusals_heard *heard)
{
	struct refusal_row *row;
	uint64_t now = now_ns();

	if (!heard || heard->stopped || heard->agent->detached)
		return;
	/* A lookup that is under way holds the others up for some milliseconds. */
	while (!heard->lookup && (row = refusal_table_due(&heard->table, now))) {
		refusal_table_told(&heard->table, row, now);
		if (!lookup_start(heard, row))
			log_row(heard, row);
	}
}

static void on_event(void *arg, const struct event *event)
{
	struct refusals_heard *heard = arg;

	refusal_table_add(&heard->table, event);
	heard->stray |= event->verdict == VERDICT_STRAY_LISTENER;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct refusals_heard *heard = (struct refusals_heard *)poll;

	(void)status;
	(void)events;
	problems_settle(&heard->agent->problems, "events", events_read(heard->events), NULL);
	if (heard->stray)
		strays_close(heard->agent);
	heard->stray = false;
	refusals_tick(heard);
}

int refusals_start(struct agent *agent, struct refusals_heard **ret)
{
	struct refusals_heard *heard = calloc(1, sizeof(*heard));
	int err;

	if (!heard)
		return -ENOMEM;
	heard->agent = agent;
	err = events_open(agent->dataplane, on_event, heard, &heard->events);
	if (!err)
		err = uv_poll_init(&agent->loop, &heard->poll, events_fd(heard->events));
	if (err) {
		events_close(heard->events);
		free(heard);
		return err;
	}
	uv_poll_start(&heard->poll, UV_READABLE, on_readable);
	/* What was refused while no agent ran. */
	on_readable(&heard->poll, 0, 0);
	*ret = heard;
	return 0;
}

json_t *refusals_reply(struct refusals_heard *heard)
{
	struct telling telling = {.agent = heard->agent};
	struct refusals refusals = {0};
	json_t *reply = NULL;
	int err = 0;

	/* Whoever asks may have been refused just now. */
	problems_settle(&heard->agent->problems, "events", events_read(heard->events), NULL);
	refusal_table_sort(&heard->table);
	(void)policy_names_read(heard->agent->options.bpffs, &telling.names, NULL);
	refusals.items = calloc(heard->table.count + 1, sizeof(*refusals.items));
	for (size_t i = 0; refusals.items && !err && i < heard->table.count; i++) {
		err = tell_row(&telling, &heard->table.rows[i], &refusals.items[i]);
		refusals.count++;
	}
	if (refusals.items && !err)
		reply = control_reply_refusals(&refusals);
	for (size_t i = 0; i < refusals.count; i++)
		free(refusals.items[i].slices);
	free(refusals.items);
	policy_names_clear(&telling.names);
	return reply;
}

static void on_closed(uv_handle_t *handle)
{
	struct refusals_heard *heard = (struct refusals_heard *)handle;

	events_close(heard->events);
	heard->closed = true;
	free_when_over(heard);
}

void refusals_stop(struct refusals_heard *heard)
{
	if (!heard || heard->stopped)
		return;
	heard->stopped = true;
	uv_close((uv_handle_t *)&heard->poll, on_closed);
}
