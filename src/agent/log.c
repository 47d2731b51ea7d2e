/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* Text from store, files and sockets may hold anything: a log line stays one line. */
static void replace_controls(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

void log_line(enum log_level level, const char *format, ...)
{
	static const char *const words[] = {
		[LOG_ERROR] = "error: ", [LOG_WARNING] = "warning: ", [LOG_NOTICE] = "", [LOG_INFO] = ""};
	bool journal = getenv("JOURNAL_STREAM") != NULL;
	char text[2048];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	replace_controls(text);
	if (journal)
		fprintf(stderr, "<%d>%s%s\n", level, words[level], text);
	else
		fprintf(stderr, "berthd: %s%s\n", words[level], text);
}
