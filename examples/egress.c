/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connects by a policy, says which source it was given and what the other side sends, or why it was refused.
 *
 *	cc egress.c $(pkg-config --cflags --libs berth) -o egress
 *	./egress country=DE 198.51.100.7 443
 */
#include <arpa/inet.h>
#include <berth/berth.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void say_why(struct berth *berth, const struct sockaddr_in *to)
{
	struct berth_refusal refusal;

	if (berth_why(berth, (const struct sockaddr *)to, sizeof(*to), &refusal)) {
		fprintf(stderr, "egress: %s\n", berth_error(berth));
		return;
	}
	fprintf(stderr, "egress: policy %s: %s: %s\n", refusal.policy, refusal.reason, refusal.meaning);
	for (unsigned i = 0; i < refusal.holder_count; i++)
		fprintf(stderr, "egress: %s (process %u) holds %u of its %u ports\n", refusal.holders[i].name,
			refusal.holders[i].pid, refusal.holders[i].ports, refusal.ports);
}

static void say_source(int fd)
{
	struct sockaddr_in from;
	socklen_t size = sizeof(from);
	char text[INET_ADDRSTRLEN];

	if (getsockname(fd, (struct sockaddr *)&from, &size))
		return;
	printf("%s %u\n", inet_ntop(AF_INET, &from.sin_addr, text, sizeof(text)), ntohs(from.sin_port));
	fflush(stdout);
}

/* It has nothing to say itself. */
static void copy_out(int fd)
{
	char data[4096];
	ssize_t size;

	shutdown(fd, SHUT_WR);
	while ((size = read(fd, data, sizeof(data))) > 0)
		fwrite(data, 1, (size_t)size, stdout);
}

/* With BERTH_RUN_DIR the agent of another run directory than /run/berth is asked. */
int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	struct berth *berth = NULL;
	int fd, ret = 1;

	if (argc != 4 || inet_pton(AF_INET, argv[2], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: egress SELECTOR ADDRESS PORT\n");
		return 2;
	}
	to.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || berth_open(getenv("BERTH_RUN_DIR"), &berth)) {
		fprintf(stderr, "egress: no socket, or no memory\n");
	} else if (berth_choose(berth, fd, argv[1])) {
		fprintf(stderr, "egress: %s\n", berth_error(berth));
	} else if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		fprintf(stderr, "egress: connect: %s\n", strerror(errno));
		say_why(berth, &to);
	} else {
		say_source(fd);
		copy_out(fd);
		ret = 0;
	}
	berth_close(berth);
	if (fd >= 0)
		close(fd);
	return ret;
}
