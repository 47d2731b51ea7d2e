/* SPDX-License-Identifier: Apache-2.0 */
/* How slices, servers and sites are called in answers. */
#ifndef BERTH_CLI_NAMES_H
#define BERTH_CLI_NAMES_H

#include <jansson.h>
#include <stdint.h>

#include "../store/state.h"

/* Room for "255.255.255.255:65535-65535" and the like. */
#define NAMES_TEXT_MAX 80

/* "203.0.113.5:4096-6143", or "203.0.113.5 column 2" when no pool says how many ports that is. Returns `text`. */
const char *slice_text(const struct fleet *fleet, uint32_t addr, uint32_t column, char text[NAMES_TEXT_MAX]);
/*
 * The name: the fleet's, of one that left the fleet the name that had this id, "#7" for an id that nobody ever had, ""
 * for id 0. fleet may be NULL. Returns a name, or `text`.
 */
const char *server_text(const struct fleet *fleet, const struct state *state, uint32_t id, char text[NAMES_TEXT_MAX]);
const char *site_text(const struct fleet *fleet, const struct state *state, uint32_t id, char text[NAMES_TEXT_MAX]);
/* "2026-01-31 12:00:00Z"; "" for 0. Returns `text`. */
const char *time_text(int64_t since, char text[NAMES_TEXT_MAX]);

/* {"address", "column"}, and "first" and "count" where a pool says what ports that is. NULL: no memory. */
json_t *slice_json(const struct fleet *fleet, uint32_t addr, uint32_t column);
/* {"country": "DE", ...}; NULL: no memory. */
json_t *tags_json(const struct tags *tags);
/* A text, null for "". */
json_t *text_json(const char *text);

#endif
