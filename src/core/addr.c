/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"

/* Reads a decimal number without leading zeros; returns what follows it, NULL when there is none up to `max`. */
static const char *number_scan(const char *text, uint32_t max, uint32_t *ret)
{
	uint32_t number = 0;
	const char *at = text;

	for (; *at >= '0' && *at <= '9'; at++) {
		number = number * 10 + (uint32_t)(*at - '0');
		if (number > max || (at > text && *text == '0'))
			return NULL;
	}
	if (at == text)
		return NULL;
	*ret = number;
	return at;
}

/* Reads the dotted form; returns what follows it, or NULL. */
static const char *addr_scan(const char *text, uint32_t *ret)
{
	uint32_t addr = 0;
	uint32_t octet;

	for (int i = 0; i < 4; i++) {
		if (i > 0 && *text++ != '.')
			return NULL;
		text = number_scan(text, 255, &octet);
		if (!text)
			return NULL;
		addr = addr << 8 | octet;
	}
	*ret = addr;
	return text;
}

int addr_parse(const char *text, uint32_t *ret)
{
	uint32_t addr;
	const char *end = addr_scan(text, &addr);

	if (!end || *end)
		return -EINVAL;
	*ret = addr;
	return 0;
}

int prefix_parse(const char *text, struct prefix *ret)
{
	uint32_t addr;
	uint32_t len;
	const char *end = addr_scan(text, &addr);

	if (!end || *end != '/')
		return -EINVAL;
	end = number_scan(end + 1, 32, &len);
	if (!end || *end)
		return -EINVAL;
	if (addr & ~prefix_mask(len))
		return -ERANGE;
	*ret = (struct prefix){.addr = addr, .len = len};
	return 0;
}

int addr_range_parse(const char *text, struct addr_range *ret)
{
	struct addr_range range;
	const char *end = addr_scan(text, &range.first);

	if (!end)
		return -EINVAL;
	range.last = range.first;
	if (*end) {
		end += strspn(end, " ");
		if (*end++ != '-')
			return -EINVAL;
		end = addr_scan(end + strspn(end, " "), &range.last);
		if (!end || *end)
			return -EINVAL;
	}
	if (range.last < range.first)
		return -ERANGE;
	*ret = range;
	return 0;
}

const char *addr_format(uint32_t addr, char text[ADDR_TEXT_MAX])
{
	snprintf(text, ADDR_TEXT_MAX, "%u.%u.%u.%u", addr >> 24, addr >> 16 & 0xff, addr >> 8 & 0xff, addr & 0xff);
	return text;
}

const char *prefix_format(struct prefix prefix, char text[ADDR_TEXT_MAX])
{
	uint32_t addr = prefix.addr;

	snprintf(text, ADDR_TEXT_MAX, "%u.%u.%u.%u/%u", addr >> 24, addr >> 16 & 0xff, addr >> 8 & 0xff, addr & 0xff,
		 prefix.len);
	return text;
}

uint32_t prefix_mask(unsigned len)
{
	return len == 0 ? 0 : UINT32_MAX << (32 - len);
}

uint32_t prefix_last(struct prefix prefix)
{
	return prefix.addr | ~prefix_mask(prefix.len);
}

bool prefix_contains(struct prefix prefix, uint32_t addr)
{
	return (addr & prefix_mask(prefix.len)) == prefix.addr;
}
