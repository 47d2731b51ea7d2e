/* SPDX-License-Identifier: Apache-2.0 */
/* How much of an address, a site, a pool is in use. */
#ifndef BERTH_CLI_USAGE_H
#define BERTH_CLI_USAGE_H

#include <stddef.h>
#include <stdint.h>

#include "../store/state.h"

/* Slices. */
struct usage {
	size_t owned, cooling, total;
};

/* Of the addresses that the fleet lists in [first, last]: total counts the columns that can be handed out. */
struct usage usage_of_addresses(const struct state *state, uint32_t first, uint32_t last);
/* Of a server, of a site, by id: total stays 0. */
struct usage usage_of_server(const struct state *state, uint32_t server);
struct usage usage_of_site(const struct state *state, uint32_t site);
size_t usage_free(const struct usage *usage);

#endif
