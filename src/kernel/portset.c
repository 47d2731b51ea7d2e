/* SPDX-License-Identifier: Apache-2.0 */
#include "portset.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS (BERTH_PORT_SPACE / 64)

void port_set_add(struct port_set *set, uint32_t first, uint32_t count)
{
	for (uint32_t port = first; port < BERTH_PORT_SPACE && port - first < count; port++)
		set->words[port / 64] |= 1ull << port % 64;
}

bool port_set_has(const struct port_set *set, uint32_t port)
{
	return port < BERTH_PORT_SPACE && set->words[port / 64] >> port % 64 & 1;
}

uint32_t port_set_count(const struct port_set *set, uint32_t first, uint32_t count)
{
	uint32_t found = 0;

	for (uint32_t port = first; port < BERTH_PORT_SPACE && port - first < count; port++)
		found += port_set_has(set, port);
	return found;
}

void port_set_join(struct port_set *set, const struct port_set *other)
{
	for (unsigned i = 0; i < WORDS; i++)
		set->words[i] |= other->words[i];
}

void port_set_subtract(struct port_set *set, const struct port_set *other)
{
	for (unsigned i = 0; i < WORDS; i++)
		set->words[i] &= ~other->words[i];
}

bool port_set_equal(const struct port_set *a, const struct port_set *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* A decimal port at *at, which moves behind it. */
static bool port_parse(const char **at, uint32_t *ret)
{
	uint32_t port = 0;

	if (!isdigit((unsigned char)**at))
		return false;
	for (; isdigit((unsigned char)**at); ++*at) {
		port = port * 10 + (uint32_t)(**at - '0');
		if (port >= BERTH_PORT_SPACE)
			return false;
	}
	*ret = port;
	return true;
}

int port_set_parse(const char *text, struct port_set *ret)
{
	struct port_set set = {0};
	uint32_t first, last;

	while (*text && *text != '\n') {
		if (!port_parse(&text, &first))
			return -EINVAL;
		last = first;
		if (*text == '-' && (text++, !port_parse(&text, &last)))
			return -EINVAL;
		if (last < first || (*text && *text != ',' && *text != '\n'))
			return -EINVAL;
		if (*text == ',' && !isdigit((unsigned char)*++text))
			return -EINVAL;
		port_set_add(&set, first, last - first + 1);
	}
	*ret = set;
	return 0;
}

char *port_set_format(const struct port_set *set)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	for (uint32_t port = 0; port < BERTH_PORT_SPACE; port++) {
		uint32_t first = port;

		if (!port_set_has(set, port))
			continue;
		while (port_set_has(set, port + 1))
			port++;
		if (first == port)
			fprintf(out, "%s%u", ftell(out) ? "," : "", port);
		else
			fprintf(out, "%s%u-%u", ftell(out) ? "," : "", first, port);
	}
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
