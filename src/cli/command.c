/* SPDX-License-Identifier: Apache-2.0 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kernel/cgroup.h"
#include "../kernel/why.h"
#include "message.h"

/* What the child says before it becomes the command; the pipe closes without a word when it does. */
struct child_report {
	enum { CHILD_CGROUP, CHILD_EXEC } stage;
	int err;
};

static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

#define FORWARDED_COUNT (sizeof(forwarded) / sizeof(forwarded[0]))

/* Does not return. The cgroup comes first: no socket may be made outside. */
static void child(const char *cgroup, char *const *argv, const sigset_t *mask, int report_fd)
{
	struct child_report report = {.stage = CHILD_CGROUP, .err = cgroup_move(cgroup, 0)};

	if (!report.err) {
		sigprocmask(SIG_SETMASK, mask, NULL);
		execvp(argv[0], argv);
		report = (struct child_report){.stage = CHILD_EXEC, .err = -errno};
	}
	if (write(report_fd, &report, sizeof(report)) != sizeof(report))
		_exit(COMMAND_NOT_EXECUTABLE);
	_exit(COMMAND_NOT_FOUND);
}

/* What a terminal sends goes to its whole foreground group, the command included: only what was sent to this process
   alone is handed on. */
static void wait_signals(const sigset_t *waited, pid_t pid, int *status)
{
	for (;;) {
		siginfo_t info;
		int number = sigwaitinfo(waited, &info);

		if (number == SIGCHLD && waitpid(pid, status, WNOHANG) == pid)
			return;
		if (number > 0 && number != SIGCHLD && info.si_code != SI_KERNEL)
			kill(pid, number);
	}
}

/* 0: the child became the command. */
static int report_judge(const struct child_report *report, const char *cgroup, const char *name, int *exit_code,
			char **why)
{
	if (report->stage == CHILD_CGROUP)
		return why_say(why, report->err, "the command cannot be moved into cgroup %s: %s; it was not run",
			       cgroup, strerror(-report->err));
	message("%s: %s", name, strerror(-report->err));
	*exit_code = report->err == -ENOENT || report->err == -ENOTDIR ? COMMAND_NOT_FOUND : COMMAND_NOT_EXECUTABLE;
	return 0;
}

static int parent(const char *cgroup, const char *name, pid_t pid, int report_fd, const sigset_t *waited,
		  int *exit_code, char **why)
{
	struct child_report report;
	ssize_t size;
	int status = 0;

	do
		size = read(report_fd, &report, sizeof(report));
	while (size < 0 && errno == EINTR);
	wait_signals(waited, pid, &status);
	if (size == sizeof(report))
		return report_judge(&report, cgroup, name, exit_code, why);
	*exit_code = WIFSIGNALED(status) ? COMMAND_SIGNALED + WTERMSIG(status) : WEXITSTATUS(status);
	return 0;
}

int command_run(const char *cgroup, char *const *argv, int *exit_code, char **why)
{
	sigset_t waited, before;
	int fds[2], err;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return why_say(why, -errno, "no pipe: %m");
	sigemptyset(&waited);
	sigaddset(&waited, SIGCHLD);
	for (size_t i = 0; i < FORWARDED_COUNT; i++)
		sigaddset(&waited, forwarded[i]);
	sigprocmask(SIG_BLOCK, &waited, &before);
	signal(SIGCHLD, SIG_DFL); /* a caller that ignores it would have the child's exit code thrown away */
	pid = fork();
	if (pid == 0)
		child(cgroup, argv, &before, fds[1]);
	err = -errno;
	close(fds[1]);
	if (pid < 0)
		err = why_say(why, err, "no process: %s", strerror(-err));
	else
		err = parent(cgroup, argv[0], pid, fds[0], &waited, exit_code, why);
	close(fds[0]);
	/* What came too late for the command is for this process, which has only cleaning up to do. */
	return err;
}
