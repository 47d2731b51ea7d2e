/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../src/kernel/cgroup.h"
#include "../src/kernel/why.h"

/* A million sockets take a while to close. */
#define REMOVE_TRIES 600
#define REMOVE_PAUSE_US 100000

static void cgroup_kill(const char *dir)
{
	char path[PATH_MAX + 16];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.kill", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, "1", 1) < 0)
		fprintf(stderr, "bench: %s: %m\n", path);
	close(fd);
}

static int cgroup_remove_tree(const char *dir)
{
	DIR *stream = opendir(dir);
	struct dirent *entry;
	char path[PATH_MAX + NAME_MAX];
	int err = -EBUSY;

	while (stream && (entry = readdir(stream))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		(void)cgroup_remove_tree(path);
	}
	if (stream)
		closedir(stream);
	for (int i = 0; err == -EBUSY && i < REMOVE_TRIES; i++) {
		if (i)
			usleep(REMOVE_PAUSE_US);
		err = cgroup_remove(dir);
	}
	return err;
}

/* The outcome of place_run(), as soon as the child has one, or must not wait for one. */
static int child_wait(pid_t child, const sigset_t *signals, unsigned seconds)
{
	struct timespec start, now, left = {.tv_sec = 1};
	int status;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		int signal = sigtimedwait(signals, NULL, &left);

		if (waitpid(child, &status, WNOHANG) == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : -ECHILD;
		if (signal > 0 && signal != SIGCHLD)
			return -EINTR;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec - start.tv_sec >= (time_t)seconds)
			return -ETIMEDOUT;
	}
}

/* `watched` are blocked; the child gets the mask `before` back. */
static int run_in(const char *cgroup, place_body *body, void *argument, unsigned seconds, const sigset_t *watched,
		  const sigset_t *before)
{
	pid_t child;
	int result;

	fflush(NULL);
	child = child_fork();
	if (child == 0) {
		sigprocmask(SIG_SETMASK, before, NULL);
		result = cgroup_move(cgroup, 0) ? EXIT_FAILURE : body(cgroup, argument);
		fflush(NULL);
		_exit(result);
	}
	result = child < 0 ? -errno : child_wait(child, watched, seconds);
	cgroup_kill(cgroup);
	if (child > 0)
		waitpid(child, NULL, 0);
	return result;
}

/* Both with the signals blocked: a second one must not end this process before the cgroup is gone. */
static int run_and_remove(const char *cgroup, place_body *body, void *argument, unsigned seconds, char **why)
{
	sigset_t watched, before;
	int result, err;

	sigemptyset(&watched);
	sigaddset(&watched, SIGCHLD);
	sigaddset(&watched, SIGINT);
	sigaddset(&watched, SIGTERM);
	sigaddset(&watched, SIGHUP);
	sigprocmask(SIG_BLOCK, &watched, &before);
	result = run_in(cgroup, body, argument, seconds, &watched, &before);
	err = cgroup_remove_tree(cgroup);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return err ? why_say(why, err, "%s cannot be removed: %s", cgroup, strerror(-err)) : result;
}

int place_run(place_body *body, void *argument, unsigned seconds, char **why)
{
	char cgroup[PATH_MAX], *mount;
	int err = cgroup_mount_point(&mount);

	if (err)
		return why_say(why, err, "cgroup2 is not mounted");
	snprintf(cgroup, sizeof(cgroup), "%s/berth-bench-%d", mount, getpid());
	free(mount);
	err = cgroup_make(cgroup);
	if (err)
		return why_say(why, err, "%s: %s", cgroup, strerror(-err));
	return run_and_remove(cgroup, body, argument, seconds, why);
}

int netns_enter_new(char **why)
{
	static const char *const commands[] = {
		"ip link set lo up",
		"ip address add 192.0.2.1/32 dev lo",
		"ip route add local 203.0.113.0/24 dev lo",
		"ip route add local 198.51.100.0/24 dev lo src 192.0.2.1",
		"sysctl -qw net.core.somaxconn=65535",
		"nft add table netdev bench",
		"nft 'add chain netdev bench out { type filter hook egress device lo priority 0; }'",
		"nft add rule netdev bench out ip daddr 198.51.100.128/25 drop",
	};

	if (unshare(CLONE_NEWNET) < 0)
		return why_say(why, -errno, "no network namespace: %m");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (system(commands[i]) != 0)
			return why_say(why, -EIO, "`%s` failed", commands[i]);
	return 0;
}

pid_t child_fork(void)
{
	pid_t parent = getpid(), child = fork();

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(EXIT_FAILURE);
	}
	return child;
}
