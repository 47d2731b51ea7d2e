/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "selector.h"

#define FROM_SITE "$site."

_Static_assert(TAGS_MAX == 64 && TAG_KEY_MAX == 63 && TAG_VALUE_MAX == 127, "sentences below say these limits");

/* A run of the text that is being parsed. */
struct span {
	const char *text;
	size_t len;
};

struct parser {
	const char *text;
	struct selector selector;
	size_t at;
	const char *why;
};

static int parser_fault(struct parser *parser, const char *at, const char *why)
{
	parser->at = (size_t)(at - parser->text);
	parser->why = why;
	return -EINVAL;
}

static struct span span_trim(const char *text, size_t len)
{
	while (len > 0 && *text == ' ') {
		text++;
		len--;
	}
	while (len > 0 && text[len - 1] == ' ')
		len--;
	return (struct span){text, len};
}

static bool span_is(struct span span, const char *text)
{
	return span.len == strlen(text) && memcmp(span.text, text, span.len) == 0;
}

static bool span_begins(struct span span, const char *text)
{
	return span.len >= strlen(text) && memcmp(span.text, text, strlen(text)) == 0;
}

/* Puts the term where it belongs and takes its strings over; they are freed on failure. */
static int selector_insert(struct selector *selector, struct selector_term term)
{
	size_t at = 0;
	int order = 1;
	int err = -ENOMEM;
	struct selector_term *terms;

	while (at < selector->count && (order = strcmp(selector->terms[at].key, term.key)) < 0)
		at++;
	if (order == 0) {
		err = -EEXIST;
		goto fail;
	}
	terms = reallocarray(selector->terms, selector->count + 1, sizeof(*terms));
	if (!terms)
		goto fail;
	memmove(terms + at + 1, terms + at, (selector->count - at) * sizeof(*terms));
	terms[at] = term;
	selector->terms = terms;
	selector->count++;
	return 0;
fail:
	free(term.key);
	free(term.value);
	return err;
}

/* Reads what stands right of '='; *ret is NULL for '*'. */
static int parse_value(struct parser *parser, struct span value, char **ret, bool *from_site)
{
	char *copy;

	if (value.len == 0)
		return parser_fault(parser, value.text,
				    "a value is missing here: write key=value, or key=* for any value");
	if (span_is(value, "*")) {
		*ret = NULL;
		return 0;
	}
	if (value.text[0] == '$') {
		if (!span_begins(value, FROM_SITE))
			return parser_fault(parser, value.text,
					    "the only variable is $site.KEY, a key of the site's place");
		*from_site = true;
		value.text += strlen(FROM_SITE);
		value.len -= strlen(FROM_SITE);
	}
	copy = strndup(value.text, value.len);
	if (!copy)
		return -ENOMEM;
	if (*from_site ? tag_key_valid(copy) : tag_value_valid(copy)) {
		*ret = copy;
		return 0;
	}
	free(copy);
	if (*from_site)
		return parser_fault(parser, value.text, "$site. must be followed by a key of the site's place");
	return parser_fault(parser, value.text,
			    "a value has letters, digits, '_', '-', '.' and spaces, 127 characters at most");
}

static int parse_term(struct parser *parser, struct span term)
{
	const char *equals = memchr(term.text, '=', term.len);
	struct selector_term made = {0};
	struct span key;
	int err;

	if (term.len == 0)
		return parser_fault(parser, term.text, "a term is missing here: write key=value");
	if (!equals)
		return parser_fault(parser, term.text,
				    span_is(term, "*") ? "'*' stands alone or as a value: write key=*"
						       : "a term needs a value: write key=value, or key=* for any");
	if (parser->selector.count == TAGS_MAX)
		return parser_fault(parser, term.text, "a selector has 64 terms at most");
	key = span_trim(term.text, (size_t)(equals - term.text));
	made.key = strndup(key.text, key.len);
	if (!made.key)
		return -ENOMEM;
	if (!tag_key_valid(made.key))
		err = parser_fault(parser, key.text,
				   "a key is a letter, then letters, digits, '_', '-' and '.', 63 characters at most");
	else
		err = parse_value(parser, span_trim(equals + 1, (size_t)(term.text + term.len - equals - 1)),
				  &made.value, &made.from_site);
	if (err) {
		free(made.key);
		return err;
	}
	err = selector_insert(&parser->selector, made);
	if (err == -EEXIST)
		return parser_fault(parser, key.text,
				    "the key stands here for the second time: give each key one value");
	return err;
}

static int parse_terms(struct parser *parser)
{
	const char *at = parser->text;
	struct span all = span_trim(at, strlen(at));

	if (all.len == 0)
		return parser_fault(parser, at, "the selector is empty: write * for every address");
	if (span_is(all, "*"))
		return 0;
	for (;;) {
		size_t len = strcspn(at, ",");
		int err = parse_term(parser, span_trim(at, len));

		if (err || at[len] == '\0')
			return err;
		at += len + 1;
	}
}

int selector_parse(const char *text, struct selector *ret, size_t *at, const char **why)
{
	struct parser parser = {.text = text};
	int err = parse_terms(&parser);

	if (!err) {
		*ret = parser.selector;
		return 0;
	}
	selector_free(&parser.selector);
	if (err == -EINVAL && at)
		*at = parser.at;
	if (err == -EINVAL && why)
		*why = parser.why;
	return err;
}

/* Copies the term with its value read from `place` where it says so. */
static int term_resolve(const struct selector_term *term, const struct tags *place, struct selector_term *ret,
			const char **missing)
{
	const char *value = term->from_site ? tags_get(place, term->value) : term->value;
	struct selector_term copy = {0};

	if (term->from_site && !value) {
		if (missing)
			*missing = term->value;
		return -ENOENT;
	}
	copy.key = strdup(term->key);
	copy.value = value ? strdup(value) : NULL;
	if (!copy.key || (value && !copy.value)) {
		free(copy.key);
		free(copy.value);
		return -ENOMEM;
	}
	*ret = copy;
	return 0;
}

int selector_resolve(const struct selector *selector, const struct tags *place, struct selector *ret,
		     const char **missing)
{
	struct selector made = {0};
	int err = 0;

	if (selector->count > 0) {
		made.terms = calloc(selector->count, sizeof(*made.terms));
		if (!made.terms)
			return -ENOMEM;
	}
	for (size_t i = 0; i < selector->count; i++) {
		err = term_resolve(&selector->terms[i], place, &made.terms[i], missing);
		if (err) {
			selector_free(&made);
			return err;
		}
		made.count++;
	}
	*ret = made;
	return 0;
}

bool selector_matches(const struct selector *selector, const struct tags *tags)
{
	for (size_t i = 0; i < selector->count; i++) {
		const struct selector_term *term = &selector->terms[i];
		const char *value = tags_get(tags, term->key);

		if (!value || term->from_site || (term->value && strcmp(value, term->value) != 0))
			return false;
	}
	return true;
}

static int term_compare(const struct selector_term *a, const struct selector_term *b)
{
	int order = strcmp(a->key, b->key);

	if (order == 0)
		order = (a->from_site > b->from_site) - (a->from_site < b->from_site);
	if (order == 0)
		order = strcmp(a->value ? a->value : "", b->value ? b->value : "");
	return order;
}

int selector_compare(const struct selector *a, const struct selector *b)
{
	for (size_t i = 0; i < a->count && i < b->count; i++) {
		int order = term_compare(&a->terms[i], &b->terms[i]);

		if (order != 0)
			return order;
	}
	return (a->count > b->count) - (a->count < b->count);
}

static size_t term_length(const struct selector_term *term)
{
	size_t value = term->value ? strlen(term->value) : strlen("*");

	return strlen(term->key) + strlen("=") + (term->from_site ? strlen(FROM_SITE) : 0) + value;
}

char *selector_format(const struct selector *selector)
{
	size_t size = sizeof("*");
	char *text;
	char *at;

	if (selector->count == 0)
		return strdup("*");
	for (size_t i = 0; i < selector->count; i++)
		size += strlen(",") + term_length(&selector->terms[i]);
	text = malloc(size);
	if (!text)
		return NULL;
	at = text;
	for (size_t i = 0; i < selector->count; i++) {
		const struct selector_term *term = &selector->terms[i];

		at = stpcpy(at, i > 0 ? "," : "");
		at = stpcpy(at, term->key);
		at = stpcpy(at, term->from_site ? "=" FROM_SITE : "=");
		at = stpcpy(at, term->value ? term->value : "*");
	}
	return text;
}

void selector_free(struct selector *selector)
{
	for (size_t i = 0; i < selector->count; i++) {
		free(selector->terms[i].key);
		free(selector->terms[i].value);
	}
	free(selector->terms);
	*selector = (struct selector){0};
}
