/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the forwarder's suite
 *
 * The forwarder and its references run by BPF_PROG_TEST_RUN, each in the same wrapper (programs.bpf.c), a million
 * packets of 64 bytes at a time. Its tables are written as the agent writes them, for one /16 of egress addresses;
 * those of the references say the same.
 */
#ifndef BERTH_BENCH_FORWARDER_H
#define BERTH_BENCH_FORWARDER_H

#include <stddef.h>
#include <stdint.h>

#include "../suite.h"
#include "flow.h"

struct forwarder_bench;

#define FRAME_MAX 128

#define L2_NAME "L2: parse, one lookup, IPv4 and UDP in front"

struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t size;
};

/* Where packets go to: server 7 of site 3 is the one measured, server 8 stands beside it. */
#define BENCH_SERVER 7u
#define BENCH_SITE 3u
#define NEIGHBOUR 8u
#define NEIGHBOUR_UNDERLAY 0x0a000108u /* 10.0.1.8 */

/* A packet of 64 bytes from outside; proto: IPPROTO_TCP, without SYN, or IPPROTO_UDP. Addresses and ports are 0: the
   wrapper puts a flow in. */
void frame_plain(uint8_t proto, struct frame *ret);
/* The same in a wrap from the neighbour, towards this port. */
void frame_tunnel(uint8_t proto, uint16_t steering, struct frame *ret);

#define BENCH_SHIFT 11u
#define BENCH_COLUMNS (1u << (16 - BENCH_SHIFT))

/* The pool's first so many /24s. -ENOSPC: no multiplier. */
int pool_directory(struct directory *directory, uint32_t count);

/* What a table leads to: every slice to this server, or to so many hops in turns. */
#define TO_LOCAL 0u

/*
 * Programs with their tables, in a network namespace that the process is in from now on. addresses: of the pool, a
 * multiple of 256, with 32 slices each; hops: 1 to HOPS_MAX, or TO_LOCAL. forwarder_bench__destroy() frees *ret, which
 * is set also when the tables failed.
 */
int programs_load(uint32_t addresses, uint32_t hops, struct forwarder_bench **ret, char **why);

int part_table(struct bench *bench, char **why);
int part_live_one(struct bench *bench, char **why);
int part_live_two(struct bench *bench, char **why);
int part_nftables(struct bench *bench, char **why);

#endif
