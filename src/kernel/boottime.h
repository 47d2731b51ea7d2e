/* SPDX-License-Identifier: Apache-2.0 */
/* The clock that BPF programs write down, as the one that people read. */
#ifndef BERTH_KERNEL_BOOTTIME_H
#define BERTH_KERNEL_BOOTTIME_H

#include <stdint.h>

/* time: CLOCK_BOOTTIME, ns. Seconds of Unix time, by the clock as it stands now. */
int64_t boottime_unix(uint64_t time);

#endif
