/* SPDX-License-Identifier: Apache-2.0 */
#include "dataplane.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpffs.h"
#include "bpflog.h"
#include "dataplane_private.h"
#include "porttable.h"
#include "why.h"

#define TABLE_PREFIX ".data."

/*
 * The name under which a map is pinned and shared; NULL for those that belong to one object alone: its constants and
 * its plain global variables.
 */
static const char *shared_name(const struct bpf_map *map)
{
	const char *name = bpf_map__name(map);

	if (!bpf_map__is_internal(map))
		return name;
	return strncmp(name, TABLE_PREFIX, strlen(TABLE_PREFIX)) ? NULL : name + strlen(TABLE_PREFIX);
}

/* Those that are the same in every layout (abi/takeover.h). */
static bool is_common(const char *name)
{
	return strcmp(name, "sockets") == 0 || strcmp(name, "choices") == 0 || strcmp(name, "gate") == 0;
}

static struct shared_map *map_find(const struct dataplane *dp, const char *name)
{
	for (size_t i = 0; i < dp->map_count; i++)
		if (strcmp(dp->maps[i].name, name) == 0)
			return (struct shared_map *)&dp->maps[i];
	return NULL;
}

int dataplane_map(const struct dataplane *dp, const char *name)
{
	const struct shared_map *map = map_find(dp, name);

	return map ? map->fd : -ENOENT;
}

/* Takes `fd` over, also on failure. */
static int map_add(struct dataplane *dp, const char *name, int fd)
{
	struct shared_map *map = &dp->maps[dp->map_count];

	if (dp->map_count == DATAPLANE_MAPS_MAX || strlen(name) >= sizeof(map->name)) {
		close(fd);
		return -ENOSPC;
	}
	memcpy(map->name, name, strlen(name) + 1);
	map->fd = fd;
	map->memory = NULL;
	dp->map_count++;
	return 0;
}

/* Finds the map pinned by an agent before us. 0: opened; 1: there is none. */
static int map_adopt(struct dataplane *dp, const char *name)
{
	char path[PATH_MAX];
	int fd, err;

	err = bpffs_path(path, sizeof(path), dp->bpffs, "maps", name);
	if (err)
		return err;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return errno == ENOENT ? 1 : -errno;
	return map_add(dp, name, fd);
}

static bool same_layout(const struct bpf_map *map, int fd)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == bpf_map__type(map) &&
	       info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map);
}

static int map_share(struct dataplane *dp, struct bpf_map *map, char **why)
{
	const char *name = shared_name(map);
	struct shared_map *shared;
	int err;

	if (!name)
		return 0;
	shared = map_find(dp, name);
	if (!shared && (dp->adopted || (dp->taking_over && is_common(name)))) {
		err = map_adopt(dp, name);
		if (err < 0)
			return why_say(why, err, "cannot open the pinned map %s: %s", name, strerror(-err));
		shared = map_find(dp, name);
	}
	if (!shared)
		return 0;
	if (!same_layout(map, shared->fd))
		return why_say(why, -ENOTSUP, "map %s in %s was made by a version with another layout", name,
			       dp->bpffs);
	err = bpf_map__reuse_fd(map, shared->fd);
	return err ? why_say(why, err, "cannot share map %s: %s", name, strerror(-err)) : 0;
}

/* A map that this object was the first to make becomes everybody's, and is pinned if the others are already. */
static int map_made(struct dataplane *dp, struct bpf_map *map)
{
	const char *name = shared_name(map);
	char path[PATH_MAX];
	int fd, err;

	if (!name || map_find(dp, name))
		return 0;
	fd = dup(bpf_map__fd(map));
	if (fd < 0)
		return -errno;
	err = map_add(dp, name, fd);
	if (err || !dp->adopted)
		return err;
	err = bpffs_path(path, sizeof(path), dp->bpffs, "maps", name);
	return err ? err : bpffs_pin(fd, path);
}

static int maps_share(struct dataplane *dp, struct bpf_object *object, char **why)
{
	struct bpf_map *map;
	int err = 0;

	bpflog_begin();
	bpf_object__for_each_map(map, object)
	{
		err = map_share(dp, map, why);
		if (err)
			break;
	}
	bpflog_end();
	return err;
}

static int object_load(struct dataplane *dp, enum program_object which, uint32_t destinations, char **why)
{
	struct bpf_map *map;
	int err;

	err = program_object_open(which, &dp->objects[which]);
	if (!err)
		err = port_table_size(dp->objects[which], destinations);
	if (err)
		return why_say(why, err, "cannot open the %s: %s", program_object_name(which), strerror(-err));
	err = maps_share(dp, dp->objects[which], why);
	if (!err)
		err = program_object_load(which, dp->objects[which], why);
	if (err)
		return err;
	bpf_object__for_each_map(map, dp->objects[which])
	{
		err = map_made(dp, map);
		if (err)
			return why_say(why, err, "cannot keep map %s: %s", bpf_map__name(map), strerror(-err));
	}
	return 0;
}

static int objects_load(struct dataplane *dp, uint32_t destinations, char **why)
{
	int err = 0;

	for (unsigned i = 0; !err && i < PROGRAM_OBJECTS; i++)
		err = object_load(dp, i, destinations ? destinations : DESTINATIONS_DEFAULT, why);
	return err;
}

/* Pins all maps in a directory aside, which then takes its name in one step; when another version is taken over, later.
 */
static int maps_pin(struct dataplane *dp, char **why)
{
	char aside[PATH_MAX] = "", path[PATH_MAX] = "";
	int err;

	err = bpffs_remove_all(dp->bpffs, DIR_MAPS_ASIDE);
	if (!err)
		err = bpffs_path(aside, sizeof(aside), dp->bpffs, DIR_MAPS_ASIDE, "");
	if (!err && mkdir(aside, 0700) < 0)
		err = -errno;
	for (size_t i = 0; !err && i < dp->map_count; i++) {
		err = bpffs_path(path, sizeof(path), dp->bpffs, DIR_MAPS_ASIDE, dp->maps[i].name);
		if (!err && bpf_obj_pin(dp->maps[i].fd, path) < 0)
			err = -errno;
	}
	if (!err && !dp->taking_over)
		err = bpffs_path(path, sizeof(path), dp->bpffs, "maps", "");
	if (!err && !dp->taking_over && rename(aside, path) < 0)
		err = -errno;
	return err ? why_say(why, err, "cannot pin the maps in %s: %s", dp->bpffs, strerror(-err)) : 0;
}

/* The layout that the pinned tables were written in; 0: nobody wrote them. */
static int pinned_layout(int fd, uint32_t *ret)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info), key = 0;
	uint32_t *value;
	int err = 0;

	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		return -errno;
	if (info.value_size < sizeof(*value))
		return -ENOTSUP;
	value = calloc(1, info.value_size);
	if (!value)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &key, value) < 0)
		err = -errno;
	else
		*ret = *value;
	free(value);
	return err;
}

/*
 * Looks whether there are maps to adopt. Tables that nobody ever wrote (the agent ended right after making them) are
 * no loss: they make way for new ones.
 */
static int adoption_decide(struct dataplane *dp, char **why)
{
	char path[PATH_MAX];
	uint32_t layout = 0;
	int err, fd;

	err = bpffs_path(path, sizeof(path), dp->bpffs, "maps", "config");
	if (err)
		return why_say(why, err, "%s: too long", dp->bpffs);
	fd = bpf_obj_get(path);
	if (fd < 0 && errno != ENOENT)
		return why_say(why, -errno, "cannot open %s: %s", path, strerror(errno));
	if (fd >= 0) {
		err = pinned_layout(fd, &layout);
		close(fd);
		if (err)
			return why_say(why, err, "cannot read %s: %s", path, strerror(-err));
	}
	dp->adopted = layout == BERTH_LAYOUT_VERSION;
	dp->taking_over = layout >= BERTH_LAYOUT_TAKEOVER && !dp->adopted;
	if (layout && !dp->adopted && !dp->taking_over)
		return why_say(why, -ENOTSUP,
			       "%s holds tables of layout %u, this version has %u: take them down with "
			       "`berth detach` first",
			       dp->bpffs, layout, BERTH_LAYOUT_VERSION);
	if (dp->adopted || dp->taking_over) {
		/* What a takeover left that was cut short, on either side of its last step. */
		err = bpffs_remove_all(dp->bpffs, DIR_MAPS_ASIDE);
		return err ? why_say(why, err, "cannot clear %s/%s: %s", dp->bpffs, DIR_MAPS_ASIDE, strerror(-err)) : 0;
	}
	err = bpffs_remove_all(dp->bpffs, "maps");
	return err ? why_say(why, err, "cannot clear %s/maps: %s", dp->bpffs, strerror(-err)) : 0;
}

/* A link without its name is attached all the same: another one beside it would be refused, or run as well. */
static int links_settle(struct dataplane *dp, char **why)
{
	int err = bpffs_pins_settle(dp->bpffs, "links");

	return err ? why_say(why, err, "cannot name the links in %s/links: %s", dp->bpffs, strerror(-err)) : 0;
}

static int table_map(struct dataplane *dp, const char *name, size_t size, void **ret, char **why)
{
	struct shared_map *map = map_find(dp, name);
	struct bpf_map_info info = {0};
	uint32_t info_size = sizeof(info);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!map)
		return why_say(why, -ENOENT, "no program has the table %s", name);
	if (bpf_obj_get_info_by_fd(map->fd, &info, &info_size) < 0 || info.value_size != size)
		return why_say(why, -ENOTSUP, "table %s has %u bytes, not %zu", name, info.value_size, size);
	map->size = (size + page - 1) / page * page;
	map->memory = mmap(NULL, map->size, PROT_READ | PROT_WRITE, MAP_SHARED, map->fd, 0);
	if (map->memory == MAP_FAILED) {
		map->memory = NULL;
		return why_say(why, -errno, "cannot map the table %s: %s", name, strerror(errno));
	}
	*ret = map->memory;
	return 0;
}

static int tables_map(struct dataplane *dp, char **why)
{
	int err;

	err = table_map(dp, "config", sizeof(*dp->config), (void **)&dp->config, why);
	if (!err)
		err = table_map(dp, "directories", sizeof(*dp->directories), (void **)&dp->directories, why);
	if (!err)
		err = table_map(dp, "slices", sizeof(*dp->slices), (void **)&dp->slices, why);
	if (!err)
		err = table_map(dp, "hops", sizeof(*dp->hops), (void **)&dp->hops, why);
	if (!err)
		err = table_map(dp, "members", sizeof(*dp->members), (void **)&dp->members, why);
	if (!err)
		err = table_map(dp, "gate", sizeof(*dp->gate), (void **)&dp->gate, why);
	return err;
}

static struct dataplane *dataplane_new(const struct dataplane_options *options)
{
	struct dataplane *dp = calloc(1, sizeof(*dp));

	if (!dp)
		return NULL;
	dp->lock_fd = -1;
	dp->bpffs = strdup(options->bpffs);
	dp->cgroup_root = strdup(options->cgroup_root);
	if (!dp->bpffs || !dp->cgroup_root) {
		dataplane_close(dp);
		return NULL;
	}
	return dp;
}

int dataplane_open(const struct dataplane_options *options, struct dataplane **ret, char **why)
{
	struct dataplane *dp = dataplane_new(options);
	int err;

	if (!dp)
		return why_say(why, -ENOMEM, "no memory");
	err = bpffs_ensure(dp->bpffs, why);
	if (!err) {
		dp->lock_fd = bpffs_lock(dp->bpffs, why);
		err = dp->lock_fd < 0 ? dp->lock_fd : 0;
	}
	if (!err)
		err = links_settle(dp, why);
	if (!err)
		err = adoption_decide(dp, why);
	if (!err)
		err = objects_load(dp, options->destinations, why);
	if (!err)
		err = tables_map(dp, why);
	if (!err && !dp->adopted)
		err = maps_pin(dp, why);
	if (err) {
		dataplane_close(dp);
		return err;
	}
	dataplane_tables_measure(dp);
	err = takeover_recover(dp, why);
	if (err) {
		dataplane_close(dp);
		return err;
	}
	*ret = dp;
	return 0;
}

void dataplane_close(struct dataplane *dp)
{
	if (!dp)
		return;
	for (unsigned i = 0; i < PROGRAM_OBJECTS; i++)
		bpf_object__close(dp->objects[i]);
	for (size_t i = 0; i < dp->map_count; i++) {
		if (dp->maps[i].memory)
			munmap(dp->maps[i].memory, dp->maps[i].size);
		close(dp->maps[i].fd);
	}
	if (dp->lock_fd >= 0)
		close(dp->lock_fd);
	free(dp->bpffs);
	free(dp->cgroup_root);
	free(dp);
}

bool dataplane_taking_over(const struct dataplane *dp)
{
	return dp->taking_over;
}

bool dataplane_adopted(const struct dataplane *dp)
{
	return dp->adopted;
}
