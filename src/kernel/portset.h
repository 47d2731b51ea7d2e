/* SPDX-License-Identifier: Apache-2.0 */
/* A set of ports, and the form that ip_local_reserved_ports has it in: "8080,9000-9010". Pure. */
#ifndef BERTH_KERNEL_PORTSET_H
#define BERTH_KERNEL_PORTSET_H

#include <stdbool.h>
#include <stdint.h>

#include "../abi/slice.h"

struct port_set {
	uint64_t words[BERTH_PORT_SPACE / 64];
};

/* Half-open; what lies past the last port is cut off. */
void port_set_add(struct port_set *set, uint32_t first, uint32_t count);
bool port_set_has(const struct port_set *set, uint32_t port);
uint32_t port_set_count(const struct port_set *set, uint32_t first, uint32_t count);
void port_set_join(struct port_set *set, const struct port_set *other);
void port_set_subtract(struct port_set *set, const struct port_set *other);
bool port_set_equal(const struct port_set *a, const struct port_set *b);
/* Empty text is the empty set; a newline at the end is fine. -EINVAL. */
int port_set_parse(const char *text, struct port_set *ret);
/* The caller frees; NULL: no memory. */
char *port_set_format(const struct port_set *set);

#endif
