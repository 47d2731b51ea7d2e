/* SPDX-License-Identifier: Apache-2.0 */
#include "usage.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "../core/portuse.h"
#include "pins.h"
#include "policynames.h"
#include "porttable.h"
#include "why.h"

struct reading {
	struct portuse *portuse;
	struct policy_names names;
	uint64_t fallbacks[POLICIES_MAX]; /* by slot */
};

static int fallbacks_visit(void *arg, const void *key, const void *value)
{
	struct reading *reading = arg;
	uint32_t slot;

	memcpy(&slot, key, sizeof(slot));
	memcpy(&reading->fallbacks[slot % POLICIES_MAX], value, sizeof(uint64_t));
	return 0;
}

static int policy_visit(void *arg, const void *key, const void *value)
{
	struct reading *reading = arg;
	char name[POLICY_NAME_MAX];
	struct policy policy;
	uint32_t id;

	memcpy(&id, key, sizeof(id));
	memcpy(&policy, value, sizeof(policy));
	return portuse_policy(reading->portuse, id, policy_names_text(&reading->names, id, name), &policy,
			      reading->fallbacks[policy.slot % POLICIES_MAX]);
}

static int entry_visit(void *arg, const struct port_entry *entry)
{
	struct reading *reading = arg;

	return portuse_entry(reading->portuse, entry);
}

static int table_visit(void *arg, const void *key, const void *value)
{
	struct port_table table;

	(void)key;
	memcpy(&table, value, sizeof(table));
	*(uint64_t *)arg = table.probes;
	return 0;
}

int usage_read(const char *bpffs, size_t top, struct use *ret, char **why)
{
	const struct pin_form policies = {"policies", BPF_MAP_TYPE_HASH, sizeof(uint32_t), sizeof(struct policy)};
	const struct pin_form fallbacks = {"policy_fallbacks", BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(uint64_t)};
	const struct pin_form table = {"port_table", BPF_MAP_TYPE_ARRAY, sizeof(uint32_t), sizeof(struct port_table)};
	struct reading reading = {.portuse = portuse_new()};
	uint64_t probed = 0;
	int err;

	if (!reading.portuse)
		return why_say(why, -ENOMEM, "no memory");
	err = policy_names_read(bpffs, &reading.names, why);
	if (!err)
		err = pin_load(bpffs, &fallbacks, fallbacks_visit, &reading, why);
	if (!err)
		err = pin_load(bpffs, &policies, policy_visit, &reading, why);
	if (!err)
		err = port_table_read(bpffs, entry_visit, &reading, why);
	if (!err)
		err = pin_load(bpffs, &table, table_visit, &probed, why);
	if (!err) {
		err = portuse_sum(reading.portuse, top, ret);
		if (err)
			why_say(why, err, "%s", strerror(-err));
		else
			ret->probed = probed;
	}
	policy_names_clear(&reading.names);
	portuse_free(reading.portuse);
	return err;
}
