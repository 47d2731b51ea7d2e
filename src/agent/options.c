/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/allocator.h"
#include "version.h"

static const char usage[] =
	"usage: berthd --server NAME [--store URL] [--cgroup-root DIR] [--bpffs DIR] [--run-dir DIR]\n"
	"              [--destinations N] [--generic]\n"
	"\n"
	"The agent of one server of a Berth fleet: loads the data plane, follows the store, keeps tables, hops and\n"
	"announcement true. What it loads goes on working when it stops; `berth detach` takes it down.\n"
	"\n"
	"  --server NAME       this server's name in the fleet file\n"
	"  --store URL         where the fleet lives (default $BERTH_STORE, else " STORE_DEFAULT ")\n"
	"  --cgroup-root DIR   cgroup whose programs are judged (default: the root of cgroup2)\n"
	"  --bpffs DIR         where programs and maps are pinned (default " BPFFS_DEFAULT ")\n"
	"  --run-dir DIR       control socket and journal of host settings (default " RUN_DIR_DEFAULT ")\n"
	"  --destinations N    destinations that may have connections at once (default 65536)\n"
	"  --generic           allow generic XDP, slower, where a driver has no native mode\n"
	"  --version           print the version\n";

enum {
	OPTION_SERVER = 256,
	OPTION_STORE,
	OPTION_CGROUP_ROOT,
	OPTION_BPFFS,
	OPTION_RUN_DIR,
	OPTION_DESTINATIONS,
	OPTION_GENERIC,
	OPTION_VERSION
};

static const struct option names[] = {
	{"server", required_argument, NULL, OPTION_SERVER},
	{"store", required_argument, NULL, OPTION_STORE},
	{"cgroup-root", required_argument, NULL, OPTION_CGROUP_ROOT},
	{"bpffs", required_argument, NULL, OPTION_BPFFS},
	{"run-dir", required_argument, NULL, OPTION_RUN_DIR},
	{"destinations", required_argument, NULL, OPTION_DESTINATIONS},
	{"generic", no_argument, NULL, OPTION_GENERIC},
	{"version", no_argument, NULL, OPTION_VERSION},
	{"help", no_argument, NULL, 'h'},
	{0},
};

static int parse_destinations(const char *text, uint32_t *ret)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || number < DESTINATIONS_MIN || number > DESTINATIONS_MAX) {
		fprintf(stderr, "berthd: --destinations %s: give a number from %u to %u\n", text, DESTINATIONS_MIN,
			DESTINATIONS_MAX);
		return -EINVAL;
	}
	*ret = (uint32_t)number;
	return 0;
}

/* 0: taken; 1: end with *status. */
static int take(int option, struct options *options, int *status)
{
	*status = 0;
	switch (option) {
	case OPTION_SERVER:
		options->server = optarg;
		return 0;
	case OPTION_STORE:
		options->store = optarg;
		return 0;
	case OPTION_CGROUP_ROOT:
		options->cgroup_root = optarg;
		return 0;
	case OPTION_BPFFS:
		options->bpffs = optarg;
		return 0;
	case OPTION_RUN_DIR:
		options->run_dir = optarg;
		return 0;
	case OPTION_DESTINATIONS:
		*status = 2;
		return parse_destinations(optarg, &options->destinations) ? 1 : 0;
	case OPTION_GENERIC:
		options->generic = true;
		return 0;
	case OPTION_VERSION:
		printf("berthd %s\n", BERTH_VERSION);
		return 1;
	case 'h':
		fputs(usage, stdout);
		return 1;
	default:
		fputs("berthd: see berthd --help\n", stderr);
		*status = 2;
		return 1;
	}
}

/* getopt_long() would take a beginning for the whole: a mistyped line must not start an agent. */
static bool spelt_out(const char *word)
{
	size_t length = strcspn(word, "=");

	if (strncmp(word, "--", 2) != 0 || length == 2)
		return true;
	for (const struct option *option = names; option->name; option++)
		if (strlen(option->name) == length - 2 && !strncmp(option->name, word + 2, length - 2))
			return true;
	return false;
}

int options_parse(int argc, char **argv, struct options *ret, int *status)
{
	const char *store = getenv("BERTH_STORE");
	struct options options = {
		.store = store && *store ? store : STORE_DEFAULT,
		.bpffs = BPFFS_DEFAULT,
		.run_dir = RUN_DIR_DEFAULT,
		.destinations = DESTINATIONS_DEFAULT,
	};
	int option;

	*status = 2;
	for (int i = 1; i < argc; i++) {
		if (!spelt_out(argv[i])) {
			fprintf(stderr, "berthd: '%s' is no option: see berthd --help\n", argv[i]);
			return 1;
		}
	}
	while ((option = getopt_long(argc, argv, "h", names, NULL)) != -1)
		if (take(option, &options, status))
			return 1;
	*status = 2;
	if (optind < argc) {
		fprintf(stderr, "berthd: '%s' is no option: see berthd --help\n", argv[optind]);
		return 1;
	}
	if (!options.server || !*options.server) {
		fputs("berthd: --server is missing: give this server's name in the fleet file\n", stderr);
		return 1;
	}
	*ret = options;
	return 0;
}
