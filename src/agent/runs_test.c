/* SPDX-License-Identifier: Apache-2.0 */
/* The list of runs that an agent finds when it starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../kernel/cgroup.h"
#include "agent.h"
#include "policies.h"

struct fixture {
	struct agent agent;
	char directory[32];
	char file[64];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->directory, sizeof(f->directory), "/tmp/berth-runs-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->file, sizeof(f->file), "%s/runs.json", f->directory);
	f->agent.options.run_dir = f->directory;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	runs_free(&f->agent.runs);
	free(f->agent.cgroup_root);
	unlink(f->file);
	rmdir(f->directory);
	free(f);
	return 0;
}

static void load(struct fixture *f, const char *text)
{
	FILE *file = fopen(f->file, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	runs_free(&f->agent.runs);
	runs_load(&f->agent);
}

static void test_missing(void **state)
{
	struct fixture *f = *state;

	runs_load(&f->agent);
	assert_int_equal(f->agent.runs.count, 0);
	assert_false(f->agent.runs.damaged);
}

static void test_damaged(void **state)
{
	static const char *const texts[] = {"", "{}", "[", "7", "[{\"cgroup\": \"/\"", "[{\"a\":1,\"a\":1}]"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		load(f, texts[i]);
		assert_int_equal(f->agent.runs.count, 0);
		assert_true(f->agent.runs.damaged);
	}
}

static void test_list(void **state)
{
	struct fixture *f = *state;
	uint64_t root;

	if (cgroup_mount_point(&f->agent.cgroup_root))
		skip();
	assert_int_equal(cgroup_id(f->agent.cgroup_root, &root), 0);
	load(f, "[{\"cgroup\": \"/\", \"select\": \"country=DE\"},"
		" {\"cgroup\": \"/of-a-run-that-has-ended\", \"select\": \"country=DE\"},"
		" {\"cgroup\": 7, \"select\": \"country=DE\"}, {\"cgroup\": \"/\"}, null]");
	assert_false(f->agent.runs.damaged);
	assert_int_equal(f->agent.runs.count, 1);
	assert_string_equal(f->agent.runs.items[0].cgroup, "/");
	assert_string_equal(f->agent.runs.items[0].selector, "country=DE");
	assert_int_equal(f->agent.runs.items[0].policy, policy_id("run:country=DE"));
	assert_true(runs_cgroup(&f->agent.runs, root));
	assert_false(runs_cgroup(&f->agent.runs, root + 1));
	assert_true(runs_policy(&f->agent.runs, policy_id("run:country=DE")));
	assert_false(runs_policy(&f->agent.runs, policy_id("country=DE")));
	assert_int_equal(f->agent.runs.items[0].user, RUN_BY_BERTH);
	assert_null(f->agent.runs.items[0].policy_name);
	load(f, "[]");
	assert_int_equal(f->agent.runs.count, 0);
	assert_false(f->agent.runs.damaged);
}

/* Of a policy of the fleet file, whose number is not the run's to keep; and of users. */
static void test_list_of_policies(void **state)
{
	struct fixture *f = *state;
	const struct run *run;
	char text[512];
	uint64_t root;

	if (cgroup_mount_point(&f->agent.cgroup_root))
		skip();
	assert_int_equal(cgroup_id(f->agent.cgroup_root, &root), 0);
	snprintf(text, sizeof(text),
		 "[{\"cgroup\": \"/\", \"policy\": \"web\", \"id\": %llu, \"user\": 1000},"
		 " {\"cgroup\": \"/\", \"policy\": \"another-cgroup\", \"id\": %llu},"
		 " {\"cgroup\": \"/\", \"policy\": \"web\", \"select\": \"country=DE\"},"
		 " {\"cgroup\": \"/\", \"policy\": 7}]",
		 (unsigned long long)root, (unsigned long long)root + 1);
	load(f, text);
	assert_false(f->agent.runs.damaged);
	assert_int_equal(f->agent.runs.count, 1);
	run = &f->agent.runs.items[0];
	assert_string_equal(run->policy_name, "web");
	assert_null(run->selector);
	assert_int_equal(run->user, 1000);
	assert_int_equal(run->policy, policy_id("web"));
	assert_true(runs_cgroup(&f->agent.runs, root));
	assert_false(runs_policy(&f->agent.runs, policy_id("web")));
	assert_int_equal(runs_count(&f->agent.runs, 1000), 1);
	assert_int_equal(runs_count(&f->agent.runs, 1001), 0);
	assert_int_equal(runs_count(&f->agent.runs, RUN_BY_BERTH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list_of_policies, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
