/* SPDX-License-Identifier: BSD-2-Clause */
/* Replies of the control socket: that it is done, what came of it, or what went wrong. */
#include <errno.h>
#include <string.h>

#include "control.h"

/* The errors that have a name in the protocol. */
static const struct {
	int err;
	const char *name;
} codes[] = {
	{EIO, "EIO"},       {ENOENT, "ENOENT"},       {EINVAL, "EINVAL"},   {EPERM, "EPERM"},   {ENOSYS, "ENOSYS"},
	{EPROTO, "EPROTO"}, {EBUSY, "EBUSY"},         {EAGAIN, "EAGAIN"},   {ENOMEM, "ENOMEM"}, {ENOSPC, "ENOSPC"},
	{EEXIST, "EEXIST"}, {ESHUTDOWN, "ESHUTDOWN"}, {ENOTSUP, "ENOTSUP"},
};

#define CODE_COUNT (sizeof(codes) / sizeof(codes[0]))

static const char *code_name(int err)
{
	for (size_t i = 0; i < CODE_COUNT; i++)
		if (codes[i].err == -err)
			return codes[i].name;
	return "EIO";
}

static int code_err(const char *name)
{
	for (size_t i = 0; i < CODE_COUNT; i++)
		if (strcmp(codes[i].name, name) == 0)
			return -codes[i].err;
	return -EIO;
}

json_t *control_reply_ok(void)
{
	return json_pack("{s:i, s:b}", "version", CONTROL_VERSION, "ok", 1);
}

json_t *control_reply_run(uint32_t policy)
{
	return json_pack("{s:i, s:b, s:I}", "version", CONTROL_VERSION, "ok", 1, "policy", (json_int_t)policy);
}

json_t *control_reply_error(int err, const char *text)
{
	return json_pack("{s:i, s:{s:s, s:s}}", "version", CONTROL_VERSION, "error", "code", code_name(err), "text",
			 text);
}

int control_reply_check(const json_t *reply, int *code, const char **text)
{
	const json_t *version = json_object_get(reply, "version");
	const json_t *error = json_object_get(reply, "error");
	const char *name = json_string_value(json_object_get(error, "code"));
	const char *sentence = json_string_value(json_object_get(error, "text"));

	if (!json_is_integer(version) || json_integer_value(version) != CONTROL_VERSION)
		return -EPROTO;
	if (!error)
		return json_is_true(json_object_get(reply, "ok")) ? 0 : -EPROTO;
	if (!name || !sentence)
		return -EPROTO;
	*code = code_err(name);
	*text = sentence;
	return -EREMOTEIO;
}
