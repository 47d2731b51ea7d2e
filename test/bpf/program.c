/* SPDX-License-Identifier: Apache-2.0 */
#include "program.h"

#include <err.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

static void counters_read(const struct bpf_map *counters, uint64_t ret[VERDICT_COUNT])
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values = calloc(cpus, sizeof(*values));

	for (uint32_t verdict = 0; verdict < VERDICT_COUNT; verdict++) {
		if (bpf_map_lookup_elem(bpf_map__fd(counters), &verdict, values))
			err(1, "counter %u", verdict);
		ret[verdict] = 0;
		for (int cpu = 0; cpu < cpus; cpu++)
			ret[verdict] += values[cpu];
	}
	free(values);
}

static void program_run(const struct bpf_program *program, const struct bpf_map *counters, void *context,
			size_t context_size, const struct packet *in, struct program_result *ret)
{
	uint64_t before[VERDICT_COUNT];
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in->bytes, .data_size_in = in->size, .data_out = ret->out.bytes,
		    .data_size_out = sizeof(ret->out.bytes), .ctx_in = context, .ctx_size_in = context_size,
		    .repeat = 1);

	counters_read(counters, before);
	if (bpf_prog_test_run_opts(bpf_program__fd(program), &run))
		err(1, "running %s on %zu bytes", bpf_program__name(program), in->size);
	counters_read(counters, ret->counted);
	for (size_t i = 0; i < VERDICT_COUNT; i++)
		ret->counted[i] -= before[i];
	ret->action = run.retval;
	ret->out.size = run.data_size_out;
}

void program_run_xdp(const struct bpf_program *program, const struct bpf_map *counters, const struct packet *in,
		     uint32_t ifindex, struct program_result *ret)
{
	struct xdp_md context = {.data_end = in->size, .ingress_ifindex = ifindex};

	program_run(program, counters, &context, sizeof(context), in, ret);
}

void program_run_tc(const struct bpf_program *program, const struct bpf_map *counters, const struct packet *in,
		    uint32_t segments, struct program_result *ret)
{
	struct __sk_buff context = {.gso_segs = segments, .gso_size = segments ? 1000 : 0};

	program_run(program, counters, &context, sizeof(context), in, ret);
}

static const char *const verdict_names[] = {
#define X(number, symbol, name, meaning) [number] = name,
	VERDICTS(X)
#undef X
};

bool program_counted(const struct program_result *result, enum verdict expected)
{
	bool good = true;

	for (uint32_t i = 0; i < VERDICT_COUNT; i++) {
		uint64_t want = i == (uint32_t)expected;

		if (result->counted[i] == want)
			continue;
		fprintf(stderr, "counted %s %llu times, expected %llu\n", verdict_names[i],
			(unsigned long long)result->counted[i], (unsigned long long)want);
		good = false;
	}
	return good;
}

uint32_t program_print_size(const struct bpf_program *program)
{
	struct bpf_prog_info info = {0};
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &size))
		err(1, "bpf_obj_get_info_by_fd");
	printf("%s: %zu instructions, %u translated, %u verified\n", bpf_program__name(program),
	       bpf_program__insn_cnt(program), info.xlated_prog_len / 8, info.verified_insns);
	return info.verified_insns;
}

static void shell(const char *command)
{
	if (system(command))
		errx(1, "failed: %s", command);
}

void program_namespace(const char *pool)
{
	char command[128];
	cpu_set_t cpus;

	if (unshare(CLONE_NEWNET))
		err(1, "unshare: a network namespace needs root");
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	if (sched_setaffinity(0, sizeof(cpus), &cpus))
		err(1, "sched_setaffinity");
	shell("ip link set lo up");
	shell("ip route add default dev lo");
	snprintf(command, sizeof(command), "ip route add local %s dev lo", pool);
	shell(command);
}
