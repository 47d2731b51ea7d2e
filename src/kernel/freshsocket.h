/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets that a policy can be chosen for. */
#ifndef BERTH_KERNEL_FRESHSOCKET_H
#define BERTH_KERNEL_FRESHSOCKET_H

/*
 * 0: a TCP or UDP socket of the caller's network namespace that has neither an address nor a port nor a peer. Any
 * descriptor may be given. -EINVAL with a sentence in *why (the caller frees): it is none such; others: it could not be
 * looked at.
 */
int fresh_socket_check(int fd, char **why);

#endif
