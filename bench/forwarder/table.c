/* SPDX-License-Identifier: Apache-2.0 */
/* Tables as the agent writes them, full: how long that takes, how soon a packet sees a change, and how much memory. */
#include "forwarder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "../../src/core/compile.h"
#include "../../src/kernel/dataplane.h"
#include "../../src/kernel/teardown.h"
#include "../../src/kernel/why.h"
#include "../place.h"

#define DIR "/mnt"
#define BPFFS DIR "/bpf"
#define PREFIXES (SLICES_MAX / 256 / BENCH_COLUMNS)
#define LOOPBACK 1u
/* Of the tables, and of single changes. */
#define LOADS 5
#define CHANGES 100
#define NS_PER_S 1000000000u
/* The slice that changes. */
#define CHANGED_ADDR (BENCH_POOL + 5)
#define CHANGED_PORT 4100u

struct table_run {
	struct dataplane *dp;
	struct tables *tables;
	int program; /* the forwarder's descriptor */
};

/* Every slice that there is room for leads to one of all hops. */
static struct tables *tables_full(void)
{
	struct tables *tables = calloc(1, sizeof(*tables));

	if (!tables)
		return NULL;
	tables->slice_count = SLICES_MAX;
	tables->slices = calloc(SLICES_MAX, sizeof(*tables->slices));
	tables->member_count = NEIGHBOUR + 1;
	tables->members = calloc(tables->member_count, sizeof(*tables->members));
	if (!tables->slices || !tables->members || pool_directory(&tables->directory, PREFIXES)) {
		tables_free(tables);
		return NULL;
	}
	for (uint32_t i = 0; i < SLICES_MAX; i++)
		tables->slices[i] = SLICE_HOP + i % HOPS_MAX;
	for (uint32_t i = 0; i < HOPS_MAX; i++)
		tables->hop_target[i] = HOP_SERVER | (NEIGHBOUR + i);
	tables->members[NEIGHBOUR] = NEIGHBOUR_UNDERLAY;
	return tables;
}

/* The program that is attached to lo. */
static int program_find(int *ret, char **why)
{
	struct bpf_link_info info = {0};
	__u32 size = sizeof(info);
	int link = bpf_obj_get(BPFFS "/links/xdp_1"), err = 0;

	if (link < 0 || bpf_obj_get_info_by_fd(link, &info, &size) < 0)
		err = -errno;
	if (!err) {
		*ret = bpf_prog_get_fd_by_id(info.prog_id);
		err = *ret < 0 ? -errno : 0;
	}
	if (link >= 0)
		close(link);
	return err ? why_say(why, err, "the forwarder on lo: %s", strerror(-err)) : 0;
}

static int open_here(struct table_run *run, const char *cgroup, char **why)
{
	const struct dataplane_options options = {.bpffs = BPFFS, .cgroup_root = cgroup};
	const struct forwarder_config config = {.server_id = BENCH_SERVER,
						.site_id = BENCH_SITE,
						.underlay = htonl(BENCH_UNDERLAY),
						.wrap_port = htons(WRAP_PORT),
						.max_hops = WRAP_HOPS_DEFAULT};
	int err = dataplane_open(&options, &run->dp, why);

	if (err)
		return err;
	dataplane_config_write(run->dp, &config);
	err = dataplane_forwarder_attach(run->dp, LOOPBACK, true, why);
	return err ? err : program_find(&run->program, why);
}

static void close_here(struct table_run *run)
{
	const struct teardown_options down = {.bpffs = BPFFS};

	if (run->program >= 0)
		close(run->program);
	dataplane_close(run->dp);
	(void)teardown_run(&down, NULL);
	run->dp = NULL;
	run->program = -1;
}

/* What the forwarder does with a packet for the slice that changes. */
static int verdict_get(const struct table_run *run, uint32_t *ret, char **why)
{
	struct frame frame;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.bytes, .repeat = 1);
	const uint32_t daddr = htonl(CHANGED_ADDR), ports = htonl(443u << 16 | CHANGED_PORT);

	frame_plain(IPPROTO_TCP, &frame);
	memcpy(frame.bytes + 30, &daddr, sizeof(daddr));
	memcpy(frame.bytes + 34, &ports, sizeof(ports));
	options.data_size_in = (uint32_t)frame.size;
	if (bpf_prog_test_run_opts(run->program, &options) < 0)
		return why_say(why, -errno, "the forwarder cannot be run: %m");
	*ret = options.retval;
	return 0;
}

/* From the agent's call until a packet takes the new way. */
static int change_measure(struct table_run *run, bool local, struct result *result, char **why)
{
	uint32_t index = directory_slice(0, BENCH_SHIFT, CHANGED_ADDR, CHANGED_PORT), verdict = 0;
	const uint32_t wanted = local ? XDP_PASS : XDP_DROP;
	uint64_t start;
	int err;

	run->tables->slices[index] = local ? SLICE_LOCAL : SLICE_FREE;
	start = clock_now();
	err = dataplane_tables_write(run->dp, run->tables);
	if (!err)
		err = verdict_get(run, &verdict, why);
	if (err)
		return err;
	series_add(&result->sides[OURS], clock_now() - start);
	if (verdict != wanted)
		return why_say(why, -EPROTO, "after the change a packet gets action %u, not %u", verdict, wanted);
	return 0;
}

static int changes_measure(struct table_run *run, struct result *result, char **why)
{
	int err = 0;

	for (unsigned i = 0; !err && i < CHANGES; i++)
		err = change_measure(run, i % 2, result, why);
	series_end_round(&result->sides[OURS]);
	return err;
}

static uint64_t map_bytes(const char *name)
{
	char path[64], line[128];
	uint64_t bytes = 0;
	FILE *file;
	int fd;

	snprintf(path, sizeof(path), BPFFS "/maps/%s", name);
	fd = bpf_obj_get(path);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fd < 0 ? NULL : fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "memlock: %" SCNu64, &bytes) == 1)
			break;
	if (file)
		fclose(file);
	if (fd >= 0)
		close(fd);
	return bytes;
}

/* All that the forwarder looks packets up in. */
static uint64_t bytes_of_tables(void)
{
	return map_bytes("config") + map_bytes("directories") + map_bytes("slices") + map_bytes("hops") +
	       map_bytes("members");
}

static int measure_all(struct table_run *run, struct bench *bench, char **why)
{
	struct result *load = report_add(bench->report, "table/load", "s", BETTER_LOWER, NULL);
	struct result *change = report_add(bench->report, "table/one-change", "s", BETTER_LOWER, NULL);
	struct result *bytes = report_add(bench->report, "slice-bytes", "bytes", BETTER_LOWER, NULL);
	int err = load && change && bytes ? 0 : -ENOMEM;

	if (err)
		return err;
	load->parts = change->parts = NS_PER_S;
	bytes->parts = 1000;
	for (unsigned i = 0; !err && i < LOADS; i++) {
		uint64_t start;

		close_here(run);
		err = open_here(run, bench->cgroup, why);
		start = clock_now();
		if (!err)
			err = dataplane_tables_write(run->dp, run->tables);
		series_add(&load->sides[OURS], clock_now() - start);
		series_end_round(&load->sides[OURS]);
	}
	if (!err)
		err = changes_measure(run, change, why);
	result_set(bytes, OURS, bytes_of_tables() * 1000 / SLICES_MAX);
	result_extra(bytes, "slices", SLICES_MAX);
	return err;
}

int part_table(struct bench *bench, char **why)
{
	struct table_run run = {.program = -1, .tables = tables_full()};
	int err = run.tables ? netns_enter_new(why) : -ENOMEM;

	if (!err && (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		     mount("bench", DIR, "tmpfs", 0, "mode=0700")))
		err = why_say(why, -errno, "no place for a bpf file system: %m");
	if (!err)
		err = measure_all(&run, bench, why);
	close_here(&run);
	tables_free(run.tables);
	return err;
}
