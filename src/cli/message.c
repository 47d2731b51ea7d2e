/* SPDX-License-Identifier: Apache-2.0 */
#include "message.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void message(const char *format, ...)
{
	va_list args;

	fflush(stdout); /* in the order that it was said in, when both go to one terminal */
	fputs("berth: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void message_error(int err, char *why)
{
	message("%s", why ? why : strerror(-err));
	free(why);
}
