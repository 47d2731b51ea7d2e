/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: use of ports, summed up
 *
 * Takes the allocator's policies, then the entries of its table in any order, and gives use by slice, by policy and by
 * destination. What it costs grows with the entries, not with slices times entries.
 */
#ifndef BERTH_CORE_PORTUSE_H
#define BERTH_CORE_PORTUSE_H

#include "../abi/report.h"

struct portuse;

/* NULL: no memory. */
struct portuse *portuse_new(void);
void portuse_free(struct portuse *portuse); /* NULL is fine */
/* name: cut short when it is longer than POLICY_NAME_MAX - 1 bytes; fallbacks: uses so far. -ENOMEM. */
int portuse_policy(struct portuse *portuse, uint32_t id, const char *name, const struct policy *policy,
		   uint64_t fallbacks);
/* An entry that nothing is in use of is fine, and so is one that is no policy's. After the policies. -ENOMEM. */
int portuse_entry(struct portuse *portuse, const struct port_entry *entry);
/* Sums up, with at most `top` destinations. *ret is the caller's (use_clear). -ENOMEM. */
int portuse_sum(struct portuse *portuse, size_t top, struct use *ret);

/* Frees the lists. */
void use_clear(struct use *use);

#endif
