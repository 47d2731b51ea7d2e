/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "key.h"
#include "store.h"

/* Bytes of the UTF-8 character at `text`, which ends in 0; 0: it is none, or a control character. */
static size_t character_length(const unsigned char *text)
{
	static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = text[0] < 0x80       ? 1
			: text[0] >> 5 == 6  ? 2
			: text[0] >> 4 == 14 ? 3
			: text[0] >> 3 == 30 ? 4
					     : 0;
	uint32_t code = length == 1 ? text[0] : text[0] & (0x7fu >> length);

	for (size_t i = 1; i < length; i++) {
		if (text[i] >> 6 != 2)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (length == 0 || code < lowest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return code < 0x20 || (code >= 0x7f && code < 0xa0) ? 0 : length;
}

bool key_prefix_valid(const char *prefix)
{
	const unsigned char *at = (const unsigned char *)prefix;
	size_t length;

	if (strnlen(prefix, STORE_KEY_MAX + 1) > STORE_KEY_MAX)
		return false;
	for (; *at; at += length) {
		length = character_length(at);
		if (length == 0)
			return false;
	}
	return true;
}

bool key_valid(const char *key)
{
	return *key && key_prefix_valid(key);
}

bool key_has_prefix(const char *key, const char *prefix)
{
	return strncmp(key, prefix, strlen(prefix)) == 0;
}
