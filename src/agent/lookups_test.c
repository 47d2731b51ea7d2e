/* SPDX-License-Identifier: Apache-2.0 */
/* Names to numbers, by the host's databases, and off the loop. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent.h"
#include "lookups.h"

static char *root_only[] = {"root"};
static char *users[] = {"root", "no-such-user-here", "4000000000"};
static char *groups[] = {"root", "no-such-group-here"};

struct fixture {
	struct agent agent;
	struct state state;
	struct fleet fleet;
	struct fleet_policy policies[2];
	struct lookups *lookups;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->policies[0].users = (struct fleet_accounts){.items = root_only, .count = 1};
	f->policies[1].users = (struct fleet_accounts){.items = users, .count = 3};
	f->policies[1].groups = (struct fleet_accounts){.items = groups, .count = 2};
	f->fleet.policies = f->policies;
	f->fleet.policy_count = 2;
	f->state.fleet = &f->fleet;
	f->agent.state = &f->state;
	assert_int_equal(uv_loop_init(&f->agent.loop), 0);
	assert_int_equal(lookups_start(&f->agent, &f->lookups), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	lookups_stop(f->lookups);
	uv_run(&f->agent.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->agent.loop), 0);
	problems_free(&f->agent.problems);
	free(f);
	return 0;
}

static void test_gathered_once(void **state)
{
	struct fixture *f = *state;
	struct accounts accounts;

	assert_int_equal(accounts_gather(&f->fleet, &accounts), 0);
	assert_int_equal(accounts.count, 5);
	assert_int_equal(accounts_find(&accounts, "root", false)->err, -EAGAIN);
	assert_null(accounts_find(&accounts, "4000000000", true));
	accounts_free(&accounts);
	assert_int_equal(accounts_gather(NULL, &accounts), 0);
	assert_int_equal(accounts.count, 0);
}

static void test_found(void **state)
{
	struct fixture *f = *state;
	const struct accounts *accounts;

	assert_false(lookups_may_allow(f->lookups));
	assert_false(lookups_may_refuse(f->lookups));
	lookups_refresh(f->lookups);
	assert_false(lookups_may_allow(f->lookups));
	uv_run(&f->agent.loop, UV_RUN_DEFAULT);
	assert_true(lookups_may_allow(f->lookups));
	assert_true(lookups_may_refuse(f->lookups));
	accounts = lookups_accounts(f->lookups);
	assert_int_equal(accounts_find(accounts, "root", false)->err, 0);
	assert_int_equal(accounts_find(accounts, "root", false)->id, 0);
	assert_int_equal(accounts_find(accounts, "root", true)->err, 0);
	assert_int_equal(accounts_find(accounts, "4000000000", false)->err, 0);
	assert_int_equal(accounts_find(accounts, "4000000000", false)->id, 4000000000u);
	assert_int_equal(accounts_find(accounts, "no-such-user-here", false)->err, -ENOENT);
	assert_int_equal(f->agent.problems.count, 1);
	assert_string_equal(f->agent.problems.items[0].sentence,
			    "allow: this server cannot allow user no-such-user-here (there is none here), group "
			    "no-such-group-here (there is none here)");
}

/* A fleet that comes while the thread is at the one before is looked up too. */
static void test_fleet_changes_meanwhile(void **state)
{
	struct fixture *f = *state;

	f->fleet.policy_count = 1;
	lookups_refresh(f->lookups);
	f->fleet.policy_count = 2;
	lookups_refresh(f->lookups);
	uv_run(&f->agent.loop, UV_RUN_DEFAULT);
	assert_true(lookups_may_allow(f->lookups));
	assert_non_null(accounts_find(lookups_accounts(f->lookups), "4000000000", false));
	f->fleet.policy_count = 0;
	lookups_refresh(f->lookups);
	assert_true(lookups_may_refuse(f->lookups));
	assert_int_equal(lookups_accounts(f->lookups)->count, 0);
	assert_int_equal(f->agent.problems.count, 0);
}

/* What was found long ago counts no more; first for a no, later for a yes. */
static void test_old(void **state)
{
	struct fixture *f = *state;
	lookups_refresh(f->lookups);
	uv_run(&f->agent.loop, UV_RUN_DEFAULT);
	f->agent.loop.time += 4900; /* the loop's clock stands until it is told to go on */
	assert_true(lookups_may_refuse(f->lookups));
	f->agent.loop.time += 200;
	assert_true(lookups_may_allow(f->lookups));
	assert_false(lookups_may_refuse(f->lookups));
	f->agent.loop.time += 55000;
	assert_false(lookups_may_allow(f->lookups));
}

static void test_ended_while_it_looks(void **state)
{
	struct fixture *f = *state;

	lookups_refresh(f->lookups);
	lookups_stop(f->lookups);
	f->lookups = NULL;
	uv_run(&f->agent.loop, UV_RUN_DEFAULT);
	assert_int_equal(f->agent.problems.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_gathered_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_found, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fleet_changes_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ended_while_it_looks, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
