/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the SQLite file
 *
 * One connection to one file, and what is done with it. Everything here blocks, and runs in libuv's thread pool, one
 * job of a store at a time; nothing here knows the loop. docs/store.md has the schema.
 *
 * The file is opened by the first job and again after a fault, so trouble with it reaches whoever asks, and passes
 * when its cause does. The first commit makes it when it is missing, and only then: a file that vanishes under a
 * running store is an error, because an empty one in its place would read as an empty fleet; and one made by a reader
 * that started meanwhile would leave its -wal file to the copy that is put back.
 */
#ifndef BERTH_STORE_SQLITE_FILE_H
#define BERTH_STORE_SQLITE_FILE_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "entries.h"
#include "request.h"

#define SQLITE_FILE_APPLICATION 0x42727468 /* "Brth" */
#define SQLITE_FILE_FORMAT 1
/* How long a job waits for other processes. */
#define SQLITE_FILE_WAIT_MS 3000

enum sqlite_statement {
	STATEMENT_LAST_COMMIT,
	STATEMENT_FIRST_COMMIT,
	STATEMENT_STAMP,
	STATEMENT_REVISION,
	STATEMENT_READ,
	STATEMENT_PUT,
	STATEMENT_DELETE,
	STATEMENT_ADD_CHANGE,
	STATEMENT_ADD_COMMIT,
	STATEMENT_DROP_CHANGES,
	STATEMENT_DROP_COMMIT,
	STATEMENT_CHANGES,
	STATEMENT_COUNT
};

/* A row of the table `commits`: the stamp is random, so that the same revision in another copy's history differs. */
struct sqlite_commit {
	uint64_t revision; /* 0: nothing was ever committed */
	int64_t stamp;
	int64_t total_changes; /* of all commits up to this one */
	int64_t total_bytes;
};

struct sqlite_file {
	char *path;
	sqlite3 *db; /* NULL: not open */
	sqlite3_stmt *statements[STATEMENT_COUNT];
	bool known; /* was open before: must not be made again */
	bool broken; /* the connection is of no more use */
	uint64_t deadline; /* uv_hrtime() at which the job stops waiting */
	atomic_bool closing; /* set by the loop: stop waiting now */
	struct sqlite_commit last; /* as this transaction sees it */
	struct sqlite_commit seen; /* as a transaction before saw it */
	bool rewound; /* a transaction did not find `seen`; the loop clears it */
	char why[STORE_WHY_MAX]; /* about the last error */
};

enum sqlite_access { SQLITE_FILE_READ, SQLITE_FILE_WRITE };

/* Each job: begin, work, end. 0 or -errno with `why`; 1, for reading: there is no file yet, and no work and no end. */
int sqlite_file_begin(struct sqlite_file *file, enum sqlite_access access);
/* err: of the work. 0: commits; else rolls back. Returns err, or what committing gave. */
int sqlite_file_end(struct sqlite_file *file, int err);
void sqlite_file_close(struct sqlite_file *file);

/* For the work. NULL, with the error in *err. */
sqlite3_stmt *sqlite_file_statement(struct sqlite_file *file, enum sqlite_statement which, int *err);
/* 1: a row; 0: no more; -errno. */
int sqlite_file_step(struct sqlite_file *file, sqlite3_stmt *statement);
/* Runs a statement that gives no rows. */
int sqlite_file_run(struct sqlite_file *file, sqlite3_stmt *statement);
/* -errno for a result code of SQLite; keeps the sentence. */
int sqlite_file_error(struct sqlite_file *file, int code);
/* -EBADMSG with a sentence. */
int sqlite_file_corrupt(struct sqlite_file *file, const char *what);
/* Copies one row (key, value, revision) into a list, after checking it. */
int sqlite_file_add_row(struct sqlite_file *file, sqlite3_stmt *statement, struct entries *entries);
/* The first commit that history still has; revision 0: none. */
int sqlite_file_first_commit(struct sqlite_file *file, struct sqlite_commit *ret);

/* Runs statements without parameters; what they began is rolled back when one fails. */
int sqlite_file_exec(struct sqlite_file *file, const char *sql);

/* Has the file at the path open and ready for use, making it when there never was one. */
int sqlite_file_ready(struct sqlite_file *file);
/* Whether there never was a file, but a place for one: an empty store. */
bool sqlite_file_absent(const struct sqlite_file *file);
/* Whether the path leads to another file than the open one, or to none. */
bool sqlite_file_moved(struct sqlite_file *file);
/* -EIO with the sentence for a file that was there and is no more. */
int sqlite_file_gone(struct sqlite_file *file);

/* The jobs. */
void sqlite_job_read(struct sqlite_file *file, struct request *request);
void sqlite_job_commit(struct sqlite_file *file, struct request *request);

struct sqlite_changes {
	struct entries entries; /* sorted by revision, then key */
	uint64_t revision;
	uint64_t oldest;
	uint64_t to; /* below `revision`: there is more */
};

/* Changes after a revision: whole commits, a few megabytes at once. *ret is the caller's to free. */
int sqlite_job_changes(struct sqlite_file *file, uint64_t after, struct sqlite_changes *ret);

#endif
