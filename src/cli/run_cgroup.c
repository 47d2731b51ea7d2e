/* SPDX-License-Identifier: Apache-2.0 */
#include "run_cgroup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "../kernel/cgroup.h"
#include "../kernel/why.h"

/* A process leaves its cgroup a moment after its parent hears that it ended. */
#define REMOVE_TRIES 20
#define REMOVE_PAUSE_MS 10

/* The line of version 2 in /proc/self/cgroup, "0::/user.slice/x.scope": its path, which the caller frees. */
static int own_path(char **ret, char **why)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char *line = NULL, *path = NULL;
	size_t room = 0;

	if (!file)
		return why_say(why, -errno, "/proc/self/cgroup: %m");
	while (!path && getline(&line, &room, file) > 0) {
		line[strcspn(line, "\n")] = 0;
		if (strncmp(line, "0::/", 4) == 0)
			path = strdup(line + 3);
	}
	free(line);
	fclose(file);
	if (!path)
		return why_say(why, -ENOENT, "this process is in no cgroup of version 2, which berth run needs");
	*ret = path;
	return 0;
}

static int own_dir(char **ret, char **why)
{
	char *mount = NULL, *path = NULL, *dir = NULL;
	int err = cgroup_mount_point(&mount);

	if (err)
		return why_say(why, err, "cgroup2 is not mounted here: mount -t cgroup2 none /sys/fs/cgroup");
	err = own_path(&path, why);
	if (!err && asprintf(&dir, "%s%s", mount, path) < 0)
		err = -ENOMEM;
	if (!err) {
		*ret = realpath(dir, NULL);
		if (!*ret)
			err = why_say(why, -errno, "this process's cgroup %s is not to be seen here: %m", dir);
		free(dir);
	}
	free(mount);
	free(path);
	return err;
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

int run_cgroup_make(const char *cgroup_root, struct run_cgroup *ret, char **why)
{
	char *own = NULL, *root = NULL, *dir = NULL;
	size_t root_length;
	uint32_t salt;
	int err = own_dir(&own, why);

	if (!err)
		err = root_dir(cgroup_root, &root, why);
	if (err)
		goto out;
	root_length = below(own, root);
	if (root_length == 0) {
		err = why_say(why, -EXDEV,
			      "this process is in cgroup %s, which is not below the agent's cgroup root %s: what runs "
			      "here is not judged. Start berth run from below that root",
			      own, root);
		goto out;
	}
	if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt) ||
	    asprintf(&dir, "%s/berth-run-%d-%08" PRIx32, own, (int)getpid(), salt) < 0) {
		dir = NULL;
		err = -ENOMEM;
		goto out;
	}
	err = cgroup_make(dir);
	if (err) {
		why_say(why, err, "cgroup %s: %s", dir, strerror(-err));
		goto out;
	}
	*ret = (struct run_cgroup){.dir = dir, .path = dir + root_length};
	dir = NULL;
out:
	free(own);
	free(root);
	free(dir);
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
