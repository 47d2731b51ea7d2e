/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps libbpf quiet, and keeps what it would have printed: between begin and end its warnings go into a buffer of
 * this module's. For one thread at a time, as libbpf's own setting is.
 */
#ifndef BERTH_KERNEL_BPFLOG_H
#define BERTH_KERNEL_BPFLOG_H

void bpflog_begin(void);
/* The first warning since begin, one line; "" when there was none. Valid until the next begin. */
const char *bpflog_end(void);

#endif
