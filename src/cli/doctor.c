/* SPDX-License-Identifier: Apache-2.0 */
/* `berth doctor` */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../control/control.h"
#include "../kernel/attached.h"
#include "../kernel/features.h"
#include "answer.h"
#include "findings.h"
#include "message.h"
#include "places.h"
#include "session.h"
#include "verb.h"
#include "version.h"

#define AGENT_TIMEOUT_MS 3000

/* What was found out about this host; each part may be missing. */
struct host {
	struct places places;
	struct control_status status;
	bool agent; /* answered */
	struct attached attached;
	struct state *state;
};

static void look_at_agent(struct host *host, struct findings *findings)
{
	const struct control_request request = {.verb = CONTROL_STATUS};
	const struct control_status *status = &host->status;
	json_t *reply = NULL;
	char *why = NULL;
	int err = control_call(host->places.run_dir, &request, AGENT_TIMEOUT_MS, &reply, NULL, &why);

	if (!err)
		err = control_status_decode(reply, &host->status, &why);
	json_decref(reply);
	if (err) {
		findings_add(findings, FEATURE_FAIL, "agent",
			     err == -ECONNREFUSED ? "start berthd --server NAME, or give its --run-dir"
						  : "restart berthd",
			     "%s", why ? why : strerror(-err));
		free(why);
		return;
	}
	host->agent = true;
	findings_add(findings, FEATURE_OK, "agent", NULL, "runs for server %s in site %s, process %lld", status->server,
		     *status->site ? status->site : "(none)", (long long)status->pid);
	if (strcmp(status->version, BERTH_VERSION) != 0)
		findings_add(findings, FEATURE_WARN, "agent_version", "restart berthd",
			     "the agent is version %s, this program %s", status->version, BERTH_VERSION);
}

static bool generic_mode(const struct host *host, const char *device)
{
	for (size_t i = 0; i < host->status.uplink_count; i++)
		if (!strcmp(host->status.uplinks[i].name, device))
			return strcmp(host->status.uplinks[i].mode, "native") != 0;
	return false;
}

static void look_at_allocator(const struct attached *attached, struct findings *findings)
{
	bool whole = attached->allocator_attached == attached->allocator_pinned;

	if (attached->allocator_pinned == 0)
		findings_add(findings, FEATURE_FAIL, "allocator", "start berthd --server NAME; its log tells more",
			     "not loaded: connections leave from the host's own address");
	else
		findings_add(findings, whole ? FEATURE_OK : FEATURE_FAIL, "allocator", whole ? NULL : "restart berthd",
			     "%zu of %zu programs attached", attached->allocator_attached, attached->allocator_pinned);
}

/* By what the kernel says, not the agent: it works without one. */
static void look_at_dataplane(struct host *host, struct findings *findings)
{
	struct attached *attached = &host->attached;
	char *why = NULL;
	int err = attached_read(host->places.bpffs, attached, &why);

	if (err) {
		findings_add(findings, FEATURE_FAIL, "forwarder", "run it as root", "%s", why ? why : strerror(-err));
		free(why);
		return;
	}
	if (attached->device_count == 0)
		findings_add(findings, FEATURE_FAIL, "forwarder", "start berthd --server NAME; its log tells more",
			     "attached to no device: packets for the pools are not forwarded");
	for (size_t i = 0; i < attached->device_count; i++) {
		bool generic = generic_mode(host, attached->devices[i]);

		findings_add(findings, generic ? FEATURE_WARN : FEATURE_OK, "forwarder", NULL, "attached to %s%s",
			     attached->devices[i],
			     generic ? " in generic mode, which is slow: the driver knows no other" : "");
	}
	look_at_allocator(attached, findings);
}

static void look_at_status(const struct host *host, struct findings *findings)
{
	const struct control_status *status = &host->status;

	if (!host->agent)
		return;
	for (size_t i = 0; i < status->hop_count; i++)
		if (strcmp(status->hops[i].state, "ready") != 0)
			findings_add(findings, FEATURE_FAIL, "hop", "ip route get and ip neighbour show tell more",
				     "%s %s at %s: %s", status->hops[i].kind, status->hops[i].target,
				     status->hops[i].address, status->hops[i].state);
	for (size_t i = 0; i < status->degraded_count; i++)
		findings_add(findings, FEATURE_FAIL, "degraded", "berthd's log tells more", "%s", status->degraded[i]);
}

static void look_at_store(struct host *host, struct findings *findings)
{
	struct session *session = NULL;
	char *why = NULL;
	int err = session_open(host->places.store, &session, &why);

	if (!err)
		err = session_read(session, &host->state, &why);
	session_close(session);
	if (err)
		findings_add(findings, FEATURE_FAIL, "store", "--store or BERTH_STORE names another one", "%s",
			     why ? why : strerror(-err));
	else if (!host->state->fleet)
		findings_add(findings, FEATURE_FAIL, "store", "berth apply FILE", "%s: no fleet was applied to it yet",
			     host->places.store);
	else
		findings_add(findings, FEATURE_OK, "store", NULL, "%s: fleet %s, revision %llu", host->places.store,
			     host->state->fleet->name, (unsigned long long)host->state->revision);
	free(why);
}

/* Prefixes of the fleet's pools; the caller frees. NULL: none known. */
static struct prefix *pools_of(const struct host *host, size_t *count)
{
	const struct fleet *fleet = host->state ? host->state->fleet : NULL;
	struct prefix *pools = fleet ? calloc(fleet->pool_count, sizeof(*pools)) : NULL;

	*count = pools ? fleet->pool_count : 0;
	for (size_t i = 0; i < *count; i++)
		pools[i] = fleet->pools[i].prefix;
	return pools;
}

static struct port_run *ports_of(const struct host *host, size_t *count)
{
	struct port_run *runs = calloc(host->status.slice_count + 1, sizeof(*runs));

	*count = runs ? host->status.slice_count : 0;
	for (size_t i = 0; i < *count; i++)
		runs[i] = (struct port_run){host->status.slices[i].first, host->status.slices[i].count};
	return runs;
}

static void look_at_kernel(const struct host *host, struct findings *findings)
{
	struct features_options options = {
		.bpffs = host->places.bpffs,
		.cgroup_root = host->places.cgroup_root,
		.device = host->attached.device_count ? host->attached.devices[0] : NULL,
	};
	struct prefix *pools = pools_of(host, &options.pool_count);
	struct port_run *own = ports_of(host, &options.own_count);
	struct features features = {0};
	int err;

	options.pools = pools;
	options.own = own;
	err = features_probe(&options, &features);
	if (err)
		findings_add(findings, FEATURE_FAIL, "kernel", NULL, "could not be looked at: %s", strerror(-err));
	for (size_t i = 0; !err && i < features.count; i++) {
		const struct feature *feature = &features.items[i];

		findings_add(findings, feature->state, feature->name, feature->remedy, "%s", feature->detail);
	}
	if (!err)
		features_free(&features);
	free(pools);
	free(own);
}

int verb_doctor(const struct arguments *arguments)
{
	struct findings findings = {0};
	struct host host = {0};
	int exit_code;

	if (geteuid() != 0) {
		message("doctor needs root, to see the agent's socket, the pins and what the kernel lets load");
		return VERB_FAILED;
	}
	exit_code = places_find(arguments, &host.places);
	if (exit_code != VERB_DONE)
		return exit_code;
	look_at_agent(&host, &findings);
	look_at_store(&host, &findings);
	look_at_dataplane(&host, &findings);
	look_at_status(&host, &findings);
	look_at_kernel(&host, &findings);
	exit_code = findings_report(&findings, arguments->json);
	findings_clear(&findings);
	control_status_clear(&host.status);
	state_free(host.state);
	places_clear(&host.places);
	return exit_code;
}
