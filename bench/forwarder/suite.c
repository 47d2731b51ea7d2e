/* SPDX-License-Identifier: Apache-2.0 */
#include "forwarder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <forwarder_bench.skel.h>

#include "../../src/kernel/why.h"
#include "../random.h"

#define ROUNDS 20
#define REPEAT (1u << 20)
/* Samples are thousandths of a nanosecond. */
#define PARTS 1000u
#define PEER 0xc6336407u /* 198.51.100.7 */

#define L2TWO_NAME "L2two: parse, slice -> hop, IPv4 and UDP in front"
#define PARSE_NAME "parse Ethernet and IPv4, pass"

#define SOCKETS_MAX 1000u
#define PEERS 200u

/* What a part asks for: of each side the program and the packet, and of both the flows. */
struct plan {
	const char *name, *reference;
	const char *programs[SIDES];
	uint32_t addresses, hops; /* of the tables */
	uint32_t flows; /* a power of two */
	uint8_t proto;
	bool tunnel; /* our packet is one; the reference's never is */
	bool foreign; /* its destination is none of the pool's */
	uint32_t sockets; /* at its port: one is connected to where it comes from, the others elsewhere */
};

struct run {
	const struct plan *plan;
	struct forwarder_bench *skel;
	struct frame frames[SIDES];
	struct result *result;
	int sockets[SOCKETS_MAX];
	uint32_t socket_count;
};

static uint64_t cpu_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* One call with so many packets: anything but the right outcome for each of them is an error. */
static int packets_run(struct run *run, enum side side, char **why)
{
	const struct frame *frame = &run->frames[side];
	const char *name = run->plan->programs[side];
	const struct bpf_program *program = bpf_object__find_program_by_name(run->skel->obj, name);
	struct loop *loop = &run->skel->data_loop->loop;
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame->bytes, .data_size_in = (uint32_t)frame->size,
		    .repeat = REPEAT);
	uint64_t start;

	if (!program)
		return why_say(why, -ENOENT, "there is no program %s", name);
	memcpy(loop->front, frame->bytes, WRAP_INNER_OFFSET);
	memcpy(loop->macs, frame->bytes, 12);
	loop->mask = run->plan->flows - 1;
	loop->next = 0;
	loop->right = 0;
	start = cpu_now();
	if (bpf_prog_test_run_opts(bpf_program__fd(program), &options) < 0)
		return why_say(why, -errno, "%s cannot be run: %m", name);
	series_add(&run->result->sides[side], (cpu_now() - start) * PARTS / REPEAT);
	if (loop->right != REPEAT)
		return why_say(why, -EPROTO, "%s: %llu of %u packets came out right", name,
			       (unsigned long long)loop->right, REPEAT);
	return 0;
}

static int round_run_side(void *context, enum side side, char **why)
{
	return packets_run(context, side, why);
}

/* Flows are in no order, as they come from the internet. */
static void flows_write(struct run *run)
{
	const struct plan *plan = run->plan;
	uint64_t state = 7;

	for (uint32_t i = 0; i < plan->flows; i++) {
		uint64_t random = random_next(&state);
		uint16_t port = (uint16_t)(2048 + random % (65536 - 2048));
		struct flow flow = {
			.saddr = htonl(PEER + (i ? (uint32_t)(random >> 40) : 0)),
			.daddr = htonl(BENCH_POOL + (uint32_t)(random >> 16) % plan->addresses),
			.ports = htonl(443u << 16 | port),
		};

		if (plan->flows == 1)
			flow.daddr = htonl(BENCH_POOL + 5), flow.ports = htonl(443u << 16 | 4100);
		if (plan->foreign)
			flow.daddr = htonl(0xc0000209); /* 192.0.2.9 */
		run->skel->data_flows->flows[i] = flow;
	}
}

/* A connected UDP socket of a program; transparent, since the address is not local here. The first one is the flow's.
 */
static int socket_open(struct run *run, char **why)
{
	const struct flow *flow = &run->skel->data_flows->flows[0];
	const uint32_t ports = ntohl(flow->ports), other = run->socket_count;
	const struct sockaddr_in local = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)ports), .sin_addr.s_addr = flow->daddr};
	/* Of a /24 that has a route. */
	const struct sockaddr_in peer = {.sin_family = AF_INET,
					 .sin_port = htons((uint16_t)((ports >> 16) + other / PEERS)),
					 .sin_addr.s_addr = htonl(ntohl(flow->saddr) + other % PEERS)};
	const int one = 1, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return why_say(why, -errno, "no socket: %m");
	run->sockets[run->socket_count++] = fd;
	if (setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one)) ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (const struct sockaddr *)&local, sizeof(local)) ||
	    connect(fd, (const struct sockaddr *)&peer, sizeof(peer)))
		return why_say(why, -errno, "a socket at the port that packets are for: %m");
	return 0;
}

static int sockets_open(struct run *run, char **why)
{
	struct rlimit files;
	int err = 0;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return why_say(why, -errno, "RLIMIT_NOFILE: %m");
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files))
		return why_say(why, -errno, "RLIMIT_NOFILE: %m");
	while (!err && run->socket_count < run->plan->sockets)
		err = socket_open(run, why);
	return err;
}

static void frames_make(struct run *run)
{
	const struct plan *plan = run->plan;

	if (plan->tunnel)
		frame_tunnel(plan->proto, (uint16_t)ntohl(run->skel->data_flows->flows[0].ports), &run->frames[OURS]);
	else
		frame_plain(plan->proto, &run->frames[OURS]);
	frame_plain(plan->proto, &run->frames[REFERENCE]);
}

static int run_set_up(struct run *run, char **why)
{
	int err = programs_load(run->plan->addresses, run->plan->hops, &run->skel, why);

	if (err)
		return err;
	flows_write(run);
	frames_make(run);
	return sockets_open(run, why);
}

static int plan_run(struct bench *bench, const struct plan *plan, char **why)
{
	struct run run = {.plan = plan};
	int err;

	run.result = report_add(bench->report, plan->name, "ns", BETTER_LOWER, plan->reference);
	if (!run.result)
		return -ENOMEM;
	run.result->parts = PARTS;
	err = run_set_up(&run, why);
	if (!err)
		err = measure_rounds(&run.result, 1, ROUNDS, round_run_side, &run, why);
	while (run.socket_count)
		close(run.sockets[--run.socket_count]);
	forwarder_bench__destroy(run.skel);
	return err;
}

#define PART(function, ...) \
	static int function(struct bench *bench, char **why) \
	{ \
		static const struct plan plan = {__VA_ARGS__}; \
\
		return plan_run(bench, &plan, why); \
	}

PART(wrap_tcp, .name = "wrap/tcp/1", .reference = L2_NAME, .programs = {"loop_wrap", "loop_l2"}, .addresses = 256,
     .hops = 1, .flows = 1, .proto = IPPROTO_TCP)
PART(wrap_udp, .name = "wrap/udp/1", .reference = L2_NAME, .programs = {"loop_wrap", "loop_l2"}, .addresses = 256,
     .hops = 1, .flows = 1, .proto = IPPROTO_UDP)
PART(wrap_128k, .name = "wrap/tcp/1M/128k", .reference = L2_NAME, .programs = {"loop_wrap", "loop_l2"},
     .addresses = 4096, .hops = 1, .flows = FLOWS_MAX, .proto = IPPROTO_TCP)
PART(wrap_2m, .name = "wrap/tcp/1M/2M", .reference = L2TWO_NAME, .programs = {"loop_wrap", "loop_l2two"},
     .addresses = 65536, .hops = HOPS_MAX, .flows = FLOWS_MAX, .proto = IPPROTO_TCP)
PART(relay, .name = "relay/1", .reference = L2_NAME, .programs = {"loop_relay", "loop_l2"}, .addresses = 256, .hops = 1,
     .flows = 1, .proto = IPPROTO_TCP, .tunnel = true)
PART(deliver_tcp, .name = "deliver/tcp", .reference = L2_NAME, .programs = {"loop_deliver", "loop_l2"},
     .addresses = 256, .hops = TO_LOCAL, .flows = 1, .proto = IPPROTO_TCP, .tunnel = true)
PART(deliver_udp, .name = "deliver/udp", .reference = L2_NAME, .programs = {"loop_deliver", "loop_l2"},
     .addresses = 256, .hops = TO_LOCAL, .flows = 1, .proto = IPPROTO_UDP, .tunnel = true, .sockets = 1)
PART(deliver_udp_1000, .name = "deliver/udp/1000", .reference = L2_NAME, .programs = {"loop_deliver", "loop_l2"},
     .addresses = 256, .hops = TO_LOCAL, .flows = 1, .proto = IPPROTO_UDP, .tunnel = true, .sockets = SOCKETS_MAX)
PART(pass_other, .name = "pass/other", .reference = PARSE_NAME, .programs = {"loop_pass", "loop_parse"},
     .addresses = 256, .hops = 1, .flows = 1, .proto = IPPROTO_TCP, .foreign = true)

static const struct part parts[] = {
	{"wrap/tcp/1", wrap_tcp},
	{"wrap/udp/1", wrap_udp},
	{"wrap/tcp/1M/128k", wrap_128k},
	{"wrap/tcp/1M/2M", wrap_2m},
	{"relay/1", relay},
	{"deliver/tcp", deliver_tcp},
	{"deliver/udp", deliver_udp},
	{"deliver/udp/1000", deliver_udp_1000},
	{"pass/other", pass_other},
	{"live/1core", part_live_one},
	{"live/2core", part_live_two},
	{"nftables", part_nftables},
	{"table", part_table},
	{0},
};

const struct suite suite_forwarder = {
	.name = "forwarder",
	.about = "what a packet costs, against the cheapest program that could do it",
	.parts = parts,
};
