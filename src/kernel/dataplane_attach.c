/* SPDX-License-Identifier: Apache-2.0 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpffs.h"
#include "bpflog.h"
#include "cgroup.h"
#include "dataplane_private.h"
#include "guardfilter.h"
#include "link.h"
#include "netns.h"
#include "why.h"

static struct bpf_program *program_of_type(const struct dataplane *dp, enum program_object which,
					   enum bpf_prog_type type)
{
	struct bpf_program *program;

	bpf_object__for_each_program(program,
				     dp->objects[which]) if (bpf_program__type(program) == type) return program;
	return NULL;
}

int dataplane_guard_attach(struct dataplane *dp, uint32_t ifindex, char **why)
{
	struct bpf_program *guard = program_of_type(dp, OBJECT_GUARD, BPF_PROG_TYPE_SCHED_CLS);

	return guard_filter_attach(dp->bpffs, ifindex, bpf_program__fd(guard), why);
}

int dataplane_guard_detach(struct dataplane *dp, uint32_t ifindex, char **why)
{
	return guard_filter_detach(dp->bpffs, ifindex, why);
}

static int xdp_path(const struct dataplane *dp, uint32_t ifindex, char path[PATH_MAX])
{
	char name[32];

	snprintf(name, sizeof(name), LINK_XDP_PREFIX "%u", ifindex);
	return bpffs_path(path, PATH_MAX, dp->bpffs, "links", name);
}

/* True when the device runs XDP in the mode asked for. */
static bool xdp_mode_is(uint32_t ifindex, bool generic)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	return bpf_xdp_query((int)ifindex, 0, &query) == 0 &&
	       query.attach_mode == (generic ? XDP_ATTACHED_SKB : XDP_ATTACHED_DRV);
}

/* 0: the link that was pinned runs the new program; 1: there is none that can. */
static int xdp_update(const char *path, uint32_t ifindex, bool generic, int program_fd)
{
	struct bpf_link_info info = {0};
	uint32_t size = sizeof(info);
	int fd = bpf_obj_get(path), err;

	if (fd < 0)
		return errno == ENOENT ? 1 : -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0 || info.type != BPF_LINK_TYPE_XDP ||
	    info.xdp.ifindex != ifindex || !xdp_mode_is(ifindex, generic))
		err = 1;
	else
		err = bpf_link_update(fd, program_fd, NULL) < 0 ? -errno : 0;
	close(fd);
	return err;
}

static int xdp_refused(int err, uint32_t ifindex, bool generic, char **why)
{
	char name[IF_NAMESIZE];

	if (!if_indextoname(ifindex, name))
		snprintf(name, sizeof(name), "%u", ifindex);
	switch (err) {
	case -EBUSY:
		return why_say(why, err, "%s: another XDP program is attached", name);
	case -EOPNOTSUPP:
		if (!generic)
			return why_say(why, err, "%s: its driver has no native XDP; generic mode works, slower", name);
		/* fall through */
	default:
		return why_say(why, err, "%s: cannot attach the forwarder%s: %s", name,
			       generic ? "" : " (the MTU or an offload may be in the way, see the kernel's log)",
			       strerror(-err));
	}
}

static int links_dir_make(const struct dataplane *dp, char **why)
{
	char path[PATH_MAX];
	int err = bpffs_path(path, sizeof(path), dp->bpffs, "links", "");

	if (!err && mkdir(path, 0700) < 0 && errno != EEXIST)
		err = -errno;
	return err ? why_say(why, err, "cannot make %s/links: %s", dp->bpffs, strerror(-err)) : 0;
}

int dataplane_forwarder_attach(struct dataplane *dp, uint32_t ifindex, bool generic, char **why)
{
	struct bpf_program *forwarder = program_of_type(dp, OBJECT_FORWARDER, BPF_PROG_TYPE_XDP);
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE);
	char path[PATH_MAX];
	int err, fd;

	err = links_dir_make(dp, why);
	if (err)
		return err;
	err = xdp_path(dp, ifindex, path);
	if (!err)
		err = xdp_update(path, ifindex, generic, bpf_program__fd(forwarder));
	if (err <= 0)
		return err ? xdp_refused(err, ifindex, generic, why) : 0;
	err = link_remove(path);
	if (err)
		return why_say(why, err, "cannot remove %s: %s", path, strerror(-err));
	fd = bpf_link_create(bpf_program__fd(forwarder), (int)ifindex, BPF_XDP, &options);
	if (fd < 0)
		return xdp_refused(-errno, ifindex, generic, why);
	err = bpffs_pin(fd, path);
	close(fd);
	return err ? why_say(why, err, "cannot pin %s: %s", path, strerror(-err)) : 0;
}

bool dataplane_forwarder_generic(const struct dataplane *dp, uint32_t ifindex)
{
	char path[PATH_MAX];

	return xdp_path(dp, ifindex, path) == 0 && access(path, F_OK) == 0 && xdp_mode_is(ifindex, true);
}

int dataplane_forwarder_detach(struct dataplane *dp, uint32_t ifindex, char **why)
{
	char path[PATH_MAX];
	int err = xdp_path(dp, ifindex, path);

	if (!err)
		err = link_remove(path);
	return err ? why_say(why, err, "cannot detach the forwarder from device %u: %s", ifindex, strerror(-err)) : 0;
}

struct device_list {
	uint32_t *items;
	size_t count;
};

static int device_add(void *arg, const char *rest)
{
	struct device_list *list = arg;
	uint32_t *more;
	char *end;
	unsigned long ifindex = strtoul(rest, &end, 10);

	if (*end || end == rest || ifindex > INT_MAX)
		return 0;
	more = reallocarray(list->items, list->count + 1, sizeof(*more));
	if (!more)
		return -ENOMEM;
	list->items = more;
	list->items[list->count++] = (uint32_t)ifindex;
	return 0;
}

int dataplane_forwarder_devices(const struct dataplane *dp, uint32_t **ret, size_t *count)
{
	struct device_list list = {0};
	int err = bpffs_visit(dp->bpffs, "links", LINK_XDP_PREFIX, device_add, &list);

	if (err) {
		free(list.items);
		return err;
	}
	*ret = list.items;
	*count = list.count;
	return 0;
}

/* 0: the pinned cgroup link runs the new program; 1: there is none at this cgroup. */
static int cgroup_update(const char *path, uint64_t cgroup, enum bpf_attach_type type, int program_fd)
{
	struct bpf_link_info info = {0};
	uint32_t size = sizeof(info);
	int fd = bpf_obj_get(path), err;

	if (fd < 0)
		return errno == ENOENT ? 1 : -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0 || info.type != BPF_LINK_TYPE_CGROUP ||
	    info.cgroup.cgroup_id != cgroup || info.cgroup.attach_type != type)
		err = 1;
	else
		err = bpf_link_update(fd, program_fd, NULL) < 0 ? -errno : 0;
	close(fd);
	return err;
}

/*
 * A new link is attached and pinned before the old one goes. Between the two both programs run, on the same maps:
 * what is given back is given back once, since the socket's storage says so with an exchange.
 */
static int link_renew(const char *path, const struct bpf_program *program, int target_fd)
{
	int old = bpf_obj_get(path), fd, err;

	fd = bpf_link_create(bpf_program__fd(program), target_fd, bpf_program__expected_attach_type(program), NULL);
	if (fd < 0) {
		err = -errno;
		goto out;
	}
	err = bpffs_pin(fd, path);
	close(fd);
	if (!err && old >= 0)
		(void)bpf_link_detach(old); /* at once; a tracing link can't, and goes with its last descriptor */
out:
	if (old >= 0)
		close(old);
	return err;
}

int dataplane_program(const struct dataplane *dp, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(dp->objects[OBJECT_ALLOCATOR], name);

	return program ? bpf_program__fd(program) : -ENOENT;
}

/* The others are run by hand (scrub.h). */
static bool is_attached(const struct bpf_program *program)
{
	return bpf_program__type(program) != BPF_PROG_TYPE_SCHED_CLS &&
	       bpf_program__expected_attach_type(program) != BPF_TRACE_ITER;
}

/* A hook of the kernel's, not of a cgroup. */
static bool is_tracing(const struct bpf_program *program)
{
	return bpf_program__type(program) == BPF_PROG_TYPE_TRACING;
}

static int allocator_link_path(const struct dataplane *dp, const struct bpf_program *program, char path[PATH_MAX])
{
	char name[128];

	snprintf(name, sizeof(name), "%s%s", is_tracing(program) ? LINK_TRACE_PREFIX : LINK_CGROUP_PREFIX,
		 bpf_program__name(program));
	return bpffs_path(path, PATH_MAX, dp->bpffs, "links", name);
}

static int hook_attach(struct dataplane *dp, const struct bpf_program *program, int cgroup_fd, uint64_t cgroup)
{
	char path[PATH_MAX];
	int err = allocator_link_path(dp, program, path);

	if (err)
		return err;
	if (is_tracing(program))
		return link_renew(path, program, 0);
	err = cgroup_update(path, cgroup, bpf_program__expected_attach_type(program), bpf_program__fd(program));
	return err > 0 ? link_renew(path, program, cgroup_fd) : err;
}

struct stale_search {
	struct dataplane *dp;
	const char *prefix;
};

/* Links of an older version whose program this one has no more. */
static int stale_remove(void *arg, const char *rest)
{
	const struct stale_search *search = arg;
	char name[NAME_MAX + 1], path[PATH_MAX];
	int err;

	if (bpf_object__find_program_by_name(search->dp->objects[OBJECT_ALLOCATOR], rest))
		return 0;
	if (snprintf(name, sizeof(name), "%s%s", search->prefix, rest) >= (int)sizeof(name))
		return -ENAMETOOLONG;
	err = bpffs_path(path, sizeof(path), search->dp->bpffs, "links", name);
	return err ? err : link_remove(path);
}

static int stale_links_remove(struct dataplane *dp)
{
	int err = bpffs_visit(dp->bpffs, "links", LINK_CGROUP_PREFIX, stale_remove,
			      &(struct stale_search){dp, LINK_CGROUP_PREFIX});

	return err ? err
		   : bpffs_visit(dp->bpffs, "links", LINK_TRACE_PREFIX, stale_remove,
				 &(struct stale_search){dp, LINK_TRACE_PREFIX});
}

/* Sockets of other network namespaces are told by it. */
static int home_netns_write(struct dataplane *dp, char **why)
{
	const uint32_t key = 0;
	uint64_t cookie;
	int err = netns_cookie(&cookie);

	if (!err && bpf_map_update_elem(dataplane_map(dp, "home_netns"), &key, &cookie, BPF_ANY) < 0)
		err = -errno;
	return err ? why_say(why, err, "cannot tell the programs which network namespace is ours: %s", strerror(-err))
		   : 0;
}

int dataplane_allocator_attach(struct dataplane *dp, char **why)
{
	struct bpf_program *program;
	uint64_t cgroup = 0;
	int fd, err;

	err = links_dir_make(dp, why);
	if (!err)
		err = home_netns_write(dp, why);
	if (err)
		return err;
	err = cgroup_id(dp->cgroup_root, &cgroup);
	fd = err ? -1 : open(dp->cgroup_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!err && fd < 0)
		err = -errno;
	if (err)
		return why_say(why, err, "%s is no cgroup2 directory: %s", dp->cgroup_root, strerror(-err));
	err = takeover_begin(dp, why);
	/* What gives ports back comes before what takes them. */
	for (int tracing = 1; !err && tracing >= 0; tracing--) {
		bpf_object__for_each_program(program, dp->objects[OBJECT_ALLOCATOR])
		{
			if (!is_attached(program) || is_tracing(program) != tracing)
				continue;
			err = hook_attach(dp, program, fd, cgroup);
			if (err) {
				why_say(why, err, "cannot attach %s to %s: %s", bpf_program__name(program),
					tracing ? "the kernel" : dp->cgroup_root, strerror(-err));
				break;
			}
		}
	}
	close(fd);
	if (!err) {
		err = stale_links_remove(dp);
		if (err)
			why_say(why, err, "cannot remove an older version's links in %s/links: %s", dp->bpffs,
				strerror(-err));
	}
	return err ? err : takeover_end(dp, why);
}

int dataplane_allocator_detach(struct dataplane *dp, char **why)
{
	return allocator_links_remove(dp->bpffs, why);
}
