/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned links: their names, and how they go. */
#ifndef BERTH_KERNEL_LINK_H
#define BERTH_KERNEL_LINK_H

#define LINK_CGROUP_PREFIX "cgroup_"
#define LINK_TRACE_PREFIX "trace_"
#define LINK_XDP_PREFIX "xdp_"

/* Detaches the link at once and takes its pin away. One that is gone is fine. */
int link_remove(const char *path);
/* All of the allocator's: first the hooks that hand ports out, last those that take them back. */
int allocator_links_remove(const char *bpffs, char **why);
/* All of the forwarder's. */
int forwarder_links_remove(const char *bpffs, char **why);

#endif
