/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <uv.h>

#include "key.h"
#include "sqlite_file.h"

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

int sqlite_file_exec(struct sqlite_file *file, const char *sql)
{
	int code = sqlite3_exec(file->db, sql, NULL, NULL, NULL);
	int err = code == SQLITE_OK ? 0 : sqlite_file_error(file, code);

	if (err && !sqlite3_get_autocommit(file->db))
		sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
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
	if (access == SQLITE_FILE_READ && sqlite_file_absent(file))
		return 1;
	err = sqlite_file_ready(file);
	if (!err)
		err = sqlite_file_exec(file, access == SQLITE_FILE_WRITE ? "BEGIN IMMEDIATE" : "BEGIN");
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
		err = sqlite_file_exec(file, "COMMIT");
	else if (!sqlite3_get_autocommit(file->db))
		sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
	/* Written into a file that nobody will find again: not done. */
	if (wrote && !err && sqlite_file_moved(file))
		err = sqlite_file_gone(file);
	if (wrote && !err) {
		file->seen = file->last;
		file_announce(file);
	}
	if (file->broken)
		sqlite_file_close(file);
	return err;
}
