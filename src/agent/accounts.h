/* SPDX-License-Identifier: Apache-2.0 */
/* Users and groups that the fleet's policies allow, with the numbers that this host has for them. */
#ifndef BERTH_AGENT_ACCOUNTS_H
#define BERTH_AGENT_ACCOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/fleet.h"

struct account {
	char *name; /* as the fleet file has it: a name, or a number as text */
	bool group;
	int err; /* 0: `id` is its number; -ENOENT: this host has no such account; others: it could not be looked up */
	uint32_t id;
};

struct accounts {
	struct account *items;
	size_t count;
};

/* All that the policies name, each once, not looked up yet (-EAGAIN). fleet NULL: none. 0 or -ENOMEM. */
int accounts_gather(const struct fleet *fleet, struct accounts *ret);
/* By the host's databases, which may ask the network and so take their time. */
void account_look_up(struct account *account);
/* NULL: nobody gathered that one. */
const struct account *accounts_find(const struct accounts *accounts, const char *name, bool group);
/* A sentence about those that have no number, the caller's to free; NULL: all have one, or no memory. */
char *accounts_problem(const struct accounts *accounts);
void accounts_free(struct accounts *accounts);

#endif
