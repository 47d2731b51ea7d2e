/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody may have meant who typed a name that does not exist. */
#ifndef BERTH_CLI_NEAREST_H
#define BERTH_CLI_NEAREST_H

#include <stddef.h>

/*
 * The name with the fewest letters to add, drop, change or swap, when these are few for its length; else NULL. names:
 * where the first of `count` names stands in an array of things of `size` bytes each.
 */
const char *nearest_name(const char *typed, const char *const *names, size_t size, size_t count);

#endif
