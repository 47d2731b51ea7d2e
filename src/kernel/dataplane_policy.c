/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane_private.h"
#include "portuses.h"

/* The longest key of a map here is a path. */
#define KEY_MAX sizeof(struct cgroup_path)

static int entry_write(const struct dataplane *dp, const char *map, const void *key, const void *value)
{
	int fd = dataplane_map(dp, map);

	if (fd < 0)
		return fd;
	return bpf_map_update_elem(fd, key, value, BPF_ANY) < 0 ? -errno : 0;
}

static int entry_remove(const struct dataplane *dp, const char *map, const void *key)
{
	int fd = dataplane_map(dp, map);

	if (fd < 0)
		return fd;
	return bpf_map_delete_elem(fd, key) < 0 && errno != ENOENT ? -errno : 0;
}

/* Entries of a map as an array of structs that a caller wants. */
struct entry_list {
	char *items;
	size_t count;
	size_t size; /* of one struct */
	size_t key_offset; /* in it */
	size_t value_offset; /* likewise */
};

static int entry_list_add(struct entry_list *list, int fd, const void *key, size_t key_size)
{
	char *more = reallocarray(list->items, list->count + 1, list->size), *item;

	if (!more)
		return -ENOMEM;
	list->items = more;
	item = more + list->count * list->size;
	memset(item, 0, list->size);
	memcpy(item + list->key_offset, key, key_size);
	if (bpf_map_lookup_elem(fd, key, item + list->value_offset) < 0)
		return errno == ENOENT ? 0 : -errno; /* went meanwhile */
	list->count++;
	return 0;
}

/*
 * Programs may add and remove entries while we go through the map: when the key that we stand on is gone, the kernel
 * starts again from the first one. So keys are collected until one comes twice or the map is through.
 */
static int entry_list_read(const struct dataplane *dp, const char *map, size_t key_size, struct entry_list *list)
{
	unsigned char key[KEY_MAX], next[KEY_MAX];
	int fd = dataplane_map(dp, map), err = 0;
	const void *at = NULL;

	if (fd < 0)
		return fd;
	while (bpf_map_get_next_key(fd, at, next) == 0) {
		if (list->count && memcmp(list->items + list->key_offset, next, key_size) == 0)
			break;
		err = entry_list_add(list, fd, next, key_size);
		if (err)
			break;
		memcpy(key, next, key_size);
		at = key;
	}
	if (err) {
		free(list->items);
		list->items = NULL;
	}
	return err;
}

/*
 * The slot that the policy has, or the lowest that no other one has (*fresh). What is left of an older policy's entries
 * in the table counts for the new one, until they go.
 */
static int slot_find(const struct dataplane *dp, uint32_t id, uint16_t *ret, bool *fresh)
{
	bool taken[POLICIES_MAX] = {0};
	struct dataplane_policy *policies;
	size_t count, slot = 0;
	int err = dataplane_policy_list(dp, &policies, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++)
		taken[policies[i].policy.slot % POLICIES_MAX] |= policies[i].id != id;
	*fresh = true;
	for (size_t i = 0; i < count; i++) {
		if (policies[i].id == id) {
			slot = policies[i].policy.slot % POLICIES_MAX;
			*fresh = false;
		}
	}
	free(policies);
	while (slot < POLICIES_MAX && taken[slot])
		slot++;
	*ret = (uint16_t)slot;
	return slot < POLICIES_MAX ? 0 : -E2BIG;
}

/* What no policy of the list has any more goes. */
static int uses_sweep(const struct dataplane *dp, int uses)
{
	struct dataplane_policy *policies = NULL;
	struct policy *plain;
	size_t count = 0;
	int err = dataplane_policy_list(dp, &policies, &count);

	plain = err ? NULL : calloc(count + 1, sizeof(*plain));
	for (size_t i = 0; plain && i < count; i++)
		plain[i] = policies[i].policy;
	if (!err)
		err = plain ? port_uses_sweep(uses, plain, count) : -ENOMEM;
	free(plain);
	free(policies);
	return err;
}

static int uses_make(const struct dataplane *dp, const struct policy *policy)
{
	int uses = dataplane_map(dp, "port_uses"), err;

	if (uses < 0)
		return uses;
	err = port_uses_make(uses, policy);
	if (err != -E2BIG)
		return err;
	err = uses_sweep(dp, uses);
	return err ? err : port_uses_make(uses, policy);
}

int dataplane_policy_write(struct dataplane *dp, uint32_t id, const struct policy *policy)
{
	struct policy entry = *policy;
	bool fresh = false;
	int err = id == POLICY_NONE ? -EINVAL : slot_find(dp, id, &entry.slot, &fresh);
	const uint32_t slot = entry.slot;
	const uint64_t none = 0;

	if (!err && fresh)
		err = entry_write(dp, "policy_fallbacks", &slot, &none);
	if (!err)
		err = uses_make(dp, policy);
	return err ? err : entry_write(dp, "policies", &id, &entry);
}

int dataplane_policy_remove(struct dataplane *dp, uint32_t id)
{
	return entry_remove(dp, "policies", &id);
}

int dataplane_policy_read(const struct dataplane *dp, uint32_t id, struct policy *ret)
{
	struct policy policy;
	int fd = dataplane_map(dp, "policies");

	if (fd < 0)
		return fd;
	if (bpf_map_lookup_elem(fd, &id, &policy) < 0)
		return -errno;
	*ret = policy;
	return 0;
}

/* An entry of `policy_names`. */
struct name_entry {
	uint32_t id;
	struct policy_name name;
};

/* Takes the names of policies that are gone. */
static int names_sweep(const struct dataplane *dp)
{
	struct entry_list list = {.size = sizeof(struct name_entry),
				  .key_offset = offsetof(struct name_entry, id),
				  .value_offset = offsetof(struct name_entry, name)};
	int err = entry_list_read(dp, "policy_names", sizeof(uint32_t), &list);
	struct policy policy;

	for (size_t i = 0; !err && i < list.count; i++) {
		uint32_t id = ((const struct name_entry *)list.items)[i].id;

		if (dataplane_policy_read(dp, id, &policy) == -ENOENT)
			err = entry_remove(dp, "policy_names", &id);
	}
	free(list.items);
	return err;
}

int dataplane_policy_name(struct dataplane *dp, uint32_t id, const char *name)
{
	struct policy_name entry = {0};
	size_t len = strlen(name);
	int err;

	memcpy(entry.text, name, len < sizeof(entry.text) ? len : sizeof(entry.text) - 1);
	err = entry_write(dp, "policy_names", &id, &entry);
	if (err != -E2BIG)
		return err;
	err = names_sweep(dp);
	return err ? err : entry_write(dp, "policy_names", &id, &entry);
}

int dataplane_policy_list(const struct dataplane *dp, struct dataplane_policy **ret, size_t *count)
{
	struct entry_list list = {.size = sizeof(**ret),
				  .key_offset = offsetof(struct dataplane_policy, id),
				  .value_offset = offsetof(struct dataplane_policy, policy)};
	int err = entry_list_read(dp, "policies", sizeof(uint32_t), &list);

	if (err)
		return err;
	*ret = (struct dataplane_policy *)list.items;
	*count = list.count;
	return 0;
}

int dataplane_cgroup_write(struct dataplane *dp, uint64_t cgroup, uint32_t policy)
{
	return entry_write(dp, "cgroup_policies", &cgroup, &policy);
}

int dataplane_cgroup_remove(struct dataplane *dp, uint64_t cgroup)
{
	return entry_remove(dp, "cgroup_policies", &cgroup);
}

int dataplane_cgroup_list(const struct dataplane *dp, struct dataplane_cgroup **ret, size_t *count)
{
	struct entry_list list = {.size = sizeof(**ret),
				  .key_offset = offsetof(struct dataplane_cgroup, cgroup),
				  .value_offset = offsetof(struct dataplane_cgroup, policy)};
	int err = entry_list_read(dp, "cgroup_policies", sizeof(uint64_t), &list);

	if (err)
		return err;
	*ret = (struct dataplane_cgroup *)list.items;
	*count = list.count;
	return 0;
}

static int path_key(const char *path, struct cgroup_path *ret)
{
	size_t len = strlen(path);

	if (len >= sizeof(ret->path))
		return -ENAMETOOLONG;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret->path, path, len);
	return 0;
}

int dataplane_path_write(struct dataplane *dp, const char *path, uint32_t policy)
{
	struct cgroup_path key;
	int err = path_key(path, &key);

	return err ? err : entry_write(dp, "cgroup_paths", &key, &policy);
}

int dataplane_path_remove(struct dataplane *dp, const char *path)
{
	struct cgroup_path key;
	int err = path_key(path, &key);

	return err ? err : entry_remove(dp, "cgroup_paths", &key);
}

int dataplane_path_list(const struct dataplane *dp, struct dataplane_path **ret, size_t *count)
{
	struct entry_list list = {.size = sizeof(**ret),
				  .key_offset = offsetof(struct dataplane_path, path),
				  .value_offset = offsetof(struct dataplane_path, policy)};
	int err = entry_list_read(dp, "cgroup_paths", sizeof(struct cgroup_path), &list);

	if (err)
		return err;
	*ret = (struct dataplane_path *)list.items;
	*count = list.count;
	return 0;
}

int dataplane_mark_list(const struct dataplane *dp, struct dataplane_mark **ret, size_t *count)
{
	struct entry_list list = {.size = sizeof(**ret),
				  .key_offset = offsetof(struct dataplane_mark, mark),
				  .value_offset = offsetof(struct dataplane_mark, policy)};
	int err = entry_list_read(dp, "mark_policies", sizeof(uint32_t), &list);

	if (err)
		return err;
	*ret = (struct dataplane_mark *)list.items;
	*count = list.count;
	return 0;
}

static bool mark_listed(const struct dataplane_mark *marks, size_t count, uint32_t mark)
{
	for (size_t i = 0; i < count; i++)
		if (marks[i].mark == mark)
			return true;
	return false;
}

/* What goes does so first: the map has room for as many marks as there are policies. */
int dataplane_marks_replace(struct dataplane *dp, const struct dataplane_mark *marks, size_t count)
{
	struct dataplane_mark *before = NULL;
	size_t before_count = 0;
	int err = mark_listed(marks, count, 0) ? -EINVAL : dataplane_mark_list(dp, &before, &before_count);

	for (size_t i = 0; !err && i < before_count; i++)
		if (!mark_listed(marks, count, before[i].mark))
			err = entry_remove(dp, "mark_policies", &before[i].mark);
	for (size_t i = 0; !err && i < count; i++)
		err = entry_write(dp, "mark_policies", &marks[i].mark, &marks[i].policy);
	free(before);
	return err;
}

int dataplane_choice_write(struct dataplane *dp, int socket, uint32_t policy)
{
	const struct socket_choice choice = {.policy = policy};

	return policy == POLICY_NONE ? -EINVAL : entry_write(dp, "choices", &socket, &choice);
}

struct except_key dataplane_except_ipv6(uint32_t policy, const uint8_t addr[16], unsigned len)
{
	struct except_key key = {.prefix_len = 32 + len, .policy = policy};

	memcpy(key.addr, addr, sizeof(key.addr));
	return key;
}

struct except_key dataplane_except_ipv4(uint32_t policy, struct prefix prefix)
{
	uint8_t addr[16] = {[10] = 0xff, [11] = 0xff};
	uint32_t be = htonl(prefix.addr);

	memcpy(addr + 12, &be, sizeof(be));
	return dataplane_except_ipv6(policy, addr, 96 + prefix.len);
}

/* Kinds of entries that a policy has a set of: how a key tells whose it is. */
struct set_kind {
	const char *map;
	size_t key_size;
	size_t policy_offset;
};

/* An entry of such a map; the key is as long as the kind says. */
struct set_entry {
	unsigned char key[sizeof(struct except_key)];
	uint32_t value;
};

static bool set_contains(const void *keys, size_t count, size_t size, const void *key)
{
	for (size_t i = 0; i < count; i++)
		if (memcmp((const char *)keys + i * size, key, size) == 0)
			return true;
	return false;
}

static int set_replace(struct dataplane *dp, const struct set_kind *kind, uint32_t policy, const void *keys,
		       size_t count)
{
	struct entry_list list = {.size = sizeof(struct set_entry),
				  .key_offset = offsetof(struct set_entry, key),
				  .value_offset = offsetof(struct set_entry, value)};
	const uint32_t present = 1;
	int err = 0;

	for (size_t i = 0; !err && i < count; i++)
		err = entry_write(dp, kind->map, (const char *)keys + i * kind->key_size, &present);
	if (!err)
		err = entry_list_read(dp, kind->map, kind->key_size, &list);
	for (size_t i = 0; !err && i < list.count; i++) {
		const struct set_entry *entry = &((const struct set_entry *)list.items)[i];
		uint32_t owner;

		memcpy(&owner, entry->key + kind->policy_offset, sizeof(owner));
		if (owner == policy && !set_contains(keys, count, kind->key_size, entry->key))
			err = entry_remove(dp, kind->map, entry->key);
	}
	free(list.items);
	return err;
}

int dataplane_excepts_replace(struct dataplane *dp, uint32_t policy, const struct except_key *keys, size_t count)
{
	static const struct set_kind kind = {"excepts", sizeof(struct except_key), offsetof(struct except_key, policy)};

	for (size_t i = 0; i < count; i++)
		if (keys[i].policy != policy || keys[i].prefix_len < 32 || keys[i].prefix_len > 160)
			return -EINVAL;
	return set_replace(dp, &kind, policy, keys, count);
}

int dataplane_avoid_write(struct dataplane *dp, const uint16_t *ports, size_t count)
{
	struct avoid_ports avoid = {0};
	const uint32_t key = 0;

	for (size_t i = 0; i < count; i++)
		avoid.words[ports[i] / 64] |= UINT64_C(1) << ports[i] % 64;
	return entry_write(dp, "avoid_ports", &key, &avoid);
}

int dataplane_serves_replace(struct dataplane *dp, uint32_t policy, const uint16_t *ports, size_t count)
{
	static const struct set_kind kind = {"serves", sizeof(struct serve_key), offsetof(struct serve_key, policy)};
	struct serve_key *keys = calloc(count ? count : 1, sizeof(*keys));
	int err;

	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		keys[i] = (struct serve_key){.policy = policy, .port = ports[i]};
	err = set_replace(dp, &kind, policy, keys, count);
	free(keys);
	return err;
}
