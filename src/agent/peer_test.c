/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that connect, change and end. */
#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "peer.h"

/* A child that connects, and what it was told to do before and after. */
struct caller {
	pid_t pid;
	int fd; /* our end */
	struct peer peer;
};

static void start(struct caller *caller, bool (*before)(void), bool (*after)(void))
{
	struct sockaddr_un address = {.sun_family = AF_UNIX}; /* no name: the kernel picks an abstract one */
	socklen_t size = sizeof(address);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char ready = 0;

	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	assert_int_equal(listen(listener, 1), 0);
	caller->pid = fork();
	assert_true(caller->pid >= 0);
	if (caller->pid == 0) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		if ((before && !before()) || connect(fd, (struct sockaddr *)&address, size) || (after && !after()) ||
		    write(fd, "x", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	caller->fd = accept(listener, NULL, NULL);
	close(listener);
	assert_true(caller->fd >= 0);
	assert_int_equal(read(caller->fd, &ready, 1), 1);
	assert_int_equal(peer_find(caller->fd, &caller->peer), 0);
	assert_int_equal(caller->peer.cred.pid, caller->pid);
}

static void end(struct caller *caller)
{
	kill(caller->pid, SIGKILL);
	waitpid(caller->pid, NULL, 0);
}

static void stop(struct caller *caller)
{
	end(caller);
	close(caller->fd);
}

static int hold(const struct caller *caller, bool by_id, int *pidfd)
{
	char *why = NULL;
	int err = by_id ? peer_hold_by_id(&caller->peer, pidfd, &why) : peer_hold(&caller->peer, pidfd, &why);

	assert_int_equal(err != 0, why != NULL);
	free(why);
	return err;
}

static void test_held(void **state)
{
	(void)state;
	for (int by_id = 0; by_id < 2; by_id++) {
		struct caller caller;
		int pidfd = -1;

		start(&caller, NULL, NULL);
		assert_int_equal(hold(&caller, by_id, &pidfd), 0);
		assert_int_equal(process_lives(pidfd), 0);
		assert_int_equal(peer_netns_check(&caller.peer), 0);
		end(&caller);
		assert_int_equal(process_lives(pidfd), -ESRCH);
		close(pidfd);
		/* Gone, its id free for others. */
		assert_int_equal(hold(&caller, by_id, &pidfd), -ESRCH);
		assert_int_equal(peer_netns_check(&caller.peer), -ESRCH);
		close(caller.fd);
	}
}

/* Ended, and its id not free yet. */
static void test_zombie(void **state)
{
	(void)state;
	for (int by_id = 0; by_id < 2; by_id++) {
		struct caller caller;
		siginfo_t info;
		int pidfd;

		start(&caller, NULL, NULL);
		kill(caller.pid, SIGKILL);
		assert_int_equal(waitid(P_PID, (id_t)caller.pid, &info, WEXITED | WNOWAIT), 0);
		assert_int_equal(hold(&caller, by_id, &pidfd), -ESRCH);
		stop(&caller);
	}
}

static bool become_other(void)
{
	return setresuid(61234, 61234, 61234) == 0;
}

/* Its id has become another user's, or the process has, by a setuid program. */
static void test_another_user(void **state)
{
	struct caller caller;
	int pidfd;

	(void)state;
	if (geteuid())
		skip();
	start(&caller, NULL, become_other);
	assert_int_equal(caller.peer.cred.uid, 0);
	assert_int_equal(hold(&caller, false, &pidfd), -EPERM);
	assert_int_equal(hold(&caller, true, &pidfd), -EPERM);
	stop(&caller);
	start(&caller, become_other, NULL);
	assert_int_equal(caller.peer.cred.uid, 61234);
	assert_int_equal(hold(&caller, true, &pidfd), 0);
	close(pidfd);
	stop(&caller);
}

static bool leave_net(void)
{
	return unshare(CLONE_NEWNET) == 0;
}

static void test_another_netns(void **state)
{
	struct caller caller;

	(void)state;
	if (geteuid())
		skip();
	start(&caller, leave_net, NULL);
	assert_int_equal(peer_netns_check(&caller.peer), -EXDEV);
	stop(&caller);
}

static bool take_groups(void)
{
	const gid_t groups[] = {61001, 61002, 61003};

	return setgroups(3, groups) == 0 && setresgid(61000, 61000, 61000) == 0;
}

static bool take_no_groups(void)
{
	return setgroups(0, NULL) == 0 && setresgid(61000, 61000, 61000) == 0;
}

static void test_groups(void **state)
{
	struct caller caller;
	gid_t *groups;
	size_t count;

	(void)state;
	if (geteuid())
		skip();
	start(&caller, take_groups, NULL);
	assert_int_equal(peer_groups(&caller.peer, &groups, &count), 0);
	assert_int_equal(count, 4);
	for (gid_t i = 0; i < 4; i++)
		assert_int_equal(groups[i], 61000 + i);
	free(groups);
	stop(&caller);
	start(&caller, take_no_groups, NULL);
	assert_int_equal(peer_groups(&caller.peer, &groups, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(groups[0], 61000);
	free(groups);
	stop(&caller);
}

/* From a process id namespace that is not seen from here the kernel says 0. */
static void test_no_id(void **state)
{
	struct caller caller;
	int pidfd;

	(void)state;
	start(&caller, NULL, NULL);
	caller.peer.cred.pid = 0;
	assert_int_equal(hold(&caller, false, &pidfd), -ESRCH);
	assert_int_equal(hold(&caller, true, &pidfd), -ESRCH);
	caller.peer.cred.pid = caller.pid;
	stop(&caller);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_held),         cmocka_unit_test(test_zombie),
		cmocka_unit_test(test_another_user), cmocka_unit_test(test_another_netns),
		cmocka_unit_test(test_groups),       cmocka_unit_test(test_no_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
