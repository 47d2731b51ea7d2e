/* SPDX-License-Identifier: Apache-2.0 */
#include "bpffs.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "dirs.h"
#include "why.h"

/* Of our directories in a bpf file system. */
#define DIR_MODE 0700
/* Behind the name of a pin that has not got its own yet. */
#define FRESH "-new"

static bool on_bpffs(const char *dir)
{
	struct statfs fs;

	return statfs(dir, &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

/* A bpf file system that is nowhere yet. Its descriptor or -errno. */
static int mount_make(void)
{
	int fs = fsopen("bpf", FSOPEN_CLOEXEC), fd, err = 0;

	if (fs < 0)
		return -errno;
	fd = fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0700", 0) < 0 ||
			     fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0
		     ? -1
		     : fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		err = -errno;
	close(fs);
	return err ? err : fd;
}

/* marked: it bears the mark that it is ours from its first moment on. */
static int mount_at(const char *dir, bool marked, char **why)
{
	int fd = mount_make(), err = fd < 0 ? fd : 0;

	if (!err && marked &&
	    (mkdirat(fd, "made", DIR_MODE) < 0 || mkdirat(fd, "made/" BPFFS_MARK_MOUNT, DIR_MODE) < 0))
		err = -errno;
	if (!err && move_mount(fd, "", AT_FDCWD, dir, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	return err ? why_say(why, err, "cannot mount a bpf file system on %s: %s", dir, strerror(-err)) : 0;
}

int bpffs_ensure(const char *dir, char **why)
{
	bool usual = strncmp(dir, BPFFS_USUAL "/", sizeof(BPFFS_USUAL)) == 0;
	int err;

	if (usual && !on_bpffs(BPFFS_USUAL)) {
		err = mount_at(BPFFS_USUAL, false, why);
		if (err)
			return err;
	}
	err = dirs_make(dir, DIR_MODE);
	if (err == -EPERM && on_bpffs(BPFFS_USUAL))
		return why_say(why, err, "cannot make %s: a name in a bpf file system has no dots", dir);
	if (err)
		return why_say(why, err, "cannot make %s: %s", dir, strerror(-err));
	return on_bpffs(dir) ? 0 : mount_at(dir, true, why);
}

int bpffs_lock(const char *dir, char **why)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return why_say(why, -errno, "cannot open %s: %s", dir, strerror(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return fd;
	err = errno == EWOULDBLOCK ? -EBUSY : -errno;
	close(fd);
	if (err == -EBUSY)
		return why_say(why, err, "another agent runs on %s", dir);
	return why_say(why, err, "cannot lock %s: %s", dir, strerror(-err));
}

int bpffs_path(char *ret, size_t size, const char *dir, const char *sub, const char *name)
{
	int len = snprintf(ret, size, "%s/%s%s%s", dir, sub, *name ? "/" : "", name);

	return len < 0 || (size_t)len >= size ? -ENAMETOOLONG : 0;
}

int bpffs_pin(int fd, const char *path)
{
	char fresh[PATH_MAX];

	if (snprintf(fresh, sizeof(fresh), "%s" FRESH, path) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	if (unlink(fresh) < 0 && errno != ENOENT)
		return -errno;
	if (bpf_obj_pin(fd, fresh) < 0)
		return -errno;
	if (rename(fresh, path) < 0) {
		int err = -errno;

		unlink(fresh);
		return err;
	}
	return 0;
}

int bpffs_visit(const char *dir, const char *sub, const char *prefix, int (*visit)(void *arg, const char *rest),
		void *arg)
{
	size_t len = strlen(prefix);
	struct dirent *entry;
	char path[PATH_MAX];
	DIR *handle;
	int err;

	err = bpffs_path(path, sizeof(path), dir, sub, "");
	if (err)
		return err;
	handle = opendir(path);
	if (!handle)
		return errno == ENOENT ? 0 : -errno;
	while (!err && (entry = readdir(handle)))
		if (entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, len) == 0)
			err = visit(arg, entry->d_name + len);
	closedir(handle);
	return err;
}

static int settle_one(void *arg, const char *name)
{
	char fresh[PATH_MAX], path[PATH_MAX];
	size_t len = strlen(name), end = strlen(FRESH);

	if (len <= end || strcmp(name + len - end, FRESH))
		return 0;
	if (snprintf(fresh, sizeof(fresh), "%s/%s", (const char *)arg, name) >= (int)sizeof(fresh))
		return -ENAMETOOLONG;
	memcpy(path, fresh, sizeof(path));
	path[strlen(path) - end] = '\0';
	return rename(fresh, path) < 0 ? -errno : 0;
}

int bpffs_pins_settle(const char *dir, const char *sub)
{
	char path[PATH_MAX];
	int err = bpffs_path(path, sizeof(path), dir, sub, "");

	return err ? err : bpffs_visit(dir, sub, "", settle_one, path);
}

static int remove_one(void *arg, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", (const char *)arg, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	return remove(path) < 0 && errno != ENOENT ? -errno : 0;
}

int bpffs_remove_all(const char *dir, const char *sub)
{
	char path[PATH_MAX];
	int err = bpffs_path(path, sizeof(path), dir, sub, "");

	if (!err)
		err = bpffs_visit(dir, sub, "", remove_one, path);
	if (!err && rmdir(path) < 0 && errno != ENOENT)
		err = -errno;
	return err;
}

int bpffs_mark(const char *dir, const char *name)
{
	char path[PATH_MAX];
	int err = bpffs_path(path, sizeof(path), dir, "made", name);

	return err ? err : dirs_make(path, DIR_MODE);
}

bool bpffs_marked(const char *dir, const char *name)
{
	char path[PATH_MAX];

	return bpffs_path(path, sizeof(path), dir, "made", name) == 0 && access(path, F_OK) == 0;
}

int bpffs_unmark(const char *dir, const char *name)
{
	char path[PATH_MAX];
	int err = bpffs_path(path, sizeof(path), dir, "made", name);

	if (err)
		return err;
	return rmdir(path) < 0 && errno != ENOENT ? -errno : 0;
}
