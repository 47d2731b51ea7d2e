/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes hold most ports towards a destination. Asks sock_diag, and then looks through every process's
 * descriptors in /proc: tens of milliseconds on a host with many. May run in a thread of its own.
 */
#ifndef BERTH_KERNEL_HOLDERS_H
#define BERTH_KERNEL_HOLDERS_H

#include "../abi/report.h"

/*
 * Counted are sockets whose source lies in one of the policy's slices; a socket that several processes have open
 * counts for each of them. *count, at most REFUSAL_HOLDERS_MAX, are in ret, most first. -errno: as sockdiag_towards().
 */
int holders_find(const struct policy *policy, uint8_t proto, uint32_t dest, uint16_t port,
		 struct refusal_holder ret[REFUSAL_HOLDERS_MAX], size_t *count);

#endif
