/* SPDX-License-Identifier: Apache-2.0 */
#include "why.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int why_say(char **why, int err, const char *format, ...)
{
	va_list args;

	if (!why)
		return err;
	va_start(args, format);
	if (vasprintf(why, format, args) < 0)
		*why = NULL;
	va_end(args);
	return err;
}

void why_add(char **why, const char *format, ...)
{
	char *more, *both;
	va_list args;
	int len;

	if (!why)
		return;
	va_start(args, format);
	len = vasprintf(&more, format, args);
	va_end(args);
	if (len < 0)
		return;
	if (!*why) {
		*why = more;
		return;
	}
	if (asprintf(&both, "%s; %s", *why, more) >= 0) {
		free(*why);
		*why = both;
	}
	free(more);
}
