/* SPDX-License-Identifier: BSD-2-Clause */
#include "handle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RUN_DIR "/run/berth"
/* The path of a Unix socket has 107 bytes. */
#define RUN_DIR_MAX 80
#define TIMEOUT_MS 5000
#define PATIENCE_MS 5000

int berth_open(const char *run_dir, struct berth **ret)
{
	struct berth *berth;

	if (!run_dir)
		run_dir = RUN_DIR;
	if (!run_dir[0] || strlen(run_dir) > RUN_DIR_MAX)
		return -EINVAL;
	berth = calloc(1, sizeof(*berth));
	if (!berth)
		return -ENOMEM;
	berth->run_dir = strdup(run_dir);
	if (!berth->run_dir) {
		free(berth);
		return -ENOMEM;
	}
	*ret = berth;
	return 0;
}

void berth_close(struct berth *berth)
{
	if (!berth)
		return;
	free(berth->run_dir);
	free(berth->error);
	free(berth);
}

const char *berth_error(const struct berth *berth)
{
	return berth->error ? berth->error : "";
}

int handle_settle(struct berth *berth, int err, char *why)
{
	if (!err)
		return 0;
	free(berth->error);
	berth->error = why ? why : strdup(strerror(-err));
	return err;
}

int handle_call(const struct berth *berth, const struct control_request *request, json_t **ret, char **why)
{
	int code = 0;
	int err = control_call_patiently(berth->run_dir, request, TIMEOUT_MS, PATIENCE_MS, ret, &code, why);

	return err == -EREMOTEIO ? code : err;
}
