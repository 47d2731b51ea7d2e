/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../core/fleet_file.h"
#include "admission.h"

#define JAN 1000
#define ANN 1001
#define CREW 50

static const char fleet_text[] =
	"version: 1\n"
	"fleet: test\n"
	"pools:\n"
	"  - {prefix: 203.0.113.0/24, slice_ports: 2048}\n"
	"addresses:\n"
	"  - {range: 203.0.113.0 - 203.0.113.7, tags: {country: DE, product: x}}\n"
	"sites:\n"
	"  - name: fra\n"
	"    place: {country: DE}\n"
	"    servers:\n"
	"      - {name: fra-1, underlay: 10.0.1.1}\n"
	"policies:\n"
	"  - {name: closed, cgroup: /a, select: country=DE}\n"
	"  - {name: jans, cgroup: /b, select: country=DE, allow: {users: [jan]}}\n"
	"  - {name: crews, cgroup: /c, select: \"country=DE,product=x\", allow: {users: [ghost, ann], groups: "
	"[crew]}}\n"
	"  - {name: numbers, cgroup: /d, select: \"*\", allow: {users: [1234], groups: [4321]}}\n"
	"  - {name: here, cgroup: /e, select: country=$site.country, allow: {users: [jan]}}\n";

struct fixture {
	struct fleet *fleet;
	struct accounts accounts;
};

static void know(struct fixture *f, const char *name, bool group, uint32_t id)
{
	struct account *account = (struct account *)accounts_find(&f->accounts, name, group);

	assert_non_null(account);
	account->err = 0;
	account->id = id;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct fleet_faults faults = {0};

	assert_non_null(f);
	if (fleet_file_read(fleet_text, strlen(fleet_text), &f->fleet, &faults))
		fail_msg("line %zu: %s", faults.items[0].line, faults.items[0].text);
	fleet_faults_free(&faults);
	assert_int_equal(accounts_gather(f->fleet, &f->accounts), 0);
	know(f, "jan", false, JAN);
	know(f, "ann", false, ANN);
	know(f, "crew", true, CREW);
	know(f, "1234", false, 1234);
	know(f, "4321", true, 4321);
	/* Whatever stands in the number of one that is not known: it is none. */
	know(f, "ghost", false, 77);
	((struct account *)accounts_find(&f->accounts, "ghost", false))->err = -ENOENT;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	fleet_free(f->fleet);
	accounts_free(&f->accounts);
	free(f);
	return 0;
}

/* Name of the policy, or NULL with *err and, when `text` is given, that in the sentence. */
static const char *judge(struct fixture *f, const struct asker *asker, const char *name, const char *selector, int *err,
			 const char *text)
{
	const struct fleet_policy *policy = NULL;
	char *why = NULL;

	*err = admission_judge(f->fleet, &f->accounts, asker, name, selector, &policy, &why);
	assert_int_equal(*err == 0, policy != NULL);
	assert_int_equal(*err != 0, why != NULL);
	if (text && !strstr(why ? why : "", text))
		fail_msg("no \"%s\" in \"%s\"", text, why);
	free(why);
	return policy ? policy->name : NULL;
}

static void assert_may(struct fixture *f, const struct asker *asker, const char *policies)
{
	for (size_t i = 0; i < f->fleet->policy_count; i++) {
		const char *name = f->fleet->policies[i].name;
		int err;

		(void)judge(f, asker, name, NULL, &err, NULL);
		if (strstr(policies, name))
			assert_int_equal(err, 0);
		else
			assert_int_equal(err, -EPERM);
		assert_int_equal(admission_allows(&f->fleet->policies[i], &f->accounts, asker), err == 0);
	}
}

static void test_who_may(void **state)
{
	const gid_t crew[] = {7, CREW}, number[] = {4321}, other[] = {7, JAN, ANN, 1234, 0};
	struct fixture *f = *state;

	assert_may(f, &(struct asker){.uid = 0}, "closed jans crews numbers here");
	assert_may(f, &(struct asker){.uid = JAN}, "jans here");
	assert_may(f, &(struct asker){.uid = ANN}, "crews");
	assert_may(f, &(struct asker){.uid = JAN, .gids = crew, .gid_count = 2}, "jans here crews");
	assert_may(f, &(struct asker){.uid = JAN, .gids = crew, .gid_count = 1}, "jans here");
	assert_may(f, &(struct asker){.uid = 1234}, "numbers");
	assert_may(f, &(struct asker){.uid = 9, .gids = number, .gid_count = 1}, "numbers");
	/* A group of a user's number is no user, and a user of a group's number no group. */
	assert_may(f, &(struct asker){.uid = 9, .gids = other, .gid_count = 5}, "");
	assert_may(f, &(struct asker){.uid = CREW}, "");
	assert_may(f, &(struct asker){.uid = 77}, "");
}

static void test_sentences(void **state)
{
	const struct asker jan = {.uid = JAN}, nobody = {.uid = 65534};
	struct fixture *f = *state;
	int err;

	(void)judge(f, &jan, "crews", NULL, &err,
		    "policy crews does not allow user 1000: its `allow` names user ghost, user ann, group crew; this "
		    "user may use: jans (country=DE), here (country=$site.country)");
	assert_int_equal(err, -EPERM);
	(void)judge(f, &nobody, "closed", NULL, &err,
		    "it has no `allow`, so it is for root alone; this user may use no");
	assert_int_equal(err, -EPERM);
	(void)judge(f, &jan, "jan", NULL, &err, "no policy is called 'jan'; this user may use: jans");
	assert_int_equal(err, -ENOENT);
}

static void test_selectors(void **state)
{
	const gid_t crew[] = {CREW};
	const struct asker jan = {.uid = JAN, .gids = crew, .gid_count = 1}, root = {.uid = 0};
	struct fixture *f = *state;
	int err;

	/* `closed` comes first and has the same selector. */
	assert_string_equal(judge(f, &jan, NULL, "country=DE", &err, NULL), "jans");
	assert_string_equal(judge(f, &root, NULL, "country=DE", &err, NULL), "closed");
	assert_string_equal(judge(f, &jan, NULL, " product = x, country=DE", &err, NULL), "crews");
	assert_string_equal(judge(f, &jan, NULL, "country=$site.country", &err, NULL), "here");
	assert_null(judge(f, &jan, NULL, "*", &err, "this user may use: jans (country=DE), crews"));
	assert_int_equal(err, -ENOENT);
	assert_null(judge(f, &jan, NULL, "product=x", &err, NULL));
	assert_int_equal(err, -ENOENT);
	assert_null(judge(f, &jan, NULL, "country=", &err, "character 9"));
	assert_int_equal(err, -EINVAL);
}

static void test_without_numbers_nobody_may(void **state)
{
	struct fixture *f = *state;
	struct accounts none = {0};
	const struct asker jan = {.uid = JAN}, root = {.uid = 0};

	assert_false(admission_allows(&f->fleet->policies[1], &none, &jan));
	assert_true(admission_allows(&f->fleet->policies[1], &none, &root));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_who_may, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sentences, setup, teardown),
		cmocka_unit_test_setup_teardown(test_selectors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_numbers_nobody_may, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
