/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: what stands in the store
 *
 *   fleet                             the fleet file as it was applied, bytes for bytes; `berth apply` writes it
 *   id/site/NAME, id/server/NAME      decimal id, never given to another name, never removed; `berth apply`
 *   home/ADDRESS                      JSON {"columns": [{"first": 1, "count": 3, "site": 1}, ...]}; `berth apply`
 *   slice/SITE-ID/ADDRESS/COLUMN      JSON {"state": "owned", "owner": 7, "since": 1700000000}; `berth apply`
 *   status/NAME                       JSON {"instance": "...", "applied": REVISION, "version": "..."}; that agent
 *
 * docs/store.md describes them for other implementations. This module turns a read of all of it into fleet and
 * ownership, and a plan into a transaction. The store is hostile input: whatever does not fit is an error that names
 * the key. Left alone are keys of other families and further members of the JSON objects: a newer version may have
 * written them.
 */
#ifndef BERTH_STORE_STATE_H
#define BERTH_STORE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "../core/fleet.h"
#include "../core/fleet_file.h"
#include "../core/ownership.h"
#include "../core/plan.h"
#include "store.h"

struct server_status {
	uint32_t server; /* id */
	char *instance;
	uint64_t applied; /* revision whose tables it has loaded */
	char *version;
};

/* An id and the name it was given to, which may have left the fleet since. */
struct state_id {
	char *name;
	uint32_t id;
	bool listed; /* the fleet has it */
};

struct state_ids {
	struct state_id *items; /* sorted by name; no name and no id twice */
	size_t count;
};

/* A key and its revision, for comparing. */
struct state_key {
	char *key;
	uint64_t revision;
};

struct state {
	uint64_t revision;
	struct fleet *fleet; /* with ids; NULL: nothing was ever applied */
	char *fleet_text; /* as stored, fleet_size bytes; NULL with fleet */
	size_t fleet_size;
	struct state_ids sites;
	struct state_ids servers;
	struct ownership held; /* a free row that has a home: since 0 */
	struct server_status *statuses; /* of servers that are in the fleet */
	size_t status_count;
	struct state_key *keys; /* every key read, sorted by key */
	size_t key_count;
};

/* result: of store_read(store, "", ...). 0: *ret is the caller's. -EBADMSG: *why (the caller frees) names key and
   fault. -ENOMEM: *why is NULL. */
int state_decode(const struct store_result *result, struct state **ret, char **why);
void state_free(struct state *state); /* NULL is fine */
/* Revision of the newest key that says anything about tables: statuses don't. This is what a server reports as applied.
 */
uint64_t state_content_revision(const struct state *state);

/* A transaction that owns its memory. */
struct state_txn {
	struct store_txn txn;
	void *memory;
};

/*
 * Gives every site and server of `fleet` its id: the file's own, the one its name had before, or a fresh one: above all
 * that were ever given, and where nothing is left above, the lowest that never was. before: NULL for an empty store.
 * With *why (the caller frees), and no id changed: -EEXIST: the file gives an id that belongs to another name or
 * contradicts the store; -ENOSPC: no ids are left. -ENOMEM: *why is NULL.
 */
int state_assign_ids(struct fleet *fleet, const struct state *before, char **why);
/*
 * The transaction that brings the store from `before` (NULL: empty) to (fleet_text, ids of `fleet`, `plan`), comparing
 * every key it relies on. Whenever it writes at all it writes the fleet, so that of two such transactions from the same
 * `before` one fails; when there is nothing to change, write_count is 0. 0 or -ENOMEM.
 */
int state_encode(const struct state *before, const struct fleet *fleet, const char *fleet_text, size_t fleet_size,
		 const struct plan *plan, struct state_txn *ret);
/* The transaction in which a server writes its status. */
int state_encode_status(const char *server, const struct server_status *status, struct state_txn *ret);
void state_txn_free(struct state_txn *txn);

#endif
