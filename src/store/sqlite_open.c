/* SPDX-License-Identifier: Apache-2.0 */
/* Getting the SQLite file open: whether it is there and ours, making it, WAL, and noticing that it was moved away. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "sqlite_file.h"

static const char schema[] = "BEGIN IMMEDIATE;"
			     "CREATE TABLE IF NOT EXISTS entries ("
			     "  key TEXT PRIMARY KEY NOT NULL,"
			     "  value BLOB NOT NULL,"
			     "  revision INTEGER NOT NULL);"
			     "CREATE TABLE IF NOT EXISTS changes ("
			     "  revision INTEGER NOT NULL,"
			     "  key TEXT NOT NULL,"
			     "  value BLOB,"
			     "  PRIMARY KEY (revision, key));"
			     "CREATE TABLE IF NOT EXISTS commits ("
			     "  revision INTEGER PRIMARY KEY NOT NULL,"
			     "  stamp INTEGER NOT NULL,"
			     "  total_changes INTEGER NOT NULL,"
			     "  total_bytes INTEGER NOT NULL);"
			     "PRAGMA application_id = 1114797160;"
			     "PRAGMA user_version = 1;"
			     "COMMIT;";

_Static_assert(SQLITE_FILE_APPLICATION == 1114797160 && SQLITE_FILE_FORMAT == 1, "the schema says the same");

static bool time_left(const struct sqlite_file *file)
{
	return !atomic_load(&file->closing) && uv_hrtime() < file->deadline;
}

static void nap(int tries)
{
	struct timespec pause = {.tv_nsec = (tries < 5 ? 1 : 5) * 1000000L};

	nanosleep(&pause, NULL);
}

/* SQLite asks whether to try again for a lock. Its own handler could not be stopped when the store is closed. */
static int file_wait(void *arg, int tries)
{
	struct sqlite_file *file = arg;

	if (!time_left(file))
		return 0;
	nap(tries);
	return 1;
}

/* First column of the first row. */
static int file_number(struct sqlite_file *file, const char *sql, int64_t *ret)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(file->db, sql, -1, &statement, NULL);
	int err = 0;

	if (code == SQLITE_OK)
		code = sqlite3_step(statement);
	if (code == SQLITE_ROW)
		*ret = sqlite3_column_int64(statement, 0);
	else
		err = sqlite_file_error(file, code == SQLITE_DONE ? SQLITE_CORRUPT : code);
	sqlite3_finalize(statement);
	return err;
}

struct identity {
	int64_t application, format, tables;
};

/* In one transaction: another process may be writing the schema at this moment, and its parts tell only together. */
static int identity_read(struct sqlite_file *file, struct identity *ret)
{
	int err = sqlite_file_exec(file, "BEGIN");

	if (err)
		return err;
	err = file_number(file, "PRAGMA application_id", &ret->application);
	if (!err)
		err = file_number(file, "PRAGMA user_version", &ret->format);
	if (!err)
		err = file_number(file, "SELECT count(*) FROM sqlite_master", &ret->tables);
	sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

/* 1: the file is ours; 0: it is empty; else whose it is, in `why`. Only reads. */
static int file_identify(struct sqlite_file *file)
{
	struct identity found;
	int err = identity_read(file, &found);

	if (err)
		return err;
	if (found.application == 0 && found.format == 0 && found.tables == 0)
		return 0;
	if (found.application != SQLITE_FILE_APPLICATION) {
		snprintf(file->why, sizeof(file->why),
			 "%s is a database of another program (application_id %" PRId64 ")", file->path,
			 found.application);
		return -EBADMSG;
	}
	if (found.format > SQLITE_FILE_FORMAT) {
		snprintf(file->why, sizeof(file->why),
			 "%s has store format %" PRId64 ", this program knows up to %d: use a newer berth", file->path,
			 found.format, SQLITE_FILE_FORMAT);
		return -ENOTSUP;
	}
	if (found.format < 1)
		return sqlite_file_corrupt(file, "it has no store format (user_version)");
	return 1;
}

/* Changing the journal mode fails at once, without asking file_wait(), when another process does the same. */
static int file_use_wal(struct sqlite_file *file)
{
	sqlite3_stmt *statement = NULL;
	bool wal = false;
	int code, tries = 0;

	do {
		if (tries)
			nap(tries);
		sqlite3_finalize(statement);
		code = sqlite3_prepare_v2(file->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
		if (code == SQLITE_OK)
			code = sqlite3_step(statement);
		tries++;
	} while ((code & 0xff) == SQLITE_BUSY && time_left(file));
	if (code == SQLITE_ROW)
		wal = strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
	sqlite3_finalize(statement);
	if (code != SQLITE_ROW)
		return sqlite_file_error(file, code);
	if (wal || sqlite3_db_readonly(file->db, "main"))
		return 0;
	snprintf(file->why, sizeof(file->why),
		 "%s cannot be used: its file system has no shared memory for SQLite's WAL", file->path);
	return -EIO;
}

/* How much of its path is the file's directory. */
static int directory_length(const struct sqlite_file *file)
{
	const char *slash = strrchr(file->path, '/');

	return slash == file->path ? 1 : (int)(slash - file->path);
}

/* Makes an empty file with mode 0600; SQLite gives its other files the same. An existing file must not even be opened
   here: closing it would drop the locks that other connections of this process hold on it. */
static int file_make(struct sqlite_file *file)
{
	int fd = open(file->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int err = fd < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	if (err == 0 || err == -EEXIST)
		return 0;
	if (err == -ENOENT) {
		snprintf(file->why, sizeof(file->why), "%s cannot be made, its directory does not exist: mkdir -p %.*s",
			 file->path, directory_length(file), file->path);
		return -EIO;
	}
	snprintf(file->why, sizeof(file->why), "%s cannot be made: %s", file->path, strerror(-err));
	return err == -EROFS || err == -ENOSPC ? err : err == -EDQUOT ? -ENOSPC : -EIO;
}

int sqlite_file_gone(struct sqlite_file *file)
{
	snprintf(file->why, sizeof(file->why),
		 "%s is gone: it was deleted or moved away while in use; put it back, with its -wal file", file->path);
	return -EIO;
}

static int file_setup(struct sqlite_file *file)
{
	bool empty;
	int err;

	sqlite3_busy_handler(file->db, file_wait, file);
	sqlite3_db_config(file->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(file->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	err = file_identify(file);
	if (err < 0)
		return err;
	if (err == 0 && sqlite3_db_readonly(file->db, "main")) {
		snprintf(file->why, sizeof(file->why), "%s is empty and cannot be written", file->path);
		return -EROFS;
	}
	if (err == 0 && file->known)
		return sqlite_file_corrupt(file, "it is empty, and was not before");
	empty = err == 0;
	err = file_use_wal(file);
	if (!err && empty)
		err = sqlite_file_exec(file, schema);
	if (err)
		return err;
	return sqlite_file_exec(file, "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON;"
				      "PRAGMA journal_size_limit = 16777216;");
}

static int file_open(struct sqlite_file *file)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	int err = file->known ? 0 : file_make(file);
	int code;

	if (err)
		return err;
	code = sqlite3_open_v2(file->path, &file->db, flags, NULL);
	if (code != SQLITE_OK)
		err = file->known && access(file->path, F_OK) ? sqlite_file_gone(file) : sqlite_file_error(file, code);
	else
		err = file_setup(file);
	if (err)
		sqlite_file_close(file);
	else
		file->known = true;
	return err;
}

bool sqlite_file_absent(const struct sqlite_file *file)
{
	char directory[PATH_MAX];

	if (file->db || file->known || access(file->path, F_OK) == 0 || errno != ENOENT)
		return false;
	snprintf(directory, sizeof(directory), "%.*s", directory_length(file), file->path);
	return access(directory, F_OK) == 0;
}

bool sqlite_file_moved(struct sqlite_file *file)
{
	int moved = 0;

	sqlite3_file_control(file->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	return moved;
}

/* As long as there is no file at the path, the connection stays: it may be the last that keeps the contents, and is
   right again when the file is put back. */
int sqlite_file_ready(struct sqlite_file *file)
{
	if (file->db && sqlite_file_moved(file)) {
		if (access(file->path, F_OK))
			return sqlite_file_gone(file);
		sqlite_file_close(file);
	}
	return file->db ? 0 : file_open(file);
}
