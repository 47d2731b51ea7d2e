/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests: puts the process into network and mount namespaces of its own, with a directory for bpffs and run files
 * that vanish with it. Needs root; sandbox_enter() says whether there is any.
 */
#ifndef BERTH_KERNEL_SANDBOX_H
#define BERTH_KERNEL_SANDBOX_H

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Private to the mount namespace that sandbox_enter() makes. */
#define SANDBOX_DIR "/mnt"

static inline bool sandbox_enter(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0)
		return false;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("sandbox", SANDBOX_DIR, "tmpfs", 0, "mode=0700") == 0;
}

/* Runs a shell command; its exit code. */
static inline int sandbox_run(const char *command)
{
	int status = system(command);

	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
