/* SPDX-License-Identifier: Apache-2.0 */
/* Which things of a fleet file came, went or changed between two fleets, by name. */
#ifndef BERTH_CLI_FLEET_CHANGES_H
#define BERTH_CLI_FLEET_CHANGES_H

#include <jansson.h>

#include "../core/fleet.h"

/*
 * {"pools": {"added": [NAME...], "removed": [...], "changed": [...]}, "addresses": ..., "sites": ..., "servers": ...,
 * "policies": ...}. before: NULL for no fleet. NULL: no memory; the caller json_decref()s.
 */
json_t *fleet_changes(const struct fleet *before, const struct fleet *after);

#endif
