/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the counters of forwarder, guard and allocator from their pinned map: works without an agent. */
#ifndef BERTH_KERNEL_COUNTERS_H
#define BERTH_KERNEL_COUNTERS_H

#include <stdint.h>

#include "../abi/verdict.h"

/*
 * bpffs: the agent's directory, as in struct dataplane_options. ret: by enum verdict, summed over CPUs; counts since
 * the maps were made. -ENOENT: there is no data plane; -EACCES: no permission to open the pin. *why is the caller's
 * to free, set on every failure.
 */
int counters_read(const char *bpffs, uint64_t ret[VERDICT_COUNT], char **why);

#endif
