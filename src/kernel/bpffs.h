/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's directory in a bpf file system: made, mounted, locked, cleared. */
#ifndef BERTH_KERNEL_BPFFS_H
#define BERTH_KERNEL_BPFFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the distribution mounts it; a directory below gets it mounted here, any other on itself. */
#define BPFFS_USUAL "/sys/fs/bpf"

/* Makes `dir`, with a bpf file system under it. 0 or -errno with *why. */
int bpffs_ensure(const char *dir, char **why);
/* A descriptor that holds the directory's lock until it is closed, or -EBUSY, or -errno. */
int bpffs_lock(const char *dir, char **why);
/* Writes "DIR/SUB/NAME" (an empty `name`: "DIR/SUB"). 0 or -ENAMETOOLONG. */
int bpffs_path(char *ret, size_t size, const char *dir, const char *sub, const char *name);
/* Pins under a name that nobody sees unfinished: an older pin of that name is replaced in one step. */
int bpffs_pin(int fd, const char *path);
/* Takes the step for every pin of DIR/SUB whose maker ended before it: what it holds is attached already. */
int bpffs_pins_settle(const char *dir, const char *sub);
/* Removes DIR/SUB and what is in it, one level deep. What is gone is fine. */
int bpffs_remove_all(const char *dir, const char *sub);
/* Calls `visit` for each name in DIR/SUB that starts with `prefix`, with what follows the prefix. No directory: none.
 */
int bpffs_visit(const char *dir, const char *sub, const char *prefix, int (*visit)(void *arg, const char *rest),
		void *arg);
/* Empty directories as marks: DIR/made/NAME says that we made something. */
int bpffs_mark(const char *dir, const char *name);
bool bpffs_marked(const char *dir, const char *name);
int bpffs_unmark(const char *dir, const char *name);
/* The mark that the mount on DIR itself is ours. */
#define BPFFS_MARK_MOUNT "mount"

#endif
