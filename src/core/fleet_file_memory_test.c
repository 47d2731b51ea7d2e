/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens when memory runs out: every allocation of a reading fails once. It must say -ENOMEM, give no fleet and
 * leave nothing behind, which LeakSanitizer watches in the sanitized build. Run from the root of the repository.
 */
#include <dlfcn.h>
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

/* Allocations until one fails; negative: none does. */
static long until_failure = -1;

static bool allocation_fails(void)
{
	return until_failure >= 0 && until_failure-- == 0;
}

void *realloc(void *memory, size_t size)
{
	static void *(*real)(void *memory, size_t size);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "realloc");
	return allocation_fails() ? NULL : real(memory, size);
}

void *reallocarray(void *memory, size_t count, size_t size)
{
	size_t total;

	return __builtin_mul_overflow(count, size, &total) ? NULL : realloc(memory, total);
}

void *malloc(size_t size)
{
	static void *(*real)(size_t size);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "malloc");
	return allocation_fails() ? NULL : real(size);
}

void *calloc(size_t count, size_t size)
{
	static void *(*real)(size_t count, size_t size);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "calloc");
	return allocation_fails() ? NULL : real(count, size);
}

char *strndup(const char *text, size_t size)
{
	size_t len = strnlen(text, size);
	char *copy = malloc(len + 1);

	if (!copy)
		return NULL;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

char *strdup(const char *text)
{
	return strndup(text, strlen(text));
}

/*
 * Lets every allocation fail in turn. err: what a reading with enough memory gives. That may come out all the same when
 * it is a fault, for vasprintf() does without its last allocation, which only makes the text shorter.
 */
static void assert_memory_is_survived(const char *text, size_t size, int err)
{
	long failed = 0;

	for (;; failed++) {
		struct fleet_faults faults = {0};
		struct fleet *fleet = NULL;
		int got;
		bool done;

		until_failure = failed;
		got = fleet_file_read(text, size, &fleet, &faults);
		done = until_failure >= 0;
		until_failure = -1;
		if (done)
			assert_int_equal(got, err);
		else if (got != -ENOMEM && !(got == err && faults.count > 0))
			fail_msg("allocation %ld failed, and the result is %d", failed, got);
		assert_int_equal(fleet != NULL, got == 0);
		fleet_free(fleet);
		fleet_faults_free(&faults);
		if (done)
			break;
	}
	assert_true(failed > 100);
}

static void a_good_file_survives_it(void **state)
{
	size_t size;
	char *text = example_read("test/fleet/good/full.yaml", &size);

	(void)state;
	assert_memory_is_survived(text, size, 0);
	free(text);
}

static void a_bad_file_survives_it(void **state)
{
	size_t size;
	char *text = example_read("test/fleet/bad/select-no-address.yaml", &size);

	(void)state;
	assert_memory_is_survived(text, size, -EINVAL);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_file_survives_it),
		cmocka_unit_test(a_bad_file_survives_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
