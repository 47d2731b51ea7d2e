/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: options before or after the verb, the verb, operands, and after "--" a command. */
#ifndef BERTH_CLI_ARGUMENTS_H
#define BERTH_CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define ARGUMENTS_OPERANDS_MAX 8

#define OPTION_STORE (1u << 0)
#define OPTION_RUN_DIR (1u << 1)
#define OPTION_BPFFS (1u << 2)
#define OPTION_CGROUP_ROOT (1u << 3)
#define OPTION_HELP (1u << 4)
#define OPTION_JSON (1u << 5)
#define OPTION_YES (1u << 6)
#define OPTION_DRY_RUN (1u << 7)
#define OPTION_ALL (1u << 8)
#define OPTION_SELECT (1u << 9)
#define OPTION_VERSION (1u << 10)
#define OPTION_TOP (1u << 11)
#define OPTION_POLICY (1u << 12)

/* Every verb takes these. */
#define OPTIONS_GLOBAL (OPTION_STORE | OPTION_RUN_DIR | OPTION_BPFFS | OPTION_CGROUP_ROOT | OPTION_HELP)

/* Strings belong to argv. What was not given is NULL, false. */
struct arguments {
	const char *verb;
	const char *store, *run_dir, *bpffs, *cgroup_root, *select, *policy, *top;
	bool help, version, json, yes, dry_run, all;
	unsigned given; /* OPTION_ bits of all that were given */
	const char *operands[ARGUMENTS_OPERANDS_MAX];
	size_t operand_count;
	char **command; /* what stands after "--", ends in NULL; NULL without "--" */
};

/* 0, or -EINVAL with *why, a sentence that the caller frees; -ENOMEM. Which verb takes what is not looked at. */
int arguments_parse(int argc, char **argv, struct arguments *ret, char **why);
/* "--json": the name of the lowest option in a set, NULL for an empty one. */
const char *arguments_option_name(unsigned options);
/* A line of help for each option of the set. */
void arguments_print_options(FILE *out, unsigned options);

#endif
