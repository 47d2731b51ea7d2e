/* SPDX-License-Identifier: Apache-2.0 */
#include "status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../control/control.h"
#include "../core/addr.h"
#include "agent.h"
#include "policies.h"
#include "version.h"

#define MAC_TEXT 18

/* Text that a status points to while its reply is built. */
struct report {
	struct control_status status;
	struct control_uplink *uplinks;
	struct control_hop *hops;
	char (*hop_text)[2][ADDR_TEXT_MAX];
	char (*hop_devices)[IFNAMSIZ];
	struct control_slice *slices;
	char (*slice_text)[ADDR_TEXT_MAX];
	struct control_policy *policies;
	struct control_slice *policy_slices;
	char (*policy_text)[ADDR_TEXT_MAX];
	const char **degraded;
};

static void report_free(struct report *report)
{
	free(report->uplinks);
	free(report->hops);
	free(report->hop_text);
	free(report->hop_devices);
	free(report->slices);
	free(report->slice_text);
	free(report->policies);
	free(report->policy_slices);
	free(report->policy_text);
	free(report->degraded);
}

static int tell_uplinks(const struct agent *agent, struct report *report)
{
	report->uplinks = calloc(agent->uplinks.count + 1, sizeof(*report->uplinks));
	if (!report->uplinks)
		return -ENOMEM;
	for (size_t i = 0; i < agent->uplinks.count; i++) {
		const struct uplink *uplink = &agent->uplinks.items[i];

		if (!uplink->attached)
			continue;
		report->uplinks[report->status.uplink_count++] = (struct control_uplink){
			.name = uplink->link.name, .mode = uplink->generic ? "generic" : "native"};
	}
	report->status.uplinks = report->uplinks;
	return 0;
}

static const char *target_name(const struct fleet *fleet, uint32_t target)
{
	uint32_t id = target & HOP_ID_MASK;

	if (target & HOP_SITE) {
		const struct fleet_site *site = fleet_find_site_id(fleet, id);

		return site ? site->name : "?";
	}
	const struct fleet_server *server = fleet_find_server_id(fleet, id);

	return server ? server->name : "?";
}

static void tell_hop(struct agent *agent, const struct hop_known *hop, struct report *report, size_t i)
{
	char *address = report->hop_text[i][0], *mac = report->hop_text[i][1], *device = report->hop_devices[i];
	struct rtnl_link link;

	addr_format(hop->addr, address);
	if (hop->state == HOP_READY)
		snprintf(mac, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", hop->mac[0], hop->mac[1], hop->mac[2],
			 hop->mac[3], hop->mac[4], hop->mac[5]);
	if (hop->state != HOP_NO_ROUTE && !rtnl_link_by_index(agent->rtnl, hop->ifindex, &link))
		memcpy(device, link.name, IFNAMSIZ);
	report->hops[i] = (struct control_hop){
		.target = target_name(agent->state->fleet, hop->target),
		.kind = hop->target & HOP_SITE ? "site" : "server",
		.address = address,
		.device = device,
		.mac = mac,
		.mtu = hop->mtu,
		.state = hop_state_name(hop->state),
	};
}

static int tell_hops(struct agent *agent, struct report *report)
{
	size_t count = agent->hops.count;

	report->hops = calloc(count + 1, sizeof(*report->hops));
	report->hop_text = calloc(count + 1, sizeof(*report->hop_text));
	report->hop_devices = calloc(count + 1, sizeof(*report->hop_devices));
	if (!report->hops || !report->hop_text || !report->hop_devices)
		return -ENOMEM;
	for (size_t i = 0; agent->state && agent->state->fleet && i < count; i++) {
		tell_hop(agent, &agent->hops.items[i], report, i);
		report->status.hop_count++;
	}
	report->status.hops = report->hops;
	return 0;
}

static int tell_slices(const struct agent *agent, struct report *report)
{
	const struct ownership *held = &agent->state->held;

	report->slices = calloc(held->count + 1, sizeof(*report->slices));
	report->slice_text = calloc(held->count + 1, sizeof(*report->slice_text));
	if (!report->slices || !report->slice_text)
		return -ENOMEM;
	for (size_t i = 0; i < held->count; i++) {
		const struct ownership_row *row = &held->rows[i];
		const struct fleet_pool *pool = fleet_find_pool(agent->state->fleet, row->addr);
		size_t at = report->status.slice_count;

		if (row->owner != agent_self(agent)->id || !pool)
			continue;
		report->slices[at] = (struct control_slice){
			.address = addr_format(row->addr, report->slice_text[at]),
			.first = slice_first_port(row->column, pool->shift),
			.count = slice_port_count(row->column, pool->shift),
			.state = slice_state_name(row->state),
		};
		report->status.slice_count++;
	}
	report->status.slices = report->slices;
	return 0;
}

static int tell_policy(const struct agent *agent, const struct fleet_policy *from, struct report *report, size_t index)
{
	struct control_slice *slices = &report->policy_slices[index * POLICY_SLICES_MAX];
	struct policy policy = {0};
	int err = policy_fill_as_asked(agent, from, &policy);

	if (err)
		return err;
	for (size_t i = 0; i < policy.slice_count; i++)
		slices[i] = (struct control_slice){
			.address = addr_format(__builtin_bswap32(policy.slices[i].addr),
					       report->policy_text[index * POLICY_SLICES_MAX + i]),
			.first = policy.slices[i].first,
			.count = policy.slices[i].count,
			.state = slice_state_name(SLICE_STATE_OWNED),
		};
	report->policies[index] = (struct control_policy){
		.name = from->name, .id = policy_id(from->name), .slices = slices, .slice_count = policy.slice_count};
	return 0;
}

static int tell_policies(const struct agent *agent, struct report *report)
{
	const struct fleet *fleet = agent->state->fleet;
	int err = 0;

	report->policies = calloc(fleet->policy_count + 1, sizeof(*report->policies));
	report->policy_slices = calloc(fleet->policy_count + 1, POLICY_SLICES_MAX * sizeof(*report->policy_slices));
	report->policy_text = calloc(fleet->policy_count + 1, POLICY_SLICES_MAX * sizeof(*report->policy_text));
	if (!report->policies || !report->policy_slices || !report->policy_text)
		return -ENOMEM;
	for (size_t i = 0; !err && i < fleet->policy_count; i++)
		err = tell_policy(agent, &fleet->policies[i], report, i);
	report->status.policies = report->policies;
	report->status.policy_count = fleet->policy_count;
	return err;
}

static int tell_problems(const struct agent *agent, struct report *report)
{
	report->degraded = calloc(agent->problems.count + 1, sizeof(*report->degraded));
	if (!report->degraded)
		return -ENOMEM;
	for (size_t i = 0; i < agent->problems.count; i++)
		report->degraded[i] = agent->problems.items[i].sentence;
	report->status.degraded = report->degraded;
	report->status.degraded_count = agent->problems.count;
	return 0;
}

json_t *status_reply(struct agent *agent)
{
	const struct fleet_server *self = agent_self(agent);
	struct report report = {.status = {
					.server = agent->options.server,
					.site = self ? agent->state->fleet->sites[self->site].name : "",
					.instance = agent->instance,
					.pid = getpid(),
					.version = BERTH_VERSION,
					.applied = agent->applied,
					.since = agent->started,
					.adopted = dataplane_adopted(agent->dataplane),
				}};
	json_t *reply = NULL;
	int err = tell_uplinks(agent, &report);

	if (!err)
		err = tell_hops(agent, &report);
	if (!err && self)
		err = tell_slices(agent, &report);
	if (!err && self)
		err = tell_policies(agent, &report);
	if (!err)
		err = tell_problems(agent, &report);
	reply = err ? control_reply_error(err, "the agent could not put its status together")
		    : control_reply_status(&report.status);
	report_free(&report);
	return reply;
}
