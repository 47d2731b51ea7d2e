/* SPDX-License-Identifier: Apache-2.0 */
/* A good file with random changes, the same ones in every run. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fleet_file.h"
#include "fleet_file_example.h"

struct input {
	char text[EXAMPLE_MAX];
	size_t size;
};

/* The next number of a fixed sequence. */
static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* One change: a byte, a run of bytes taken out or doubled, a word of YAML put in. */
static void input_mutate(struct input *input, uint32_t *seed)
{
	static const char *const words[] = {"\n", " ",  "  ",   ": ",           "- ", "[",    "]",     "{",   "}",
					    "#",  "\"", "'",    "&a ",          "*a", "!!x ", "---\n", "|\n", "0",
					    "-1", "~",  "\xff", "\xe2\x80\xa8", ","};
	const char *word = words[next(seed) % (sizeof(words) / sizeof(words[0]))];
	size_t at = next(seed) % (input->size + 1);
	size_t run = next(seed) % 40;

	if (run > input->size - at)
		run = input->size - at;
	switch (next(seed) % 4) {
	case 0:
		if (at < input->size)
			input->text[at] = (char)next(seed);
		return;
	case 1:
		memmove(input->text + at, input->text + at + run, input->size - at - run);
		input->size -= run;
		return;
	case 2:
		word = input->text + at;
		break;
	default:
		run = strlen(word);
	}
	if (input->size + run > EXAMPLE_MAX)
		return;
	memmove(input->text + at + run, input->text + at, input->size - at);
	if (word != input->text + at)
		memcpy(input->text + at, word, run);
	input->size += run;
}

/* Whatever comes in, there is a fleet or a fault within the text, never both and never neither. */
static bool read_holds(const struct input *input)
{
	struct fleet_faults faults = {0};
	struct fleet *fleet = NULL;
	int err = fleet_file_read(input->text, input->size, &fleet, &faults);
	size_t lines = 2;

	for (size_t i = 0; i < input->size; i++)
		lines += input->text[i] == '\n' || input->text[i] == '\r';
	assert_true(err == 0 || err == -EINVAL);
	assert_int_equal(err == 0, faults.count == 0);
	assert_int_equal(err == 0, fleet != NULL);
	for (size_t i = 0; i < faults.count; i++) {
		assert_in_range(faults.items[i].line, 1, lines);
		assert_in_range(faults.items[i].column, 1, input->size + 2);
		assert_null(strchr(faults.items[i].text, '\n'));
	}
	fleet_free(fleet);
	fleet_faults_free(&faults);
	return err == 0;
}

static void mutated_files_give_a_fault_or_a_fleet(void **state)
{
	struct input original;
	char *text = example_read("test/fleet/good/full.yaml", &original.size);
	uint32_t seed = 1;
	int fleets = 0;
	int faults = 0;

	(void)state;
	memcpy(original.text, text, original.size);
	free(text);
	for (int i = 0; i < 10000; i++) {
		struct input input = original;

		for (uint32_t n = 1 + next(&seed) % 4; n > 0; n--)
			input_mutate(&input, &seed);
		if (read_holds(&input))
			fleets++;
		else
			faults++;
	}
	/* Both ways were taken. */
	assert_true(fleets > 100);
	assert_true(faults > 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mutated_files_give_a_fault_or_a_fleet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
