/* SPDX-License-Identifier: Apache-2.0 */
#include "guardfilter.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "bpffs.h"
#include "bpflog.h"
#include "rtnl.h"
#include "why.h"

static const char *device_name(uint32_t ifindex, char name[IF_NAMESIZE])
{
	if (!if_indextoname(ifindex, name))
		snprintf(name, IF_NAMESIZE, "%u", ifindex);
	return name;
}

static void mark_name(uint32_t ifindex, char name[32])
{
	snprintf(name, 32, "clsact_%u", ifindex);
}

/* Makes the clsact qdisc unless it is there. The mark says who made it, and stands before it. */
static int clsact_ensure(const char *bpffs, struct bpf_tc_hook *hook)
{
	char mark[32];
	bool marked;
	int err;

	mark_name((uint32_t)hook->ifindex, mark);
	marked = bpffs_marked(bpffs, mark);
	err = marked ? 0 : bpffs_mark(bpffs, mark);
	if (err)
		return err;
	bpflog_begin();
	err = bpf_tc_hook_create(hook);
	bpflog_end();
	if (err && !marked)
		(void)bpffs_unmark(bpffs, mark);
	return err == -EEXIST ? 0 : err;
}

int guard_filter_attach(const char *bpffs, uint32_t ifindex, int program_fd, char **why)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = GUARD_HANDLE, .priority = GUARD_PRIORITY, .prog_fd = program_fd,
		    .flags = BPF_TC_F_REPLACE);
	char name[IF_NAMESIZE];
	int err;

	err = clsact_ensure(bpffs, &hook);
	if (err)
		return why_say(why, err, "%s: cannot make the clsact qdisc: %s", device_name(ifindex, name),
			       strerror(-err));
	bpflog_begin();
	err = bpf_tc_attach(&hook, &filter);
	bpflog_end();
	if (err)
		return why_say(why, err, "%s: cannot attach the guard to egress: %s", device_name(ifindex, name),
			       strerror(-err));
	return 0;
}

/* Whether anybody has a filter left on the device. When it can't be told, yes. */
static bool clsact_in_use(uint32_t ifindex)
{
	struct rtnl *rtnl = NULL;
	size_t filters = 1;

	if (rtnl_open(&rtnl) == 0)
		(void)rtnl_clsact_filters(rtnl, ifindex, &filters);
	rtnl_close(rtnl);
	return filters > 0;
}

/* The qdisc goes only when we made it and nobody else came to use it. */
static int clsact_remove(const char *bpffs, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	char mark[32];
	int err = 0;

	mark_name(ifindex, mark);
	if (!bpffs_marked(bpffs, mark))
		return 0;
	if (!clsact_in_use(ifindex)) {
		bpflog_begin();
		err = bpf_tc_hook_destroy(&hook);
		bpflog_end();
	}
	if (err && err != -ENOENT && err != -EINVAL && err != -ENODEV)
		return err;
	return bpffs_unmark(bpffs, mark);
}

int guard_filter_detach(const char *bpffs, uint32_t ifindex, char **why)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = GUARD_HANDLE, .priority = GUARD_PRIORITY);
	char name[IF_NAMESIZE];
	int err;

	bpflog_begin();
	err = bpf_tc_detach(&hook, &filter);
	bpflog_end();
	/* ENOENT: no filter; EINVAL: no clsact */
	if (err == -ENOENT || err == -EINVAL || err == -ENODEV)
		err = 0;
	if (!err)
		err = clsact_remove(bpffs, ifindex);
	return err ? why_say(why, err, "%s: cannot detach the guard: %s", device_name(ifindex, name), strerror(-err))
		   : 0;
}
