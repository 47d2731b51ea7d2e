/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char *mount_point;

static int set_up(void **state)
{
	(void)state;
	return geteuid() ? 0 : cgroup_mount_point(&mount_point);
}

static int tear_down(void **state)
{
	(void)state;
	free(mount_point);
	return 0;
}

#define NEED_ROOT() \
	do { \
		(void)state; \
		if (!mount_point) { \
			print_message("skip: needs root, to make cgroups\n"); \
			skip(); \
		} \
	} while (0)

static void paths(void **state)
{
	char dir[512], *path;

	NEED_ROOT();
	assert_int_equal(cgroup_hierarchy_path(mount_point, &path), 0);
	assert_string_equal(path, "/");
	free(path);
	/* neither exists yet */
	snprintf(dir, sizeof(dir), "%s/berth-none//x.service/", mount_point);
	assert_int_equal(cgroup_hierarchy_path(dir, &path), 0);
	assert_string_equal(path, "/berth-none//x.service");
	free(path);
	assert_int_equal(cgroup_hierarchy_path("/proc", &path), -EMEDIUMTYPE);
	assert_int_equal(cgroup_hierarchy_path("/etc/none", &path), -EMEDIUMTYPE);
}

static void ids(void **state)
{
	struct stat st;
	uint64_t id = 0;

	NEED_ROOT();
	assert_int_equal(cgroup_id(mount_point, &id), 0);
	assert_int_equal(stat(mount_point, &st), 0);
	assert_int_equal(id, st.st_ino);
	assert_int_equal(cgroup_id("/proc", &id), -EMEDIUMTYPE);
	assert_int_equal(cgroup_id("/none", &id), -ENOENT);
	assert_int_equal(cgroup_id("/etc/passwd", &id), -ENOTDIR);
	assert_int_equal(id, st.st_ino); /* untouched by failures */
}

/* What /proc/PID/cgroup says of a process, which is the kernel's own word for the path. */
static void holds_processes(void **state)
{
	char dir[512], parent[512], line[512], proc[64], *path;
	pid_t child;
	FILE *file;

	NEED_ROOT();
	snprintf(parent, sizeof(parent), "%s/berth-test-%d", mount_point, (int)getpid());
	snprintf(dir, sizeof(dir), "%.400s/inner", parent);
	assert_int_equal(cgroup_make(dir), 0);
	assert_int_equal(cgroup_make(dir), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		pause();
		_exit(0);
	}
	assert_int_equal(cgroup_move(dir, child), 0);
	assert_int_equal(cgroup_hierarchy_path(dir, &path), 0);
	snprintf(proc, sizeof(proc), "/proc/%d/cgroup", (int)child);
	file = fopen(proc, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) && strncmp(line, "0::", 3))
		;
	fclose(file);
	line[strcspn(line, "\n")] = '\0';
	assert_string_equal(line + 3, path);
	free(path);
	assert_int_equal(cgroup_remove(dir), -EBUSY);
	kill(child, 9);
	waitpid(child, NULL, 0);
	assert_int_equal(cgroup_remove(dir), 0);
	assert_int_equal(cgroup_remove(dir), 0);
	assert_int_equal(cgroup_remove(parent), 0);
	assert_int_equal(cgroup_move(dir, 0), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(paths),
		cmocka_unit_test(ids),
		cmocka_unit_test(holds_processes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
