/* SPDX-License-Identifier: Apache-2.0 */
/* The other end of loads. Two processes, since each may have only so many descriptors. */
#include "allocator.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/kernel/why.h"
#include "../place.h"

#define EVENTS 256
#define BACKLOG 65535

/* On any address. An event's data is twice the descriptor, one more for a listener. */
static int listener_add(int epoll, uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)fd << 1 | 1};

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) || listen(fd, BACKLOG) ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
		return -errno;
	return 0;
}

static void accept_some(int epoll, int listener)
{
	for (int i = 0; i < EVENTS; i++) {
		int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.u64 = (uint64_t)fd << 1};

		if (fd < 0)
			return;
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
			close(fd);
	}
}

/* A peer never sends: what comes is its end. */
static void serve(int epoll)
{
	struct epoll_event events[EVENTS];

	for (;;) {
		int count = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			int fd = (int)(events[i].data.u64 >> 1);

			if (events[i].data.u64 & 1)
				accept_some(epoll, fd);
			else
				close(fd);
		}
	}
}

/* The child's part: says by one byte that it listens. */
static void origin_run(unsigned index, int ready)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	for (unsigned port = index; port < ORIGIN_PORTS; port += ORIGIN_PROCESSES)
		if (epoll < 0 || listener_add(epoll, (uint16_t)(ORIGIN_PORT_FIRST + port)))
			_exit(EXIT_FAILURE);
	if (write(ready, "", 1) == 1)
		serve(epoll);
	_exit(EXIT_FAILURE);
}

/* Its process id, or -errno. */
static int origin_start(unsigned index)
{
	int ready[2], err = 0;
	char byte;
	pid_t child;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	child = child_fork();
	if (child == 0)
		origin_run(index, ready[1]);
	if (child < 0)
		err = -errno;
	close(ready[1]);
	if (!err && read(ready[0], &byte, 1) != 1)
		err = -EIO;
	close(ready[0]);
	return err ? err : child;
}

int origin_up(struct origin *origin, char **why)
{
	*origin = (struct origin){0};
	for (unsigned i = 0; i < ORIGIN_PROCESSES; i++) {
		int pid = origin_start(i);

		if (pid < 0)
			return why_say(why, pid, "the origin cannot be started");
		origin->processes[i] = pid;
	}
	return 0;
}

void origin_down(struct origin *origin)
{
	for (unsigned i = 0; i < ORIGIN_PROCESSES; i++) {
		if (!origin->processes[i])
			continue;
		kill(origin->processes[i], SIGKILL);
		waitpid(origin->processes[i], NULL, 0);
		origin->processes[i] = 0;
	}
}
