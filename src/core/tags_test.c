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

#include "tags.h"

static void tags_stay_sorted_and_unique(void **state)
{
	struct tags tags = {0};
	char *text;

	(void)state;
	assert_int_equal(tags_add(&tags, "product", "crawler"), 0);
	assert_int_equal(tags_add(&tags, "city", "Frankfurt am Main"), 0);
	assert_int_equal(tags_add(&tags, "country", "DE"), 0);
	assert_int_equal(tags_add(&tags, "country", "NL"), -EEXIST);
	text = tags_format(&tags);
	assert_string_equal(text, "city=Frankfurt am Main,country=DE,product=crawler");
	assert_string_equal(tags_get(&tags, "country"), "DE");
	assert_null(tags_get(&tags, "countr"));
	assert_null(tags_get(&tags, "zone"));
	free(text);
	tags_free(&tags);
	assert_int_equal(tags.count, 0);
	text = tags_format(&tags);
	assert_string_equal(text, "");
	free(text);
}

static void keys_and_values_have_their_form(void **state)
{
	static const char *const bad_keys[] = {"", "2nd", "a b", "a=b", "a,b", "-a", "$a", "a*", "\xc3\xa9"};
	static const char *const bad_values[] = {"", " ", " a", "a ", "*", "$site.a", "a=b", "a,b", "a\tb", "\xc3\xa9"};
	struct tags tags = {0};
	char text[TAG_VALUE_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(bad_keys) / sizeof(bad_keys[0]); i++)
		assert_int_equal(tags_add(&tags, bad_keys[i], "x"), -EINVAL);
	for (size_t i = 0; i < sizeof(bad_values) / sizeof(bad_values[0]); i++)
		assert_int_equal(tags_add(&tags, "x", bad_values[i]), -EINVAL);
	memset(text, 'a', sizeof(text));
	text[TAG_VALUE_MAX + 1] = '\0';
	assert_false(tag_value_valid(text));
	text[TAG_VALUE_MAX] = '\0';
	assert_true(tag_value_valid(text));
	text[TAG_KEY_MAX + 1] = '\0';
	assert_false(tag_key_valid(text));
	text[TAG_KEY_MAX] = '\0';
	assert_true(tag_key_valid(text));
	assert_true(tag_key_valid("A1_-."));
	assert_true(tag_value_valid("1"));
	assert_true(tag_value_valid("-_. 9"));
	assert_int_equal(tags.count, 0);
}

static void a_set_has_a_limit(void **state)
{
	struct tags tags = {0};
	char key[16];

	(void)state;
	for (int i = 0; i < TAGS_MAX; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(tags_add(&tags, key, "v"), 0);
	}
	assert_int_equal(tags_add(&tags, "one-more", "v"), -ENOSPC);
	assert_int_equal(tags.count, TAGS_MAX);
	tags_free(&tags);
}

/* The next number of a fixed sequence. */
static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 16;
}

static struct tags some_tags(uint32_t *seed)
{
	static const char *const keys[] = {"a", "ab", "b", "c"};
	static const char *const values[] = {"x", "xy", "y"};
	struct tags tags = {0};

	for (uint32_t n = next(seed) % 4; n > 0; n--)
		tags_add(&tags, keys[next(seed) % 4], values[next(seed) % 3]);
	return tags;
}

static int sign(int number)
{
	return (number > 0) - (number < 0);
}

/* The order is one: antisymmetric, transitive, and 0 for what reads the same, and only for that. */
static void tags_have_an_order(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct tags a = some_tags(&seed);
		struct tags b = some_tags(&seed);
		struct tags c = some_tags(&seed);
		char *a_text = tags_format(&a);
		char *b_text = tags_format(&b);

		assert_int_equal(sign(tags_compare(&a, &b)), -sign(tags_compare(&b, &a)));
		assert_int_equal(tags_compare(&a, &b) == 0, strcmp(a_text, b_text) == 0);
		if (tags_compare(&a, &b) <= 0 && tags_compare(&b, &c) <= 0)
			assert_true(tags_compare(&a, &c) <= 0);
		free(a_text);
		free(b_text);
		tags_free(&a);
		tags_free(&b);
		tags_free(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tags_stay_sorted_and_unique),
		cmocka_unit_test(keys_and_values_have_their_form),
		cmocka_unit_test(a_set_has_a_limit),
		cmocka_unit_test(tags_have_an_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
