/* SPDX-License-Identifier: Apache-2.0 */
/* What `berth show` can show: one file each. */
#ifndef BERTH_CLI_SHOW_H
#define BERTH_CLI_SHOW_H

#include "../store/state.h"
#include "arguments.h"
#include "places.h"

/* These return exit codes. A fleet was applied to `state`. */
int show_fleet(const struct state *state, const struct arguments *arguments);
int show_servers(const struct state *state, const struct arguments *arguments);
int show_addresses(const struct state *state, const struct arguments *arguments);
int show_slices(const struct state *state, const struct arguments *arguments);
int show_policies(const struct state *state, const struct arguments *arguments);
/* Of this server: from the pins, and where those may not be opened from the agent. */
int show_counters(const struct places *places, const struct arguments *arguments);
int show_usage(const struct places *places, const struct arguments *arguments);
int show_wasters(const struct places *places, const struct arguments *arguments);
/* From the agent. */
int show_refusals(const struct places *places, const struct arguments *arguments);

#endif
