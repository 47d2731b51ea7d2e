/* SPDX-License-Identifier: Apache-2.0 */
/* Single values of a fleet file: numbers, durations, addresses, names. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "fleet_file_reader.h"

#define HOUR 3600u
#define MINUTE 60u

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Reads up to nine digits without leading zeros; returns what follows them, or NULL. */
static const char *digits_scan(const char *text, unsigned *ret)
{
	size_t len = strspn(text, "0123456789");
	unsigned long long number;

	if (len == 0 || len > 10 || (len > 1 && *text == '0'))
		return NULL;
	number = strtoull(text, NULL, 10);
	if (number > UINT_MAX)
		return NULL;
	*ret = (unsigned)number;
	return text + len;
}

/* A decimal integer of any size, without leading zeros. */
static bool text_is_integer(const char *text)
{
	text += *text == '-';
	return is_digit(*text) && !(*text == '0' && text[1]) && !text[strspn(text, "0123456789")];
}

bool reader_number(struct reader *reader, const struct node *node, unsigned min, unsigned max, unsigned *ret)
{
	const char *text = reader_text(reader, node);
	struct shown shown;
	unsigned number;
	const char *end;

	if (!text)
		return false;
	if (!node->plain || !text_is_integer(text)) {
		reader_fault(reader, node, "%s %s is no number: write one from %u to %u, without quotes", node->name,
			     shown_quote(text, &shown), min, max);
		return false;
	}
	end = digits_scan(text, &number);
	if (!end || *end || number < min || number > max) {
		reader_fault(reader, node, "%s %.20s is out of range: use %u to %u", node->name, text, min, max);
		return false;
	}
	*ret = number;
	return true;
}

/* Hours, minutes and seconds, each at most once and in this order. */
static bool duration_parse(const char *text, unsigned *ret)
{
	static const struct {
		char letter;
		unsigned seconds;
	} units[] = {{'h', HOUR}, {'m', MINUTE}, {'s', 1}};
	unsigned long total = 0;
	size_t unit = 0;

	do {
		unsigned number;

		text = digits_scan(text, &number);
		while (text && unit < 3 && units[unit].letter != *text)
			unit++;
		if (!text || unit == 3)
			return false;
		total += (unsigned long)number * units[unit++].seconds;
		text++;
	} while (*text);
	if (total > UINT32_MAX)
		total = UINT32_MAX;
	*ret = (unsigned)total;
	return true;
}

bool reader_duration(struct reader *reader, const struct node *node, unsigned min, unsigned max, unsigned *ret)
{
	const char *text = reader_text(reader, node);
	struct shown shown;
	unsigned seconds;

	if (!text)
		return false;
	if (text_is_integer(text)) {
		reader_fault(reader, node,
			     "%s %.20s has no unit: write hours, minutes and seconds like 90s, 30m or 1h30m",
			     node->name, text);
		return false;
	}
	if (!duration_parse(text, &seconds)) {
		reader_fault(reader, node,
			     "%s %s is no duration: write hours, minutes and seconds like 90s, 30m or 1h30m",
			     node->name, shown_quote(text, &shown));
		return false;
	}
	if (seconds < min || seconds > max) {
		reader_fault(reader, node, "%s %.20s is out of range: use %us to %uh", node->name, text, min,
			     max / HOUR);
		return false;
	}
	*ret = seconds;
	return true;
}

static const char *choice_similar(const char *text, const char *const *choices)
{
	for (; *choices; choices++)
		if (words_similar(text, *choices))
			return *choices;
	return NULL;
}

bool reader_choice(struct reader *reader, const struct node *node, const char *const *choices, unsigned *ret)
{
	const char *text = reader_text(reader, node);
	const char *similar;
	struct shown shown;

	if (!text)
		return false;
	for (unsigned i = 0; choices[i]; i++) {
		if (strcmp(text, choices[i]) == 0) {
			*ret = i;
			return true;
		}
	}
	similar = choice_similar(text, choices);
	if (similar)
		reader_fault(reader, node, "%s cannot be %s: did you mean %s?", node->name, shown_quote(text, &shown),
			     similar);
	else
		reader_fault(reader, node, "%s cannot be %s: use %s or %s", node->name, shown_quote(text, &shown),
			     choices[0], choices[1]);
	return false;
}

bool fleet_file_addr_reserved(uint32_t addr)
{
	return addr >> 24 == 0 || addr >> 24 == 127 || addr >> 29 == 7;
}

bool reader_addr(struct reader *reader, const struct node *node, uint32_t *ret)
{
	const char *text = reader_text(reader, node);
	struct shown shown;

	if (!text)
		return false;
	if (addr_parse(text, ret) == 0)
		return true;
	reader_fault(reader, node, "%s %s is no IPv4 address: write it like 10.0.1.1", node->name,
		     shown_quote(text, &shown));
	return false;
}

/* The prefix without its host bits. text: that prefix_parse() gave -ERANGE for. */
static struct prefix prefix_masked(const char *text)
{
	char addr_text[ADDR_TEXT_MAX] = "";
	struct prefix prefix = {0};
	const char *slash = strchr(text, '/');

	memcpy(addr_text, text, (size_t)(slash - text));
	prefix.len = (unsigned)strtoul(slash + 1, NULL, 10);
	if (addr_parse(addr_text, &prefix.addr) == 0)
		prefix.addr &= prefix_mask(prefix.len);
	return prefix;
}

bool reader_prefix(struct reader *reader, const struct node *node, struct prefix *ret)
{
	const char *text = reader_text(reader, node);
	char right[ADDR_TEXT_MAX];
	struct shown shown;
	int err;

	if (!text)
		return false;
	err = prefix_parse(text, ret);
	if (err == -ERANGE)
		reader_fault(reader, node, "%s %s has bits set behind its length: use %s", node->name, text,
			     prefix_format(prefix_masked(text), right));
	else if (err)
		reader_fault(reader, node, "%s %s is no IPv4 prefix: write it like 203.0.113.0/24", node->name,
			     shown_quote(text, &shown));
	return !err;
}

static bool name_valid(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t len = strlen(name);

	return len <= FLEET_NAME_MAX && strspn(name, letters) > 0 &&
	       len == strspn(name, "-_.abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
}

char *reader_name(struct reader *reader, const struct node *node)
{
	const char *text = reader_text(reader, node);
	struct shown shown;
	char *copy;

	if (!text)
		return NULL;
	if (!name_valid(text)) {
		reader_fault(
			reader, node,
			"%s %s is no name: use a letter or digit, then letters, digits, '-', '_' and '.', %u at most",
			node->name, shown_quote(text, &shown), FLEET_NAME_MAX);
		return NULL;
	}
	copy = strdup(text);
	if (!copy)
		reader->no_memory = true;
	return copy;
}
