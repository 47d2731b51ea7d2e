/* SPDX-License-Identifier: Apache-2.0 */
#include "pins.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpffs.h"
#include "why.h"

/* Far more than the kernel has in one bucket of a hash map, which comes whole or not at all. */
#define BATCH 1024u

int pin_open(const char *bpffs, const struct pin_form *form, char **why)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);
	char path[PATH_MAX];
	int fd, err;

	err = bpffs_path(path, sizeof(path), bpffs, "maps", form->name);
	if (err)
		return why_say(why, err, "%s: too long", bpffs);
	fd = bpf_obj_get(path);
	if (fd < 0 && errno == ENOENT)
		return why_say(why, -ENOENT, "no data plane with the map %s is pinned in %s", form->name, bpffs);
	if (fd < 0)
		return why_say(why, -errno, "cannot open %s: %s", path, strerror(errno));
	if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == form->type &&
	    info.key_size == form->key_size && info.value_size == form->value_size)
		return fd;
	close(fd);
	return why_say(why, -ENOTSUP, "%s is not of this version's form", path);
}

static int batch_visit(const struct pin_form *form, const char *keys, const char *values, uint32_t count,
		       pin_visit *visit, void *arg)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < count; i++)
		err = visit(arg, keys + (size_t)i * form->key_size, values + (size_t)i * form->value_size);
	return err < 0 ? err : 0;
}

int pin_read(int fd, const struct pin_form *form, pin_visit *visit, void *arg)
{
	char *keys = calloc(BATCH, form->key_size), *values = calloc(BATCH, form->value_size);
	uint32_t token, *at = NULL;
	int err = keys && values ? 0 : -ENOMEM;
	bool last = false;

	while (!err && !last) {
		uint32_t count = BATCH;

		if (bpf_map_lookup_batch(fd, at, &token, keys, values, &count, NULL) < 0) {
			last = errno == ENOENT; /* and `count` are the rest */
			err = last ? 0 : -errno;
		}
		if (!err)
			err = batch_visit(form, keys, values, count, visit, arg);
		at = &token;
	}
	free(keys);
	free(values);
	return err;
}

int pin_load(const char *bpffs, const struct pin_form *form, pin_visit *visit, void *arg, char **why)
{
	int fd = pin_open(bpffs, form, why), err;

	if (fd < 0)
		return fd;
	err = pin_read(fd, form, visit, arg);
	close(fd);
	return err ? why_say(why, err, "cannot read the map %s: %s", form->name, strerror(-err)) : 0;
}
