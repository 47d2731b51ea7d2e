/* SPDX-License-Identifier: Apache-2.0 */
#include "places.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../kernel/why.h"
#include "message.h"
#include "verb.h"

#define RUN_DIR_DEFAULT "/run/berth"
#define BPFFS_DEFAULT "/sys/fs/bpf/berth"
#define STORE_DEFAULT "sqlite:///var/lib/berth/berth.db"
#define PLACES_FILE "paths.json"
#define PLACES_FILE_MAX 65536u

/* *ret stays NULL when there is no such file. */
static int file_load(const char *run_dir, json_t **ret, char **why)
{
	char path[PATH_MAX], *text;
	json_t *file = NULL;
	json_error_t error;
	ssize_t size;
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", run_dir, PLACES_FILE) >= sizeof(path))
		return why_say(why, -ENAMETOOLONG, "--run-dir is longer than a path may be");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0)
		return why_say(why, -errno, "%s: %m", path);
	text = malloc(PLACES_FILE_MAX);
	size = text ? read(fd, text, PLACES_FILE_MAX) : -1;
	if (size >= 0)
		file = json_loadb(text, (size_t)size, JSON_REJECT_DUPLICATES, &error);
	free(text);
	close(fd);
	if (!json_is_object(file)) {
		json_decref(file);
		return why_say(why, -EBADMSG,
			       "%s is not what the agent writes there: start the agent, or give --bpffs, "
			       "--cgroup-root, --store and another --run-dir",
			       path);
	}
	*ret = file;
	return 0;
}

static const char *first_of(const char *a, const char *b, const char *c)
{
	if (a && *a)
		return a;
	return b && *b ? b : c;
}

static const char *text_of(const json_t *file, const char *key)
{
	return json_string_value(json_object_get(file, key));
}

int places_find(const struct arguments *arguments, struct places *ret)
{
	struct places places = {.run_dir = first_of(arguments->run_dir, NULL, RUN_DIR_DEFAULT)};
	char *why = NULL;
	int err = file_load(places.run_dir, &places.file, &why);

	if (err) {
		message_error(err, why);
		return VERB_FAILED;
	}
	places.bpffs = first_of(arguments->bpffs, text_of(places.file, "bpffs"), BPFFS_DEFAULT);
	places.cgroup_root = first_of(arguments->cgroup_root, text_of(places.file, "cgroup_root"), NULL);
	places.store = first_of(arguments->store, getenv("BERTH_STORE"),
				first_of(text_of(places.file, "store"), NULL, STORE_DEFAULT));
	places.server = text_of(places.file, "server");
	*ret = places;
	return VERB_DONE;
}

void places_clear(struct places *places)
{
	json_decref(places->file);
	*places = (struct places){0};
}
