/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that hold ports badly, from the pins: works without an agent. */
#ifndef BERTH_KERNEL_WASTERS_H
#define BERTH_KERNEL_WASTERS_H

#include "../abi/report.h"

/* Most first. Errors as pin_open() has them, -ENOMEM; *ret is the caller's (wasters_clear). */
int wasters_read(const char *bpffs, struct wastes *ret, char **why);
void wasters_clear(struct wastes *wastes);

#endif
