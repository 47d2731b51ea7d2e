/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests, to be included behind <cmocka.h>: puts the process into network and mount namespaces of its own, with a
 * directory for bpffs and run files that vanish with it. That needs root; without, every test is skipped.
 */
#ifndef BERTH_KERNEL_SANDBOX_H
#define BERTH_KERNEL_SANDBOX_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup.h"

/* Private to the mount namespace that sandbox_enter() makes. */
#define SANDBOX_DIR "/mnt"

static bool sandbox_ready;

/* First line of every test in the sandbox. */
#define NEED_SANDBOX() \
	do { \
		(void)state; \
		if (!sandbox_ready) { \
			print_message("skip: needs root, to make namespaces\n"); \
			skip(); \
		} \
	} while (0)

/* Runs a shell command; its exit code. */
static inline int sandbox_run(const char *command)
{
	int status = system(command);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Enters the sandbox and furnishes it with a shell command. 0 also when there is none to enter: sandbox_ready tells. */
static inline int sandbox_enter(const char *command)
{
	sandbox_ready = geteuid() == 0 && unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 &&
			mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
			mount("sandbox", SANDBOX_DIR, "tmpfs", 0, "mode=0700") == 0;
	return sandbox_ready ? sandbox_run(command) : 0;
}

/* The child's part: connects from within the cgroup, tells where from. Its exit code is errno. */
static inline void sandbox_child(const char *cgroup, int listener, int answer)
{
	struct sockaddr_in to, from = {0};
	socklen_t size = sizeof(to);
	int fd;

	if (cgroup_move(cgroup, 0) || getsockname(listener, (struct sockaddr *)&to, &size) < 0)
		_exit(EPROTO);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		_exit(errno);
	size = sizeof(from);
	if (getsockname(fd, (struct sockaddr *)&from, &size) < 0 || write(answer, &from, sizeof(from)) < 0)
		_exit(EPROTO);
	_exit(0);
}

/*
 * A child in `cgroup` connects over TCP to a listener of this process at `addr` (host byte order), which must be
 * local. 0 with the child's address and port; an errno: connect() failed with it; -1: the test itself did.
 */
static inline int sandbox_connect(const char *cgroup, uint32_t addr, struct sockaddr_in *from)
{
	struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(addr)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), answer[2], status = -1;
	pid_t child;

	if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof(here)) < 0 || listen(listener, 1) < 0 ||
	    pipe(answer) < 0)
		return -1;
	child = fork();
	if (child == 0)
		sandbox_child(cgroup, listener, answer[1]);
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		status = -1;
	else
		status = WEXITSTATUS(status);
	if (status == 0 && read(answer[0], from, sizeof(*from)) != sizeof(*from))
		status = -1;
	close(answer[0]);
	close(answer[1]);
	close(listener);
	return status;
}

#endif
