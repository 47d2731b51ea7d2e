/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: host settings
 *
 * What a host must be told so that it can use whole prefixes as its own addresses (AnyIP) beside other servers that
 * do the same:
 *   net.ipv4.conf.all.accept_local = 1    a packet from an egress address may be another server's
 *   net.ipv4.conf.all.arp_ignore   = 1    does not answer ARP for the whole pool
 *   net.ipv4.conf.all.arp_announce = 2    does not ask by ARP with an egress address as sender
 *   net.ipv4.ip_local_reserved_ports      own slices, so that kernel-chosen ports and ours never meet
 *   ip rule 50 "iif lo to POOL lookup main", ahead of the local table (which moves from 0 to 100), so that packets
 *   to another server's egress address leave the host
 *
 * What was found is journaled in RUN-DIR/host-settings before it is changed, so that restoring works after a crash
 * and from another process. Restoring leaves alone what somebody else changed since. All of it concerns the network
 * namespace of the caller.
 */
#ifndef BERTH_KERNEL_HOSTSETTINGS_H
#define BERTH_KERNEL_HOSTSETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "../core/addr.h"

/* Half-open: [first, first + count). */
struct port_run {
	uint32_t first;
	uint32_t count;
};

struct host_settings {
	const struct prefix *pools;
	size_t pool_count;
	const struct port_run *own; /* ports of own slices, in any order, may overlap */
	size_t own_count;
};

/*
 * Brings the host to `want`; what an earlier call set and `want` has no more is undone. On failure what was done
 * stays, journaled. *why is a sentence that the caller frees.
 */
int host_settings_apply(const char *run_dir, const struct host_settings *want, char **why);
/* Undoes all of it, as far as nobody else changed it. Without a journal: 0. On failure the journal stays. */
int host_settings_restore(const char *run_dir, char **why);

#endif
