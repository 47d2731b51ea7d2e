/* SPDX-License-Identifier: Apache-2.0 */
/* A command as a child process: started in a cgroup, waited for, signals handed on. */
#ifndef BERTH_CLI_COMMAND_H
#define BERTH_CLI_COMMAND_H

/* As shells have it. */
#define COMMAND_NOT_FOUND 127
#define COMMAND_NOT_EXECUTABLE 126
#define COMMAND_SIGNALED 128

/*
 * Runs argv (ends in NULL) in the cgroup and waits. 0: *exit_code is the command's, or one of those above. Else -errno
 * with *why, which the caller frees, and the command was not run: the cgroup could not be entered, no process made.
 */
int command_run(const char *cgroup, char *const *argv, int *exit_code, char **why);

#endif
