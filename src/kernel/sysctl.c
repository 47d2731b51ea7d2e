/* SPDX-License-Identifier: Apache-2.0 */
#include "sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The longest is a list of every other port: 32,768 of them, with a comma each. */
#define TEXT_MAX (256 * 1024)

static int sysctl_open(const char *key, int flags)
{
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "/proc/sys/%s", key) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* In one read: of a list of ports the kernel gives as much as there is room for, and nothing to a second read. */
int sysctl_read(const char *key, char **ret)
{
	char *text = malloc(TEXT_MAX + 1);
	int fd = text ? sysctl_open(key, O_RDONLY) : -ENOMEM, err = fd < 0 ? fd : 0;
	ssize_t got = err ? 0 : read(fd, text, TEXT_MAX);

	if (got < 0)
		err = -errno;
	else if (got == TEXT_MAX)
		err = -EOVERFLOW;
	if (fd >= 0)
		close(fd);
	if (err) {
		free(text);
		return err;
	}
	text[got] = '\0';
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

/* The kernel takes a page of a list at a time; what comes by the same descriptor later adds to it. */
static int write_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t done = write(fd, text, size);

		if (done <= 0)
			return done < 0 ? -errno : -EIO;
		text += done;
		size -= (size_t)done;
	}
	return 0;
}

int sysctl_write(const char *key, const char *value)
{
	int fd = sysctl_open(key, O_WRONLY), err;

	if (fd < 0)
		return fd;
	/* The empty list of ports is written as a line. */
	err = *value ? write_all(fd, value, strlen(value)) : write_all(fd, "\n", 1);
	close(fd);
	return err;
}
