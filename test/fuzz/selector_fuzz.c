/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a selector: a fault inside the text, or a selector that is written and read again as the same. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/core/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check_round_trip(const struct selector *selector)
{
	char *text = selector_format(selector);
	struct selector again;

	require(selector_parse(text, &again, NULL, NULL) == 0);
	require(selector_compare(selector, &again) == 0);
	selector_free(&again);
	free(text);
}

/* A place that has every key the selector takes from it, and tags that are all it asks for: they match. */
static void check_match(const struct selector *selector)
{
	struct tags place = {0};
	struct tags tags = {0};
	struct selector resolved;

	for (size_t i = 0; i < selector->count; i++)
		if (selector->terms[i].from_site)
			tags_add(&place, selector->terms[i].value, "somewhere");
	require(selector_resolve(selector, &place, &resolved, NULL) == 0);
	for (size_t i = 0; i < resolved.count; i++) {
		const struct selector_term *term = &resolved.terms[i];

		require(!selector_matches(&resolved, &tags));
		require(tags_add(&tags, term->key, term->value ? term->value : "anything") == 0);
	}
	require(selector_matches(&resolved, &tags));
	check_round_trip(&resolved);
	selector_free(&resolved);
	tags_free(&place);
	tags_free(&tags);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct selector selector;
	const char *why = NULL;
	size_t at = SIZE_MAX;
	int err;

	if (!text)
		return 0;
	err = selector_parse(text, &selector, &at, &why);
	if (err) {
		require(err == -EINVAL && why && at <= strlen(text));
	} else {
		check_round_trip(&selector);
		check_match(&selector);
		selector_free(&selector);
	}
	free(text);
	return 0;
}
