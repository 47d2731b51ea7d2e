/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "dirs.h"

/* A line of mountinfo(5): "36 35 0:26 ROOT MOUNT-POINT OPTIONS [TAGS] - TYPE SOURCE ...". Cuts it up in place. */
static bool mountinfo_parse(char *line, char **root, char **point, char **type)
{
	char *fields[5], *at = line, *dash = strstr(line, " - ");

	if (!dash)
		return false;
	*dash = '\0';
	for (unsigned i = 0; i < 5; i++)
		fields[i] = strsep(&at, " ");
	if (!fields[4])
		return false;
	*root = fields[3];
	*point = fields[4];
	*type = dash + 3;
	(*type)[strcspn(*type, " ")] = '\0';
	return true;
}

static unsigned octal(char digit)
{
	return (unsigned)(digit - '0') & 7;
}

/* Octal escapes of mountinfo (\040 for a space), undone in place. */
static void mountinfo_unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (from[0] == '\\' && from[1] && from[2] && from[3]) {
			*to++ = (char)(octal(from[1]) << 6 | octal(from[2]) << 3 | octal(from[3]));
			from += 3;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

static bool path_below(const char *path, const char *dir, const char **rest)
{
	size_t len = strcmp(dir, "/") ? strlen(dir) : 0;

	if (strncmp(path, dir, len) || (path[len] && path[len] != '/'))
		return false;
	*rest = path + len;
	return true;
}

/* The cgroup2 mount that `path` lies under, the deepest one; path NULL: the first one. Both strings are the caller's.
 */
static int mount_find(const char *path, char **ret_point, char **ret_root)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, *point = NULL, *root = NULL;
	char *line_root, *line_point, *type;
	const char *rest;
	size_t size = 0;

	if (!file)
		return -errno;
	while (getline(&line, &size, file) > 0) {
		if (!mountinfo_parse(line, &line_root, &line_point, &type) || strcmp(type, "cgroup2"))
			continue;
		mountinfo_unescape(line_point);
		mountinfo_unescape(line_root);
		if (path ? !path_below(path, line_point, &rest) || (point && strlen(point) > strlen(line_point))
			 : point != NULL)
			continue;
		free(point);
		free(root);
		point = strdup(line_point);
		root = strdup(line_root);
		if (!point || !root)
			break;
	}
	free(line);
	fclose(file);
	if (!point || !root) {
		int err = point || root ? -ENOMEM : path ? -EMEDIUMTYPE : -ENOENT;

		free(point);
		free(root);
		return err;
	}
	*ret_point = point;
	*ret_root = root;
	return 0;
}

int cgroup_mount_point(char **ret)
{
	char *root;
	int err = mount_find(NULL, ret, &root);

	if (!err)
		free(root);
	return err;
}

/* The path in the line of version 2, "0::/user.slice/x.scope"; the caller frees. */
static int process_path(pid_t pid, char **ret)
{
	char name[32], *line = NULL, *path = NULL;
	size_t room = 0;
	FILE *file;

	snprintf(name, sizeof(name), "/proc/%d/cgroup", (int)(pid ? pid : getpid()));
	file = fopen(name, "re");
	if (!file)
		return errno == ENOENT ? -ESRCH : -errno;
	while (!path && getline(&line, &room, file) > 0) {
		line[strcspn(line, "\n")] = 0;
		if (strncmp(line, "0::/", 4) == 0)
			path = strdup(line + 3);
	}
	free(line);
	fclose(file);
	if (!path)
		return -ENODATA;
	*ret = path;
	return 0;
}

int cgroup_of_process(pid_t pid, char **ret)
{
	char *mount = NULL, *path = NULL, *dir = NULL;
	int err = cgroup_mount_point(&mount);

	if (err)
		return err == -ENOENT ? -ENODEV : err;
	err = process_path(pid, &path);
	if (!err && asprintf(&dir, "%s%s", mount, path) < 0)
		err = -ENOMEM;
	if (!err) {
		char *real = realpath(dir, NULL);

		if (real)
			*ret = real;
		else
			err = -errno;
		free(dir);
	}
	free(mount);
	free(path);
	return err;
}

int cgroup_id(const char *dir, uint64_t *ret)
{
	struct statfs fs;
	struct stat st;
	int fd, err = 0;

	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0)
		err = -errno;
	else if (fs.f_type != CGROUP2_SUPER_MAGIC)
		err = -EMEDIUMTYPE;
	else
		*ret = st.st_ino; /* kernfs: the inode number is the cgroup's id on 64-bit machines */
	close(fd);
	return err;
}

/* realpath() of the part that exists, then the rest as written. */
static int resolve(const char *dir, char **ret)
{
	char *head = strdup(dir), *real = NULL;
	size_t len;
	int err = 0;

	if (!head)
		return -ENOMEM;
	len = strlen(head);
	while (len > 1 && head[len - 1] == '/')
		head[--len] = '\0';
	while (!(real = realpath(head, NULL)) && errno == ENOENT && len > 1) {
		while (len > 1 && head[len - 1] != '/')
			len--;
		while (len > 1 && head[len - 1] == '/')
			len--;
		head[len] = '\0';
	}
	if (!real)
		err = -errno;
	else if (asprintf(ret, "%s%s", strcmp(real, "/") ? real : "", dir + len) < 0)
		err = -ENOMEM;
	free(real);
	free(head);
	return err;
}

static void strip_slashes(char *path)
{
	for (size_t len = strlen(path); len && path[len - 1] == '/'; len--)
		path[len - 1] = '\0';
}

int cgroup_hierarchy_path(const char *dir, char **ret)
{
	char *real, *point = NULL, *root = NULL, *path;
	const char *rest;
	int err = resolve(dir, &real);

	if (err)
		return err;
	err = mount_find(real, &point, &root);
	if (err)
		goto out;
	path_below(real, point, &rest);
	if (asprintf(&path, "%s%s", strcmp(root, "/") ? root : "", rest) < 0) {
		err = -ENOMEM;
		goto out;
	}
	strip_slashes(path);
	if (!*path) {
		free(path);
		path = strdup("/");
	}
	if (path)
		*ret = path;
	else
		err = -ENOMEM;
out:
	free(real);
	free(point);
	free(root);
	return err;
}

int cgroup_make(const char *dir)
{
	return dirs_make(dir, 0755);
}

int cgroup_remove(const char *dir)
{
	return rmdir(dir) < 0 && errno != ENOENT ? -errno : 0;
}

int cgroup_move(const char *dir, pid_t pid)
{
	char path[PATH_MAX], text[16];
	int fd, len, err = 0;

	if (snprintf(path, sizeof(path), "%s/cgroup.procs", dir) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = snprintf(text, sizeof(text), "%d", (int)pid);
	if (write(fd, text, (size_t)len) != len)
		err = -errno;
	close(fd);
	return err;
}

int cgroup_move_all(const char *from, const char *to)
{
	char path[PATH_MAX];
	FILE *file;
	int pid, err = 0;

	if (snprintf(path, sizeof(path), "%s/cgroup.procs", from) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (fscanf(file, "%d", &pid) == 1) {
		int moved = pid > 0 ? cgroup_move(to, pid) : -ESRCH;

		err = moved && moved != -ESRCH ? moved : err;
	}
	fclose(file);
	return err;
}
