/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define GAP 2

struct table {
	const struct table_column *columns;
	size_t column_count;
	char **cells; /* row by row */
	size_t count, room;
	bool failed;
};

struct table *table_new(const struct table_column *columns, size_t count)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->columns = columns;
	table->column_count = count;
	return table;
}

static bool cell_reserve(struct table *table)
{
	size_t room = table->room ? table->room * 2 : 64;
	char **cells;

	if (table->count < table->room)
		return true;
	cells = reallocarray(table->cells, room, sizeof(*cells));
	if (!cells)
		return false;
	table->cells = cells;
	table->room = room;
	return true;
}

/* What comes from elsewhere must not steer a terminal. */
static void text_tame(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

void table_cell(struct table *table, const char *format, ...)
{
	va_list args;
	char *text = NULL;
	int size;

	if (!table || table->failed)
		return;
	va_start(args, format);
	size = vasprintf(&text, format, args);
	va_end(args);
	if (size < 0 || !cell_reserve(table)) {
		if (size >= 0)
			free(text);
		table->failed = true;
		return;
	}
	text_tame(text);
	table->cells[table->count++] = text;
}

/* Characters of UTF-8 text. */
static size_t text_width(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += (*text & 0xc0) != 0x80;
	return width;
}

static const char *cell_text(const struct table *table, size_t cell)
{
	return *table->cells[cell] ? table->cells[cell] : "-";
}

static size_t column_width(const struct table *table, size_t column)
{
	size_t width = text_width(table->columns[column].heading);

	for (size_t cell = column; cell < table->count; cell += table->column_count) {
		size_t cell_width = text_width(cell_text(table, cell));

		width = cell_width > width ? cell_width : width;
	}
	return width;
}

/* No blanks at the end of a line. */
static void cell_print(const struct table *table, size_t column, size_t width, const char *text, FILE *out)
{
	bool last = column + 1 == table->column_count;
	int blanks = (int)(width - text_width(text));

	if (table->columns[column].number)
		fprintf(out, "%*s%s", blanks, "", text);
	else
		fprintf(out, "%s%*s", text, last ? 0 : blanks, "");
	fprintf(out, "%*s%s", last ? 0 : GAP, "", last ? "\n" : "");
}

static int rows_print(const struct table *table, FILE *out)
{
	size_t *widths = calloc(table->column_count, sizeof(*widths));

	if (!widths)
		return -ENOMEM;
	for (size_t i = 0; i < table->column_count; i++)
		widths[i] = column_width(table, i);
	for (size_t i = 0; i < table->column_count; i++)
		cell_print(table, i, widths[i], table->columns[i].heading, out);
	for (size_t cell = 0; cell < table->count; cell++)
		cell_print(table, cell % table->column_count, widths[cell % table->column_count],
			   cell_text(table, cell), out);
	free(widths);
	return 0;
}

int table_print(struct table *table, FILE *out)
{
	int err = 0;

	if (!table || table->failed)
		err = -ENOMEM;
	if (!err && table->count > 0)
		err = rows_print(table, out);
	for (size_t i = 0; table && i < table->count; i++)
		free(table->cells[i]);
	if (table)
		free(table->cells);
	free(table);
	return err;
}
