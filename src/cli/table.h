/* SPDX-License-Identifier: Apache-2.0 */
/* Tables for people: aligned columns, a line a row, nothing else. */
#ifndef BERTH_CLI_TABLE_H
#define BERTH_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct table_column {
	const char *heading;
	bool number; /* set to the right */
};

struct table;

/* columns must outlive the table. NULL: no memory; the functions below take that. */
struct table *table_new(const struct table_column *columns, size_t count);
/* The next cell, row by row. An empty one prints as "-"; control characters as "?". */
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints all rows and frees the table. Without rows not even headings. -ENOMEM: something is missing, or all. */
int table_print(struct table *table, FILE *out);

#endif
