/* SPDX-License-Identifier: Apache-2.0 */
/* What policies are called, by their numbers, from the pins: works without store and agent. */
#ifndef BERTH_KERNEL_POLICYNAMES_H
#define BERTH_KERNEL_POLICYNAMES_H

#include <stddef.h>
#include <stdint.h>

#include "../abi/allocator.h"

struct policy_names {
	struct policy_names_row {
		uint32_t id;
		char text[POLICY_NAME_MAX];
	} * rows; /* by number */
	size_t count;
};

/* Errors as pin_open() has them; *ret is the caller's (policy_names_clear). */
int policy_names_read(const char *bpffs, struct policy_names *ret, char **why);
/* The name, or "#NUMBER" for one that has none, in printable ASCII. Returns `text`. */
const char *policy_names_text(const struct policy_names *names, uint32_t id, char text[POLICY_NAME_MAX]);
void policy_names_clear(struct policy_names *names);

#endif
