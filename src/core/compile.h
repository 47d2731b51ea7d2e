/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the table compiler
 *
 * Turns fleet and ownership into one server's tables: pure, the whole table each time. What a running forwarder uses
 * must not move under it, so the tables that are loaded now are given as well: a /24 keeps its base, a hop its index;
 * new ones take places that neither table uses.
 *
 * The directory has every /24 of every pool, whether addresses of it are listed or not: what is announced is ours to
 * drop. Hops are there before any slice needs them: every other site, and every other server of the own site.
 */
#ifndef BERTH_CORE_COMPILE_H
#define BERTH_CORE_COMPILE_H

#include <stddef.h>
#include <stdint.h>

#include "../abi/forwarder.h"
#include "fleet.h"
#include "ownership.h"

struct tables {
	struct directory directory;
	uint32_t *slices; /* slice_count entries, as in struct slices */
	size_t slice_count; /* one past the last entry in use, at most SLICES_MAX */
	uint32_t hop_target[HOPS_MAX]; /* HOP_SITE | id or HOP_SERVER | id; 0: unused */
	uint32_t *members; /* underlay addresses by server id, HOST byte order */
	size_t member_count; /* one past the highest id */
};

/*
 * An entry says, first match first: not in a pool: SLICE_NOT_OURS; masked column, no home or no owner: SLICE_FREE; held
 * by this server, or cooling after it: SLICE_LOCAL; home is another site: its hop; else the hop of the owner. Where
 * that site or server has left the fleet: SLICE_FREE.
 *
 * loaded: what this server's forwarder has now, NULL for nothing. 0: *ret is the caller's (tables_free). -ENOENT: no
 * server of that id; -ENOSPC: the fleet does not fit the tables (*why is a static sentence with the limit); -EINVAL:
 * two pools cut one /24 differently (*why); -ENOMEM.
 */
int tables_compile(const struct fleet *fleet, const struct ownership *held, uint32_t server_id,
		   const struct tables *loaded, struct tables **ret, const char **why);
/* The slice entry of an address and port, as the forwarder would read it; SLICE_NOT_OURS for no pool. */
uint32_t tables_lookup(const struct tables *tables, uint32_t addr, uint16_t port);
/* An odd multiplier under which no two of the /24s (address >> 8, distinct) share a slot. -ENOSPC after a bounded
   search. Deterministic. */
int directory_multiplier(const uint32_t *prefixes, size_t count, uint32_t *ret);
void tables_free(struct tables *tables); /* NULL is fine */

#endif
