/* SPDX-License-Identifier: Apache-2.0 */
/* What a key may look like. */
#ifndef BERTH_STORE_KEY_H
#define BERTH_STORE_KEY_H

#include <stdbool.h>

/* UTF-8 without control characters, 1 to STORE_KEY_MAX bytes. */
bool key_valid(const char *key);
/* The same, but may be empty. */
bool key_prefix_valid(const char *prefix);
bool key_has_prefix(const char *key, const char *prefix);

#endif
