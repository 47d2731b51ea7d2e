/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "message.h"
#include "nearest.h"
#include "verb.h"

static const struct verb verbs[] = {
	{"apply", "FILE", 1, 1, OPTION_DRY_RUN | OPTION_YES | OPTION_JSON, false, "bring the fleet to a fleet file",
	 "Checks FILE, shows what would change, and writes it to the store. Faults are printed as FILE:LINE:COLUMN "
	 "and\n"
	 "nothing is written. Where servers would lose slices that they use, it asks first; without a terminal it "
	 "wants\n"
	 "--yes. Applying the same file again changes nothing.",
	 verb_apply},
	{"plan", "FILE", 1, 1, OPTION_JSON, false, "show what apply would change", "The same as apply --dry-run.",
	 verb_plan},
	{"show", "[WHAT]", 0, 1, OPTION_JSON | OPTION_ALL | OPTION_TOP, false, "show the fleet and who has what",
	 "WHAT is one of:\n"
	 "  fleet      sites and pools, and how much of them is in use\n"
	 "  servers    and whether they have loaded the newest revision\n"
	 "  addresses  with tags, used and free slices\n"
	 "  slices     that are not free: home, owner, state\n"
	 "  policies   who gets which addresses\n"
	 "  counters   what forwarder, guard and allocator of this server decided; needs no agent\n"
	 "  usage      ports in use on this server, by slice, policy and destination (--top N); needs no agent\n"
	 "  refusals   what this server's allocator refused, to whom, and who holds the ports\n"
	 "  wasters    programs on this server that hold ports badly; needs no agent",
	 verb_show},
	{"run", "--policy P -- COMMAND [ARGS]", 0, 0, OPTION_SELECT | OPTION_POLICY, true,
	 "run a command with egress addresses of its own",
	 "Runs COMMAND in a cgroup of its own below the present one, under the policy P of the fleet file; with\n"
	 "--select S under a policy for the selector S, with the slices that this server holds. Ends with the\n"
	 "command's exit code, 128 + signal when one ended it, 127 when there is no such command, 3 when this\n"
	 "server holds no slice for it. Needs the agent, and root; or to be in the group berth, for policies whose\n"
	 "`allow` in the fleet file names you, and with --select for just the selectors of those. Exit code 3: you\n"
	 "may not.",
	 verb_run},
	{"whoowns", "ADDRESS:PORT", 1, 1, OPTION_JSON, false, "tell which server an egress address and port belong to",
	 "Prints server, site and slice. Exit code 3: nobody owns it; 2: the address is in no pool.", verb_whoowns},
	{"doctor", "", 0, 0, OPTION_JSON, false, "tell what is wrong on this host and what mends it",
	 "Looks at kernel, settings, agent, store and data plane. Exit code 3: something is wrong.", verb_doctor},
	{"detach", "", 0, 0, 0, false, "take Berth's data plane off this host",
	 "Withdraws the announcement, then takes programs, routes and settings down; through the agent, which ends, "
	 "or\n"
	 "without one where none runs. May be done again.",
	 verb_detach},
	{"version", "", 0, 0, OPTION_JSON, false, "print the version", "", verb_version},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < VERB_COUNT; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static void print_help(FILE *out)
{
	fputs("usage: berth VERB [OPTIONS] [ARGUMENTS]\n\nverbs:\n", out);
	for (size_t i = 0; i < VERB_COUNT; i++)
		fprintf(out, "  %-8s %-28s %s\n", verbs[i].name, verbs[i].operands, verbs[i].summary);
	fputs("\noptions of every verb, before or after it:\n", out);
	arguments_print_options(out, OPTIONS_GLOBAL);
	fputs("\nOf berth alone:\n", out);
	arguments_print_options(out, OPTION_VERSION);
	fputs("\nExit codes: 0 done, 1 failed, 2 wrong usage or input, 3 the answer is \"no\".\n", out);
}

static void print_verb_help(const struct verb *verb)
{
	printf("usage: berth %s%s%s%s\n\n", verb->name, verb->options ? " [OPTIONS]" : "", *verb->operands ? " " : "",
	       verb->operands);
	printf("%c%s.\n", verb->summary[0] - 'a' + 'A', verb->summary + 1);
	if (*verb->help)
		printf("\n%s\n", verb->help);
	fputs("\noptions:\n", stdout);
	arguments_print_options(stdout, verb->options | OPTIONS_GLOBAL);
}

static int unknown_verb(const char *name)
{
	const char *near = nearest_name(name, &verbs[0].name, sizeof(verbs[0]), VERB_COUNT);

	if (near)
		message("there is no verb %s; did you mean %s?", name, near);
	else
		message("there is no verb %s; berth --help lists them", name);
	return VERB_USAGE;
}

static int wrong_usage(const struct verb *verb, const char *what)
{
	message("%s %s: berth %s%s%s (see berth %s --help)", verb->name, what, verb->name, *verb->operands ? " " : "",
		verb->operands, verb->name);
	return VERB_USAGE;
}

static int verb_start(const struct verb *verb, const struct arguments *arguments)
{
	unsigned strange = arguments->given & ~(verb->options | OPTIONS_GLOBAL);

	if (arguments->help) {
		print_verb_help(verb);
		return VERB_DONE;
	}
	if (strange) {
		message("%s takes no --%s (see berth %s --help)", verb->name, arguments_option_name(strange),
			verb->name);
		return VERB_USAGE;
	}
	if (verb->command && arguments->operand_count > 0)
		return wrong_usage(verb, "wants -- before the command");
	if (verb->command && (!arguments->command || !arguments->command[0]))
		return wrong_usage(verb, "needs a command");
	if (!verb->command && arguments->command)
		return wrong_usage(verb, "takes no command");
	if (arguments->operand_count < verb->operands_min)
		return wrong_usage(verb, "needs an argument");
	if (arguments->operand_count > verb->operands_max)
		return wrong_usage(verb, verb->operands_max ? "takes one argument" : "takes no argument");
	return verb->run(arguments);
}

static int start(int argc, char **argv)
{
	struct arguments arguments;
	const struct verb *verb;
	char *why = NULL;
	int err = arguments_parse(argc, argv, &arguments, &why);

	if (err) {
		message_error(err, why);
		return VERB_USAGE;
	}
	if (!arguments.verb && arguments.version && !arguments.help)
		return verb_version(&arguments);
	if (!arguments.verb) {
		print_help(arguments.help ? stdout : stderr);
		return arguments.help ? VERB_DONE : VERB_USAGE;
	}
	verb = verb_find(arguments.verb);
	return verb ? verb_start(verb, &arguments) : unknown_verb(arguments.verb);
}

int main(int argc, char **argv)
{
	int exit_code = start(argc, argv);

	if (fflush(stdout) || ferror(stdout)) {
		message("standard output: %m");
		return exit_code == VERB_DONE ? VERB_FAILED : exit_code;
	}
	return exit_code;
}
