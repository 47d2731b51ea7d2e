/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selectors: which addresses a policy asks for. `country=DE,product=crawler` wants every term to match; `product=*`
 * wants the tag to be there with any value; `*` alone matches every address; `country=$site.country` takes the value
 * from the place of the site that asks.
 */
#ifndef BERTH_CORE_SELECTOR_H
#define BERTH_CORE_SELECTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "tags.h"

struct selector_term {
	char *key;
	char *value; /* NULL: any value; with from_site the key in the site's place */
	bool from_site;
};

struct selector {
	struct selector_term *terms; /* sorted by key, no key twice; none: matches everything */
	size_t count;
};

/*
 * 0, or -EINVAL with *at the offset in `text` of what is wrong and *why a static sentence that says what would be
 * right; -ENOMEM. Both pointers may be NULL.
 */
int selector_parse(const char *text, struct selector *ret, size_t *at, const char **why);
/* Replaces $site.KEY by the place's value. -ENOENT: the place has no such key (*missing, owned by `selector`). */
int selector_resolve(const struct selector *selector, const struct tags *place, struct selector *ret,
		     const char **missing);
/* A term that is still from_site matches nothing. */
bool selector_matches(const struct selector *selector, const struct tags *tags);
int selector_compare(const struct selector *a, const struct selector *b);
/* Canonical text: terms sorted by key. The caller frees. */
char *selector_format(const struct selector *selector);
void selector_free(struct selector *selector);

#endif
