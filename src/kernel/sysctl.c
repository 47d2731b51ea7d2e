// SPDX-License-Identifier: Apache-2.0
#include "sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int sysctl_open(const char *key, int flags)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "/proc/sys/%s", key) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Of a list of ports the kernel gives a page at most a read: reading goes on to the end. */
int sysctl_read(const char *key, char **ret)
{
	size_t size = 0, room = 4096;
	char *text = NULL;
	ssize_t got = 0;
	int fd = sysctl_open(key, O_RDONLY), err = 0;

	if (fd < 0)
		return fd;
	do {
		char *more = realloc(text, size + room + 1);

		if (!more) {
			err = -ENOMEM;
			break;
		}
		text = more;
		got = read(fd, text + size, room);
		if (got < 0)
			err = -errno;
		else
			size += (size_t)got;
	} while (!err && got > 0);
	close(fd);
	if (err) {
		free(text);
		return err;
	}
	text[size] = '\0';
	text[strcspn(text, "\n")] = '\0';
	*ret = text;
	return 0;
}

int sysctl_read_number(const char *key, long *ret)
{
	char *text, *end;
	long value;
	int err = sysctl_read(key, &text);

	if (err)
		return err;
	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || end == text)
		err = -EBADMSG;
	else
		*ret = value;
	free(text);
	return err;
}

int sysctl_write(const char *key, const char *value)
{
	size_t size = strlen(value);
	int fd = sysctl_open(key, O_WRONLY), err = 0;

	if (fd < 0)
		return fd;
	/* The empty list of ports is written as a line. */
	if (size ? write(fd, value, size) != (ssize_t)size : write(fd, "\n", 1) != 1)
		err = -errno;
	close(fd);
	return err;
}
