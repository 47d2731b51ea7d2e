/* SPDX-License-Identifier: Apache-2.0 */
#include "allocator.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../../src/abi/forwarder.h"
#include <allocator.skel.h>

#include "../../src/kernel/cgroup.h"
#include "../../src/kernel/dataplane.h"
#include "../../src/kernel/porttable.h"
#include "../../src/kernel/portuses.h"
#include "../../src/kernel/why.h"
#include "../place.h"

#define POLICY_ONE 1u
#define POLICY_MSS 1420
/* A site's worth of underlay addresses, excepted like the private prefixes. */
#define UNDERLAY 0x0a000100u /* 10.0.1.0 */
#define SERVERS 32u
#define SETTLE_TRIES 200
#define SETTLE_US 10000

static int except_write(struct rig *rig, uint32_t addr, unsigned len)
{
	struct except_key key = dataplane_except_ipv4(POLICY_ONE, (struct prefix){.addr = addr, .len = len});
	uint32_t leave = 1;

	return bpf_map__update_elem(rig->skel->maps.excepts, &key, sizeof(key), &leave, sizeof(leave), 0);
}

/* What the agent excepts for every policy: an empty table would be looked up quicker than any in real life. */
static int excepts_write(struct rig *rig)
{
	static const struct prefix fixed[] = {
		{0x7f000000, 8},  {0xa9fe0000, 16}, {0x0a000000, 8},  {0xac100000, 12},
		{0xc0a80000, 16}, {0xcb007100, 24}, {0xc0000200, 24},
	};
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(fixed) / sizeof(fixed[0]); i++)
		err = except_write(rig, fixed[i].addr, fixed[i].len);
	for (uint32_t i = 0; !err && i < SERVERS; i++)
		err = except_write(rig, UNDERLAY + i, 32);
	return err;
}

static int policy_write(struct rig *rig)
{
	struct policy policy = {
		.slice_count = rig->size.slices ? rig->size.slices : 1,
		.mss = POLICY_MSS,
	};
	uint32_t id = POLICY_ONE;
	uint64_t cgroup;
	int err = excepts_write(rig);

	for (uint32_t i = 0; i < policy.slice_count; i++)
		policy.slices[i] = (struct policy_slice){
			.addr = htobe32(EGRESS + i), .first = SLICE_FIRST, .count = rig->size.slice_ports};
	if (!err)
		err = port_uses_make(bpf_map__fd(rig->skel->maps.port_uses), &policy);
	if (!err)
		err = bpf_map__update_elem(rig->skel->maps.policies, &id, sizeof(id), &policy, sizeof(policy), 0);
	if (!err)
		err = cgroup_id(rig->app, &cgroup);
	if (!err)
		err = bpf_map__update_elem(rig->skel->maps.cgroup_policies, &cgroup, sizeof(cgroup), &id, sizeof(id),
					   0);
	return err;
}

static int cgroups_make(struct rig *rig, const char *top)
{
	int err;

	if (snprintf(rig->top, sizeof(rig->top), "%s", top) >= (int)sizeof(rig->top) ||
	    snprintf(rig->app, sizeof(rig->app), "%s/app", top) >= (int)sizeof(rig->app) ||
	    snprintf(rig->host, sizeof(rig->host), "%s/host", top) >= (int)sizeof(rig->host))
		return -ENAMETOOLONG;
	err = cgroup_make(rig->app);
	return err ? err : cgroup_make(rig->host);
}

int rig_up(struct rig *rig, struct bench *bench, struct rig_size size, char **why)
{
	int err;

	*rig = (struct rig){.size = size};
	err = netns_enter_new(why);
	if (err)
		return err;
	err = cgroups_make(rig, bench->cgroup);
	if (err)
		return why_say(why, err, "the cgroups cannot be made: %s", strerror(-err));
	rig->skel = allocator__open();
	if (!rig->skel)
		return why_say(why, -errno, "the allocator cannot be opened: %m");
	err = port_table_size(rig->skel->obj, size.table ? size.table : DESTINATIONS_DEFAULT);
	if (!err)
		err = allocator__load(rig->skel);
	if (!err)
		err = policy_write(rig);
	return err ? why_say(why, err, "the allocator cannot be loaded: %s", strerror(-err)) : 0;
}

void rig_down(struct rig *rig)
{
	if (rig->top[0])
		(void)cgroup_move(rig->top, 0);
	rig_detach(rig);
	allocator__destroy(rig->skel);
	rig->skel = NULL;
}

int rig_attach(struct rig *rig, char **why)
{
	struct bpf_program *program;
	int cgroup;

	if (rig->link_count)
		return 0;
	cgroup = open(rig->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		return why_say(why, -errno, "%s: %m", rig->top);
	bpf_object__for_each_program(program, rig->skel->obj)
	{
		if (bpf_program__type(program) == BPF_PROG_TYPE_SCHED_CLS || program == rig->skel->progs.list_holders)
			continue;
		struct bpf_link *link = bpf_program__type(program) == BPF_PROG_TYPE_TRACING
						? bpf_program__attach(program)
						: bpf_program__attach_cgroup(program, cgroup);

		if (!link || rig->link_count == sizeof(rig->links) / sizeof(rig->links[0])) {
			int err = link ? -E2BIG : -errno;

			bpf_link__destroy(link);
			close(cgroup);
			rig_detach(rig);
			return why_say(why, err, "%s cannot be attached: %s", bpf_program__name(program),
				       strerror(-err));
		}
		rig->links[rig->link_count++] = link;
	}
	close(cgroup);
	return 0;
}

void rig_detach(struct rig *rig)
{
	while (rig->link_count)
		bpf_link__destroy(rig->links[--rig->link_count]);
}

int rig_enter(const char *cgroup, char **why)
{
	int err = cgroup_move(cgroup, 0);

	return err ? why_say(why, err, "%s cannot be entered: %s", cgroup, strerror(-err)) : 0;
}

int rig_take_side(struct rig *rig, enum side side, char **why)
{
	if (side == OURS) {
		int err = rig_attach(rig, why);

		return err ? err : rig_enter(rig->app, why);
	}
	rig_detach(rig);
	return rig_enter(rig->host, why);
}

static int entry_add(void *arg, const struct port_entry *entry)
{
	*(uint64_t *)arg += entry->used;
	return 0;
}

uint64_t rig_ports_used(const struct rig *rig)
{
	uint64_t used = 0;

	(void)port_table_visit(bpf_map__fd(rig->skel->maps.port_buckets), bpf_map__fd(rig->skel->maps.port_bitmaps),
			       entry_add, &used);
	return used + rig_probes(rig);
}

uint64_t rig_probes(const struct rig *rig)
{
	return rig->skel->data_port_table->port_table.probes;
}

uint64_t rig_ports_leaked(const struct rig *rig)
{
	uint64_t used = rig_ports_used(rig);

	for (int i = 0; used && i < SETTLE_TRIES; i++) {
		usleep(SETTLE_US);
		used = rig_ports_used(rig);
	}
	return used;
}

static uint64_t map_memory(int fd)
{
	char path[64], line[128];
	uint64_t bytes = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "memlock: %" SCNu64, &bytes) == 1)
			break;
	if (file)
		fclose(file);
	return bytes;
}

uint64_t rig_memory(const struct rig *rig)
{
	uint64_t bytes = 0;
	struct bpf_map *map;

	bpf_object__for_each_map(map, rig->skel->obj) bytes += map_memory(bpf_map__fd(map));
	return bytes;
}
