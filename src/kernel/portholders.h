/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of what sockets hold (struct port_holder), and where they come from. */
#ifndef BERTH_KERNEL_PORTHOLDERS_H
#define BERTH_KERNEL_PORTHOLDERS_H

#include <stdbool.h>
#include <stddef.h>

#include "../abi/allocator.h"

struct port_holders {
	struct port_holder *items;
	size_t count, room;
};

int port_holders_add(struct port_holders *list, const struct port_holder *holder); /* -ENOMEM */
void port_holders_sort(struct port_holders *list);
/* Whether the sorted list has the same thing (PORT_HOLDER_ID_SIZE). */
bool port_holders_have(const struct port_holders *list, const struct port_holder *holder);
void port_holders_clear(struct port_holders *list);

/* Makes an empty list one of what every socket of the system holds, sorted: `sockets` is the map with their storage,
   `lister` the program that goes over it (bpf/alloc_scrub.h). What ends meanwhile may be in it. -errno. */
int port_holders_of_sockets(int sockets, int lister, struct port_holders *ret);
/* Runs one of the programs of that file that take a holder. What it returned, or -errno. */
int port_holder_run(int program, const struct port_holder *holder);

#endif
