/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: measurements with real frames
 *
 * BPF_F_TEST_XDP_LIVE_FRAMES: a program is given frames as if a device had received them, and what it sends leaves.
 * Each core has a CPU, a veth pair inN - outN and a slice of its own. A frame that comes to an end of the pair is
 * counted and dropped there, unless the plan puts something else there.
 */
#ifndef BERTH_BENCH_FORWARDER_LIVE_H
#define BERTH_BENCH_FORWARDER_LIVE_H

#include <stdint.h>

#include "forwarder.h"

struct live_plan {
	const char *name, *reference;
	uint32_t cores;
	uint8_t proto;
	const char *from; /* the end that frames are given to: "in" or "out"; the forwarder's hops lead out of "in" */
	const char *programs[SIDES]; /* what they are given to */
	uint32_t growth[SIDES]; /* of the frames that arrive, bytes */
	bool lossy; /* those that arrive count, not those that were sent */
	int (*set_up)(char **why); /* once the devices are there; NULL: nothing is to be done */
	int (*prepare)(struct forwarder_bench *skel, enum side side, char **why); /* before each round; likewise */
};

/* Millions of frames in a second, all cores together, `plan->name` in the report. */
int live_measure(struct bench *bench, const struct live_plan *plan, char **why);

#endif
