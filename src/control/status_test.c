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

static const struct control_slice slices[] = {
	{"203.0.113.5", 2048, 2048, "owned"},
	{"203.0.113.6", 63488, 2048, "cooling"},
};
static const struct control_status sample = {
	.server = "fra-1",
	.site = "fra",
	.instance = "9f2c",
	.pid = 4242,
	.version = "0.1",
	.applied = UINT64_C(1) << 40,
	.since = 1700000000,
	.adopted = true,
	.uplinks = &(const struct control_uplink){"net0", "native"},
	.uplink_count = 1,
	.hops = &(const struct control_hop){"ams", "site", "10.0.2.254", "net0", "02:00:00:00:00:01", 1500, "ready"},
	.hop_count = 1,
	.slices = slices,
	.slice_count = 2,
	.policies = &(const struct control_policy){"crawler", 3, slices, 1},
	.policy_count = 1,
	.degraded = (const char *const[]){"no route to site ams", "store away"},
	.degraded_count = 2,
};

static void test_round(void **state)
{
	json_t *reply = control_reply_status(&sample);
	struct control_status back = {0};
	char *why = NULL;

	(void)state;
	assert_non_null(reply);
	assert_int_equal(control_status_decode(reply, &back, &why), 0);
	json_decref(reply);
	assert_string_equal(back.server, "fra-1");
	assert_string_equal(back.version, "0.1");
	assert_int_equal(back.pid, 4242);
	assert_true(back.applied == UINT64_C(1) << 40);
	assert_int_equal(back.since, 1700000000);
	assert_true(back.adopted);
	assert_string_equal(back.uplinks[0].mode, "native");
	assert_int_equal(back.hops[0].mtu, 1500);
	assert_string_equal(back.hops[0].mac, "02:00:00:00:00:01");
	assert_int_equal(back.slice_count, 2);
	assert_int_equal(back.slices[1].first, 63488);
	assert_string_equal(back.slices[1].state, "cooling");
	assert_int_equal(back.policies[0].id, 3);
	assert_string_equal(back.policies[0].slices[0].address, "203.0.113.5");
	assert_int_equal(back.degraded_count, 2);
	assert_string_equal(back.degraded[1], "store away");
	control_status_clear(&back);
	assert_null(back.slices);
}

/* The reply with one value replaced, or taken out with NULL. */
static int verdict(const char *list, const char *key, json_t *value)
{
	json_t *reply = control_reply_status(&sample);
	json_t *object = list ? json_array_get(json_object_get(reply, list), 0) : reply;
	struct control_status back = {0};
	char *why = NULL;
	int err;

	if (value)
		json_object_set_new(object, key, value);
	else
		json_object_del(object, key);
	err = control_status_decode(reply, &back, &why);
	if (err)
		assert_non_null(strstr(why, key));
	free(why);
	control_status_clear(&back);
	json_decref(reply);
	return err;
}

static void test_every_field_needed(void **state)
{
	json_t *reply = control_reply_status(&sample);
	size_t fields = 0;
	const char *key;
	json_t *value;

	(void)state;
	json_object_foreach(reply, key, value)
	{
		if (strcmp(key, "version") == 0 || strcmp(key, "ok") == 0)
			continue;
		assert_int_equal(verdict(NULL, key, NULL), -EBADMSG);
		assert_int_equal(verdict(NULL, key, json_null()), -EBADMSG);
		assert_int_equal(verdict(NULL, key, json_object()), -EBADMSG);
		fields++;
	}
	assert_int_equal(fields, 13);
	json_decref(reply);
}

static void test_wrong_values(void **state)
{
	(void)state;
	assert_int_equal(verdict(NULL, "stranger", json_string("ignored")), 0);
	assert_int_equal(verdict(NULL, "applied", json_integer(-1)), -EBADMSG);
	assert_int_equal(verdict("hops", "mtu", json_integer(INT64_C(1) << 32)), -EBADMSG);
	assert_int_equal(verdict("hops", "mtu", json_real(1500)), -EBADMSG);
	assert_int_equal(verdict("hops", "mac", json_true()), -EBADMSG);
	assert_int_equal(verdict("policies", "slices", json_pack("{}")), -EBADMSG);
	assert_int_equal(verdict(NULL, "degraded", json_pack("[s, i]", "x", 1)), -EBADMSG);
	assert_int_equal(verdict(NULL, "uplinks", json_array()), 0);
}

static void test_check(void **state)
{
	json_t *reply = control_reply_error(-ENOENT, "no policy here selects country=DE");
	const char *text = NULL;
	int code = 0;

	(void)state;
	assert_int_equal(control_reply_check(reply, &code, &text), -EREMOTEIO);
	assert_int_equal(code, -ENOENT);
	assert_string_equal(text, "no policy here selects country=DE");
	json_object_set_new(json_object_get(reply, "error"), "code", json_string("ENEVER"));
	assert_int_equal(control_reply_check(reply, &code, &text), -EREMOTEIO);
	assert_int_equal(code, -EIO);
	json_object_set_new(reply, "error", json_string("x"));
	assert_int_equal(control_reply_check(reply, &code, &text), -EPROTO);
	json_decref(reply);

	reply = control_reply_error(-EXDEV, "odd");
	assert_int_equal(control_reply_check(reply, &code, &text), -EREMOTEIO);
	assert_int_equal(code, -EIO);
	json_decref(reply);

	reply = control_reply_ok();
	assert_int_equal(control_reply_check(reply, &code, &text), 0);
	json_object_set_new(reply, "ok", json_false());
	assert_int_equal(control_reply_check(reply, &code, &text), -EPROTO);
	json_object_set_new(reply, "ok", json_true());
	json_object_set_new(reply, "version", json_integer(2));
	assert_int_equal(control_reply_check(reply, &code, &text), -EPROTO);
	json_decref(reply);
}

static void test_run(void **state)
{
	json_t *reply = control_reply_run(1023);
	const char *text;
	int code;

	(void)state;
	assert_int_equal(control_reply_check(reply, &code, &text), 0);
	assert_int_equal(json_integer_value(json_object_get(reply, "policy")), 1023);
	json_decref(reply);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),        cmocka_unit_test(test_every_field_needed),
		cmocka_unit_test(test_wrong_values), cmocka_unit_test(test_check),
		cmocka_unit_test(test_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
