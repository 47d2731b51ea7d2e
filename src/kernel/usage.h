/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Use of ports, from the pins: works without an agent. Reads the whole table in batches; what it costs grows with
 * its size (docs/allocator.md says how much).
 */
#ifndef BERTH_KERNEL_USAGE_H
#define BERTH_KERNEL_USAGE_H

#include "../abi/report.h"

/* With at most `top` destinations. Errors as pin_open() has them, -ENOMEM; *ret is the caller's (use_clear). */
int usage_read(const char *bpffs, size_t top, struct use *ret, char **why);

#endif
