/* SPDX-License-Identifier: Apache-2.0 */
#include "accounts.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A group's entry lists its members. */
#define ENTRY_ROOM_FIRST 4096u
#define ENTRY_ROOM_MAX (4u << 20)

static int add(struct accounts *accounts, const char *name, bool group)
{
	struct account *items;

	if (accounts_find(accounts, name, group))
		return 0;
	items = reallocarray(accounts->items, accounts->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	accounts->items = items;
	items[accounts->count] = (struct account){.name = strdup(name), .group = group, .err = -EAGAIN};
	if (!items[accounts->count].name)
		return -ENOMEM;
	accounts->count++;
	return 0;
}

int accounts_gather(const struct fleet *fleet, struct accounts *ret)
{
	struct accounts accounts = {0};
	int err = 0;

	for (size_t i = 0; fleet && i < fleet->policy_count && !err; i++) {
		const struct fleet_policy *policy = &fleet->policies[i];

		for (size_t j = 0; j < policy->users.count && !err; j++)
			err = add(&accounts, policy->users.items[j], false);
		for (size_t j = 0; j < policy->groups.count && !err; j++)
			err = add(&accounts, policy->groups.items[j], true);
	}
	if (err)
		accounts_free(&accounts);
	else
		*ret = accounts;
	return err;
}

/* 0 with *id; -ENOENT; -ERANGE: the entry needs more room; another -errno. */
static int read_entry(const struct account *account, char *room, size_t size, uint32_t *id)
{
	struct passwd user, *user_found = NULL;
	struct group group, *group_found = NULL;
	int err;

	if (account->group) {
		err = getgrnam_r(account->name, &group, room, size, &group_found);
		if (group_found)
			*id = group.gr_gid;
	} else {
		err = getpwnam_r(account->name, &user, room, size, &user_found);
		if (user_found)
			*id = user.pw_uid;
	}
	if (user_found || group_found)
		return 0;
	/* What getpwnam(3) lists under "not found". */
	return err == 0 || err == ESRCH || err == EBADF || err == EPERM ? -ENOENT : -err;
}

void account_look_up(struct account *account)
{
	char *room = NULL;

	account->err = fleet_account_number(account->name, &account->id) ? 0 : -ERANGE;
	for (size_t size = ENTRY_ROOM_FIRST; account->err == -ERANGE && size <= ENTRY_ROOM_MAX; size *= 4) {
		char *larger = realloc(room, size);

		if (!larger) {
			account->err = -ENOMEM;
			break;
		}
		room = larger;
		account->err = read_entry(account, room, size, &account->id);
	}
	free(room);
}

const struct account *accounts_find(const struct accounts *accounts, const char *name, bool group)
{
	for (size_t i = 0; i < accounts->count; i++)
		if (accounts->items[i].group == group && strcmp(accounts->items[i].name, name) == 0)
			return &accounts->items[i];
	return NULL;
}

char *accounts_problem(const struct accounts *accounts)
{
	char *text = NULL;
	size_t size, said = 0;
	FILE *out = open_memstream(&text, &size);

	for (size_t i = 0; out && i < accounts->count; i++) {
		const struct account *account = &accounts->items[i];

		if (!account->err)
			continue;
		fprintf(out, "%s%s %s", said++ ? ", " : "this server cannot allow ", account->group ? "group" : "user",
			account->name);
		if (account->err == -ENOENT)
			fputs(" (there is none here)", out);
		else
			fprintf(out, " (%s)", strerror(-account->err));
	}
	if (!out || fclose(out) || !said) {
		free(text);
		return NULL;
	}
	return text;
}

void accounts_free(struct accounts *accounts)
{
	for (size_t i = 0; i < accounts->count; i++)
		free(accounts->items[i].name);
	free(accounts->items);
	*accounts = (struct accounts){0};
}
