/* SPDX-License-Identifier: Apache-2.0 */
#include "arguments.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../kernel/why.h"
#include "nearest.h"

static const struct option_row {
	unsigned bit;
	const char *name;
	const char *value; /* as help shows it; NULL: the option takes none */
	size_t offset; /* in struct arguments: a const char * with a value, else a bool */
	const char *summary;
} rows[] = {
	{OPTION_STORE, "store", "URL", offsetof(struct arguments, store),
	 "where the fleet lives (default: $BERTH_STORE, the agent's own, sqlite:///var/lib/berth/berth.db)"},
	{OPTION_RUN_DIR, "run-dir", "DIR", offsetof(struct arguments, run_dir),
	 "the agent's run directory (default: /run/berth)"},
	{OPTION_BPFFS, "bpffs", "DIR", offsetof(struct arguments, bpffs),
	 "the agent's pins (default: the agent's own, /sys/fs/bpf/berth)"},
	{OPTION_CGROUP_ROOT, "cgroup-root", "DIR", offsetof(struct arguments, cgroup_root),
	 "cgroup whose programs the agent judges (default: the agent's own, all)"},
	{OPTION_JSON, "json", NULL, offsetof(struct arguments, json), "print JSON, for programs"},
	{OPTION_YES, "yes", NULL, offsetof(struct arguments, yes), "do not ask"},
	{OPTION_DRY_RUN, "dry-run", NULL, offsetof(struct arguments, dry_run),
	 "show what would change, change nothing"},
	{OPTION_ALL, "all", NULL, offsetof(struct arguments, all), "show what is zero as well"},
	{OPTION_SELECT, "select", "SELECTOR", offsetof(struct arguments, select),
	 "which addresses, as in a policy: country=DE,product=crawler"},
	{OPTION_POLICY, "policy", "NAME", offsetof(struct arguments, policy), "which policy of the fleet file"},
	{OPTION_TOP, "top", "N", offsetof(struct arguments, top), "how many destinations, 1 to 1000 (default: 10)"},
	{OPTION_VERSION, "version", NULL, offsetof(struct arguments, version), "print the version"},
	{OPTION_HELP, "help", NULL, offsetof(struct arguments, help), "print help"},
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const struct option_row *row_find(const char *name, size_t size)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (strlen(rows[i].name) == size && memcmp(rows[i].name, name, size) == 0)
			return &rows[i];
	return NULL;
}

static int unknown_option(const char *text, char **why)
{
	const char *near = nearest_name(text + 2, &rows[0].name, sizeof(rows[0]), ROW_COUNT);

	if (near)
		return why_say(why, -EINVAL, "there is no option %s; did you mean --%s?", text, near);
	return why_say(why, -EINVAL, "there is no option %s; --help lists them", text);
}

/* *next: the argument after this one, NULL when it is the last. Taken as value: *used is set. */
static int option_take(struct arguments *arguments, const char *text, const char *next, bool *used, char **why)
{
	const char *name = text + 2;
	const char *equals = strchr(name, '=');
	const struct option_row *row = row_find(name, equals ? (size_t)(equals - name) : strlen(name));
	const char *value = equals ? equals + 1 : next;
	void *place;

	if (!row)
		return unknown_option(text, why);
	if (arguments->given & row->bit && row->bit != OPTION_HELP)
		return why_say(why, -EINVAL, "--%s is given twice", row->name);
	arguments->given |= row->bit;
	place = (char *)arguments + row->offset;
	if (!row->value) {
		if (equals)
			return why_say(why, -EINVAL, "--%s takes no value", row->name);
		*(bool *)place = true;
		return 0;
	}
	if (!value || !*value)
		return why_say(why, -EINVAL, "--%s needs a value: --%s %s", row->name, row->name, row->value);
	*(const char **)place = value;
	*used = !equals;
	return 0;
}

static int operand_take(struct arguments *arguments, const char *text, char **why)
{
	if (!arguments->verb) {
		arguments->verb = text;
		return 0;
	}
	if (arguments->operand_count == ARGUMENTS_OPERANDS_MAX)
		return why_say(why, -EINVAL, "too many arguments, from \"%s\" on", text);
	arguments->operands[arguments->operand_count++] = text;
	return 0;
}

int arguments_parse(int argc, char **argv, struct arguments *ret, char **why)
{
	struct arguments arguments = {0};
	int err = 0;

	for (int i = 1; i < argc && !err && !arguments.command; i++) {
		bool used = false;

		if (strcmp(argv[i], "--") == 0)
			arguments.command = &argv[i + 1];
		else if (strcmp(argv[i], "-h") == 0)
			arguments.help = true;
		else if (strncmp(argv[i], "--", 2) == 0)
			err = option_take(&arguments, argv[i], argv[i + 1], &used, why);
		else if (argv[i][0] == '-' && argv[i][1])
			err = why_say(why, -EINVAL, "there is no option %s; --help lists them", argv[i]);
		else
			err = operand_take(&arguments, argv[i], why);
		i += used;
	}
	if (!err)
		*ret = arguments;
	return err;
}

const char *arguments_option_name(unsigned options)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		if (rows[i].bit & options)
			return rows[i].name;
	return NULL;
}

void arguments_print_options(FILE *out, unsigned options)
{
	for (size_t i = 0; i < ROW_COUNT; i++) {
		const char *value = rows[i].value ? rows[i].value : "";
		int width = 17 - (int)strlen(rows[i].name);

		if (rows[i].bit & options)
			fprintf(out, "  --%s %-*s %s\n", rows[i].name, width, value, rows[i].summary);
	}
}
