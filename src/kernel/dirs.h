/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_KERNEL_DIRS_H
#define BERTH_KERNEL_DIRS_H

#include <sys/types.h>

/* Makes a directory and its missing parents, all with `mode`. Those that exist are fine, and stay as they are. */
int dirs_make(const char *dir, mode_t mode);

#endif
