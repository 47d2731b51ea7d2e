/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "fleet.h"

struct fleet_site *fleet_find_site(const struct fleet *fleet, const char *name)
{
	for (size_t i = 0; i < fleet->site_count; i++)
		if (strcmp(fleet->sites[i].name, name) == 0)
			return &fleet->sites[i];
	return NULL;
}

struct fleet_server *fleet_find_server(const struct fleet *fleet, const char *name)
{
	for (size_t i = 0; i < fleet->server_count; i++)
		if (strcmp(fleet->servers[i].name, name) == 0)
			return &fleet->servers[i];
	return NULL;
}

struct fleet_server *fleet_find_server_id(const struct fleet *fleet, uint32_t id)
{
	for (size_t i = 0; id != 0 && i < fleet->server_count; i++)
		if (fleet->servers[i].id == id)
			return &fleet->servers[i];
	return NULL;
}

struct fleet_site *fleet_find_site_id(const struct fleet *fleet, uint32_t id)
{
	for (size_t i = 0; id != 0 && i < fleet->site_count; i++)
		if (fleet->sites[i].id == id)
			return &fleet->sites[i];
	return NULL;
}

const struct fleet_pool *fleet_find_pool(const struct fleet *fleet, uint32_t addr)
{
	for (size_t i = 0; i < fleet->pool_count; i++)
		if (prefix_contains(fleet->pools[i].prefix, addr))
			return &fleet->pools[i];
	return NULL;
}

const struct fleet_addresses *fleet_find_address(const struct fleet *fleet, uint32_t addr)
{
	size_t low = 0;
	size_t high = fleet->addresses_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct fleet_addresses *entry = &fleet->addresses[middle];

		if (addr < entry->range.first)
			high = middle;
		else if (addr > entry->range.last)
			low = middle + 1;
		else
			return entry;
	}
	return NULL;
}

const uint16_t *fleet_avoid_default(size_t *count)
{
	static const uint16_t ports[] = {3283, 3478, 3702, 5353, 5683, 6881, 10001, 10074, 11211, 27960, 33848, 37810};

	*count = sizeof(ports) / sizeof(ports[0]);
	return ports;
}

bool fleet_account_number(const char *text, uint32_t *ret)
{
	uint64_t number = 0;

	if (!*text || (text[0] == '0' && text[1]))
		return false;
	for (const char *at = text; *at; at++) {
		if (*at < '0' || *at > '9' || at - text > 9)
			return false;
		number = number * 10 + (uint64_t)(*at - '0');
	}
	if (number >= UINT32_MAX)
		return false;
	if (ret)
		*ret = (uint32_t)number;
	return true;
}

static void accounts_free(struct fleet_accounts *accounts)
{
	for (size_t i = 0; i < accounts->count; i++)
		free(accounts->items[i]);
	free(accounts->items);
}

static void policy_free(struct fleet_policy *policy)
{
	free(policy->name);
	free(policy->cgroup);
	selector_free(&policy->select);
	for (size_t i = 0; i < policy->fallback_count; i++)
		selector_free(&policy->fallback[i]);
	free(policy->fallback);
	free(policy->except);
	free(policy->serve);
	accounts_free(&policy->users);
	accounts_free(&policy->groups);
}

void fleet_free(struct fleet *fleet)
{
	if (!fleet)
		return;
	for (size_t i = 0; i < fleet->addresses_count; i++)
		tags_free(&fleet->addresses[i].tags);
	for (size_t i = 0; i < fleet->site_count; i++) {
		free(fleet->sites[i].name);
		tags_free(&fleet->sites[i].place);
	}
	for (size_t i = 0; i < fleet->server_count; i++)
		free(fleet->servers[i].name);
	for (size_t i = 0; i < fleet->policy_count; i++)
		policy_free(&fleet->policies[i]);
	free(fleet->name);
	free(fleet->pools);
	free(fleet->addresses);
	free(fleet->sites);
	free(fleet->servers);
	free(fleet->policies);
	free(fleet->avoid);
	free(fleet);
}
