/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a loaded BPF program on a packet, in the kernel, and says what it did. */
#ifndef BERTH_TEST_BPF_PROGRAM_H
#define BERTH_TEST_BPF_PROGRAM_H

#include <stdint.h>

#include <bpf/libbpf.h>

#include "../../src/abi/verdict.h"
#include "packet.h"

struct program_result {
	uint32_t action; /* what the program returned */
	struct packet out;
	uint64_t counted[VERDICT_COUNT]; /* what each counter grew by */
};

/* ifindex: the device that an XDP program gets the packet from, of this network namespace. Aborts when it can't run. */
void program_run_xdp(const struct bpf_program *program, const struct bpf_map *counters, const struct packet *in,
		     uint32_t ifindex, struct program_result *ret);
/* A tc program. segments: what the device would cut the packet into; 0: nothing. */
void program_run_tc(const struct bpf_program *program, const struct bpf_map *counters, const struct packet *in,
		    uint32_t segments, struct program_result *ret);
/* True when only `expected` was counted, once; VERDICT_COUNT: nothing. Prints what it finds otherwise. */
bool program_counted(const struct program_result *result, enum verdict expected);
/* Prints instructions and how many the verifier went through. Returns the latter. */
uint32_t program_print_size(const struct bpf_program *program);

/* A network namespace of this process's own with loopback up and `pool` local; stays on one CPU. Aborts without root.
 */
void program_namespace(const char *pool);

#endif
