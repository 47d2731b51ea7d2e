/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control.h"

static int decode(const char *text, struct control_request *ret, json_t **message)
{
	char *why = NULL;
	int err;

	*message = json_loads(text, 0, NULL);
	assert_non_null(*message);
	err = control_request_decode(*message, ret, &why);
	assert_int_equal(err != 0, why != NULL);
	free(why);
	return err;
}

static int verdict(const char *text)
{
	struct control_request request = {.verb = 77};
	json_t *message;
	int err = decode(text, &request, &message);

	if (err)
		assert_int_equal(request.verb, 77);
	json_decref(message);
	return err;
}

static void assert_same_text(const char *sent, const char *got)
{
	assert_int_equal(sent == NULL, got == NULL);
	if (sent)
		assert_string_equal(sent, got);
}

static void test_round(void **state)
{
	const struct control_request requests[] = {
		{.verb = CONTROL_STATUS},
		{.verb = CONTROL_RUN, .cgroup = "/user.slice/berth-run-7", .selector = "country=DE,product=*"},
		{.verb = CONTROL_RUN, .cgroup = "/user.slice/berth-run-7", .policy = "crawler"},
		{.verb = CONTROL_RUN_END, .cgroup = "/user.slice/berth-run-7"},
		{.verb = CONTROL_ENTER, .policy = "crawler"},
		{.verb = CONTROL_ENTER, .selector = "country=DE"},
		{.verb = CONTROL_CHOOSE, .policy = "crawler"},
		{.verb = CONTROL_CHOOSE, .selector = "country=DE"},
		{.verb = CONTROL_DETACH},
		{.verb = CONTROL_REFUSALS},
		{.verb = CONTROL_USAGE, .top = 25},
		{.verb = CONTROL_WASTERS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		json_t *message = control_request_encode(&requests[i]);
		struct control_request back;
		char *why = NULL;

		assert_int_equal(control_request_decode(message, &back, &why), 0);
		assert_int_equal(back.verb, requests[i].verb);
		assert_int_equal(back.top, requests[i].top);
		assert_same_text(requests[i].cgroup, back.cgroup);
		assert_same_text(requests[i].selector, back.selector);
		assert_same_text(requests[i].policy, back.policy);
		json_decref(message);
	}
}

static void test_refused(void **state)
{
	(void)state;
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"status\"}"), 0);
	assert_int_equal(verdict("{\"verb\":\"status\"}"), -EPROTO);
	assert_int_equal(verdict("{\"version\":2,\"verb\":\"status\"}"), -EPROTO);
	assert_int_equal(verdict("{\"version\":\"1\",\"verb\":\"status\"}"), -EPROTO);
	assert_int_equal(verdict("{\"version\":1}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":7}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"statu\"}"), -ENOSYS);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"status\",\"cgroup\":\"/a\"}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"detach\",\"now\":true}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"run\",\"cgroup\":\"/a\"}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"run\",\"select\":\"a=b\"}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"run\",\"select\":[],\"cgroup\":\"/a\"}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"run\",\"select\":\"\",\"cgroup\":\"/a\"}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"enter\",\"policy\":\"a\"}"), 0);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"enter\",\"select\":\"a=b\"}"), 0);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"enter\"}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"enter\",\"policy\":\"a\",\"select\":\"a=b\"}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"enter\",\"policy\":\"a\",\"cgroup\":\"/a\"}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"enter\",\"policy\":7}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"enter\",\"policy\":\"\"}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"run-end\",\"policy\":\"a\",\"cgroup\":\"/a\"}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"usage\",\"top\":1000}"), 0);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"usage\",\"top\":1001}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"usage\",\"top\":0}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"usage\",\"top\":\"9\"}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"usage\"}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"wasters\",\"top\":9}"), -EINVAL);
	assert_int_equal(verdict("{\"version\":1,\"verb\":\"run-end\",\"select\":\"a=b\",\"cgroup\":\"/a\"}"), -EINVAL);
}

static void test_cgroup_paths(void **state)
{
	const struct {
		const char *path;
		int err;
	} cases[] = {
		{"/a", 0},        {"/a/..b/.c/...", 0}, {"a", -EINVAL},     {"/", -EINVAL},
		{"/a/", -EINVAL}, {"//a", -EINVAL},     {"/a//b", -EINVAL}, {"/.", -EINVAL},
		{"/..", -EINVAL}, {"/a/../b", -EINVAL}, {"/a/..", -EINVAL}, {"/a/./b", -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct control_request request = {.verb = CONTROL_RUN_END, .cgroup = cases[i].path};
		json_t *message = control_request_encode(&request);
		struct control_request back;
		char *why = NULL;

		assert_int_equal(control_request_decode(message, &back, &why), cases[i].err);
		free(why);
		json_decref(message);
	}
}

static void test_text_limit(void **state)
{
	char text[CONTROL_TEXT_MAX + 2] = "/";
	struct control_request request = {.verb = CONTROL_RUN_END, .cgroup = text};

	(void)state;
	memset(text + 1, 'x', CONTROL_TEXT_MAX - 1);
	for (int extra = 0; extra < 2; extra++) {
		json_t *message = control_request_encode(&request);
		struct control_request back;
		char *why = NULL;

		assert_int_equal(control_request_decode(message, &back, &why), extra ? -EINVAL : 0);
		free(why);
		json_decref(message);
		text[CONTROL_TEXT_MAX] = 'x';
	}
}

static void test_root(void **state)
{
	(void)state;
	assert_false(control_verb_needs_root(CONTROL_STATUS));
	assert_true(control_verb_needs_root(CONTROL_RUN));
	assert_true(control_verb_needs_root(CONTROL_RUN_END));
	assert_true(control_verb_needs_root(CONTROL_DETACH));
	assert_false(control_verb_needs_root(CONTROL_REFUSALS));
	assert_false(control_verb_needs_root(CONTROL_USAGE));
	assert_false(control_verb_needs_root(CONTROL_WASTERS));
	assert_false(control_verb_needs_root(CONTROL_ENTER));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),      cmocka_unit_test(test_refused), cmocka_unit_test(test_cgroup_paths),
		cmocka_unit_test(test_text_limit), cmocka_unit_test(test_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
