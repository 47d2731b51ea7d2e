/* SPDX-License-Identifier: Apache-2.0 */
#include "attached.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bpffs.h"
#include "link.h"
#include "why.h"

struct search {
	const char *bpffs;
	const char *prefix;
	struct attached *found;
	char **why;
};

static int info_read(const struct search *search, const char *rest, struct bpf_link_info *ret)
{
	char name[NAME_MAX + 1], path[PATH_MAX];
	__u32 size = sizeof(*ret);
	int fd, err;

	if (snprintf(name, sizeof(name), "%s%s", search->prefix, rest) >= (int)sizeof(name))
		return -ENAMETOOLONG;
	err = bpffs_path(path, sizeof(path), search->bpffs, "links", name);
	if (err)
		return err;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT
				       : why_say(search->why, -errno, "cannot open %s: %s", path, strerror(errno));
	memset(ret, 0, sizeof(*ret));
	err = bpf_obj_get_info_by_fd(fd, ret, &size) < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* A link whose device or cgroup is gone stays pinned, and says 0. */
static int look(void *arg, const char *rest)
{
	struct search *search = arg;
	struct attached *found = search->found;
	struct bpf_link_info info;
	int err = info_read(search, rest, &info);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (info.type == BPF_LINK_TYPE_XDP) {
		if (found->device_count < ATTACHED_DEVICES_MAX &&
		    if_indextoname(info.xdp.ifindex, found->devices[found->device_count]))
			found->device_count++;
		return 0;
	}
	found->allocator_pinned++;
	found->allocator_attached += info.type != BPF_LINK_TYPE_CGROUP || info.cgroup.cgroup_id;
	return 0;
}

int attached_read(const char *bpffs, struct attached *ret, char **why)
{
	static const char *const prefixes[] = {LINK_XDP_PREFIX, LINK_CGROUP_PREFIX, LINK_TRACE_PREFIX};
	struct attached found = {.device_count = 0};
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		struct search search = {bpffs, prefixes[i], &found, why};

		err = bpffs_visit(bpffs, "links", prefixes[i], look, &search);
	}
	if (!err)
		*ret = found;
	return err;
}
