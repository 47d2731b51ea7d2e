/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 addresses and prefixes as text and as numbers. Within src/core an address is a uint32_t in HOST byte order.
 * Parsers take exactly the dotted form (four decimal numbers, no leading zeros) and nothing around it.
 */
#ifndef BERTH_CORE_ADDR_H
#define BERTH_CORE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Room for "255.255.255.255/32" and its 0. */
#define ADDR_TEXT_MAX 19

struct prefix {
	uint32_t addr; /* host byte order, host bits 0 */
	unsigned len; /* 0 to 32 */
};

/* Inclusive at both ends. */
struct addr_range {
	uint32_t first;
	uint32_t last;
};

/* 0, or -EINVAL: *ret is untouched. */
int addr_parse(const char *text, uint32_t *ret);
/* "a.b.c.d/n". -EINVAL: not in this form; -ERANGE: host bits are set. */
int prefix_parse(const char *text, struct prefix *ret);
/* "a.b.c.d - e.f.g.h", the spaces optional, or a single address. -EINVAL: not in this form; -ERANGE: ends before it
 * begins. */
int addr_range_parse(const char *text, struct addr_range *ret);

/* Writes at most ADDR_TEXT_MAX bytes, returns `text`. */
const char *addr_format(uint32_t addr, char text[ADDR_TEXT_MAX]);
const char *prefix_format(struct prefix prefix, char text[ADDR_TEXT_MAX]);

uint32_t prefix_mask(unsigned len);
uint32_t prefix_last(struct prefix prefix);
bool prefix_contains(struct prefix prefix, uint32_t addr);

#endif
