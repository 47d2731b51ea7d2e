/* SPDX-License-Identifier: Apache-2.0 */
/* `berth show WHAT` */
#include "show.h"

#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "message.h"
#include "nearest.h"
#include "session.h"
#include "verb.h"

static const struct subject {
	const char *name;
	int (*show)(const struct state *state, const struct arguments *arguments); /* from the store; or */
	int (*show_here)(const struct places *places, const struct arguments *arguments); /* of this server */
	const char *summary;
} subjects[] = {
	{"fleet", show_fleet, NULL, "sites and pools, and how much of them is in use"},
	{"servers", show_servers, NULL, "and whether they have loaded the newest revision"},
	{"addresses", show_addresses, NULL, "with tags, used and free slices"},
	{"slices", show_slices, NULL, "that are not free: home, owner, state"},
	{"policies", show_policies, NULL, "who gets which addresses"},
	{"counters", NULL, show_counters, "what forwarder, guard and allocator of this server decided"},
	{"usage", NULL, show_usage, "ports in use on this server, by slice, policy and destination"},
	{"refusals", NULL, show_refusals, "what this server's allocator refused, to whom, and who holds the ports"},
	{"wasters", NULL, show_wasters, "programs on this server that hold ports badly"},
};

#define SUBJECT_COUNT (sizeof(subjects) / sizeof(subjects[0]))

static int list_subjects(const struct arguments *arguments)
{
	json_t *list;

	if (!arguments->json) {
		for (size_t i = 0; i < SUBJECT_COUNT; i++)
			printf("berth show %-10s %s\n", subjects[i].name, subjects[i].summary);
		return VERB_DONE;
	}
	list = json_array();
	for (size_t i = 0; i < SUBJECT_COUNT; i++) {
		if (json_array_append_new(list, json_string(subjects[i].name))) {
			json_decref(list);
			return answer_print(NULL);
		}
	}
	return answer_print(json_pack("{s:o}", "show", list));
}

static int unknown_subject(const char *name)
{
	const char *near = nearest_name(name, &subjects[0].name, sizeof(subjects[0]), SUBJECT_COUNT);

	if (near)
		message("show knows no %s; did you mean berth show %s?", name, near);
	else
		message("show knows no %s; berth show lists what it knows", name);
	return VERB_USAGE;
}

static int show_from_store(const struct subject *subject, const char *store, const struct arguments *arguments)
{
	struct state *state = session_fleet(store);
	int exit_code = state ? subject->show(state, arguments) : VERB_FAILED;

	state_free(state);
	return exit_code;
}

static int show_subject(const struct subject *subject, const struct arguments *arguments)
{
	struct places places = {0};
	int exit_code = places_find(arguments, &places);

	if (exit_code != VERB_DONE)
		return exit_code;
	if (subject->show)
		exit_code = show_from_store(subject, places.store, arguments);
	else
		exit_code = subject->show_here(&places, arguments);
	places_clear(&places);
	return exit_code;
}

int verb_show(const struct arguments *arguments)
{
	if (arguments->operand_count == 0)
		return list_subjects(arguments);
	for (size_t i = 0; i < SUBJECT_COUNT; i++)
		if (strcmp(subjects[i].name, arguments->operands[0]) == 0)
			return show_subject(&subjects[i], arguments);
	return unknown_subject(arguments->operands[0]);
}
