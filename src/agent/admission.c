/* SPDX-License-Identifier: Apache-2.0 */
#include "admission.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of what a client sent, in a sentence. */
#define SHOWN_MAX 256

static bool allows_user(const struct fleet_accounts *users, const struct accounts *accounts, uid_t uid)
{
	for (size_t i = 0; i < users->count; i++) {
		const struct account *account = accounts_find(accounts, users->items[i], false);

		if (account && !account->err && account->id == uid)
			return true;
	}
	return false;
}

static bool asker_in_group(const struct asker *asker, uint32_t gid)
{
	for (size_t i = 0; i < asker->gid_count; i++)
		if (asker->gids[i] == gid)
			return true;
	return false;
}

static bool allows_group(const struct fleet_accounts *groups, const struct accounts *accounts,
			 const struct asker *asker)
{
	for (size_t i = 0; i < groups->count; i++) {
		const struct account *account = accounts_find(accounts, groups->items[i], true);

		if (account && !account->err && asker_in_group(asker, account->id))
			return true;
	}
	return false;
}

bool admission_allows(const struct fleet_policy *policy, const struct accounts *accounts, const struct asker *asker)
{
	return asker->uid == 0 || allows_user(&policy->users, accounts, asker->uid) ||
	       allows_group(&policy->groups, accounts, asker);
}

/* "user jan, group crew" */
static void say_allowed(FILE *out, const struct fleet_policy *policy)
{
	size_t said = 0;

	for (size_t i = 0; i < policy->users.count; i++)
		fprintf(out, "%suser %s", said++ ? ", " : "", policy->users.items[i]);
	for (size_t i = 0; i < policy->groups.count; i++)
		fprintf(out, "%sgroup %s", said++ ? ", " : "", policy->groups.items[i]);
}

static void say_usable(FILE *out, const struct fleet *fleet, const struct accounts *accounts, const struct asker *asker)
{
	size_t said = 0;

	for (size_t i = 0; i < fleet->policy_count; i++) {
		const struct fleet_policy *policy = &fleet->policies[i];
		char *select;

		if (!admission_allows(policy, accounts, asker))
			continue;
		select = selector_format(&policy->select);
		fprintf(out, "%s%s (%s)", said++ ? ", " : "user may use: ", policy->name, select ? select : "?");
		free(select);
	}
	if (!said)
		fputs("user may use no policy", out);
}

struct question {
	const struct fleet *fleet;
	const struct accounts *accounts;
	const struct asker *asker;
};

static void say_not_allowed(FILE *out, const struct question *question, const struct fleet_policy *policy)
{
	fprintf(out, "policy %s does not allow user %u: ", policy->name, (unsigned)question->asker->uid);
	if (policy->users.count + policy->groups.count == 0) {
		fputs("it has no `allow`, so it is for root alone", out);
	} else {
		fputs("its `allow` names ", out);
		say_allowed(out, policy);
	}
	fputs("; this ", out);
	say_usable(out, question->fleet, question->accounts, question->asker);
}

static void say_none(FILE *out, const struct question *question, const char *what, const char *text)
{
	fprintf(out, "no policy %s '%.*s'; this ", what, SHOWN_MAX, text);
	say_usable(out, question->fleet, question->accounts, question->asker);
}

static int judge_name(const struct question *question, const char *name, const struct fleet_policy **ret, FILE *out)
{
	const struct fleet *fleet = question->fleet;

	for (size_t i = 0; i < fleet->policy_count; i++) {
		const struct fleet_policy *policy = &fleet->policies[i];

		if (strcmp(policy->name, name) != 0)
			continue;
		if (admission_allows(policy, question->accounts, question->asker)) {
			*ret = policy;
			return 0;
		}
		say_not_allowed(out, question, policy);
		return -EPERM;
	}
	say_none(out, question, "is called", name);
	return -ENOENT;
}

static int judge_selector(const struct question *question, const char *text, const struct fleet_policy **ret, FILE *out)
{
	const struct fleet *fleet = question->fleet;
	const struct fleet_policy *found = NULL;
	const char *fault = NULL;
	struct selector selector;
	size_t at = 0;
	int err = selector_parse(text, &selector, &at, &fault);

	if (err) {
		fprintf(out, "selector '%.*s', character %zu: %s", SHOWN_MAX, text, at + 1,
			fault ? fault : "not understood");
		return err;
	}
	for (size_t i = 0; i < fleet->policy_count && !found; i++) {
		const struct fleet_policy *policy = &fleet->policies[i];

		if (selector_compare(&policy->select, &selector) == 0 &&
		    admission_allows(policy, question->accounts, question->asker))
			found = policy;
	}
	selector_free(&selector);
	if (!found) {
		say_none(out, question, "that this user may use has the selector", text);
		return -ENOENT;
	}
	*ret = found;
	return 0;
}

int admission_judge(const struct fleet *fleet, const struct accounts *accounts, const struct asker *asker,
		    const char *name, const char *selector, const struct fleet_policy **ret, char **why)
{
	const struct question question = {.fleet = fleet, .accounts = accounts, .asker = asker};
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int err;

	if (!out)
		return -ENOMEM;
	err = name ? judge_name(&question, name, ret, out) : judge_selector(&question, selector, ret, out);
	if (fclose(out) || !err) {
		free(text);
		text = NULL;
	}
	if (err)
		*why = text;
	return err;
}
