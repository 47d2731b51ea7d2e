/* SPDX-License-Identifier: Apache-2.0 */
#include "hostjournal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define JOURNAL_NAME "host-settings"

static int journal_path(char path[PATH_MAX], const char *run_dir, const char *suffix)
{
	return snprintf(path, PATH_MAX, "%s/" JOURNAL_NAME "%s", run_dir, suffix) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

struct journal_setting *host_journal_setting(struct host_journal *journal, const char *key)
{
	for (size_t i = 0; i < journal->setting_count; i++)
		if (strcmp(journal->settings[i].key, key) == 0)
			return &journal->settings[i];
	return NULL;
}

int host_journal_add_pool(struct host_journal *journal, struct prefix pool)
{
	struct prefix *more = reallocarray(journal->pools, journal->pool_count + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	journal->pools = more;
	journal->pools[journal->pool_count++] = pool;
	return 0;
}

void host_journal_free(struct host_journal *journal)
{
	free(journal->ports);
	free(journal->pools);
	memset(journal, 0, sizeof(*journal));
}

static int setting_parse(struct host_journal *journal, const char *line)
{
	struct journal_setting *setting = &journal->settings[journal->setting_count];
	int end = 0;

	if (journal->setting_count == JOURNAL_SETTINGS_MAX ||
	    sscanf(line, "set %63s %31s %31s%n", setting->key, setting->before, setting->after, &end) != 3 ||
	    line[end] || strstr(setting->key, ".."))
		return -EBADMSG;
	journal->setting_count++;
	return 0;
}

static int line_parse(struct host_journal *journal, const char *line)
{
	struct prefix pool;

	if (strncmp(line, "set ", 4) == 0)
		return setting_parse(journal, line);
	if (strncmp(line, "pool ", 5) == 0)
		return prefix_parse(line + 5, &pool) ? -EBADMSG : host_journal_add_pool(journal, pool);
	if (strncmp(line, "ports ", 6) == 0 && !journal->ports) {
		journal->ports = strdup(line + 6);
		return journal->ports ? 0 : -ENOMEM;
	}
	if (strcmp(line, "local"))
		return -EBADMSG;
	journal->local_moved = true;
	return 0;
}

int host_journal_read(const char *run_dir, struct host_journal *ret)
{
	struct host_journal journal = {0};
	char path[PATH_MAX], *line = NULL;
	size_t size = 0;
	FILE *file;
	int err;

	err = journal_path(path, run_dir, "");
	if (err)
		return err;
	file = fopen(path, "re");
	if (!file && errno != ENOENT)
		return -errno;
	while (file && !err && getline(&line, &size, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		err = line_parse(&journal, line);
	}
	if (file)
		fclose(file);
	free(line);
	if (err)
		host_journal_free(&journal);
	else
		*ret = journal;
	return err;
}

static void journal_print(FILE *file, const struct host_journal *journal)
{
	char text[ADDR_TEXT_MAX];

	for (size_t i = 0; i < journal->setting_count; i++)
		fprintf(file, "set %s %s %s\n", journal->settings[i].key, journal->settings[i].before,
			journal->settings[i].after);
	if (journal->ports && *journal->ports)
		fprintf(file, "ports %s\n", journal->ports);
	for (size_t i = 0; i < journal->pool_count; i++)
		fprintf(file, "pool %s\n", prefix_format(journal->pools[i], text));
	if (journal->local_moved)
		fputs("local\n", file);
}

static int dir_sync(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	err = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return err;
}

int host_journal_write(const char *run_dir, const struct host_journal *journal)
{
	char path[PATH_MAX], fresh[PATH_MAX];
	FILE *file;
	int err;

	err = journal_path(path, run_dir, "");
	if (!err)
		err = journal_path(fresh, run_dir, ".new");
	if (err)
		return err;
	file = fopen(fresh, "we");
	if (!file)
		return -errno;
	journal_print(file, journal);
	if (fflush(file) || ferror(file) || fsync(fileno(file)) < 0)
		err = errno ? -errno : -EIO;
	if (fclose(file) && !err)
		err = -errno;
	if (!err && rename(fresh, path) < 0)
		err = -errno;
	return err ? err : dir_sync(run_dir);
}

int host_journal_remove(const char *run_dir)
{
	char path[PATH_MAX];
	int err = journal_path(path, run_dir, "");

	if (err)
		return err;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}
