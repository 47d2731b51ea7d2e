/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bpffs.h"
#include "why.h"

int link_remove(const char *path)
{
	int fd = bpf_obj_get(path);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	/* Letting go of the last descriptor detaches only some time later, on a work queue. Tracing links know no
	   other way. */
	(void)bpf_link_detach(fd);
	close(fd);
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

struct removal {
	const char *bpffs;
	const char *prefix;
	char **why;
};

static int remove_one(void *arg, const char *rest)
{
	const struct removal *removal = arg;
	char name[NAME_MAX + 1], path[PATH_MAX];
	int err;

	if (snprintf(name, sizeof(name), "%s%s", removal->prefix, rest) >= (int)sizeof(name))
		return -ENAMETOOLONG;
	err = bpffs_path(path, sizeof(path), removal->bpffs, "links", name);
	if (!err)
		err = link_remove(path);
	if (err)
		why_say(removal->why, err, "cannot remove the link %s/links/%s: %s", removal->bpffs, name,
			strerror(-err));
	return err;
}

static int remove_prefix(const char *bpffs, const char *prefix, char **why)
{
	struct removal removal = {bpffs, prefix, why};

	return bpffs_visit(bpffs, "links", prefix, remove_one, &removal);
}

int allocator_links_remove(const char *bpffs, char **why)
{
	int err = remove_prefix(bpffs, LINK_CGROUP_PREFIX, why);

	return err ? err : remove_prefix(bpffs, LINK_TRACE_PREFIX, why);
}

int forwarder_links_remove(const char *bpffs, char **why)
{
	return remove_prefix(bpffs, LINK_XDP_PREFIX, why);
}
