/* SPDX-License-Identifier: Apache-2.0 */
/* The guard's place on a device: a cls_bpf filter with a fixed handle on clsact egress. */
#ifndef BERTH_KERNEL_GUARDFILTER_H
#define BERTH_KERNEL_GUARDFILTER_H

#include <stdint.h>

#define GUARD_HANDLE 0xbe47
#define GUARD_PRIORITY 1

/* bpffs: where it is marked that the clsact qdisc is ours. Replaces an older guard in place. */
int guard_filter_attach(const char *bpffs, uint32_t ifindex, int program_fd, char **why);
/* Takes the filter away, and the qdisc if we made it. No filter, and no device, are fine. */
int guard_filter_detach(const char *bpffs, uint32_t ifindex, char **why);

#endif
