/* SPDX-License-Identifier: Apache-2.0 */
/* The sockets of the caller's network namespace, by sock_diag: which there are, and closing one. */
#ifndef BERTH_KERNEL_SOCKDIAG_H
#define BERTH_KERNEL_SOCKDIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Host byte order. */
struct sockdiag_socket {
	uint32_t src;
	uint16_t sport;
	uint32_t uid;
	uint32_t inode; /* as /proc/PID/fd shows it; 0: no process has it open any more */
	uint64_t cookie; /* no other socket ever has it, until the next boot */
	uint32_t ifindex; /* of the device that it is bound to, or 0 */
	bool ipv6; /* an IPv6 socket, with an IPv4 address in disguise */
};

/*
 * Connected sockets of IPPROTO_TCP or IPPROTO_UDP to an IPv4 destination, IPv6 sockets among them; of TCP also those
 * that open or close a connection, but none in TIME_WAIT. The kernel picks them out; it goes through all of its sockets
 * for that. *ret is the caller's to free. -ENOENT: this kernel has no sock_diag for the protocol; -EINTR: the sockets
 * changed too much meanwhile.
 */
int sockdiag_towards(uint8_t proto, uint32_t dest, uint16_t port, struct sockdiag_socket **ret, size_t *count);
/* TCP sockets that listen on an IPv4 address, or on any address of IPv4 alone. Otherwise as sockdiag_towards(). */
int sockdiag_listeners(struct sockdiag_socket **ret, size_t *count);
/*
 * Closes a TCP socket of sockdiag_listeners() under its owner, who gets EINVAL from accept(). 0; -ENOENT: it is gone;
 * -EOPNOTSUPP: the kernel was built without CONFIG_INET_DIAG_DESTROY; -errno. Of several that share a port by
 * SO_REUSEPORT the kernel finds but one at a time, and says -ENOENT of the others.
 */
int sockdiag_close(const struct sockdiag_socket *listener);

#endif
