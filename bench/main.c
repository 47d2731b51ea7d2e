/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a suite in a place of its own, prints its table, and writes its JSON. */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "place.h"
#include "suite.h"

#define SUITE_SECONDS 600

enum exit_code { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

struct options {
	const struct suite *suite;
	const char *json; /* file to write; NULL: none */
	const char *only; /* parts whose names begin with it; NULL: all */
};

static const struct suite *const suites[] = {&suite_allocator, &suite_forwarder};

#define SUITE_COUNT (sizeof(suites) / sizeof(suites[0]))

static void usage(FILE *out)
{
	fputs("usage: bench [--json FILE] [--only NAME] SUITE\n\n"
	      "Measures, prints a table, and writes FILE. With --only just the parts whose names begin with NAME.\n\n",
	      out);
	for (size_t i = 0; i < SUITE_COUNT; i++) {
		fprintf(out, "%s: %s\n ", suites[i]->name, suites[i]->about);
		for (const struct part *part = suites[i]->parts; part->name; part++)
			fprintf(out, " %s", part->name);
		fputc('\n', out);
	}
}

static int run_parts(const struct options *options, struct bench *bench)
{
	size_t ran = 0;

	for (const struct part *part = options->suite->parts; part->name; part++) {
		uint64_t start = clock_now();
		char *why = NULL;
		int err;

		if (options->only && strncmp(part->name, options->only, strlen(options->only)) != 0)
			continue;
		err = part->run(bench, &why);
		if (err) {
			fprintf(stderr, "bench: %s: %s\n", part->name, why ? why : strerror(-err));
			free(why);
			return EXIT_FAILED;
		}
		fprintf(stderr, "%-24s %3u s\n", part->name, (unsigned)((clock_now() - start) / 1000000000u));
		ran++;
	}
	if (ran)
		return EXIT_DONE;
	fprintf(stderr, "bench: %s has no part whose name begins with '%s'\n", options->suite->name, options->only);
	return EXIT_USAGE;
}

/* Tracing programs that run for every socket of the machine, ours and the reference's alike. */
static unsigned foreign_traces(void)
{
	unsigned count = 0;
	__u32 id = 0;

	while (bpf_link_get_next_id(id, &id) == 0) {
		int fd = bpf_link_get_fd_by_id(id);
		struct bpf_link_info info = {0};
		__u32 size = sizeof(info);

		if (fd < 0)
			continue;
		count += bpf_obj_get_info_by_fd(fd, &info, &size) == 0 &&
			 (info.type == BPF_LINK_TYPE_TRACING || info.type == BPF_LINK_TYPE_RAW_TRACEPOINT);
		close(fd);
	}
	return count;
}

/* Other work on the machine makes figures worse, and p99 first: what there was belongs to them. */
static void print_machine(void)
{
	double load = 0;
	struct utsname name;

	if (uname(&name) == 0 && getloadavg(&load, 1) == 1)
		printf("Linux %s, %ld CPUs, load before %.2f, %u tracing programs of others\n\n", name.release,
		       sysconf(_SC_NPROCESSORS_ONLN), load, foreign_traces());
}

static int suite_body(const char *cgroup, void *argument)
{
	const struct options *options = argument;
	struct report report = {0};
	struct bench bench = {.report = &report, .cgroup = cgroup};
	int result, err;

	print_machine();
	result = run_parts(options, &bench);
	if (result == EXIT_DONE) {
		report_print(&report, stdout);
		err = options->json ? report_write(&report, options->json) : 0;
		if (err) {
			fprintf(stderr, "bench: %s: %s\n", options->json, strerror(-err));
			result = EXIT_FAILED;
		}
	}
	report_free(&report);
	return result;
}

static const struct suite *suite_find(const char *name)
{
	for (size_t i = 0; i < SUITE_COUNT; i++)
		if (strcmp(suites[i]->name, name) == 0)
			return suites[i];
	return NULL;
}

static int parse(int argc, char **argv, struct options *options)
{
	static const struct option longs[] = {
		{"json", required_argument, NULL, 'j'},
		{"only", required_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'j':
			options->json = optarg;
			break;
		case 'o':
			options->only = optarg;
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_DONE);
		default:
			return -EINVAL;
		}
	}
	if (optind + 1 != argc)
		return -EINVAL;
	options->suite = suite_find(argv[optind]);
	if (!options->suite)
		fprintf(stderr, "bench: no suite is called '%s'\n", argv[optind]);
	return options->suite ? 0 : -EINVAL;
}

int main(int argc, char **argv)
{
	struct options options = {0};
	char *why = NULL;
	int result;

	if (parse(argc, argv, &options)) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (geteuid() != 0) {
		fputs("bench: needs root, for network namespaces and BPF\n", stderr);
		return EXIT_FAILED;
	}
	result = place_run(suite_body, &options, SUITE_SECONDS, &why);
	if (result >= 0)
		return result;
	if (why)
		fprintf(stderr, "bench: %s\n", why);
	else if (result == -ETIMEDOUT)
		fprintf(stderr, "bench: not done after %u s, stopped\n", SUITE_SECONDS);
	else
		fputs("bench: stopped\n", stderr);
	free(why);
	return EXIT_FAILED;
}
