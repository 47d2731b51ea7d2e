/* SPDX-License-Identifier: Apache-2.0 */
#include "usage.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "../core/portuse.h"
#include "pins.h"
#include "policynames.h"
#include "why.h"

struct reading {
	struct portuse *portuse;
	struct policy_names names;
};

static int policy_visit(void *arg, const void *key, const void *value)
{
	struct reading *reading = arg;
	char name[POLICY_NAME_MAX];
	struct policy policy;
	uint32_t id;

	memcpy(&id, key, sizeof(id));
	memcpy(&policy, value, sizeof(policy));
	return portuse_policy(reading->portuse, id, policy_names_text(&reading->names, id, name), &policy);
}

static int entry_visit(void *arg, const void *key, const void *value)
{
	struct reading *reading = arg;

	return portuse_entry(reading->portuse, key, value);
}

int usage_read(const char *bpffs, size_t top, struct use *ret, char **why)
{
	const struct pin_form policies = {"policies", BPF_MAP_TYPE_HASH, sizeof(uint32_t), sizeof(struct policy)};
	const struct pin_form ports = {"ports", BPF_MAP_TYPE_HASH, sizeof(struct ports_key), sizeof(struct ports)};
	struct reading reading = {.portuse = portuse_new()};
	int err;

	if (!reading.portuse)
		return why_say(why, -ENOMEM, "no memory");
	err = policy_names_read(bpffs, &reading.names, why);
	if (!err)
		err = pin_load(bpffs, &policies, policy_visit, &reading, why);
	if (!err)
		err = pin_load(bpffs, &ports, entry_visit, &reading, why);
	if (!err) {
		err = portuse_sum(reading.portuse, top, ret);
		if (err)
			why_say(why, err, "%s", strerror(-err));
	}
	policy_names_clear(&reading.names);
	portuse_free(reading.portuse);
	return err;
}
