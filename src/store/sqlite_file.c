/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "key.h"
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

static const char *const statements[STATEMENT_COUNT] = {
	[STATEMENT_LAST_COMMIT] =
		"SELECT revision, stamp, total_changes, total_bytes FROM commits ORDER BY revision DESC LIMIT 1",
	[STATEMENT_FIRST_COMMIT] =
		"SELECT revision, stamp, total_changes, total_bytes FROM commits ORDER BY revision LIMIT 1",
	[STATEMENT_STAMP] = "SELECT stamp FROM commits WHERE revision = ?1",
	[STATEMENT_REVISION] = "SELECT revision FROM entries WHERE key = ?1",
	[STATEMENT_READ] = "SELECT key, value, revision FROM entries WHERE key >= ?1 ORDER BY key",
	[STATEMENT_PUT] = "INSERT OR REPLACE INTO entries (key, value, revision) VALUES (?1, ?2, ?3)",
	[STATEMENT_DELETE] = "DELETE FROM entries WHERE key = ?1",
	[STATEMENT_ADD_CHANGE] = "INSERT INTO changes (key, value, revision) VALUES (?1, ?2, ?3)",
	[STATEMENT_ADD_COMMIT] = "INSERT INTO commits VALUES (?1, ?2, ?3, ?4)",
	[STATEMENT_DROP_CHANGES] = "DELETE FROM changes WHERE revision <= ?1",
	[STATEMENT_DROP_COMMIT] = "DELETE FROM commits WHERE revision <= ?1",
	[STATEMENT_CHANGES] = "SELECT key, value, revision FROM changes WHERE revision > ?1 AND revision <= ?2"
			      " ORDER BY revision, key",
};

/* An -errno for what SQLite, or the system under it, says. */
static int error_number(sqlite3 *db, int code)
{
	int system = db ? sqlite3_system_errno(db) : 0;

	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
		if (system == EDQUOT)
			return -ENOSPC;
		return system == ENOSPC || system == EROFS ? -system : -EIO;
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_TOOBIG:
		return -EIO;
	default:
		/* CORRUPT and NOTADB; and an ERROR or MISMATCH can only come from a schema that is not ours. */
		return -EBADMSG;
	}
}

static const char *error_text(int err)
{
	switch (err) {
	case -EBUSY:
		return "is locked by another process";
	case -ENOSPC:
		return "cannot grow, the disk is full";
	case -EROFS:
		return "cannot be written";
	case -EBADMSG:
		return "is damaged";
	case -ENOMEM:
		return "takes more memory than there is";
	default:
		return "cannot be used";
	}
}

int sqlite_file_error(struct sqlite_file *file, int code)
{
	int err = error_number(file->db, code);
	int system = file->db ? sqlite3_system_errno(file->db) : 0;
	const char *detail = file->db ? sqlite3_errmsg(file->db) : sqlite3_errstr(code);

	/* Even reading needs the -shm file; SQLite's own words would be about writing. */
	if (code == SQLITE_READONLY_DIRECTORY || code == SQLITE_READONLY_CANTINIT)
		detail = "its -wal and -shm files cannot be made beside it";
	if (system && (err == -EIO || err == -EROFS))
		snprintf(file->why, sizeof(file->why), "%s %s: %s (%s)", file->path, error_text(err), detail,
			 strerror(system));
	else
		snprintf(file->why, sizeof(file->why), "%s %s: %s", file->path, error_text(err), detail);
	if (err != -EBUSY && err != -ENOSPC)
		file->broken = true;
	return err;
}

int sqlite_file_corrupt(struct sqlite_file *file, const char *what)
{
	snprintf(file->why, sizeof(file->why), "%s is damaged: %s", file->path, what);
	return -EBADMSG;
}

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

void sqlite_file_close(struct sqlite_file *file)
{
	for (int i = 0; i < STATEMENT_COUNT; i++) {
		sqlite3_finalize(file->statements[i]);
		file->statements[i] = NULL;
	}
	sqlite3_close(file->db);
	file->db = NULL;
	file->broken = false;
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

static int file_exec(struct sqlite_file *file, const char *sql)
{
	int code = sqlite3_exec(file->db, sql, NULL, NULL, NULL);
	int err = code == SQLITE_OK ? 0 : sqlite_file_error(file, code);

	if (err && !sqlite3_get_autocommit(file->db))
		sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

struct identity {
	int64_t application, format, tables;
};

/* In one transaction: another process may be writing the schema at this moment, and its parts tell only together. */
static int identity_read(struct sqlite_file *file, struct identity *ret)
{
	int err = file_exec(file, "BEGIN");

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
		snprintf(file->why, sizeof(file->why), "%s cannot be made: its directory does not exist", file->path);
		return -EIO;
	}
	snprintf(file->why, sizeof(file->why), "%s cannot be made: %s", file->path, strerror(-err));
	return err == -EROFS || err == -ENOSPC ? err : err == -EDQUOT ? -ENOSPC : -EIO;
}

static int file_gone(struct sqlite_file *file)
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
		err = file_exec(file, schema);
	if (err)
		return err;
	return file_exec(file, "PRAGMA synchronous = FULL; PRAGMA cell_size_check = ON;"
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
		err = file->known && access(file->path, F_OK) ? file_gone(file) : sqlite_file_error(file, code);
	else
		err = file_setup(file);
	if (err)
		sqlite_file_close(file);
	else
		file->known = true;
	return err;
}

/* Whether there never was a file, but a place for one: an empty store. */
static bool file_absent(const struct sqlite_file *file)
{
	const char *slash = strrchr(file->path, '/');
	char directory[PATH_MAX];

	if (file->db || file->known || access(file->path, F_OK) == 0 || errno != ENOENT)
		return false;
	snprintf(directory, sizeof(directory), "%.*s", slash == file->path ? 1 : (int)(slash - file->path), file->path);
	return access(directory, F_OK) == 0;
}

/* Whether the path leads to another file than the open one, or to none. */
static bool file_moved(struct sqlite_file *file)
{
	int moved = 0;

	sqlite3_file_control(file->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
	return moved;
}

/* Has the right file open. As long as there is none at the path, the connection stays: it may be the last that keeps
   the contents, and is right again when the file is put back. */
static int file_ready(struct sqlite_file *file)
{
	if (file->db && file_moved(file)) {
		if (access(file->path, F_OK))
			return file_gone(file);
		sqlite_file_close(file);
	}
	return file->db ? 0 : file_open(file);
}

sqlite3_stmt *sqlite_file_statement(struct sqlite_file *file, enum sqlite_statement which, int *err)
{
	sqlite3_stmt **statement = &file->statements[which];
	int code = SQLITE_OK;

	if (!*statement)
		code = sqlite3_prepare_v3(file->db, statements[which], -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
	if (code != SQLITE_OK) {
		*err = sqlite_file_error(file, code);
		return NULL;
	}
	sqlite3_reset(*statement);
	sqlite3_clear_bindings(*statement);
	return *statement;
}

int sqlite_file_step(struct sqlite_file *file, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	if (code == SQLITE_ROW)
		return 1;
	return code == SQLITE_DONE ? 0 : sqlite_file_error(file, code);
}

int sqlite_file_run(struct sqlite_file *file, sqlite3_stmt *statement)
{
	int err = sqlite_file_step(file, statement);

	sqlite3_reset(statement);
	return err < 0 ? err : 0;
}

int sqlite_file_add_row(struct sqlite_file *file, sqlite3_stmt *statement, struct entries *entries)
{
	bool deleted = sqlite3_column_type(statement, 1) == SQLITE_NULL;
	const char *key = (const char *)sqlite3_column_text(statement, 0);
	const void *value = sqlite3_column_blob(statement, 1);
	int size = sqlite3_column_bytes(statement, 1);
	int64_t revision = sqlite3_column_int64(statement, 2);

	if (!key || strlen(key) != (size_t)sqlite3_column_bytes(statement, 0) || !key_valid(key))
		return sqlite_file_corrupt(file, "a row has a key that can be none");
	if ((unsigned)size > STORE_VALUE_MAX || revision < 1 || (uint64_t)revision > file->last.revision)
		return sqlite_file_corrupt(file, "a row has an impossible size or revision");
	/* SQLite gives NULL for an empty value. */
	if (entries_add(entries, key, deleted ? NULL : value ? value : "", size, revision))
		return sqlite_file_error(file, SQLITE_NOMEM);
	return 0;
}

/* The row of `commits` that a statement finds, all zero if it finds none. */
static int read_commit(struct sqlite_file *file, enum sqlite_statement which, struct sqlite_commit *ret)
{
	int err;
	sqlite3_stmt *statement = sqlite_file_statement(file, which, &err);

	if (!statement)
		return err;
	*ret = (struct sqlite_commit){0};
	err = sqlite_file_step(file, statement);
	if (err == 1) {
		*ret = (struct sqlite_commit){
			.revision = sqlite3_column_int64(statement, 0),
			.stamp = sqlite3_column_int64(statement, 1),
			.total_changes = sqlite3_column_int64(statement, 2),
			.total_bytes = sqlite3_column_int64(statement, 3),
		};
		err = ret->revision >= 1 && ret->revision < INT64_MAX
			      ? 0
			      : sqlite_file_corrupt(file, "a commit has an impossible revision");
	}
	sqlite3_reset(statement);
	return err;
}

int sqlite_file_first_commit(struct sqlite_file *file, struct sqlite_commit *ret)
{
	return read_commit(file, STATEMENT_FIRST_COMMIT, ret);
}

/* Whether the commit seen before is still in the file's past. When history dropped it, nobody can tell. */
static int file_check_rewound(struct sqlite_file *file)
{
	struct sqlite_commit first;
	sqlite3_stmt *statement;
	int err = sqlite_file_first_commit(file, &first);

	if (err || file->seen.revision == 0 || file->seen.revision < first.revision)
		return err;
	statement = sqlite_file_statement(file, STATEMENT_STAMP, &err);
	if (!statement)
		return err;
	sqlite3_bind_int64(statement, 1, (int64_t)file->seen.revision);
	err = sqlite_file_step(file, statement);
	if (err < 0)
		return err;
	if (err == 0 || sqlite3_column_int64(statement, 0) != file->seen.stamp)
		file->rewound = true;
	sqlite3_reset(statement);
	return 0;
}

static int file_look(struct sqlite_file *file)
{
	int err = read_commit(file, STATEMENT_LAST_COMMIT, &file->last);

	if (!err && (file->last.revision != file->seen.revision || file->last.stamp != file->seen.stamp))
		err = file_check_rewound(file);
	if (!err)
		file->seen = file->last;
	return err;
}

int sqlite_file_begin(struct sqlite_file *file, enum sqlite_access access)
{
	int err;

	file->deadline = uv_hrtime() + SQLITE_FILE_WAIT_MS * 1000000ull;
	file->why[0] = 0;
	if (access == SQLITE_FILE_READ && file_absent(file))
		return 1;
	err = file_ready(file);
	if (!err)
		err = file_exec(file, access == SQLITE_FILE_WRITE ? "BEGIN IMMEDIATE" : "BEGIN");
	if (!err)
		err = file_look(file);
	return err ? sqlite_file_end(file, err) : 0;
}

/* Tells those who watch the directory. Writing the -wal file wakes them too early: a commit is seen by others only
   after it was synced, by a change in shared memory, of which inotify says nothing. */
static void file_announce(const struct sqlite_file *file)
{
	(void)utimensat(AT_FDCWD, file->path, NULL, 0);
}

int sqlite_file_end(struct sqlite_file *file, int err)
{
	bool wrote;

	if (!file->db)
		return err;
	for (int i = 0; i < STATEMENT_COUNT; i++)
		sqlite3_reset(file->statements[i]);
	wrote = !err && sqlite3_txn_state(file->db, "main") == SQLITE_TXN_WRITE;
	if (!err)
		err = file_exec(file, "COMMIT");
	else if (!sqlite3_get_autocommit(file->db))
		sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
	/* Written into a file that nobody will find again: not done. */
	if (wrote && !err && file_moved(file))
		err = file_gone(file);
	if (wrote && !err) {
		file->seen = file->last;
		file_announce(file);
	}
	if (file->broken)
		sqlite_file_close(file);
	return err;
}
