/* SPDX-License-Identifier: Apache-2.0 */
/* Which sockets there are towards a destination, by sock_diag, in the network namespace of the caller. */
#ifndef BERTH_KERNEL_SOCKDIAG_H
#define BERTH_KERNEL_SOCKDIAG_H

#include <stddef.h>
#include <stdint.h>

/* Host byte order. */
struct sockdiag_socket {
	uint32_t src;
	uint16_t sport;
	uint32_t uid;
	uint32_t inode; /* as /proc/PID/fd shows it; 0: no process has it open any more */
};

/*
 * Connected sockets of IPPROTO_TCP or IPPROTO_UDP to an IPv4 destination, IPv6 sockets among them; of TCP also those
 * that open or close a connection, but none in TIME_WAIT. The kernel picks them out; it goes through all of its sockets
 * for that. *ret is the caller's to free. -ENOENT: this kernel has no sock_diag for the protocol; -EINTR: the sockets
 * changed too much meanwhile.
 */
int sockdiag_towards(uint8_t proto, uint32_t dest, uint16_t port, struct sockdiag_socket **ret, size_t *count);

#endif
