/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of a fleet file: adding them, and what makes their sentences helpful. */
#ifndef BERTH_CORE_FLEET_FILE_FAULT_H
#define BERTH_CORE_FLEET_FILE_FAULT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "fleet_file.h"

/* Room for a text of the file in a message, quoted and cut. */
#define SHOWN_MAX 72

struct shown {
	char text[SHOWN_MAX];
};

/* Puts a fault in its place by line and column; drops it when the list is full. -EINVAL, or -ENOMEM. */
int fault_add(struct fleet_faults *faults, size_t line, size_t column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
int fault_addv(struct fleet_faults *faults, size_t line, size_t column, const char *format, va_list args)
	__attribute__((format(printf, 4, 0)));
bool faults_full(const struct fleet_faults *faults);

/* The text in quotes, cut at a character when it is long. text: UTF-8 without control characters. Returns to->text. */
const char *shown_quote(const char *text, struct shown *to);

/* How many characters the first `size` bytes of a UTF-8 text are. */
size_t text_characters(const char *text, size_t size);

/* True when two words are that close that one is likely meant for the other. */
bool words_similar(const char *a, const char *b);

/*
 * Text that no fleet file has: wrong UTF-8, control characters, tabs as indentation, too many bytes. 0, -EINVAL with a
 * fault, -ENOMEM.
 */
int fleet_file_text_check(const char *text, size_t size, struct fleet_faults *faults);
/* Length in bytes of the character at `text` (1 to 4), 0 when it is no UTF-8; *ret is its number. */
size_t utf8_decode(const char *text, size_t size, unsigned *ret);
/* C0 and C1 controls, DEL, and the line separators that only YAML takes for line breaks. */
bool character_is_control(unsigned character);

#endif
