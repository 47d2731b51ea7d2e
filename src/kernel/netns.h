/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_KERNEL_NETNS_H
#define BERTH_KERNEL_NETNS_H

#include <stdint.h>

/* The cookie of the caller's network namespace: never 0, never another's until the next boot. 0 or -errno. */
int netns_cookie(uint64_t *ret);
/* Likewise of a socket's. -ENOTSOCK. */
int netns_cookie_of(int socket, uint64_t *ret);

#endif
