/* SPDX-License-Identifier: Apache-2.0 */
#include "runcgroup.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../abi/allocator.h"
#include "cgroup.h"

struct fixture {
	char root[256];
	char caller[256 + 16]; /* below it, with the child in it */
	pid_t child;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	char *mount = NULL;

	assert_non_null(f);
	*state = f;
	if (geteuid() || cgroup_mount_point(&mount))
		return 0;
	snprintf(f->root, sizeof(f->root), "%.200s/berth-test-%d", mount, (int)getpid());
	snprintf(f->caller, sizeof(f->caller), "%s/caller", f->root);
	free(mount);
	assert_int_equal(cgroup_make(f->caller), 0);
	f->child = fork();
	assert_true(f->child >= 0);
	if (f->child == 0) {
		pause();
		_exit(0);
	}
	return cgroup_move(f->caller, f->child);
}

static void end_child(struct fixture *f)
{
	if (f->child <= 0)
		return;
	kill(f->child, SIGKILL);
	waitpid(f->child, NULL, 0);
	f->child = 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	if (type == FTW_DP)
		(void)cgroup_remove(path);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int err = 0;

	end_child(f);
	if (f->root[0]) {
		err = cgroup_remove(f->caller);
		if (err) /* a test failed half way */
			(void)nftw(f->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
		else
			err = cgroup_remove(f->root);
	}
	free(f);
	return err;
}

#define NEED_ROOT(f) \
	do { \
		if (!(f)->root[0]) \
			skip(); \
	} while (0)

static int make(pid_t pid, const char *root, struct run_cgroup *ret)
{
	char *why = NULL;
	int err = run_cgroup_make(pid, root, ret, &why);

	assert_int_equal(err != 0, why != NULL);
	free(why);
	return err;
}

static void assert_in(const struct fixture *f, const char *dir)
{
	char *its = NULL;

	assert_int_equal(cgroup_of_process(f->child, &its), 0);
	assert_string_equal(its, dir);
	free(its);
}

static void test_in_and_out_again(void **state)
{
	struct fixture *f = *state;
	struct run_cgroup cgroup, inner;

	NEED_ROOT(f);
	assert_int_equal(make(f->child, f->root, &cgroup), 0);
	assert_in(f, f->caller);
	assert_memory_equal(cgroup.path, "/caller/berth-run-", strlen("/caller/berth-run-"));
	assert_int_equal(strncmp(cgroup.dir, f->root, strlen(f->root)), 0);
	assert_ptr_equal(cgroup.path, cgroup.dir + strlen(f->root));
	assert_int_equal(cgroup_move(cgroup.dir, f->child), 0);
	/* Each has its own, below the one before. */
	assert_int_equal(make(f->child, f->root, &inner), 0);
	assert_int_equal(strncmp(inner.dir, cgroup.dir, strlen(cgroup.dir)), 0);
	assert_int_equal(run_cgroup_remove(&inner), 0);
	assert_int_equal(run_cgroup_remove(&cgroup), -EBUSY);
	assert_int_equal(run_cgroup_leave(&cgroup), 0);
	assert_in(f, f->caller);
	assert_int_equal(run_cgroup_leave(&cgroup), 0);
	assert_int_equal(run_cgroup_remove(&cgroup), 0);
	run_cgroup_clear(&inner);
	run_cgroup_clear(&cgroup);
}

static void test_outside(void **state)
{
	struct fixture *f = *state;
	char other[sizeof(f->root) + 8];
	struct run_cgroup cgroup;

	NEED_ROOT(f);
	assert_int_equal(make(0, f->root, &cgroup), -EXDEV);
	/* A longer name is another cgroup. */
	snprintf(other, sizeof(other), "%s/call", f->root);
	assert_int_equal(cgroup_make(other), 0);
	assert_int_equal(make(f->child, other, &cgroup), -EXDEV);
	assert_int_equal(cgroup_remove(other), 0);
}

static void test_ended(void **state)
{
	struct fixture *f = *state;
	struct run_cgroup cgroup;
	pid_t pid = f->child;

	NEED_ROOT(f);
	end_child(f);
	assert_int_equal(make(pid, f->root, &cgroup), -ESRCH);
}

/* The deepest that there may be, and one more. */
static void test_deep(void **state)
{
	struct fixture *f = *state;
	char dir[1024], *path;
	struct run_cgroup cgroup;
	size_t length, levels = 0;

	NEED_ROOT(f);
	assert_int_equal(cgroup_hierarchy_path(f->caller, &path), 0);
	for (const char *at = path; *at; at++)
		levels += *at == '/';
	free(path);
	length = (size_t)snprintf(dir, sizeof(dir), "%s", f->caller);
	for (; levels < CGROUP_DEPTH_MAX - 2; levels++)
		length += (size_t)snprintf(dir + length, sizeof(dir) - length, "/d");
	assert_int_equal(cgroup_make(dir), 0);
	assert_int_equal(cgroup_move(dir, f->child), 0);
	assert_int_equal(make(f->child, f->root, &cgroup), 0);
	assert_int_equal(cgroup_move(cgroup.dir, f->child), 0);
	assert_int_equal(make(f->child, f->root, &(struct run_cgroup){0}), -ELOOP);
	end_child(f);
	assert_int_equal(run_cgroup_remove(&cgroup), 0);
	run_cgroup_clear(&cgroup);
	for (; length > strlen(f->caller); length -= 2) {
		dir[length] = 0;
		assert_int_equal(cgroup_remove(dir), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_and_out_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deep, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
