/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said of a fleet file's text before it is taken for YAML. */
#include <errno.h>

#include "fleet_file_fault.h"

struct place {
	size_t line, column;
	bool indentation; /* nothing but spaces so far in this line */
};

size_t utf8_decode(const char *text, size_t size, unsigned *ret)
{
	static const unsigned smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char first = (unsigned char)text[0];
	size_t len = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;
	unsigned character = len == 1 ? first : first & (0x7fu >> len);

	if (len == 0 || len > size)
		return 0;
	for (size_t i = 1; i < len; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
		character = character << 6 | ((unsigned char)text[i] & 0x3f);
	}
	if (len > 1 && character < smallest[len])
		return 0;
	if ((character >= 0xd800 && character < 0xe000) || character > 0x10ffff)
		return 0;
	*ret = character;
	return len;
}

bool character_is_control(unsigned character)
{
	return character < 0x20 || (character >= 0x7f && character < 0xa0) || character == 0x2028 ||
	       character == 0x2029;
}

static int character_check(unsigned character, bool newline_follows, const struct place *place,
			   struct fleet_faults *faults)
{
	if (character == '\t' && place->indentation)
		return fault_add(faults, place->line, place->column, "a tab in the indentation: YAML wants spaces");
	if (character == '\t' || character == '\n' || (character == '\r' && newline_follows))
		return 0;
	if (character_is_control(character))
		return fault_add(faults, place->line, place->column,
				 "control character U+%04X: a fleet file is plain text", character);
	return 0;
}

static void place_advance(struct place *place, unsigned character)
{
	if (character == '\n') {
		*place = (struct place){.line = place->line + 1, .column = 1, .indentation = true};
		return;
	}
	place->column++;
	if (character != ' ')
		place->indentation = false;
}

int fleet_file_text_check(const char *text, size_t size, struct fleet_faults *faults)
{
	struct place place = {.line = 1, .column = 1, .indentation = true};
	size_t at = 0;

	if (size > FLEET_FILE_MAX)
		return fault_add(faults, 1, 1, "the file has %zu bytes: a fleet file has at most %u", size,
				 FLEET_FILE_MAX);
	while (at < size) {
		unsigned character;
		size_t len = utf8_decode(text + at, size - at, &character);
		int err;

		if (len == 0)
			return fault_add(faults, place.line, place.column,
					 "byte 0x%02x is not UTF-8 here: save the file as UTF-8",
					 (unsigned char)text[at]);
		at += len;
		err = character_check(character, at < size && text[at] == '\n', &place, faults);
		if (err)
			return err;
		place_advance(&place, character);
	}
	return 0;
}
