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

static struct refusal_slice slices[] = {{0xcb007105u, 4096, 2048}, {0xcb007106u, 63488, 2048}};
static struct refusal_holder holders[] = {{"curl", 77, 2000}, {"(closing)", 0, 48}};
static struct refusal refusal = {
	.policy = "crawler",
	.verdict = "refused_full",
	.dest = "198.51.100.7",
	.port = 443,
	.proto = "tcp",
	.count = UINT64_C(1) << 40,
	.first = 1700000000,
	.last = 1700000009,
	.used = 4096,
	.busy = 3,
	.ports = 4096,
	.pid = UINT32_MAX,
	.uid = 1000,
	.name = "wget",
	.slices = slices,
	.slice_count = 2,
	.holders = holders,
	.holder_count = 2,
};
static const struct refusals sample = {&refusal, 1};

static void test_refusals(void **state)
{
	json_t *reply = control_reply_refusals(&sample);
	struct refusals back = {0};
	const struct refusal *got;
	char *why = NULL;

	(void)state;
	assert_non_null(reply);
	assert_int_equal(control_refusals_decode(reply, &back, &why), 0);
	json_decref(reply);
	assert_int_equal(back.count, 1);
	got = &back.items[0];
	assert_string_equal(got->policy, "crawler");
	assert_string_equal(got->verdict, "refused_full");
	assert_string_equal(got->dest, "198.51.100.7");
	assert_string_equal(got->proto, "tcp");
	assert_string_equal(got->name, "wget");
	assert_true(got->count == UINT64_C(1) << 40);
	assert_int_equal(got->first, 1700000000);
	assert_int_equal(got->last, 1700000009);
	assert_int_equal(got->port, 443);
	assert_int_equal(got->used, 4096);
	assert_int_equal(got->busy, 3);
	assert_int_equal(got->ports, 4096);
	assert_true(got->pid == UINT32_MAX);
	assert_int_equal(got->uid, 1000);
	assert_int_equal(got->slice_count, 2);
	assert_memory_equal(got->slices, slices, sizeof(slices));
	assert_int_equal(got->holder_count, 2);
	assert_string_equal(got->holders[1].name, "(closing)");
	assert_int_equal(got->holders[0].pid, 77);
	assert_int_equal(got->holders[0].ports, 2000);
	control_refusals_clear(&back);
	assert_null(back.items);
}

/* A reply with one value of its first refusal replaced, or taken out with NULL. */
static int verdict(const char *key, json_t *value)
{
	json_t *reply = control_reply_refusals(&sample);
	json_t *object = json_array_get(json_object_get(reply, "refusals"), 0);
	bool list = json_is_array(value); /* what is wrong lies deeper */
	struct refusals back = {0};
	char *why = NULL;
	int err;

	if (value)
		json_object_set_new(object, key, value);
	else
		json_object_del(object, key);
	err = control_refusals_decode(reply, &back, &why);
	if (err) {
		assert_true(list ? why != NULL : strstr(why, key) != NULL);
		assert_null(back.items);
	}
	free(why);
	control_refusals_clear(&back);
	json_decref(reply);
	return err;
}

static void test_every_field_needed(void **state)
{
	json_t *reply = control_reply_refusals(&sample), *value;
	size_t fields = 0;
	const char *key;

	(void)state;
	json_object_foreach(json_array_get(json_object_get(reply, "refusals"), 0), key, value)
	{
		assert_int_equal(verdict(key, NULL), -EBADMSG);
		assert_int_equal(verdict(key, json_object()), -EBADMSG);
		fields++;
	}
	assert_int_equal(fields, 16);
	json_decref(reply);
}

static void test_limits(void **state)
{
	char text[POLICY_NAME_MAX + 1] = "";

	(void)state;
	memset(text, 'x', POLICY_NAME_MAX - 1);
	assert_int_equal(verdict("policy", json_string(text)), 0);
	text[POLICY_NAME_MAX - 1] = 'x';
	assert_int_equal(verdict("policy", json_string(text)), -EBADMSG);
	assert_int_equal(verdict("name", json_string("0123456789abcdef")), -EBADMSG);
	assert_int_equal(verdict("port", json_integer(-1)), -EBADMSG);
	assert_int_equal(verdict("uid", json_integer(INT64_C(1) << 32)), -EBADMSG);
	assert_int_equal(
		verdict("slices", json_pack("[{s:s, s:i, s:i}]", "address", "203.0.113", "first", 1, "count", 1)),
		-EBADMSG);
	assert_int_equal(verdict("slices", json_array()), 0);
	assert_int_equal(verdict("holders", json_pack("[s]", "curl")), -EBADMSG);
	assert_int_equal(verdict("stranger", json_true()), 0);
}

static void test_usage(void **state)
{
	struct use_slice slice = {0xcb007105u, 4096, 2048, 3, 2048, 2149};
	struct use_policy policy = {"crawler", UINT32_MAX, 1, 2048, 3, 2048, 2149, UINT64_C(1) << 40};
	struct use_destination to = {0xc6336407u, 443, "udp", 2048, "crawler", 2047, 2048};
	const struct use use = {2048, 3, 2156, 7, 11, &slice, 1, &policy, 1, &to, 1};
	json_t *reply = control_reply_usage(&use);
	struct use back = {0};
	char *why = NULL;

	(void)state;
	assert_int_equal(control_usage_decode(reply, &back, &why), 0);
	assert_int_equal(back.ports, 2048);
	assert_int_equal(back.destinations, 3);
	assert_int_equal(back.connections, 2156);
	assert_int_equal(back.left_over, 7);
	assert_int_equal(back.probed, 11);
	assert_int_equal(back.slice_count, 1);
	assert_int_equal(back.slices[0].addr, slice.addr);
	assert_int_equal(back.slices[0].first, 4096);
	assert_int_equal(back.slices[0].count, 2048);
	assert_int_equal(back.slices[0].destinations, 3);
	assert_int_equal(back.slices[0].fullest, 2048);
	assert_int_equal(back.slices[0].connections, 2149);
	assert_string_equal(back.policies[0].name, "crawler");
	assert_true(back.policies[0].id == UINT32_MAX);
	assert_int_equal(back.policies[0].fullest, 2048);
	assert_true(back.policies[0].fallbacks == UINT64_C(1) << 40);
	assert_int_equal(back.top[0].addr, 0xc6336407u);
	assert_string_equal(back.top[0].proto, "udp");
	assert_int_equal(back.top[0].policy_used, 2047);
	free(back.slices);
	free(back.policies);
	free(back.top);
	json_object_set_new(json_array_get(json_object_get(reply, "top"), 0), "address", json_integer(1));
	assert_int_equal(control_usage_decode(reply, &back, &why), -EBADMSG);
	assert_non_null(strstr(why, "address"));
	free(why);
	json_decref(reply);
}

static void test_wasters(void **state)
{
	struct waste waste = {"crawler", "port-hog", 12, 1700000000};
	const struct wastes wastes = {&waste, 1};
	json_t *reply = control_reply_wasters(&wastes);
	struct wastes back = {0};
	char *why = NULL;

	(void)state;
	assert_int_equal(control_wasters_decode(reply, &back, &why), 0);
	assert_int_equal(back.count, 1);
	assert_string_equal(back.items[0].policy, "crawler");
	assert_string_equal(back.items[0].name, "port-hog");
	assert_int_equal(back.items[0].count, 12);
	assert_int_equal(back.items[0].last, 1700000000);
	free(back.items);
	json_object_set_new(reply, "wasters", json_object());
	assert_int_equal(control_wasters_decode(reply, &back, &why), -EBADMSG);
	free(why);
	json_decref(reply);
}

/* The longest that the agent would ever say fits a message. */
static void test_longest_reply(void **state)
{
	struct refusal_slice many[POLICY_SLICES_MAX];
	struct refusal_holder most[REFUSAL_HOLDERS_MAX];
	struct refusal rows[256];
	const struct refusals all = {rows, 256};
	json_t *reply;
	void *frame;
	size_t size;

	(void)state;
	for (size_t i = 0; i < POLICY_SLICES_MAX; i++)
		many[i] = (struct refusal_slice){0xffffffffu, 65535, 32768};
	for (size_t i = 0; i < REFUSAL_HOLDERS_MAX; i++)
		most[i] = (struct refusal_holder){"\"\"\"\"\"\"\"\"\"\"\"\"\"\"\"", UINT32_MAX, UINT32_MAX};
	for (size_t i = 0; i < 256; i++) {
		rows[i] = refusal;
		rows[i].slices = many;
		rows[i].slice_count = POLICY_SLICES_MAX;
		rows[i].holders = most;
		rows[i].holder_count = REFUSAL_HOLDERS_MAX;
		memset(rows[i].policy, '"', POLICY_NAME_MAX - 1);
	}
	reply = control_reply_refusals(&all);
	assert_int_equal(control_frame(reply, &frame, &size), 0);
	free(frame);
	json_decref(reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_every_field_needed),
		cmocka_unit_test(test_limits),   cmocka_unit_test(test_usage),
		cmocka_unit_test(test_wasters),  cmocka_unit_test(test_longest_reply),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
