/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a stream on the control socket, to the agent and to a client: frames that are refused, or messages that
 * every decoder takes or refuses, and that are the same when they are written again. Of an input whose first byte is
 * odd, the rest is the stream; else it is one message, and gets the frame's header here.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/control/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* A fault leaves a sentence, and a success none. */
static void settle(int err, char *why)
{
	require(!err == !why || err == -ENOMEM);
	free(why);
}

static void check_request(const json_t *message)
{
	struct control_request request, again;
	char *why = NULL;
	json_t *written;
	int err = control_request_decode(message, &request, &why);

	settle(err, why);
	if (err)
		return;
	written = control_request_encode(&request);
	why = NULL;
	require(written && control_request_decode(written, &again, &why) == 0);
	require(again.verb == request.verb && again.top == request.top);
	require(same_text(again.cgroup, request.cgroup) && same_text(again.policy, request.policy) &&
		same_text(again.selector, request.selector));
	json_decref(written);
}

static void check_status(json_t *message)
{
	struct control_status status;
	char *why = NULL;
	int err = control_status_decode(message, &status, &why);

	settle(err, why);
	if (!err) {
		json_decref(control_reply_status(&status));
		control_status_clear(&status);
	}
}

static void check_refusals(const json_t *message)
{
	struct refusals refusals;
	char *why = NULL;
	int err = control_refusals_decode(message, &refusals, &why);

	settle(err, why);
	if (!err) {
		json_decref(control_reply_refusals(&refusals));
		control_refusals_clear(&refusals);
	}
}

static void check_usage(const json_t *message)
{
	struct use use;
	char *why = NULL;
	int err = control_usage_decode(message, &use, &why);

	settle(err, why);
	if (!err) {
		json_decref(control_reply_usage(&use));
		control_usage_clear(&use);
	}
}

static void check_message(json_t *message)
{
	const char *text = NULL;
	int code = 0;
	int err = control_reply_check(message, &code, &text);

	require(err == 0 || err == -EPROTO || (err == -EREMOTEIO && code < 0 && text));
	check_request(message);
	check_status(message);
	check_refusals(message);
	check_usage(message);
}

/* 0, or the stream has no frames any more. */
static int feed(struct control_decoder *decoder, const uint8_t *data, size_t size)
{
	while (size > 0) {
		json_t *message = NULL;
		const char *why = NULL;
		size_t taken = 0;
		int err = control_decoder_feed(decoder, data, size, &taken, &message, &why);

		if (err) {
			require(why && !message);
			return err;
		}
		require(taken <= size && (message || taken == size));
		data += taken;
		size -= taken;
		if (message)
			check_message(message);
		json_decref(message);
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct control_decoder decoder = {.limit = CONTROL_REQUEST_MAX};
	uint32_t length = htonl((uint32_t)size - 1);
	int err = 0;

	if (size == 0)
		return 0;
	if (data[0] % 2 == 0)
		err = feed(&decoder, (const uint8_t *)&length, sizeof(length));
	if (!err)
		(void)feed(&decoder, data + 1, size - 1);
	control_decoder_clear(&decoder);
	return 0;
}
