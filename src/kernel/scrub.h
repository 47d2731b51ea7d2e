/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the scrub
 *
 * Gives back ports that the allocator's tables have in use, or claimed, and no socket holds. In normal life there are
 * none: the hooks see every socket's end. It is there for what nobody thought of, and for what was lost while programs
 * were detached.
 *
 * A pass reads the table first and the sockets then. A port that no socket holds may have been given back in between,
 * or taken by a socket that has not noted it yet. So one is given back only when two passes find it, which the caller
 * keeps seconds apart. Should a socket have taken it between the second pass and the giving back, no harm comes of it:
 * the allocator looks for a living socket (port_is_foreign) before it gives a port out.
 */
#ifndef BERTH_KERNEL_SCRUB_H
#define BERTH_KERNEL_SCRUB_H

#include <stddef.h>

#include "dataplane.h"

struct scrub;

/* Keeps descriptors of its own: the data plane may be closed before. -errno. */
int scrub_open(const struct dataplane *dp, struct scrub **ret);
void scrub_close(struct scrub *scrub); /* NULL is fine */
/* One pass; may run in a thread of its own. *mended: how many were given back. -errno; then nothing is remembered. */
int scrub_pass(struct scrub *scrub, size_t *mended);

#endif
