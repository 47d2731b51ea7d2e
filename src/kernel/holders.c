/* SPDX-License-Identifier: Apache-2.0 */
#include "holders.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/comm.h"
#include "sockdiag.h"

struct holders {
	struct refusal_holder top[REFUSAL_HOLDERS_MAX];
	size_t count;
};

static bool policy_has(const struct policy *policy, uint32_t addr, uint32_t port)
{
	for (size_t i = 0; i < POLICY_SLICES_MAX && i < policy->slice_count; i++) {
		const struct policy_slice *slice = &policy->slices[i];

		if (ntohl(slice->addr) == addr && port >= slice->first && port - slice->first < slice->count)
			return true;
	}
	return false;
}

/* Inodes of the sockets that count, to the front of an array; how many of them nobody has open. */
static size_t inodes_pick(const struct policy *policy, const struct sockdiag_socket *sockets, size_t count,
			  uint32_t *inodes, uint32_t *closing)
{
	size_t picked = 0;

	for (size_t i = 0; i < count; i++) {
		if (!policy_has(policy, sockets[i].src, sockets[i].sport))
			continue;
		if (sockets[i].inode)
			inodes[picked++] = sockets[i].inode;
		else
			++*closing;
	}
	return picked;
}

static int inode_compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void holders_insert(struct holders *holders, const struct refusal_holder *holder)
{
	size_t at = holders->count;

	if (holder->ports == 0 || (at == REFUSAL_HOLDERS_MAX && holders->top[at - 1].ports >= holder->ports))
		return;
	if (at == REFUSAL_HOLDERS_MAX)
		at--;
	else
		holders->count++;
	for (; at > 0 && holders->top[at - 1].ports < holder->ports; at--)
		holders->top[at] = holders->top[at - 1];
	holders->top[at] = *holder;
}

/* How many of the inodes a process has open. A process that ends meanwhile has none. */
static uint32_t process_count(int proc, const char *pid, const uint32_t *inodes, size_t count)
{
	char path[64], link[64];
	struct dirent *entry;
	uint32_t found = 0;
	DIR *stream;
	int fd;

	snprintf(path, sizeof(path), "%s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	stream = fd < 0 ? NULL : fdopendir(fd);
	while (stream && (entry = readdir(stream))) {
		ssize_t size = readlinkat(fd, entry->d_name, link, sizeof(link) - 1);
		uint32_t inode;

		link[size > 0 ? size : 0] = 0;
		if (sscanf(link, "socket:[%u]", &inode) == 1 &&
		    bsearch(&inode, inodes, count, sizeof(*inodes), inode_compare))
			found++;
	}
	if (stream)
		closedir(stream);
	else if (fd >= 0)
		close(fd);
	return found;
}

static void process_name(int proc, const char *pid, char ret[COMM_SIZE])
{
	char path[64], text[COMM_SIZE + 1] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/comm", pid);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t size = read(fd, text, sizeof(text) - 1);

		text[size > 0 ? size : 0] = 0;
		text[strcspn(text, "\n")] = 0;
		close(fd);
	}
	comm_text(text, ret);
}

static int processes_visit(const uint32_t *inodes, size_t count, struct holders *holders)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc)
		return -errno;
	while ((entry = readdir(proc))) {
		struct refusal_holder holder = {0};

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || strlen(entry->d_name) > 10)
			continue;
		holder.ports = process_count(dirfd(proc), entry->d_name, inodes, count);
		if (holder.ports == 0)
			continue;
		holder.pid = (uint32_t)strtoul(entry->d_name, NULL, 10);
		process_name(dirfd(proc), entry->d_name, holder.name);
		holders_insert(holders, &holder);
	}
	closedir(proc);
	return 0;
}

int holders_find(const struct policy *policy, uint8_t proto, uint32_t dest, uint16_t port,
		 struct refusal_holder ret[REFUSAL_HOLDERS_MAX], size_t *count)
{
	struct refusal_holder closing = {.name = "(closing)"};
	struct sockdiag_socket *sockets = NULL;
	struct holders holders = {0};
	size_t found = 0, picked = 0;
	uint32_t *inodes = NULL;
	int err = sockdiag_towards(proto, dest, port, &sockets, &found);

	if (!err) {
		inodes = calloc(found + 1, sizeof(*inodes));
		err = inodes ? 0 : -ENOMEM;
	}
	if (!err) {
		picked = inodes_pick(policy, sockets, found, inodes, &closing.ports);
		qsort(inodes, picked, sizeof(*inodes), inode_compare);
		holders_insert(&holders, &closing);
		if (picked)
			err = processes_visit(inodes, picked, &holders);
	}
	if (!err) {
		memcpy(ret, holders.top, sizeof(holders.top));
		*count = holders.count;
	}
	free(inodes);
	free(sockets);
	return err;
}
