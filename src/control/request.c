/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests of the control socket. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "fault.h"

#define FIELD_CGROUP (1u << 0)
#define FIELD_SELECT (1u << 1)
#define FIELD_TOP (1u << 2)
#define FIELD_POLICY (1u << 3)
#define FIELD_SOCKET (1u << 4) /* no field: it is passed beside the frame */
/* A verb with both takes one of them. */
#define FIELDS_WHICH (FIELD_SELECT | FIELD_POLICY)

static const struct {
	const char *name;
	unsigned fields;
	bool root;
} verbs[] = {
	[CONTROL_STATUS] = {"status", 0, false},
	[CONTROL_RUN] = {"run", FIELD_CGROUP | FIELDS_WHICH, true},
	[CONTROL_RUN_END] = {"run-end", FIELD_CGROUP, true},
	[CONTROL_DETACH] = {"detach", 0, true},
	[CONTROL_REFUSALS] = {"refusals", 0, false},
	[CONTROL_USAGE] = {"usage", FIELD_TOP, false},
	[CONTROL_WASTERS] = {"wasters", 0, false},
	[CONTROL_ENTER] = {"enter", FIELDS_WHICH, false},
	[CONTROL_CHOOSE] = {"choose", FIELDS_WHICH | FIELD_SOCKET, false},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

bool control_verb_needs_root(enum control_verb verb)
{
	return verbs[verb].root;
}

bool control_verb_takes_socket(enum control_verb verb)
{
	return verbs[verb].fields & FIELD_SOCKET;
}

static int set_string(json_t *message, const char *key, const char *value)
{
	return json_object_set_new(message, key, json_string(value));
}

json_t *control_request_encode(const struct control_request *request)
{
	unsigned fields = verbs[request->verb].fields;
	json_t *message = json_pack("{s:i, s:s}", "version", CONTROL_VERSION, "verb", verbs[request->verb].name);

	if (!message)
		return NULL;
	if ((fields & FIELD_CGROUP && set_string(message, "cgroup", request->cgroup)) ||
	    (fields & FIELD_SELECT && request->selector && set_string(message, "select", request->selector)) ||
	    (fields & FIELD_POLICY && request->policy && set_string(message, "policy", request->policy)) ||
	    (fields & FIELD_TOP && json_object_set_new(message, "top", json_integer(request->top)))) {
		json_decref(message);
		return NULL;
	}
	return message;
}

static int verb_decode(const json_t *message, enum control_verb *ret, char **why)
{
	const char *name = json_string_value(json_object_get(message, "verb"));

	if (!name)
		return fault_say(-EINVAL, why, "the request has no verb");
	for (size_t i = 0; i < VERB_COUNT; i++) {
		if (strcmp(name, verbs[i].name) == 0) {
			*ret = (enum control_verb)i;
			return 0;
		}
	}
	return fault_say(-ENOSYS, why, "this agent knows no verb \"%.64s\"", name);
}

static int version_check(const json_t *message, char **why)
{
	const json_t *version = json_object_get(message, "version");

	if (!json_is_integer(version))
		return fault_say(-EPROTO, why, "the request has no version");
	if (json_integer_value(version) != CONTROL_VERSION)
		return fault_say(-EPROTO, why, "the request is of version %lld, this agent speaks version %d",
				 (long long)json_integer_value(version), CONTROL_VERSION);
	return 0;
}

static int fields_check(const json_t *message, enum control_verb verb, char **why)
{
	unsigned fields = verbs[verb].fields;
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)message, key, value)
	{
		if (strcmp(key, "version") == 0 || strcmp(key, "verb") == 0)
			continue;
		if (strcmp(key, "cgroup") == 0 && fields & FIELD_CGROUP)
			continue;
		if (strcmp(key, "select") == 0 && fields & FIELD_SELECT)
			continue;
		if (strcmp(key, "policy") == 0 && fields & FIELD_POLICY)
			continue;
		if (strcmp(key, "top") == 0 && fields & FIELD_TOP)
			continue;
		return fault_say(-EINVAL, why, "%s takes no field \"%.64s\"", verbs[verb].name, key);
	}
	return 0;
}

static int text_decode(const json_t *message, enum control_verb verb, const char *key, const char **ret, char **why)
{
	const json_t *value = json_object_get(message, key);

	if (!json_is_string(value))
		return fault_say(-EINVAL, why, "%s needs the field \"%s\", a text", verbs[verb].name, key);
	if (json_string_length(value) == 0 || json_string_length(value) > CONTROL_TEXT_MAX)
		return fault_say(-EINVAL, why, "the field \"%s\" has %zu bytes, it takes 1 to %u", key,
				 json_string_length(value), CONTROL_TEXT_MAX);
	*ret = json_string_value(value);
	return 0;
}

/* One of "select" and "policy". */
static int which_decode(const json_t *message, struct control_request *request, char **why)
{
	const json_t *selector = json_object_get(message, "select"), *policy = json_object_get(message, "policy");

	if (!selector == !policy)
		return fault_say(-EINVAL, why, "%s needs one of the fields \"select\" and \"policy\"",
				 verbs[request->verb].name);
	return policy ? text_decode(message, request->verb, "policy", &request->policy, why)
		      : text_decode(message, request->verb, "select", &request->selector, why);
}

static int number_decode(const json_t *message, enum control_verb verb, const char *key, uint32_t max, uint32_t *ret,
			 char **why)
{
	const json_t *value = json_object_get(message, key);
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value) || number < 1 || number > max)
		return fault_say(-EINVAL, why, "%s needs the field \"%s\", a number from 1 to %u", verbs[verb].name,
				 key, max);
	*ret = (uint32_t)number;
	return 0;
}

/* "/a/b": absolute, no empty, "." or ".." part, no '/' at the end. */
static bool path_plain(const char *path)
{
	if (path[0] != '/')
		return false;
	while (*path == '/') {
		const char *part = path + 1;
		size_t size = strcspn(part, "/");

		if (size == 0 || (size == 1 && part[0] == '.') || (size == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		path = part + size;
	}
	return true;
}

int control_request_decode(const json_t *message, struct control_request *ret, char **why)
{
	struct control_request request = {0};
	int err = version_check(message, why);

	if (!err)
		err = verb_decode(message, &request.verb, why);
	if (!err)
		err = fields_check(message, request.verb, why);
	if (!err && verbs[request.verb].fields & FIELD_CGROUP)
		err = text_decode(message, request.verb, "cgroup", &request.cgroup, why);
	if (!err && verbs[request.verb].fields & FIELDS_WHICH)
		err = which_decode(message, &request, why);
	if (!err && verbs[request.verb].fields & FIELD_TOP)
		err = number_decode(message, request.verb, "top", USE_TOP_MAX, &request.top, why);
	if (!err && request.cgroup && !path_plain(request.cgroup))
		err = fault_say(-EINVAL, why, "\"%.256s\" is not a path below the agent's cgroup root", request.cgroup);
	if (!err)
		*ret = request;
	return err;
}
