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

/* A frame that promises `promised` bytes and holds `size`. */
static size_t frame_raw(unsigned char *to, uint32_t promised, const char *body, size_t size)
{
	to[0] = promised >> 24;
	to[1] = promised >> 16 & 0xff;
	to[2] = promised >> 8 & 0xff;
	to[3] = promised & 0xff;
	memcpy(to + CONTROL_FRAME_HEADER, body, size);
	return CONTROL_FRAME_HEADER + size;
}

static int feed_body(const char *body, size_t size)
{
	struct control_decoder decoder = {0};
	unsigned char *frame = malloc(CONTROL_FRAME_HEADER + size);
	json_t *message = NULL;
	const char *why = NULL;
	size_t taken = 0;
	int err;

	frame_raw(frame, (uint32_t)size, body, size);
	err = control_decoder_feed(&decoder, frame, CONTROL_FRAME_HEADER + size, &taken, &message, &why);
	if (err)
		assert_non_null(why);
	else
		assert_int_equal(taken, CONTROL_FRAME_HEADER + size);
	json_decref(message);
	control_decoder_clear(&decoder);
	free(frame);
	return err;
}

static int feed_text(const char *body)
{
	return feed_body(body, strlen(body));
}

static void *three_frames(size_t *size)
{
	const char *bodies[] = {"{\"a\":1}", "{\"b\":[\"}\",\"\\\"]\"]}", "{}"};
	unsigned char *all = malloc(256);

	*size = 0;
	for (size_t i = 0; i < 3; i++)
		*size += frame_raw(all + *size, (uint32_t)strlen(bodies[i]), bodies[i], strlen(bodies[i]));
	return all;
}

static void test_split_anywhere(void **state)
{
	size_t size;
	char *all = three_frames(&size);

	(void)state;
	for (size_t step = 1; step <= size; step++) {
		struct control_decoder decoder = {0};
		size_t messages = 0;

		for (size_t at = 0; at < size;) {
			size_t chunk = size - at < step ? size - at : step;
			json_t *message = NULL;
			size_t taken = 0;

			assert_int_equal(control_decoder_feed(&decoder, all + at, chunk, &taken, &message, NULL), 0);
			assert_true(taken > 0 && taken <= chunk);
			if (message)
				messages++;
			else
				assert_int_equal(taken, chunk);
			json_decref(message);
			at += taken;
		}
		assert_int_equal(messages, 3);
		assert_int_equal(decoder.header_fill, 0);
		control_decoder_clear(&decoder);
	}
	free(all);
}

static void test_cut_anywhere(void **state)
{
	unsigned char frame[64];
	size_t size = frame_raw(frame, 7, "{\"a\":1}", 7);

	(void)state;
	for (size_t cut = 0; cut < size; cut++) {
		struct control_decoder decoder = {0};
		json_t *message = (json_t *)&decoder;
		size_t taken = 99;

		assert_int_equal(control_decoder_feed(&decoder, frame, cut, &taken, &message, NULL), 0);
		assert_int_equal(taken, cut);
		assert_null(message);
		assert_int_equal(decoder.header_fill == 0, cut == 0);
		control_decoder_clear(&decoder);
		assert_int_equal(decoder.header_fill, 0);
	}
}

static void test_limits(void **state)
{
	struct control_decoder decoder = {0};
	unsigned char frame[64];
	json_t *message = NULL;
	size_t taken;

	(void)state;
	frame_raw(frame, 0, "", 0);
	assert_int_equal(control_decoder_feed(&decoder, frame, 4, &taken, &message, NULL), -EMSGSIZE);
	control_decoder_clear(&decoder);
	frame_raw(frame, CONTROL_FRAME_MAX + 1, "", 0);
	assert_int_equal(control_decoder_feed(&decoder, frame, 4, &taken, &message, NULL), -EMSGSIZE);
	control_decoder_clear(&decoder);
	frame_raw(frame, UINT32_MAX, "", 0);
	assert_int_equal(control_decoder_feed(&decoder, frame, 4, &taken, &message, NULL), -EMSGSIZE);
	control_decoder_clear(&decoder);

	decoder.limit = 7;
	assert_int_equal(
		control_decoder_feed(&decoder, frame, frame_raw(frame, 8, "{\"a\":10}", 8), &taken, &message, NULL),
		-EMSGSIZE);
	control_decoder_clear(&decoder);
	assert_int_equal(decoder.limit, 7);
	assert_int_equal(
		control_decoder_feed(&decoder, frame, frame_raw(frame, 7, "{\"a\":1}", 7), &taken, &message, NULL), 0);
	assert_non_null(message);
	json_decref(message);
	control_decoder_clear(&decoder);
}

static void test_promise_costs_nothing(void **state)
{
	struct control_decoder decoder = {0};
	unsigned char frame[64];
	size_t size = frame_raw(frame, CONTROL_FRAME_MAX, "{", 1);
	json_t *message = NULL;
	size_t taken;

	(void)state;
	assert_int_equal(control_decoder_feed(&decoder, frame, size, &taken, &message, NULL), 0);
	assert_null(message);
	assert_true(decoder.body_room <= 4096);
	control_decoder_clear(&decoder);
}

static void test_largest(void **state)
{
	char *body = malloc(CONTROL_FRAME_MAX);

	(void)state;
	memset(body, ' ', CONTROL_FRAME_MAX);
	body[0] = '{';
	body[CONTROL_FRAME_MAX - 1] = '}';
	assert_int_equal(feed_body(body, CONTROL_FRAME_MAX), 0);
	free(body);
}

static void test_hostile_json(void **state)
{
	const char nul[] = "{\"a\":\"\\u0000\"}";
	const char raw_nul[] = "{\"a\":1}\0{}";

	(void)state;
	assert_int_equal(feed_text("{\"a\":1}"), 0);
	assert_int_equal(feed_text("{\"a\":1,\"a\":2}"), -EBADMSG);
	assert_int_equal(feed_text("{\"a\":{\"b\":1,\"b\":1}}"), -EBADMSG);
	assert_int_equal(feed_text("[]"), -EBADMSG);
	assert_int_equal(feed_text("1"), -EBADMSG);
	assert_int_equal(feed_text("{\"a\":1} {}"), -EBADMSG);
	assert_int_equal(feed_text("{\"a\":\"\xff\"}"), -EBADMSG);
	assert_int_equal(feed_text("{\"a\":1e999}"), -EBADMSG);
	assert_int_equal(feed_text("{\"a\":99999999999999999999}"), -EBADMSG);
	assert_int_equal(feed_text("{\"a\\"), -EBADMSG);
	assert_int_equal(feed_body(nul, sizeof(nul) - 1), -EBADMSG);
	assert_int_equal(feed_body(raw_nul, sizeof(raw_nul) - 1), -EBADMSG);
}

static void test_depth(void **state)
{
	char *deep = malloc(CONTROL_FRAME_MAX);

	(void)state;
	assert_int_equal(feed_text("{\"a\":[[[[[[[]]]]]]]}"), 0); /* 8 levels */
	assert_int_equal(feed_text("{\"a\":[[[[[[[[]]]]]]]]}"), -EBADMSG);
	assert_int_equal(feed_text("{\"[[[[[[[[[[\":\"{{{{{{{{{{\\\"[[[[[[[[[\"}"), 0);
	memset(deep, '[', CONTROL_FRAME_MAX);
	assert_int_equal(feed_body(deep, CONTROL_FRAME_MAX), -EBADMSG);
	free(deep);
}

static void test_frame_round(void **state)
{
	json_t *message = json_pack("{s:s, s:i}", "text", "\u00e4", "n", 7);
	json_t *back = NULL;
	struct control_decoder decoder = {0};
	void *frame;
	size_t size, taken;

	(void)state;
	assert_int_equal(control_frame(message, &frame, &size), 0);
	assert_int_equal(control_decoder_feed(&decoder, frame, size, &taken, &back, NULL), 0);
	assert_int_equal(taken, size);
	assert_true(json_equal(message, back));
	json_decref(message);
	json_decref(back);
	free(frame);
	control_decoder_clear(&decoder);
}

static void test_frame_too_long(void **state)
{
	char *text = calloc(1, CONTROL_FRAME_MAX + 1);
	json_t *message;
	void *frame = NULL;
	size_t size;

	(void)state;
	memset(text, 'x', CONTROL_FRAME_MAX);
	message = json_pack("{s:s}", "text", text);
	assert_int_equal(control_frame(message, &frame, &size), -EMSGSIZE);
	assert_null(frame);
	json_decref(message);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_anywhere), cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_limits),         cmocka_unit_test(test_promise_costs_nothing),
		cmocka_unit_test(test_largest),        cmocka_unit_test(test_hostile_json),
		cmocka_unit_test(test_depth),          cmocka_unit_test(test_frame_round),
		cmocka_unit_test(test_frame_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
