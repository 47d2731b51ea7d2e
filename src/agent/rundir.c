/* SPDX-License-Identifier: Apache-2.0 */
#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

#define LOCK_PATIENCE_MS 1000
#define LOCK_PAUSE_MS 20

/* An agent that was killed holds its lock until the last of its threads is gone. */
static int lock_patiently(int fd)
{
	const struct timespec pause = {.tv_nsec = LOCK_PAUSE_MS * 1000000L};

	for (unsigned waited = 0; flock(fd, LOCK_EX | LOCK_NB); waited += LOCK_PAUSE_MS) {
		if (errno != EWOULDBLOCK)
			return -errno;
		if (waited >= LOCK_PATIENCE_MS)
			return -EBUSY;
		nanosleep(&pause, NULL);
	}
	return 0;
}

static int lock(const char *run_dir)
{
	char *path;
	int fd, err;

	if (asprintf(&path, "%s/lock", run_dir) < 0)
		return -ENOMEM;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	free(path);
	if (fd < 0)
		return -errno;
	err = lock_patiently(fd);
	if (err)
		close(fd);
	return err ? err : fd;
}

/* Written aside and renamed, so that a reader never sees half of it. */
static int write_paths(const struct agent *agent)
{
	const struct options *options = &agent->options;
	json_t *paths = json_pack("{s:s, s:s, s:s, s:s}", "server", options->server, "bpffs", options->bpffs,
				  "cgroup_root", agent->cgroup_root, "store", options->store);
	char *name = NULL, *aside = NULL;
	int err = -ENOMEM;

	if (paths && asprintf(&name, "%s/paths.json", options->run_dir) >= 0 &&
	    asprintf(&aside, "%s/paths.json.new", options->run_dir) >= 0) {
		err = json_dump_file(paths, aside, JSON_INDENT(2)) ? -EIO : 0;
		if (!err && rename(aside, name))
			err = -errno;
	}
	free(name);
	free(aside);
	json_decref(paths);
	return err;
}

int rundir_open(struct agent *agent)
{
	int fd;

	if (mkdir(agent->options.run_dir, 0755) && errno != EEXIST)
		return -errno;
	fd = lock(agent->options.run_dir);
	if (fd < 0)
		return fd;
	agent->lock = fd;
	return write_paths(agent);
}
