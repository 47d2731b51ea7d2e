/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "selector.h"

static struct selector parsed(const char *text)
{
	struct selector selector;

	assert_int_equal(selector_parse(text, &selector, NULL, NULL), 0);
	return selector;
}

static struct tags tags_of(const char *key, const char *value, const char *other_key, const char *other_value)
{
	struct tags tags = {0};

	assert_int_equal(tags_add(&tags, key, value), 0);
	assert_int_equal(tags_add(&tags, other_key, other_value), 0);
	return tags;
}

static void text_becomes_canonical(void **state)
{
	static const char *const cases[][2] = {
		{"*", "*"},
		{"  * ", "*"},
		{"country=DE", "country=DE"},
		{"product=crawler,country=DE", "country=DE,product=crawler"},
		{" country = DE , city = Frankfurt am Main ", "city=Frankfurt am Main,country=DE"},
		{"product=*", "product=*"},
		{"country=$site.country", "country=$site.country"},
		{"b=$site.a,a=*", "a=*,b=$site.a"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct selector selector = parsed(cases[i][0]);
		char *text = selector_format(&selector);

		assert_string_equal(text, cases[i][1]);
		free(text);
		selector_free(&selector);
	}
}

static void faults_have_a_place(void **state)
{
	static const struct {
		const char *text;
		size_t at;
		const char *why;
	} cases[] = {
		{"", 0, "empty"},
		{"   ", 0, "empty"},
		{"country", 0, "needs a value"},
		{"country=", 8, "value is missing"},
		{"=DE", 0, "a key is"},
		{"country=DE,,a=b", 11, "term is missing"},
		{"country=DE,", 11, "term is missing"},
		{"a=b, *", 5, "'*'"},
		{"a=b,2=c", 4, "a key is"},
		{"a=b;c", 2, "a value has"},
		{"a=b=c", 2, "a value has"},
		{"a=$b", 2, "$site.KEY"},
		{"a=$site", 2, "$site.KEY"},
		{"a=$site.", 8, "key of the site"},
		{"a=$site.2", 8, "key of the site"},
		{"a=$site.*", 8, "key of the site"},
		{"b=x,a=y,b=z", 8, "second time"},
		{"a=b,c=\xc3\xa9", 6, "a value has"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct selector selector = {.count = 7};
		const char *why = NULL;
		size_t at = 99;

		assert_int_equal(selector_parse(cases[i].text, &selector, &at, &why), -EINVAL);
		assert_int_equal(selector.count, 7);
		assert_int_equal(at, cases[i].at);
		assert_non_null(strstr(why, cases[i].why));
	}
}

static void terms_have_a_limit(void **state)
{
	char text[TAGS_MAX * 8 + 16] = "";
	struct selector selector;
	const char *why;
	size_t at;

	(void)state;
	for (int i = 0; i < TAGS_MAX; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%sk%d=v", i ? "," : "", i);
	selector = parsed(text);
	assert_int_equal(selector.count, TAGS_MAX);
	selector_free(&selector);
	snprintf(text + strlen(text), sizeof(text) - strlen(text), ",one=more");
	assert_int_equal(selector_parse(text, &selector, &at, &why), -EINVAL);
	assert_string_equal(text + at, "one=more");
}

static void matching_wants_every_term(void **state)
{
	struct tags tags = tags_of("country", "DE", "product", "crawler");
	static const struct {
		const char *text;
		bool matches;
	} cases[] = {
		{"*", true},
		{"country=DE", true},
		{"country=D", false},
		{"country=de", false},
		{"country=DE,product=crawler", true},
		{"country=DE,product=dns", false},
		{"product=*", true},
		{"city=*", false},
		{"country=$site.country", false},
		{"country=$site.DE", false},
		{"city=Frankfurt", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct selector selector = parsed(cases[i].text);

		assert_int_equal(selector_matches(&selector, &tags), cases[i].matches);
		selector_free(&selector);
	}
	tags_free(&tags);
}

static void the_site_fills_in_its_place(void **state)
{
	struct selector selector = parsed("country=$site.land,city=$site.city,product=*");
	struct tags place = tags_of("land", "DE", "city", "Frankfurt");
	struct tags elsewhere = tags_of("land", "NL", "region", "EU");
	struct selector resolved = {0};
	const char *missing = NULL;
	char *text;

	(void)state;
	assert_int_equal(selector_resolve(&selector, &place, &resolved, &missing), 0);
	text = selector_format(&resolved);
	assert_string_equal(text, "city=Frankfurt,country=DE,product=*");
	free(text);
	selector_free(&resolved);
	assert_int_equal(selector_resolve(&selector, &elsewhere, &resolved, &missing), -ENOENT);
	assert_string_equal(missing, "city");
	assert_int_equal(resolved.count, 0);
	tags_free(&place);
	tags_free(&elsewhere);
	selector_free(&selector);
}

/* The next number of a fixed sequence. */
static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 16;
}

static void some_selector(uint32_t *seed, char *text, size_t size)
{
	static const char *const keys[] = {"a", "b", "b.c", "country"};
	static const char *const values[] = {"*", "x", "x y", "$site.a", "$site.b", "a"};
	uint32_t first = next(seed) % 4;
	uint32_t count = next(seed) % 5;

	snprintf(text, size, "%s", count ? "" : "*");
	for (uint32_t i = 0; i < count; i++)
		snprintf(text + strlen(text), size - strlen(text), "%s%s=%s", i ? "," : "", keys[(first + i) % 4],
			 values[next(seed) % 6]);
}

/* Written and read again a selector is the same; two that compare equal are written the same, and no others. */
static void format_and_parse_are_inverse(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char text[128];
		struct selector a, b, again;
		char *a_text, *b_text;

		some_selector(&seed, text, sizeof(text));
		a = parsed(text);
		some_selector(&seed, text, sizeof(text));
		b = parsed(text);
		a_text = selector_format(&a);
		b_text = selector_format(&b);
		again = parsed(a_text);
		assert_int_equal(selector_compare(&a, &again), 0);
		assert_int_equal(selector_compare(&a, &b) == 0, strcmp(a_text, b_text) == 0);
		assert_int_equal(selector_compare(&a, &b) < 0, selector_compare(&b, &a) > 0);
		free(a_text);
		free(b_text);
		selector_free(&a);
		selector_free(&b);
		selector_free(&again);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_becomes_canonical),      cmocka_unit_test(faults_have_a_place),
		cmocka_unit_test(terms_have_a_limit),          cmocka_unit_test(matching_wants_every_term),
		cmocka_unit_test(the_site_fills_in_its_place), cmocka_unit_test(format_and_parse_are_inverse),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
