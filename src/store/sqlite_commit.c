/* SPDX-License-Identifier: Apache-2.0 */
/* Committing to the SQLite file: compare, write, remember in the history, drop what is too old of it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sqlite_file.h"
#include "watch.h"

static int bind_entry(struct sqlite_file *file, sqlite3_stmt *statement, const struct store_entry *entry,
		      uint64_t revision)
{
	int code = sqlite3_bind_text(statement, 1, entry->key, -1, SQLITE_STATIC);

	if (code == SQLITE_OK && entry->value)
		code = sqlite3_bind_blob(statement, 2, entry->value, (int)entry->size, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_bind_int64(statement, 3, (int64_t)revision);
	return code == SQLITE_OK ? 0 : sqlite_file_error(file, code);
}

/* Runs one of the statements that take an entry. */
static int entry_run(struct sqlite_file *file, enum sqlite_statement which, const struct store_entry *entry,
		     uint64_t revision)
{
	int err = 0;
	sqlite3_stmt *statement = sqlite_file_statement(file, which, &err);

	if (statement)
		err = bind_entry(file, statement, entry, revision);
	return err ? err : sqlite_file_run(file, statement);
}

/* 0 or -EAGAIN, or trouble. */
static int compare_one(struct sqlite_file *file, const struct store_entry *compare)
{
	uint64_t revision = 0;
	int err = 0;
	sqlite3_stmt *statement = sqlite_file_statement(file, STATEMENT_REVISION, &err);

	if (!statement)
		return err;
	sqlite3_bind_text(statement, 1, compare->key, -1, SQLITE_STATIC);
	err = sqlite_file_step(file, statement);
	if (err < 0)
		return err;
	if (err == 1)
		revision = (uint64_t)sqlite3_column_int64(statement, 0);
	sqlite3_reset(statement);
	if (revision == compare->revision)
		return 0;
	snprintf(file->why, sizeof(file->why), "%s was changed meanwhile", compare->key);
	return -EAGAIN;
}

static int compare_all(struct sqlite_file *file, struct request *request)
{
	for (size_t i = 0; i < request->compares.count; i++) {
		int err = compare_one(file, &request->compares.items[i]);

		if (err) {
			request->conflict = request->compares.items[i].key;
			return err;
		}
	}
	return 0;
}

/* 1: changed a key; 0: there was nothing to delete; -errno. */
static int write_one(struct sqlite_file *file, const struct store_entry *write, uint64_t revision)
{
	int err = 0;

	if (write->value) {
		err = entry_run(file, STATEMENT_PUT, write, revision);
	} else {
		sqlite3_stmt *statement = sqlite_file_statement(file, STATEMENT_DELETE, &err);

		if (!statement)
			return err;
		sqlite3_bind_text(statement, 1, write->key, -1, SQLITE_STATIC);
		err = sqlite_file_run(file, statement);
		if (!err && sqlite3_changes(file->db) == 0)
			return 0;
	}
	if (!err)
		err = entry_run(file, STATEMENT_ADD_CHANGE, write, revision);
	return err ? err : 1;
}

static int add_commit(struct sqlite_file *file, const struct sqlite_commit *commit)
{
	int err;
	sqlite3_stmt *statement = sqlite_file_statement(file, STATEMENT_ADD_COMMIT, &err);

	if (!statement)
		return err;
	sqlite3_bind_int64(statement, 1, (int64_t)commit->revision);
	sqlite3_bind_int64(statement, 2, commit->stamp);
	sqlite3_bind_int64(statement, 3, commit->total_changes);
	sqlite3_bind_int64(statement, 4, commit->total_bytes);
	return sqlite_file_run(file, statement);
}

static int drop_up_to(struct sqlite_file *file, enum sqlite_statement which, uint64_t revision)
{
	int err;
	sqlite3_stmt *statement = sqlite_file_statement(file, which, &err);

	if (!statement)
		return err;
	sqlite3_bind_int64(statement, 1, (int64_t)revision);
	return sqlite_file_run(file, statement);
}

/* Drops the oldest commits while enough history is left without them. */
static int trim_history(struct sqlite_file *file)
{
	const struct sqlite_commit *last = &file->last;

	for (;;) {
		struct sqlite_commit first;
		int err = sqlite_file_first_commit(file, &first);

		if (err || first.revision >= last->revision)
			return err;
		if (last->total_changes - first.total_changes < WATCH_HISTORY_CHANGES &&
		    last->total_bytes - first.total_bytes < WATCH_HISTORY_BYTES)
			return 0;
		err = drop_up_to(file, STATEMENT_DROP_CHANGES, first.revision);
		if (!err)
			err = drop_up_to(file, STATEMENT_DROP_COMMIT, first.revision);
		if (err)
			return err;
	}
}

static int write_all(struct sqlite_file *file, const struct entries *writes)
{
	struct sqlite_commit commit = file->last;
	int err;

	commit.revision++;
	for (size_t i = 0; i < writes->count; i++) {
		const struct store_entry *write = &writes->items[i];
		int changed = write_one(file, write, commit.revision);

		if (changed < 0)
			return changed;
		commit.total_changes += changed;
		if (changed)
			commit.total_bytes += strlen(write->key) + write->size;
	}
	if (commit.total_changes == file->last.total_changes)
		return 0;
	sqlite3_randomness(sizeof(commit.stamp), &commit.stamp);
	err = add_commit(file, &commit);
	if (err)
		return err;
	file->last = commit;
	return trim_history(file);
}

void sqlite_job_commit(struct sqlite_file *file, struct request *request)
{
	int err = sqlite_file_begin(file, SQLITE_FILE_WRITE);

	if (!err) {
		err = compare_all(file, request);
		if (!err)
			err = write_all(file, &request->writes);
		request->revision = file->last.revision;
		err = sqlite_file_end(file, err);
	}
	request->err = err;
}
