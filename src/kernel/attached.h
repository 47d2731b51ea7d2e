/* SPDX-License-Identifier: Apache-2.0 */
/* What of the data plane is attached now, as the kernel says by the pinned links: works without an agent. */
#ifndef BERTH_KERNEL_ATTACHED_H
#define BERTH_KERNEL_ATTACHED_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

#define ATTACHED_DEVICES_MAX 32

struct attached {
	char devices[ATTACHED_DEVICES_MAX][IFNAMSIZ]; /* with a forwarder, in the caller's network namespace */
	size_t device_count;
	size_t allocator_pinned; /* links of the allocator's programs */
	size_t allocator_attached; /* those of them whose cgroup is still there */
};

/* 0, with nothing attached where there are no pins; -EACCES and the like with *why, the caller's to free. */
int attached_read(const char *bpffs, struct attached *ret, char **why);

#endif
