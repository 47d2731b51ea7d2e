/* SPDX-License-Identifier: Apache-2.0 */
#include "runcgroup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../abi/allocator.h"
#include "cgroup.h"
#include "why.h"

/* A process leaves its cgroup a moment after its parent hears that it ended. */
#define REMOVE_TRIES 20
#define REMOVE_PAUSE_MS 10

static int process_dir(pid_t pid, char **ret, char **why)
{
	int err = cgroup_of_process(pid, ret);

	if (err == -ENODEV)
		return why_say(why, err, "cgroup2 is not mounted here: mount -t cgroup2 none /sys/fs/cgroup");
	if (err == -ENODATA)
		return why_say(why, err, "this process is in no cgroup of version 2, which berth run needs");
	if (err == -ESRCH)
		return why_say(why, err, "this process has ended");
	if (err)
		return why_say(why, err, "this process's cgroup is not to be seen here: %s", strerror(-err));
	return 0;
}

static int root_dir(const char *cgroup_root, char **ret, char **why)
{
	char *mount = NULL;
	int err = cgroup_root ? 0 : cgroup_mount_point(&mount);

	if (err)
		return why_say(why, err, "cgroup2 is not mounted here: mount -t cgroup2 none /sys/fs/cgroup");
	*ret = realpath(cgroup_root ? cgroup_root : mount, NULL);
	if (!*ret)
		err = why_say(why, -errno, "the agent's cgroup root %s: %m", cgroup_root ? cgroup_root : mount);
	free(mount);
	return err;
}

/* Length of `root` when `dir` is it or lies below; 0: it does not. */
static size_t below(const char *dir, const char *root)
{
	size_t length = strlen(root);

	return strncmp(dir, root, length) == 0 && (dir[length] == '/' || dir[length] == 0) ? length : 0;
}

/* The allocator looks at so many levels, from the hierarchy's root on: what is deeper, it would not see. */
static int check_depth(const char *own, char **why)
{
	unsigned levels = 1; /* the child */
	char *path;
	int err = cgroup_hierarchy_path(own, &path);

	if (err)
		return why_say(why, err, "cgroup %s: %s", own, strerror(-err));
	for (const char *at = strcmp(path, "/") ? path : ""; *at; at++)
		levels += *at == '/';
	free(path);
	if (levels >= CGROUP_DEPTH_MAX)
		return why_say(why, -ELOOP, "this process's cgroup %s is %u levels deep, berth run can go to %u", own,
			       levels - 1, CGROUP_DEPTH_MAX - 2);
	return 0;
}

static int make_below(const char *own, pid_t pid, char **ret, char **why)
{
	uint32_t salt;
	char *dir;

	if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt) ||
	    asprintf(&dir, "%s/berth-run-%d-%08" PRIx32, own, (int)(pid ? pid : getpid()), salt) < 0)
		return -ENOMEM;
	/* Not its parents: they are gone when their owner has removed them. */
	if (mkdir(dir, 0755)) {
		int err = why_say(why, -errno, "cgroup %s: %m", dir);

		free(dir);
		return err;
	}
	*ret = dir;
	return 0;
}

int run_cgroup_make(pid_t pid, const char *cgroup_root, struct run_cgroup *ret, char **why)
{
	char *own = NULL, *root = NULL, *dir = NULL;
	size_t root_length = 0;
	int err = process_dir(pid, &own, why);

	if (!err)
		err = root_dir(cgroup_root, &root, why);
	if (!err) {
		root_length = below(own, root);
		if (root_length == 0)
			err = why_say(why, -EXDEV,
				      "this process is in cgroup %s, which is not below the agent's cgroup root %s: "
				      "what runs here is not judged. Start berth run from below that root",
				      own, root);
	}
	if (!err)
		err = check_depth(own, why);
	if (!err)
		err = make_below(own, pid, &dir, why);
	if (!err)
		*ret = (struct run_cgroup){.dir = dir, .path = dir + root_length};
	free(own);
	free(root);
	return err;
}

int run_cgroup_leave(const struct run_cgroup *cgroup)
{
	char *parent = strdup(cgroup->dir);
	int err = -ENOMEM;

	if (parent) {
		*strrchr(parent, '/') = 0;
		err = cgroup_move_all(cgroup->dir, parent);
	}
	free(parent);
	return err;
}

int run_cgroup_remove(const struct run_cgroup *cgroup)
{
	const struct timespec pause = {.tv_nsec = REMOVE_PAUSE_MS * 1000000};
	int err = cgroup_remove(cgroup->dir);

	for (int i = 0; err == -EBUSY && i < REMOVE_TRIES; i++) {
		nanosleep(&pause, NULL);
		err = cgroup_remove(cgroup->dir);
	}
	return err;
}

void run_cgroup_clear(struct run_cgroup *cgroup)
{
	free(cgroup->dir);
	*cgroup = (struct run_cgroup){0};
}
