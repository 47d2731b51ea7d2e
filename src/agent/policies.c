/* SPDX-License-Identifier: Apache-2.0 */
#include "policies.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../kernel/cgroup.h"
#include "agent.h"

/* IPv4 and TCP header, without options. */
#define TCP_HEADERS 40u
/* What fits a 1,500-byte packet: the internet takes no more, whatever the underlay does. */
#define MSS_MAX 1460u

uint32_t policy_id(const char *name)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return hash == POLICY_NONE ? 1 : hash;
}

static uint16_t mss_of(const struct fleet *fleet)
{
	unsigned mss = fleet->underlay_mtu - WRAP_OVERHEAD - TCP_HEADERS;

	return (uint16_t)(mss < MSS_MAX ? mss : MSS_MAX);
}

static void add_slice(struct policy *policy, uint32_t addr, uint32_t column, unsigned shift, uint8_t tier)
{
	policy->slices[policy->slice_count++] = (struct policy_slice){
		.addr = __builtin_bswap32(addr),
		.first = slice_first_port(column, shift),
		.count = slice_port_count(column, shift),
		.tier = tier,
	};
}

/* Index of the first selector that matches; count: none does. */
static size_t first_match(const struct selector *selectors, size_t count, const struct tags *tags)
{
	size_t i = 0;

	while (i < count && !selector_matches(&selectors[i], tags))
		i++;
	return i;
}

static void add_tier(const struct agent *agent, const struct selector *selectors, size_t tier, struct policy *ret)
{
	const struct fleet *fleet = agent->state->fleet;
	const struct ownership *held = &agent->state->held;

	for (size_t i = 0; i < held->count && ret->slice_count < POLICY_SLICES_MAX; i++) {
		const struct ownership_row *row = &held->rows[i];
		const struct fleet_addresses *addresses = fleet_find_address(fleet, row->addr);

		if (row->state != SLICE_STATE_OWNED || row->owner != agent_self(agent)->id || !addresses)
			continue;
		if (first_match(selectors, tier + 1, &addresses->tags) == tier)
			add_slice(ret, row->addr, row->column, fleet->pools[addresses->pool].shift, (uint8_t)tier);
	}
}

void policy_fill(const struct agent *agent, const struct selector *selectors, size_t count, struct policy *ret)
{
	ret->mss = mss_of(agent->state->fleet);
	ret->slice_count = 0;
	for (size_t tier = 0; tier < count; tier++)
		add_tier(agent, selectors, tier, ret);
}

int policy_fill_as_asked(const struct agent *agent, const struct fleet_policy *from, struct policy *ret)
{
	const struct tags *place = &agent->state->fleet->sites[agent_self(agent)->site].place;
	struct selector selectors[POLICY_TIERS_MAX];
	size_t count = 0;
	int err;

	do {
		err = selector_resolve(count ? &from->fallback[count - 1] : &from->select, place, &selectors[count],
				       NULL);
		count += !err;
	} while (!err && count <= from->fallback_count);
	if (!err)
		policy_fill(agent, selectors, count, ret);
	while (count > 0)
		selector_free(&selectors[--count]);
	return err;
}

/*
 * Exceptions.
 */
struct keys {
	struct except_key *items;
	size_t count;
	uint32_t policy;
	int err;
};

static void add_key(struct keys *keys, struct except_key key)
{
	struct except_key *items = reallocarray(keys->items, keys->count + 1, sizeof(*items));

	if (!items) {
		keys->err = -ENOMEM;
		return;
	}
	keys->items = items;
	keys->items[keys->count++] = key;
}

static void add_ipv4(struct keys *keys, uint32_t addr, unsigned len)
{
	add_key(keys,
		dataplane_except_ipv4(keys->policy, (struct prefix){.addr = addr & prefix_mask(len), .len = len}));
}

/* Loopback, link-local and private use: RFC 1122, 3927, 1918, 4291, 4193. */
static void add_fixed(struct keys *keys)
{
	static const struct prefix ipv4[] = {
		{0x7f000000, 8}, {0xa9fe0000, 16}, {0x0a000000, 8}, {0xac100000, 12}, {0xc0a80000, 16}};
	static const struct {
		uint8_t addr[16];
		unsigned len;
	} ipv6[] = {{{[15] = 1}, 128}, {{0xfe, 0x80}, 10}, {{0xfc}, 7}};

	for (size_t i = 0; i < sizeof(ipv4) / sizeof(ipv4[0]); i++)
		add_ipv4(keys, ipv4[i].addr, ipv4[i].len);
	for (size_t i = 0; i < sizeof(ipv6) / sizeof(ipv6[0]); i++)
		add_key(keys, dataplane_except_ipv6(keys->policy, ipv6[i].addr, ipv6[i].len));
}

static void add_fleet(struct keys *keys, const struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->pool_count; i++)
		add_ipv4(keys, fleet->pools[i].prefix.addr, fleet->pools[i].prefix.len);
	for (size_t i = 0; i < fleet->server_count; i++)
		add_ipv4(keys, fleet->servers[i].underlay, 32);
	for (size_t i = 0; i < fleet->site_count; i++)
		if (fleet->sites[i].tunnel)
			add_ipv4(keys, fleet->sites[i].tunnel, 32);
}

static void add_host(struct keys *keys, struct rtnl *rtnl)
{
	struct rtnl_address *addresses = NULL;
	size_t count = 0;

	keys->err = rtnl_addresses(rtnl, &addresses, &count);
	for (size_t i = 0; !keys->err && i < count; i++)
		add_ipv4(keys, addresses[i].addr, addresses[i].prefix_len);
	free(addresses);
}

int policy_write_excepts(struct agent *agent, uint32_t id, const struct prefix *more, size_t more_count)
{
	struct keys keys = {.policy = id};
	int err;

	add_host(&keys, agent->rtnl);
	add_fixed(&keys);
	add_fleet(&keys, agent->state->fleet);
	for (size_t i = 0; i < more_count; i++)
		add_ipv4(&keys, more[i].addr, more[i].len);
	err = keys.err;
	if (!err)
		err = dataplane_excepts_replace(agent->dataplane, id, keys.items, keys.count);
	free(keys.items);
	return err;
}

/*
 * Policies and the cgroups that they are for.
 */
static int write_policy(struct agent *agent, const struct fleet_policy *from, uint32_t id)
{
	struct policy policy = {0};
	int err = policy_fill_as_asked(agent, from, &policy);

	if (err)
		return err;
	policy.flags |= from->address == ADDRESS_SPREAD ? POLICY_SPREAD : 0;
	policy.flags |= from->unconnected_udp == UNCONNECTED_OWN_ADDRESS ? POLICY_UNCONNECTED_OWN : 0;
	policy.flags |= from->other_netns == OTHER_NETNS_HOST_ADDRESS ? POLICY_NETNS_HOST : 0;
	policy.destinations = from->destinations;
	/* What is excepted stands before the policy does: nobody is judged without it. */
	err = policy_write_excepts(agent, id, from->except, from->except_count);
	if (!err)
		err = dataplane_serves_replace(agent->dataplane, id, from->serve, from->serve_count);
	if (!err)
		err = dataplane_policy_name(agent->dataplane, id, from->name);
	if (!err)
		err = dataplane_policy_write(agent->dataplane, id, &policy);
	return err;
}

/* A policy's cgroup below our root: *dir as a directory, *path as the hierarchy names it; the caller frees both.
   -ENOENT: it has none. */
static int cgroup_names(const struct agent *agent, const struct fleet_policy *policy, char **dir, char **path)
{
	int err;

	if (!policy->cgroup)
		return -ENOENT;
	if (asprintf(dir, "%s%s", agent->cgroup_root, strcmp(policy->cgroup, "/") ? policy->cgroup : "") < 0) {
		*dir = NULL;
		return -ENOMEM;
	}
	err = cgroup_hierarchy_path(*dir, path);
	if (err) {
		free(*dir);
		*dir = NULL;
	}
	return err;
}

static int write_cgroup(struct agent *agent, const struct fleet_policy *policy, uint32_t id)
{
	char *dir, *path;
	uint64_t cgroup;
	int err = cgroup_names(agent, policy, &dir, &path);

	if (err)
		return err;
	/* The path stands first: a cgroup made from now on finds its policy in the kernel. */
	err = dataplane_path_write(agent->dataplane, path, id);
	if (!err && !cgroup_id(dir, &cgroup))
		err = dataplane_cgroup_write(agent->dataplane, cgroup, id);
	free(path);
	free(dir);
	return err;
}

static const struct fleet_policy *find_policy(const struct fleet *fleet, uint32_t id)
{
	for (size_t i = 0; fleet && i < fleet->policy_count; i++)
		if (policy_id(fleet->policies[i].name) == id)
			return &fleet->policies[i];
	return NULL;
}

bool policy_in_fleet(const struct agent *agent, uint32_t id)
{
	return agent->state && find_policy(agent->state->fleet, id);
}

static bool path_wanted(const struct agent *agent, const struct dataplane_path *entry)
{
	const struct fleet_policy *policy = find_policy(agent->state->fleet, entry->policy);
	char *dir, *path;
	bool same;

	if (!policy || !policy->cgroup)
		return false;
	if (cgroup_names(agent, policy, &dir, &path))
		return true;
	same = !strcmp(path, entry->path.path);
	free(path);
	free(dir);
	return same;
}

static bool cgroup_wanted(const struct agent *agent, const struct dataplane_cgroup *entry)
{
	const struct fleet_policy *policy = find_policy(agent->state->fleet, entry->policy);
	char *dir, *path;
	uint64_t cgroup;
	bool same;

	if (entry->policy == POLICY_NONE || runs_cgroup(&agent->runs, entry->cgroup))
		return true;
	/* Any may be a run's that the list has lost: without the entry it would leave from the host's address. */
	if (agent->runs.damaged)
		return true;
	if (!policy)
		return false;
	if (!policy->cgroup)
		return false;
	if (cgroup_names(agent, policy, &dir, &path))
		return true;
	same = !cgroup_id(dir, &cgroup) && cgroup == entry->cgroup;
	free(path);
	free(dir);
	return same;
}

static int remove_paths(struct agent *agent)
{
	struct dataplane_path *paths = NULL;
	size_t count = 0;
	int err = dataplane_path_list(agent->dataplane, &paths, &count);

	for (size_t i = 0; !err && i < count; i++)
		if (!path_wanted(agent, &paths[i]))
			err = dataplane_path_remove(agent->dataplane, paths[i].path.path);
	free(paths);
	return err;
}

static int remove_cgroups(struct agent *agent)
{
	struct dataplane_cgroup *cgroups = NULL;
	size_t count = 0;
	int err = dataplane_cgroup_list(agent->dataplane, &cgroups, &count);

	for (size_t i = 0; !err && i < count; i++)
		if (!cgroup_wanted(agent, &cgroups[i]))
			err = dataplane_cgroup_remove(agent->dataplane, cgroups[i].cgroup);
	free(cgroups);
	return err;
}

/*
 * What left the fleet file. Paths and cgroups go before the policies they lead to: a new socket there keeps the host's
 * address. Sockets that are under the policy find nothing and are refused.
 */
static int remove_others(struct agent *agent)
{
	struct dataplane_policy *policies = NULL;
	size_t count = 0;
	int err = remove_paths(agent);

	if (!err)
		err = remove_cgroups(agent);
	if (!err)
		err = dataplane_policy_list(agent->dataplane, &policies, &count);
	for (size_t i = 0; !err && i < count; i++) {
		uint32_t id = policies[i].id;

		if (find_policy(agent->state->fleet, id) || runs_policy(&agent->runs, id))
			continue;
		err = dataplane_policy_remove(agent->dataplane, id);
		(void)dataplane_excepts_replace(agent->dataplane, id, NULL, 0);
		(void)dataplane_serves_replace(agent->dataplane, id, NULL, 0);
	}
	free(policies);
	return err;
}

/* Of a policy whose number is another's, too, nothing is written. */
static int write_marks(struct agent *agent)
{
	const struct fleet *fleet = agent->state->fleet;
	struct dataplane_mark *marks = calloc(fleet->policy_count + 1, sizeof(*marks));
	size_t count = 0;
	int err;

	if (!marks)
		return -ENOMEM;
	for (size_t i = 0; i < fleet->policy_count; i++) {
		const struct fleet_policy *policy = &fleet->policies[i];
		uint32_t id = policy_id(policy->name);

		if (policy->mark && find_policy(fleet, id) == policy)
			marks[count++] = (struct dataplane_mark){.mark = policy->mark, .policy = id};
	}
	err = dataplane_marks_replace(agent->dataplane, marks, count);
	free(marks);
	return err;
}

static bool policy_listed(const void *arg, const char *name)
{
	return find_policy(arg, policy_id(name));
}

int policies_reconcile(struct agent *agent)
{
	const struct fleet *fleet = agent->state->fleet;
	char subject[FLEET_NAME_MAX + 16];
	int err, worst = dataplane_avoid_write(agent->dataplane, fleet->avoid, fleet->avoid_count);

	problems_settle(&agent->problems, "ports to avoid", worst, NULL);
	for (size_t i = 0; i < fleet->policy_count; i++) {
		const struct fleet_policy *policy = &fleet->policies[i];
		uint32_t id = policy_id(policy->name);

		/* Two names with one number, once in four thousand million pairs: the second is not merged, but
		 * refused. */
		err = find_policy(fleet, id) == policy ? write_policy(agent, policy, id) : -EEXIST;
		if (!err && policy->cgroup)
			err = write_cgroup(agent, policy, id);
		snprintf(subject, sizeof(subject), "policy %s", policy->name);
		problems_settle(&agent->problems, subject, err, NULL);
		worst = err ? err : worst;
	}
	problems_sweep(&agent->problems, "policy ", policy_listed, fleet);
	/* Between the two: no mark leads to a policy that is not there yet, or is no more. */
	err = write_marks(agent);
	problems_settle(&agent->problems, "marks", err, NULL);
	worst = err ? err : worst;
	err = remove_others(agent);
	problems_settle(&agent->problems, "old policies", err, NULL);
	return err ? err : worst;
}

/* Whether a slice that a policy has is this server's still, in the newest state. */
static bool slice_owned(const struct agent *agent, const struct policy_slice *slice)
{
	const struct fleet_server *self = agent_self(agent);
	uint32_t addr = __builtin_bswap32(slice->addr);
	const struct fleet_pool *pool = self ? fleet_find_pool(agent->state->fleet, addr) : NULL;
	const struct ownership_row *row;

	if (!pool)
		return false;
	row = ownership_find(&agent->state->held, addr, slice_column(slice->first, pool->shift));
	return row && row->owner == self->id && row->state == SLICE_STATE_OWNED &&
	       slice->first == slice_first_port(row->column, pool->shift) &&
	       slice->count == slice_port_count(row->column, pool->shift);
}

bool policy_trim(const struct agent *agent, struct policy *policy)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < policy->slice_count; i++)
		if (slice_owned(agent, &policy->slices[i]))
			policy->slices[count++] = policy->slices[i];
	if (count == policy->slice_count)
		return false;
	policy->slice_count = count;
	return true;
}

int policies_trim(struct agent *agent)
{
	struct dataplane_policy *policies = NULL;
	size_t count = 0;
	int err = dataplane_policy_list(agent->dataplane, &policies, &count);

	for (size_t i = 0; !err && i < count; i++)
		if (policy_trim(agent, &policies[i].policy))
			err = dataplane_policy_write(agent->dataplane, policies[i].id, &policies[i].policy);
	free(policies);
	return err;
}
