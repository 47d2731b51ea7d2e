/* SPDX-License-Identifier: Apache-2.0 */
#include "fleet_changes.h"

#include <stdio.h>
#include <string.h>

#define KEY_MAX 64

_Static_assert(KEY_MAX > FLEET_NAME_MAX && KEY_MAX > 2 * ADDR_TEXT_MAX + 3, "every name is shown whole");

/* One kind of thing: how many there are, what each is called, whether two of one name are alike. */
struct kind {
	const char *name;
	size_t (*count)(const struct fleet *fleet);
	void (*key)(const struct fleet *fleet, size_t i, char key[KEY_MAX]);
	bool (*same)(const struct fleet *a, size_t i, const struct fleet *b, size_t j);
};

static size_t pool_count(const struct fleet *fleet)
{
	return fleet->pool_count;
}

static void pool_key(const struct fleet *fleet, size_t i, char key[KEY_MAX])
{
	prefix_format(fleet->pools[i].prefix, key);
}

static bool pool_same(const struct fleet *a, size_t i, const struct fleet *b, size_t j)
{
	return a->pools[i].shift == b->pools[j].shift;
}

static size_t addresses_count(const struct fleet *fleet)
{
	return fleet->addresses_count;
}

static void addresses_key(const struct fleet *fleet, size_t i, char key[KEY_MAX])
{
	const struct addr_range *range = &fleet->addresses[i].range;
	char first[ADDR_TEXT_MAX], last[ADDR_TEXT_MAX];

	addr_format(range->first, first);
	addr_format(range->last, last);
	if (range->first == range->last)
		snprintf(key, KEY_MAX, "%s", first);
	else
		snprintf(key, KEY_MAX, "%s - %s", first, last);
}

static bool addresses_same(const struct fleet *a, size_t i, const struct fleet *b, size_t j)
{
	return tags_compare(&a->addresses[i].tags, &b->addresses[j].tags) == 0;
}

static size_t site_count(const struct fleet *fleet)
{
	return fleet->site_count;
}

static void site_key(const struct fleet *fleet, size_t i, char key[KEY_MAX])
{
	snprintf(key, KEY_MAX, "%s", fleet->sites[i].name);
}

static bool site_same(const struct fleet *a, size_t i, const struct fleet *b, size_t j)
{
	return a->sites[i].tunnel == b->sites[j].tunnel && tags_compare(&a->sites[i].place, &b->sites[j].place) == 0;
}

static size_t server_count(const struct fleet *fleet)
{
	return fleet->server_count;
}

static void server_key(const struct fleet *fleet, size_t i, char key[KEY_MAX])
{
	snprintf(key, KEY_MAX, "%s", fleet->servers[i].name);
}

static bool server_same(const struct fleet *a, size_t i, const struct fleet *b, size_t j)
{
	return a->servers[i].underlay == b->servers[j].underlay &&
	       strcmp(a->sites[a->servers[i].site].name, b->sites[b->servers[j].site].name) == 0;
}

static size_t policy_count(const struct fleet *fleet)
{
	return fleet->policy_count;
}

static void policy_key(const struct fleet *fleet, size_t i, char key[KEY_MAX])
{
	snprintf(key, KEY_MAX, "%s", fleet->policies[i].name);
}

static bool accounts_same(const struct fleet_accounts *a, const struct fleet_accounts *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]))
			return false;
	return true;
}

static bool policy_lists_same(const struct fleet_policy *a, const struct fleet_policy *b)
{
	if (a->except_count != b->except_count || a->serve_count != b->serve_count ||
	    a->fallback_count != b->fallback_count || !accounts_same(&a->users, &b->users) ||
	    !accounts_same(&a->groups, &b->groups))
		return false;
	for (size_t i = 0; i < a->fallback_count; i++)
		if (selector_compare(&a->fallback[i], &b->fallback[i]))
			return false;
	for (size_t i = 0; i < a->except_count; i++)
		if (a->except[i].addr != b->except[i].addr || a->except[i].len != b->except[i].len)
			return false;
	for (size_t i = 0; i < a->serve_count; i++)
		if (a->serve[i] != b->serve[i])
			return false;
	return true;
}

static bool policy_same(const struct fleet *one, size_t i, const struct fleet *other, size_t j)
{
	const struct fleet_policy *a = &one->policies[i], *b = &other->policies[j];

	return strcmp(a->cgroup ? a->cgroup : "", b->cgroup ? b->cgroup : "") == 0 && a->mark == b->mark &&
	       a->other_netns == b->other_netns && selector_compare(&a->select, &b->select) == 0 &&
	       a->address == b->address && a->unconnected_udp == b->unconnected_udp && a->slices == b->slices &&
	       a->destinations == b->destinations && policy_lists_same(a, b);
}

static const struct kind kinds[] = {
	{"pools", pool_count, pool_key, pool_same},
	{"addresses", addresses_count, addresses_key, addresses_same},
	{"sites", site_count, site_key, site_same},
	{"servers", server_count, server_key, server_same},
	{"policies", policy_count, policy_key, policy_same},
};

/* Name -> index, so that a large fleet is compared in one pass. */
static json_t *kind_index(const struct kind *kind, const struct fleet *fleet)
{
	json_t *index = json_object();
	char key[KEY_MAX];

	for (size_t i = 0; fleet && i < kind->count(fleet); i++) {
		kind->key(fleet, i, key);
		if (json_object_set_new(index, key, json_integer((json_int_t)i))) {
			json_decref(index);
			return NULL;
		}
	}
	return index;
}

static int kind_compare(const struct kind *kind, const struct fleet *before, json_t *old, const struct fleet *after,
			json_t *changes)
{
	char key[KEY_MAX];
	json_t *value;
	const char *name;

	for (size_t i = 0; i < kind->count(after); i++) {
		json_t *was;
		bool same;

		kind->key(after, i, key);
		was = json_object_get(old, key);
		same = was && kind->same(before, (size_t)json_integer_value(was), after, i);
		if (!same &&
		    json_array_append_new(json_object_get(changes, was ? "changed" : "added"), json_string(key)))
			return -1;
		json_object_del(old, key);
	}
	json_object_foreach(old, name, value)
	{
		if (json_array_append_new(json_object_get(changes, "removed"), json_string(name)))
			return -1;
	}
	return 0;
}

static json_t *kind_changes(const struct kind *kind, const struct fleet *before, const struct fleet *after)
{
	json_t *changes = json_pack("{s:[], s:[], s:[]}", "added", "removed", "changed");
	json_t *old = kind_index(kind, before);

	if (!changes || !old || kind_compare(kind, before, old, after, changes)) {
		json_decref(changes);
		changes = NULL;
	}
	json_decref(old);
	return changes;
}

json_t *fleet_changes(const struct fleet *before, const struct fleet *after)
{
	json_t *all = json_object();

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (json_object_set_new(all, kinds[i].name, kind_changes(&kinds[i], before, after))) {
			json_decref(all);
			return NULL;
		}
	}
	return all;
}
