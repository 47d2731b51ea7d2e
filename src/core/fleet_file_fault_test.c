/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What bad files become. Each file in test/fleet/bad has one fault and says in its first line which:
 * `# expect LINE:COLUMN: beginning of the sentence`. Run from the root of the repository.
 */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fleet_file_example.h"
#include "fleet_file_fault.h"

#define BAD_FILES "test/fleet/bad"
#define BAD_FILES_LEAST 150

static bool fault_is(const struct fleet_faults *faults, const char *expected)
{
	const struct fleet_fault *fault = &faults->items[0];
	char place[64];

	if (faults->count != 1)
		return false;
	snprintf(place, sizeof(place), "%zu:%zu: ", fault->line, fault->column);
	return strncmp(expected, place, strlen(place)) == 0 &&
	       strncmp(expected + strlen(place), fault->text, strlen(expected) - strlen(place)) == 0;
}

/* 0, or 1 with what is wrong printed. */
static int bad_file_check(const char *path)
{
	static const char marker[] = "# expect ";
	struct fleet_faults faults = {0};
	struct fleet *fleet = NULL;
	char expected[512] = "";
	size_t size;
	char *text = example_read(path, &size);
	int err = fleet_file_read(text, size, &fleet, &faults);
	bool right;

	snprintf(expected, sizeof(expected), "%.*s", (int)strcspn(text, "\n"), text);
	right = err == -EINVAL && !fleet && strncmp(expected, marker, strlen(marker)) == 0 &&
		strlen(expected) > strlen(marker) + 20 && fault_is(&faults, expected + strlen(marker));
	if (!right) {
		print_error("%s: wanted %s\n", path, expected);
		for (size_t i = 0; i < faults.count; i++)
			print_error("  got %zu:%zu: %s\n", faults.items[i].line, faults.items[i].column,
				    faults.items[i].text);
	}
	fleet_free(fleet);
	fleet_faults_free(&faults);
	free(text);
	return !right;
}

static void each_bad_file_gives_its_one_fault(void **state)
{
	DIR *folder = opendir(BAD_FILES);
	struct dirent *entry;
	int checked = 0;
	int wrong = 0;

	(void)state;
	assert_non_null(folder);
	while ((entry = readdir(folder))) {
		char path[512];

		if (!strstr(entry->d_name, ".yaml"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", BAD_FILES, entry->d_name);
		wrong += bad_file_check(path);
		checked++;
	}
	closedir(folder);
	assert_int_equal(wrong, 0);
	assert_true(checked >= BAD_FILES_LEAST);
}

static void assert_fault(const char *text, size_t size, const char *expected)
{
	struct fleet_faults faults = {0};
	struct fleet *fleet = NULL;

	assert_int_equal(fleet_file_read(text, size, &fleet, &faults), -EINVAL);
	assert_null(fleet);
	if (!fault_is(&faults, expected))
		fail_msg("wanted %s, got %zu faults, first %zu:%zu: %s", expected, faults.count, faults.items[0].line,
			 faults.items[0].column, faults.items[0].text);
	fleet_faults_free(&faults);
}

static void empty_files_say_how_to_begin(void **state)
{
	(void)state;
	assert_fault("", 0, "1:1: the file is empty: a fleet file begins with `version: 1`");
	assert_fault("\n\n", 2, "1:1: the file is empty");
	assert_fault("---\n", 4, "1:1: the file is empty");
	assert_fault("\xef\xbb\xbf", 3, "1:1: the file is empty");
	assert_fault("\0", 1, "1:1: control character U+0000");
	assert_fault("\xc3", 1, "1:1: byte 0xc3 is not UTF-8");
}

static void a_file_has_a_largest_size(void **state)
{
	const size_t size = 10u << 20;
	char *text = malloc(size);

	(void)state;
	assert_non_null(text);
	memset(text, '#', size);
	assert_fault(text, size, "1:1: the file has 10485760 bytes: a fleet file has at most 4194304");
	assert_fault(text, FLEET_FILE_MAX + 1, "1:1: the file has 4194305 bytes");
	assert_fault(text, FLEET_FILE_MAX, "1:1: the file is empty");
	free(text);
}

static const char head[] = "version: 1\n"
			   "fleet: f\n"
			   "pools: [{prefix: 203.0.113.0/24}]\n"
			   "addresses: [{range: 203.0.113.1}]\n";

static void assert_good(const char *text, size_t size)
{
	struct fleet_faults faults = {0};
	struct fleet *fleet = NULL;

	if (fleet_file_read(text, size, &fleet, &faults))
		fail_msg("%zu:%zu: %s", faults.items[0].line, faults.items[0].column, faults.items[0].text);
	fleet_free(fleet);
}

#define LONG_TEXT_MAX (1u << 20)
#define ONE_SITE "sites: [{name: s, servers: [{name: h, underlay: 10.0.0.1}]}]\n"

/* Adds to a text of at most LONG_TEXT_MAX bytes. */
__attribute__((format(printf, 3, 4))) static void text_add(char *text, size_t *len, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	*len += (size_t)vsnprintf(text + *len, LONG_TEXT_MAX - *len, format, args);
	va_end(args);
	assert_true(*len < LONG_TEXT_MAX);
}

static size_t text_of_sites(char *text, unsigned count)
{
	size_t len = 0;

	text_add(text, &len, "%ssites:\n", head);
	for (unsigned i = 0; i < count; i++)
		text_add(text, &len,
			 "- {name: s%u, tunnel: 10.1.%u.%u, servers: [{name: h%u, underlay: 10.2.%u.%u}]}\n", i,
			 i / 256, i % 256, i, i / 256, i % 256);
	return len;
}

static size_t text_of_policies(char *text, unsigned count)
{
	size_t len = 0;

	text_add(text, &len, "%s" ONE_SITE "policies:\n", head);
	for (unsigned i = 0; i < count; i++)
		text_add(text, &len, "- {name: p%u, cgroup: /c%u, select: '*'}\n", i, i);
	return len;
}

/* A policy with a list of `count` times the same item. */
static size_t text_of_list(char *text, const char *key, const char *item, unsigned count)
{
	size_t len = 0;

	text_add(text, &len, "%s" ONE_SITE "policies:\n- {name: p, cgroup: /, select: '*', %s: [", head, key);
	for (unsigned i = 0; i < count; i++)
		text_add(text, &len, "%s,", item);
	text_add(text, &len, "]}\n");
	return len;
}

/* What just fits the tables, and what has one too many. */
static void tables_have_limits(void **state)
{
	char *text = malloc(LONG_TEXT_MAX);

	(void)state;
	assert_non_null(text);
	assert_good(text, text_of_sites(text, 4095));
	assert_fault(text, text_of_sites(text, 4096), "4101:3: a fleet has at most 4095 sites, this file has 4096");
	assert_good(text, text_of_policies(text, 1023));
	assert_fault(text, text_of_policies(text, 1024),
		     "1030:3: a fleet has at most 1023 policies, this file has 1024");
	assert_good(text, text_of_list(text, "except", "10.0.0.0/16", 8192));
	assert_fault(text, text_of_list(text, "except", "10.0.0.0/16", 8193),
		     "7:45: the policies up to this one except 8193 prefixes, all together may except 8192");
	assert_good(text, text_of_list(text, "serve", "5353", 4096));
	assert_fault(text, text_of_list(text, "serve", "5353", 4097),
		     "7:44: the policies up to this one serve on 4097 ports, all together may on 4096");
	free(text);
}

/* 10.0.0.0/16 in pieces is 256 /24s of 8,192 slices, all that a forwarder has room for; two share the last one. */
static void a_shared_24_counts_once(void **state)
{
	static const char text[] = "version: 1\n"
				   "fleet: f\n"
				   "pools:\n"
				   "- prefix: 10.0.0.0/17\n"
				   "- prefix: 10.0.128.0/18\n"
				   "- prefix: 10.0.192.0/19\n"
				   "- prefix: 10.0.224.0/20\n"
				   "- prefix: 10.0.240.0/21\n"
				   "- prefix: 10.0.248.0/22\n"
				   "- prefix: 10.0.252.0/23\n"
				   "- prefix: 10.0.254.0/24\n"
				   "- prefix: 10.0.255.0/25\n"
				   "- prefix: 10.0.255.128/25\n"
				   "addresses: [{range: 10.0.255.127}]\n"
				   "sites: [{name: s, servers: [{name: h, underlay: 10.1.0.1}]}]\n";

	(void)state;
	assert_good(text, strlen(text));
}

/* The second range ends within the first; the third still overlaps it. */
static void every_overlap_is_found(void **state)
{
	static const char text[] = "version: 1\n"
				   "fleet: f\n"
				   "pools: [{prefix: 203.0.113.0/24}]\n"
				   "addresses:\n"
				   "- range: 203.0.113.0 - 203.0.113.20\n"
				   "- range: 203.0.113.5 - 203.0.113.6\n"
				   "- range: 203.0.113.20 - 203.0.113.30\n"
				   "- range: 203.0.113.31\n" ONE_SITE;
	struct fleet_faults faults = {0};
	struct fleet *fleet = NULL;

	(void)state;
	assert_int_equal(fleet_file_read(text, strlen(text), &fleet, &faults), -EINVAL);
	assert_int_equal(faults.count, 2);
	assert_int_equal(faults.items[0].line, 6);
	assert_int_equal(faults.items[1].line, 7);
	assert_non_null(strstr(faults.items[1].text, "overlaps 203.0.113.0 - 203.0.113.20 in line 5"));
	fleet_faults_free(&faults);
}

/* That the file lacks `fleet` is known last, and stands first. */
static void faults_are_in_the_order_of_the_file(void **state)
{
	static const char text[] = "version: 1\nbogus: 1\n";
	struct fleet_faults faults = {0};
	struct fleet *fleet = NULL;

	(void)state;
	assert_int_equal(fleet_file_read(text, strlen(text), &fleet, &faults), -EINVAL);
	assert_int_equal(faults.count, 5);
	assert_int_equal(faults.items[0].line, 1);
	assert_int_equal(faults.items[4].line, 2);
	fleet_faults_free(&faults);
}

/* More faults than are kept: the first ones in the order of the file, and no crash. */
static void many_faults_are_cut_and_sorted(void **state)
{
	struct fleet_faults faults = {0};
	struct fleet *fleet = NULL;
	char text[4096];
	size_t len = (size_t)snprintf(text, sizeof(text), "max_hops: 0\nversion: 1\nbogus: 1\n");

	(void)state;
	for (int i = 0; i < 40; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "k%d: 1\n", i);
	assert_int_equal(fleet_file_read(text, len, &fleet, &faults), -EINVAL);
	assert_int_equal(faults.count, FLEET_FAULTS_MAX);
	for (size_t i = 1; i < faults.count; i++)
		assert_true(faults.items[i - 1].line < faults.items[i].line);
	assert_int_equal(faults.items[0].line, 1);
	fleet_faults_free(&faults);
	assert_int_equal(faults.count, 0);
}

static void long_values_are_cut_at_a_character(void **state)
{
	struct shown shown;
	char text[256] = "";

	(void)state;
	assert_string_equal(shown_quote("short", &shown), "\"short\"");
	for (int i = 0; i < 60; i++)
		strncat(text, i ? "\xc3\xa9" : "a", sizeof(text) - strlen(text) - 1);
	shown_quote(text, &shown);
	assert_string_equal(shown.text + strlen(shown.text) - 4, "...\"");
	assert_int_equal(text_characters(shown.text, strlen(shown.text)), 1 + 33 + 4);
	assert_int_equal((unsigned char)shown.text[strlen(shown.text) - 5], 0xa9);
}

static void similar_words_are_told(void **state)
{
	(void)state;
	assert_true(words_similar("slice_port", "slice_ports"));
	assert_true(words_similar("polices", "policies"));
	assert_true(words_similar("tunel", "tunnel"));
	assert_true(words_similar("seelct", "select"));
	assert_true(words_similar("nmae", "name"));
	assert_true(words_similar("adress", "address"));
	assert_false(words_similar("color", "cgroup"));
	assert_false(words_similar("id", "name"));
	assert_false(words_similar("", "evict"));
	assert_false(words_similar("a-word-that-is-longer-than-any-key", "a-word-that-is-longer-than-any-key"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_bad_file_gives_its_one_fault),
		cmocka_unit_test(empty_files_say_how_to_begin),
		cmocka_unit_test(a_file_has_a_largest_size),
		cmocka_unit_test(tables_have_limits),
		cmocka_unit_test(a_shared_24_counts_once),
		cmocka_unit_test(every_overlap_is_found),
		cmocka_unit_test(faults_are_in_the_order_of_the_file),
		cmocka_unit_test(many_faults_are_cut_and_sorted),
		cmocka_unit_test(long_values_are_cut_at_a_character),
		cmocka_unit_test(similar_words_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
