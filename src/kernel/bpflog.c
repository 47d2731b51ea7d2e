/* SPDX-License-Identifier: Apache-2.0 */
#include "bpflog.h"

#include <bpf/libbpf.h>
#include <stdio.h>
#include <string.h>

static char first_warning[512];
static libbpf_print_fn_t before;

static int keep(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level == LIBBPF_WARN && !*first_warning) {
		vsnprintf(first_warning, sizeof(first_warning), format, args);
		first_warning[strcspn(first_warning, "\n")] = '\0';
	}
	return 0;
}

void bpflog_begin(void)
{
	*first_warning = '\0';
	before = libbpf_set_print(keep);
}

const char *bpflog_end(void)
{
	libbpf_set_print(before);
	return strncmp(first_warning, "libbpf: ", 8) == 0 ? first_warning + 8 : first_warning;
}
