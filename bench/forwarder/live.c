/* SPDX-License-Identifier: Apache-2.0 */
#include "live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include <forwarder_bench.skel.h>

#include "../../src/kernel/why.h"

#define ROUNDS 20
#define PACKETS (1u << 20) /* a side, round and core */
#define BATCH 64
#define CORES_MAX 2u
/* Samples are thousandths of a million packets in a second; a rate of one in a nanosecond is a thousand million. */
#define PARTS 1000u
#define RATE(packets, ns) ((packets)*1000u * PARTS / (ns))
#define PORTS (443u << 16 | 4100u)
#define PEER 0xc6336407u /* 198.51.100.7 */

struct live_run;

struct core {
	struct live_run *run;
	struct frame frame;
	uint32_t ifindex; /* frames come in there */
	uint32_t way_out; /* of what is wrapped */
	pthread_t thread;
	int program;
	int err;
};

struct live_run {
	const struct live_plan *plan;
	struct forwarder_bench *skel;
	struct result *result;
	struct core cores[CORES_MAX];
	pthread_barrier_t begin;
};

/* The core's own CPU, device and slice: nothing is shared but the tables. */
static void *core_run(void *argument)
{
	struct core *core = argument;
	struct xdp_md context = {.data_end = (uint32_t)core->frame.size, .ingress_ifindex = core->ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = core->frame.bytes,
		    .data_size_in = (uint32_t)core->frame.size, .ctx_in = &context, .ctx_size_in = sizeof(context),
		    .repeat = PACKETS, .batch_size = BATCH, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET((size_t)(core - core->run->cores), &cpus);
	core->err = -pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	pthread_barrier_wait(&core->run->begin);
	if (!core->err && bpf_prog_test_run_opts(core->program, &options) < 0)
		core->err = -errno;
	return NULL;
}

/* All cores at once. */
static int cores_run(struct live_run *run)
{
	uint32_t started = 0;
	int err = 0;

	for (; !err && started < run->plan->cores; started++)
		err = -pthread_create(&run->cores[started].thread, NULL, core_run, &run->cores[started]);
	if (err) /* the others wait at the barrier for good: the process ends with this error */
		return err;
	for (uint32_t i = 0; i < started; i++) {
		pthread_join(run->cores[i].thread, NULL);
		if (!err)
			err = run->cores[i].err;
	}
	return err;
}

static uint64_t arrived(const struct live_run *run)
{
	uint64_t total = 0;

	for (size_t i = 0; i < LIVE_CPUS; i++)
		total += run->skel->data_live->live.cpu[i].arrived;
	return total;
}

static int round_run_side(void *context, enum side side, char **why)
{
	struct live_run *run = context;
	const struct live_plan *plan = run->plan;
	const struct bpf_program *program = bpf_object__find_program_by_name(run->skel->obj, plan->programs[side]);
	const uint64_t sent = (uint64_t)PACKETS * plan->cores, before = arrived(run);
	uint64_t start, got;
	int err = plan->prepare ? plan->prepare(run->skel, side, why) : 0;

	if (err)
		return err;
	if (!program)
		return why_say(why, -ENOENT, "there is no program %s", plan->programs[side]);
	run->skel->data_live->live.size = (uint32_t)run->cores[0].frame.size + plan->growth[side];
	for (uint32_t i = 0; i < plan->cores; i++)
		run->cores[i].program = bpf_program__fd(program);
	start = clock_now();
	err = cores_run(run);
	if (err)
		return why_say(why, err, "live frames: %s", strerror(-err));
	got = arrived(run) - before;
	series_add(&run->result->sides[side], RATE(got, clock_now() - start));
	if (got != sent && !(plan->lossy && got > sent / 2 && got < sent))
		return why_say(why, -EPROTO, "%llu of %llu frames came out right", (unsigned long long)got,
			       (unsigned long long)sent);
	return 0;
}

/* Both ends run XDP, without which a veth takes no frame from it. */
static int veth_make(struct live_run *run, uint32_t core, char **why)
{
	static const char *const ends[] = {"in", "out"};
	char command[160], name[IFNAMSIZ];

	snprintf(command, sizeof(command),
		 "ip link add in%u type veth peer name out%u && ip link set in%u up && ip link set out%u up", core,
		 core, core, core);
	if (system(command) != 0)
		return why_say(why, -EIO, "`%s` failed", command);
	for (size_t i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s%u", ends[i], core);
		if (bpf_xdp_attach((int)if_nametoindex(name), bpf_program__fd(run->skel->progs.live_arrive), 0, NULL) <
		    0)
			return why_say(why, -errno, "%s takes no XDP program: %m", name);
	}
	snprintf(name, sizeof(name), "in%u", core);
	run->cores[core].way_out = if_nametoindex(name);
	snprintf(name, sizeof(name), "%s%u", run->plan->from, core);
	run->cores[core].ifindex = if_nametoindex(name);
	return 0;
}

/* The core's address has one hop, which leads out of its device. */
static void core_set_up(struct live_run *run, uint32_t core)
{
	struct iphdr *ip = (struct iphdr *)(run->cores[core].frame.bytes + ETH_HLEN);
	const uint32_t ports = htonl(PORTS), addr = BENCH_POOL + core;
	struct hops *hops = &run->skel->data_hops->hops;

	run->cores[core].run = run;
	frame_plain(run->plan->proto, &run->cores[core].frame);
	ip->saddr = htonl(PEER);
	ip->daddr = htonl(addr);
	memcpy(ip + 1, &ports, sizeof(ports));
	hops->wrap[core][0] = hops->wrap[0][0];
	hops->wrap[core][0].ifindex = run->cores[core].way_out;
	for (uint32_t column = 0; column < BENCH_COLUMNS; column++)
		run->skel->data_slices->slices.entry[core * BENCH_COLUMNS + column] = SLICE_HOP + core;
}

static int run_set_up(struct live_run *run, char **why)
{
	int err = programs_load(256, 1, &run->skel, why);

	for (uint32_t i = 0; !err && i < run->plan->cores; i++) {
		err = veth_make(run, i, why);
		if (!err)
			core_set_up(run, i);
	}
	memcpy(run->skel->data_loop->loop.front, run->cores[0].frame.bytes, ETH_HLEN);
	memcpy(run->skel->data_loop->loop.macs, run->cores[0].frame.bytes, 2 * ETH_ALEN);
	return err || !run->plan->set_up ? err : run->plan->set_up(why);
}

int live_measure(struct bench *bench, const struct live_plan *plan, char **why)
{
	struct live_run run = {.plan = plan};
	int err;

	run.result = report_add(bench->report, plan->name, "Mpps", BETTER_HIGHER, plan->reference);
	if (!run.result)
		return -ENOMEM;
	run.result->parts = PARTS;
	err = -pthread_barrier_init(&run.begin, NULL, plan->cores);
	if (!err)
		err = run_set_up(&run, why);
	if (!err)
		err = measure_rounds(&run.result, 1, ROUNDS, round_run_side, &run, why);
	forwarder_bench__destroy(run.skel);
	return err;
}

/* Wrapped, and sent back out of the end that they came in by. */
static int against_l2(struct bench *bench, const char *name, uint32_t cores, char **why)
{
	const struct live_plan plan = {
		.name = name,
		.reference = L2_NAME,
		.cores = cores,
		.proto = IPPROTO_TCP,
		.from = "in",
		.programs = {"live_wrap", "live_l2"},
		.growth = {WRAP_OVERHEAD, L2_OVERHEAD},
	};

	return live_measure(bench, &plan, why);
}

int part_live_one(struct bench *bench, char **why)
{
	return against_l2(bench, "live/1core", 1, why);
}

int part_live_two(struct bench *bench, char **why)
{
	return against_l2(bench, "live/2core", 2, why);
}
