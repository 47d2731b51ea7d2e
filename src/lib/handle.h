/* SPDX-License-Identifier: BSD-2-Clause */
/* What the functions of libberth share: the handle, and one call of the agent. */
#ifndef BERTH_LIB_HANDLE_H
#define BERTH_LIB_HANDLE_H

#include "../../include/berth/berth.h"
#include "../control/control.h"

struct berth {
	char *run_dir;
	char *error; /* NULL: none, or no memory for it */
};

/*
 * Ends a function: keeps the sentence, which is taken over, and returns the error. Sentence NULL: the error's own;
 * error 0: there is none any more.
 */
int handle_settle(struct berth *berth, int err, char *why);
/* 0 with the agent's "ok" reply, the caller's to json_decref(); else the negative errno, the agent's own where it
   answered with one, and *why. */
int handle_call(const struct berth *berth, const struct control_request *request, json_t **ret, char **why);

#endif
