/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocator's table of ports in use (abi/allocator.h) from user space: its size before it is made, and what is in
 * it. Reading takes no lock that a program waits for, and needs no agent. An entry may be read half changed: then ports
 * that come or go at that moment are told or not, nothing else.
 */
#ifndef BERTH_KERNEL_PORTTABLE_H
#define BERTH_KERNEL_PORTTABLE_H

#include <bpf/libbpf.h>
#include <stdint.h>

#include "../abi/report.h"

/*
 * Room for so many destinations, DESTINATIONS_MIN to DESTINATIONS_MAX, each with one connection or a few, in an object
 * that is open and not loaded. Without effect on an object without the table, and on maps that are adopted. -errno.
 */
int port_table_size(struct bpf_object *object, uint32_t destinations);

/* A negative return ends the reading. */
typedef int port_entry_visit(void *arg, const struct port_entry *entry);

/* Hands out every entry, by the descriptors of `port_buckets` and `port_bitmaps`. -errno. */
int port_table_visit(int buckets, int bitmaps, port_entry_visit *visit, void *arg);
/* The same from the pins. Errors as pin_open() has them, -ENOMEM. */
int port_table_read(const char *bpffs, port_entry_visit *visit, void *arg, char **why);

#endif
