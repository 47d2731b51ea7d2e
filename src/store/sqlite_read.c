/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the SQLite file: entries under a prefix, and changes after a revision. */
#include <string.h>

#include "key.h"
#include "sqlite_file.h"

/* A look hands over no more than this at once, so that a watch that is far behind needs bounded memory. */
#define CHANGES_BYTES (8u << 20)
#define CHANGES_COUNT 4096u

static int read_entries(struct sqlite_file *file, const char *prefix, struct entries *found)
{
	int err;
	sqlite3_stmt *statement = sqlite_file_statement(file, STATEMENT_READ, &err);

	if (!statement)
		return err;
	sqlite3_bind_text(statement, 1, prefix, -1, SQLITE_STATIC);
	while ((err = sqlite_file_step(file, statement)) == 1) {
		err = sqlite_file_add_row(file, statement, found);
		if (err)
			return err;
		if (key_has_prefix(found->items[found->count - 1].key, prefix))
			continue;
		entries_remove(found, found->count - 1, 1);
		return 0;
	}
	return err;
}

void sqlite_job_read(struct sqlite_file *file, struct request *request)
{
	int err = sqlite_file_begin(file, SQLITE_FILE_READ);

	request->err = err < 0 ? err : 0;
	if (err)
		return;
	request->revision = file->last.revision;
	request->err = sqlite_file_end(file, read_entries(file, request->prefix, &request->found));
}

/* Takes the last commit out of the list again, of at least two: it may be incomplete. */
static void changes_drop_last(struct sqlite_changes *changes)
{
	struct entries *entries = &changes->entries;
	uint64_t last = entries->items[entries->count - 1].revision;
	size_t first = entries->count;

	while (first && entries->items[first - 1].revision == last)
		first--;
	entries_remove(entries, first, entries->count - first);
	changes->to = entries->items[first - 1].revision;
}

static int read_changes(struct sqlite_file *file, uint64_t after, struct sqlite_changes *changes)
{
	struct entries *entries = &changes->entries;
	size_t bytes = 0;
	int err;
	sqlite3_stmt *statement = sqlite_file_statement(file, STATEMENT_CHANGES, &err);

	if (!statement)
		return err;
	sqlite3_bind_int64(statement, 1, (int64_t)after);
	sqlite3_bind_int64(statement, 2, (int64_t)file->last.revision);
	while ((err = sqlite_file_step(file, statement)) == 1) {
		err = sqlite_file_add_row(file, statement, entries);
		if (err)
			return err;
		bytes += entries->items[entries->count - 1].size;
		if ((bytes > CHANGES_BYTES || entries->count > CHANGES_COUNT) &&
		    entries->items[0].revision != entries->items[entries->count - 1].revision) {
			changes_drop_last(changes);
			return 0;
		}
	}
	return err;
}

int sqlite_job_changes(struct sqlite_file *file, uint64_t after, struct sqlite_changes *ret)
{
	struct sqlite_changes changes = {0};
	struct sqlite_commit first;
	int err = sqlite_file_begin(file, SQLITE_FILE_READ);

	if (err == 1) {
		*ret = changes;
		return 0;
	}
	if (err)
		return err;
	err = sqlite_file_first_commit(file, &first);
	if (!err) {
		changes.revision = changes.to = file->last.revision;
		changes.oldest = first.revision ? first.revision - 1 : 0;
		if (after < changes.oldest)
			after = changes.oldest;
		if (after < changes.revision)
			err = read_changes(file, after, &changes);
	}
	err = sqlite_file_end(file, err);
	if (err)
		entries_free(&changes.entries);
	else
		*ret = changes;
	return err;
}
