/* SPDX-License-Identifier: BSD-2-Clause */
/* What this server has, and what is in use of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/report.h"
#include "handle.h"

_Static_assert(sizeof(((struct berth_policy *)NULL)->name) == POLICY_NAME_MAX, "the header repeats it");

static int usage_get(const struct berth *berth, struct use *ret, char **why)
{
	const struct control_request request = {.verb = CONTROL_USAGE, .top = 1};
	json_t *reply = NULL;
	int err = handle_call(berth, &request, &reply, why);

	if (!err)
		err = control_usage_decode(reply, ret, why);
	json_decref(reply);
	return err;
}

static struct berth_slice slice_of(const struct use_slice *slice)
{
	return (struct berth_slice){
		.address = slice->addr,
		.first = slice->first,
		.count = slice->count,
		.destinations = slice->destinations,
		.fullest = slice->fullest,
		.connections = slice->connections,
	};
}

int berth_slices(struct berth *berth, struct berth_slice **ret, size_t *count)
{
	struct use use = {0};
	struct berth_slice *slices;
	char *why = NULL;
	int err = usage_get(berth, &use, &why);

	if (err)
		return handle_settle(berth, err, why);
	slices = calloc(use.slice_count + 1, sizeof(*slices));
	for (size_t i = 0; slices && i < use.slice_count; i++)
		slices[i] = slice_of(&use.slices[i]);
	if (slices) {
		*ret = slices;
		*count = use.slice_count;
	}
	control_usage_clear(&use);
	return handle_settle(berth, slices ? 0 : -ENOMEM, NULL);
}

static struct berth_policy policy_of(const struct use_policy *policy)
{
	struct berth_policy ret = {
		.slices = policy->slices,
		.ports = policy->ports,
		.destinations = policy->destinations,
		.fullest = policy->fullest,
		.connections = policy->connections,
		.fallbacks = policy->fallbacks,
	};

	memcpy(ret.name, policy->name, sizeof(ret.name));
	return ret;
}

int berth_policies(struct berth *berth, struct berth_policy **ret, size_t *count)
{
	struct use use = {0};
	struct berth_policy *policies;
	char *why = NULL;
	int err = usage_get(berth, &use, &why);

	if (err)
		return handle_settle(berth, err, why);
	policies = calloc(use.policy_count + 1, sizeof(*policies));
	for (size_t i = 0; policies && i < use.policy_count; i++)
		policies[i] = policy_of(&use.policies[i]);
	if (policies) {
		*ret = policies;
		*count = use.policy_count;
	}
	control_usage_clear(&use);
	return handle_settle(berth, policies ? 0 : -ENOMEM, NULL);
}
