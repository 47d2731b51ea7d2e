/* SPDX-License-Identifier: Apache-2.0 */
/* For tests: example files, read from the root of the repository. */
#ifndef BERTH_CORE_FLEET_FILE_EXAMPLE_H
#define BERTH_CORE_FLEET_FILE_EXAMPLE_H

#include <stdio.h>
#include <stdlib.h>

#define EXAMPLE_MAX 16384

/* The file's text and a 0 behind it, in EXAMPLE_MAX bytes; the test ends when it cannot be read. The caller frees. */
static inline char *example_read(const char *path, size_t *size)
{
	char *text = malloc(EXAMPLE_MAX);
	FILE *file = fopen(path, "r");

	if (!text || !file) {
		perror(path);
		abort();
	}
	*size = fread(text, 1, EXAMPLE_MAX - 1, file);
	text[*size] = '\0';
	if (!feof(file)) {
		fprintf(stderr, "%s is longer than an example\n", path);
		abort();
	}
	fclose(file);
	return text;
}

#endif
