/* SPDX-License-Identifier: Apache-2.0 */
/* A policy's `allow`: who may run commands under it. */
#include <stdlib.h>
#include <string.h>

#include "fleet_file_reader.h"

_Static_assert(FLEET_ACCOUNT_MAX == 63, "a sentence below says this limit");

/* Letters as ASCII has them, whatever the locale. */
static bool account_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
	       c == '-' || c == '@';
}

static bool account_is_number(const char *text)
{
	return text[strspn(text, "0123456789")] == 0;
}

/* What is wrong with the name of a user or group, or NULL. Whether a host knows it, only the host can say. */
static const char *account_fault(const char *text)
{
	if (!*text)
		return "has no character: write a name";
	if (strlen(text) > FLEET_ACCOUNT_MAX)
		return "is too long: 63 characters at most";
	for (const char *at = text; *at; at++)
		if (!account_char(*at))
			return "must have letters, digits, '_', '-', '.' and '@' only";
	if (*text == '-' || *text == '.' || *text == '@')
		return "must begin with a letter, a digit or '_'";
	if (account_is_number(text) && !fleet_account_number(text, NULL))
		return "is no number of an account: from 0 to 4294967294, without leading zeros";
	return NULL;
}

static bool account_known(const struct fleet_accounts *accounts, const char *text)
{
	for (size_t i = 0; i < accounts->count; i++)
		if (strcmp(accounts->items[i], text) == 0)
			return true;
	return false;
}

static void read_account(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_accounts *accounts = object;
	const char *text = reader_text(reader, node), *why;
	struct shown shown;
	char **items;

	if (!text)
		return;
	why = account_fault(text);
	if (!why && account_known(accounts, text))
		why = "is named twice: leave one";
	if (why) {
		reader_fault(reader, node, "%s in allow %s", shown_quote(text, &shown), why);
		return;
	}
	items = reader_grow(reader, accounts->items, accounts->count, sizeof(*items));
	if (!items)
		return;
	accounts->items = items;
	items[accounts->count] = strdup(text);
	if (items[accounts->count])
		accounts->count++;
	else
		reader->no_memory = true;
}

static void read_users(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_policy *policy = object;

	reader_list(reader, node, read_account, &policy->users);
}

static void read_groups(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_policy *policy = object;

	reader_list(reader, node, read_account, &policy->groups);
}

/* An empty list that another would fill some day is no fault; nobody at all is. */
static bool names_nobody(const struct node *node)
{
	const struct node *users = node_member(node, "users"), *groups = node_member(node, "groups");

	return node->kind == NODE_MAPPING && !(users && (users->kind != NODE_LIST || users->child)) &&
	       !(groups && (groups->kind != NODE_LIST || groups->child));
}

void fleet_file_allow(struct reader *reader, const struct node *node, void *object)
{
	static const struct field fields[] = {{"users", read_users, NULL}, {"groups", read_groups, NULL}, {0}};
	size_t faults = reader->faults->count;

	reader_mapping(reader, node, "allow", fields, object);
	if (reader->faults->count == faults && names_nobody(node))
		reader_fault(reader, node,
			     "allow names nobody: write for example `allow: {users: [jan]}`, or take it out");
}
