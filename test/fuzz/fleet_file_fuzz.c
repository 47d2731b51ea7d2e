/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a fleet file: a fleet that holds what its header promises, or faults that point into the text. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/abi/allocator.h"
#include "../../src/abi/wrap.h"
#include "../../src/core/fleet_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_faults(const struct fleet_faults *faults, size_t size)
{
	for (size_t i = 0; i < faults->count; i++) {
		const struct fleet_fault *fault = &faults->items[i];

		require(fault->line >= 1 && fault->line <= size + 2);
		require(fault->column >= 1 && fault->column <= size + 2);
		require(*fault->text && !strchr(fault->text, '\n'));
		require(i == 0 || faults->items[i - 1].line <= fault->line);
	}
}

static void check_addresses(const struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->addresses_count; i++) {
		const struct fleet_addresses *addresses = &fleet->addresses[i];
		struct prefix prefix = fleet->pools[addresses->pool].prefix;

		require(addresses->range.first <= addresses->range.last);
		require(prefix_contains(prefix, addresses->range.first) &&
			prefix_contains(prefix, addresses->range.last));
		require(i == 0 || fleet->addresses[i - 1].range.last < addresses->range.first);
		require(fleet_find_address(fleet, addresses->range.last) == addresses);
	}
}

static void check_servers(const struct fleet *fleet)
{
	size_t next = 0;

	for (size_t i = 0; i < fleet->site_count; i++) {
		const struct fleet_site *site = &fleet->sites[i];

		require(site->name && site->id <= WRAP_SITE_ID_MAX && site->server_count > 0);
		require(site->first_server == next);
		next += site->server_count;
		require(fleet->site_count == 1 || site->tunnel);
		for (size_t j = site->first_server; j < next; j++) {
			const struct fleet_server *server = &fleet->servers[j];

			require(server->site == i && server->underlay && server->id <= WRAP_SERVER_ID_MAX);
			require(fleet_find_server(fleet, server->name) == server);
			require(!fleet_find_pool(fleet, server->underlay));
		}
	}
	require(next == fleet->server_count);
}

static void check_policies(const struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->policy_count; i++) {
		const struct fleet_policy *policy = &fleet->policies[i];

		require(policy->name && (policy->cgroup || policy->mark));
		require(!policy->cgroup || (policy->cgroup[0] == '/' && strlen(policy->cgroup) < CGROUP_PATH_MAX));
		require(policy->slices >= 1 && policy->slices <= POLICY_SLICES_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fleet_faults faults = {0};
	struct fleet *fleet = NULL;
	int err = fleet_file_read((const char *)data, size, &fleet, &faults);

	require(err == 0 || err == -EINVAL);
	require((err == 0) == (faults.count == 0) && (err == 0) == (fleet != NULL));
	check_faults(&faults, size);
	if (fleet) {
		require(fleet->name && fleet->pool_count && fleet->addresses_count && fleet->site_count);
		check_addresses(fleet);
		check_servers(fleet);
		check_policies(fleet);
	}
	fleet_free(fleet);
	fleet_faults_free(&faults);
	return 0;
}
