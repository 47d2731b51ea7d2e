/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the state module share. */
#ifndef BERTH_STORE_STATE_PRIVATE_H
#define BERTH_STORE_STATE_PRIVATE_H

#include <jansson.h>
#include <stdarg.h>

#include "state.h"

#define STATE_FLEET_KEY "fleet"
#define STATE_SITE_ID_PREFIX "id/site/"
#define STATE_SERVER_ID_PREFIX "id/server/"
#define STATE_HOME_PREFIX "home/"
#define STATE_SLICE_PREFIX "slice/"
#define STATE_STATUS_PREFIX "status/"

/* Columns that any slice size has. */
#define STATE_COLUMNS_MAX (BERTH_PORT_SPACE >> BERTH_SLICE_SHIFT_MIN)

/* -EBADMSG with *why = "KEY: sentence", or -ENOMEM. */
int state_fault(char **why, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Decimal digits without leading zeros, up to a character of the caller's choice. Moves *at behind that character.
   False: it is not in this form, or above `max`. */
bool state_number(const char **at, char end, uint32_t max, uint32_t *ret);

/* One JSON object, nothing else, no member twice. *ret is the caller's to json_decref(). */
int state_json_object(const struct store_entry *entry, json_t **ret, char **why);
/* A member of an object: a number within [min, max]; text as a key may have it, owned by the object. */
int state_json_number(json_t *object, const char *key, const char *member, int64_t min, int64_t max, int64_t *ret,
		      char **why);
int state_json_text(json_t *object, const char *key, const char *member, const char **ret, char **why);

/* NULL: the name was never given an id. */
struct state_id *state_ids_find(const struct state_ids *ids, const char *name);
/* Pointers to `count` ids, sorted by id. NULL: no memory. */
const struct state_id **state_ids_by_id(const struct state_id *items, size_t count);
bool state_ids_known(const struct state_id **by_id, size_t count, uint32_t id);

/* Revision of a key in what was read, 0: it is not there. state: NULL is fine. */
uint64_t state_key_revision(const struct state *state, const char *key);

#endif
