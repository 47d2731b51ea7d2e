/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: watches
 *
 * The watches of one store, and the one way in which changes reach them, for backends. All of it runs on the loop.
 *
 * A backend that looks for changes arms the watches first, which gives the lowest revision any of them still waits
 * behind, then reads the history from there, then delivers what it found. Only armed watches get it: one that was
 * added while the look was under way may know a revision that the look did not see yet.
 *
 * Callbacks may add and remove watches and close the store; a watch removed during a delivery is freed after it.
 */
#ifndef BERTH_STORE_WATCH_H
#define BERTH_STORE_WATCH_H

#include "store.h"

/* History that a backend of ours keeps: as many of the last changes, but no more than so many bytes (and always the
   last commit whole). */
#define WATCH_HISTORY_CHANGES 10000u
#define WATCH_HISTORY_BYTES (64u << 20)

struct watches;

struct store_watch {
	struct store *store;
	struct watches *watches;
	struct store_watch *next;
	char *prefix;
	uint64_t after; /* all up to this revision was delivered */
	store_changed *changed;
	void *arg;
	int trouble; /* error told last; 0: none */
	bool armed;
	bool over; /* -ESTALE was told */
	bool gone; /* removed during a delivery */
};

struct watches {
	struct store_watch *first;
	unsigned delivering; /* depth */
};

/* What a look at the history saw. */
struct watch_look {
	uint64_t revision; /* the store's */
	uint64_t oldest; /* a watch behind a lower revision cannot be resumed */
	uint64_t to; /* `changes` is all that was changed above the revision asked for (or `oldest`), up to here */
	const struct store_entry *changes; /* sorted by revision, then key */
	size_t count;
};

/* 0 or -ENOMEM. */
int watches_add(struct watches *watches, struct store *store, const char *prefix, uint64_t after,
		store_changed *changed, void *arg, struct store_watch **ret);
void watches_remove(struct store_watch *watch);
/* Removes all of them. */
void watches_clear(struct watches *watches);
/* False: nobody watches. Else *after is the lowest revision that a watch waits behind. */
bool watches_arm(struct watches *watches, uint64_t *after);
/* True while a watch is waiting. */
bool watches_waiting(const struct watches *watches);
void watches_deliver(struct watches *watches, const struct watch_look *look);
/* Tells every watch, once until the next delivery. */
void watches_trouble(struct watches *watches, int err, const char *why);
/* The store's contents are not the ones that were watched: ends every watch with -ESTALE. */
void watches_rewound(struct watches *watches);

#endif
