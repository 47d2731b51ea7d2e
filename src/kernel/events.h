/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what the allocator tells of refusals (abi/event.h). One reader: what is read is gone. */
#ifndef BERTH_KERNEL_EVENTS_H
#define BERTH_KERNEL_EVENTS_H

#include "../abi/event.h"
#include "dataplane.h"

struct events;

typedef void events_notify(void *arg, const struct event *event);

/* The data plane may be closed before. -errno. */
int events_open(const struct dataplane *dp, events_notify *notify, void *arg, struct events **ret);
/* Readable when there is something; then call events_read(). */
int events_fd(const struct events *events);
/* Calls `notify` for everything that is there. -errno. */
int events_read(struct events *events);
void events_close(struct events *events); /* NULL is fine */

#endif
