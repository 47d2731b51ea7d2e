/* SPDX-License-Identifier: Apache-2.0 */
/* What counts the users of each port, and knows the claimed ones (abi/allocator.h), from user space. */
#ifndef BERTH_KERNEL_PORTUSES_H
#define BERTH_KERNEL_PORTUSES_H

#include <stddef.h>
#include <stdint.h>

#include "../abi/allocator.h"

/*
 * Makes what counts the users of the ports of a policy's slices, where it is not there already; by the descriptor of
 * `port_uses`. Before the policy is written: ports without it cannot be claimed. -E2BIG: USES_MAX are there; -errno.
 */
int port_uses_make(int uses, const struct policy *policy);
/* Removes what nobody uses and none of the policies has a slice of. -errno. */
int port_uses_sweep(int uses, const struct policy *policies, size_t count);
/* The same for one chunk. */
int port_uses_make_chunk(int uses, const struct uses_key *key);

/* A negative return ends the reading. port: host byte order. */
typedef int port_claim_visit(void *arg, const struct uses_key *key, uint32_t port);
/* Hands out every port that is claimed. -errno. */
int port_claims_visit(int uses, port_claim_visit *visit, void *arg);

#endif
