/* SPDX-License-Identifier: BSD-2-Clause */
/* Frames of the control socket: bytes to messages and back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"

#define BODY_ROOM_MIN 4096u

static int fail(int err, const char *sentence, const char **why)
{
	if (why)
		*why = sentence;
	return err;
}

static size_t take(void *to, size_t fill, size_t want, const void *data, size_t size)
{
	size_t chunk = want - fill < size ? want - fill : size;

	if (chunk > 0)
		memcpy((char *)to + fill, data, chunk);
	return chunk;
}

static uint32_t header_read(const unsigned char header[CONTROL_FRAME_HEADER])
{
	return (uint32_t)header[0] << 24 | (uint32_t)header[1] << 16 | (uint32_t)header[2] << 8 | header[3];
}

static void header_write(unsigned char header[CONTROL_FRAME_HEADER], uint32_t size)
{
	header[0] = size >> 24;
	header[1] = size >> 16 & 0xff;
	header[2] = size >> 8 & 0xff;
	header[3] = size & 0xff;
}

static int header_take(struct control_decoder *decoder, const void *data, size_t size, size_t *taken, const char **why)
{
	size_t limit = decoder->limit ? decoder->limit : CONTROL_FRAME_MAX;
	size_t body_size;

	*taken = take(decoder->header, decoder->header_fill, CONTROL_FRAME_HEADER, data, size);
	decoder->header_fill += *taken;
	if (decoder->header_fill < CONTROL_FRAME_HEADER)
		return 0;
	body_size = header_read(decoder->header);
	if (body_size == 0)
		return fail(-EMSGSIZE, "the frame is empty", why);
	if (body_size > limit)
		return fail(-EMSGSIZE, "the frame is longer than its limit", why);
	decoder->body_size = body_size;
	return 0;
}

/* Room for `more` bytes, at most doubled at a time: a peer that only promises a megabyte gets none. */
static int body_reserve(struct control_decoder *decoder, size_t more)
{
	size_t need = decoder->body_fill + more;
	size_t room = decoder->body_room * 2 > BODY_ROOM_MIN ? decoder->body_room * 2 : BODY_ROOM_MIN;
	char *body;

	if (need <= decoder->body_room)
		return 0;
	if (room < need)
		room = need;
	body = realloc(decoder->body, room);
	if (!body)
		return -ENOMEM;
	decoder->body = body;
	decoder->body_room = room;
	return 0;
}

static int body_take(struct control_decoder *decoder, const void *data, size_t size, size_t *taken)
{
	size_t missing = decoder->body_size - decoder->body_fill;
	int err = body_reserve(decoder, missing < size ? missing : size);

	if (err)
		return err;
	*taken = take(decoder->body, decoder->body_fill, decoder->body_size, data, size);
	decoder->body_fill += *taken;
	return 0;
}

/* How deep brackets nest outside of strings. Looked at before parsing, because the parser recurses. */
static size_t json_depth(const char *text, size_t size)
{
	size_t depth = 0, deepest = 0;
	bool in_string = false;

	for (size_t i = 0; i < size; i++) {
		if (in_string) {
			if (text[i] == '\\')
				i++;
			else if (text[i] == '"')
				in_string = false;
		} else if (text[i] == '"') {
			in_string = true;
		} else if (text[i] == '{' || text[i] == '[') {
			depth++;
			if (depth > deepest)
				deepest = depth;
		} else if ((text[i] == '}' || text[i] == ']') && depth > 0) {
			depth--;
		}
	}
	return deepest;
}

static int body_parse(const char *text, size_t size, json_t **ret, const char **why)
{
	json_error_t error;
	json_t *message;

	if (json_depth(text, size) > CONTROL_DEPTH_MAX)
		return fail(-EBADMSG, "the message nests too deep", why);
	message = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (!message) {
		switch (json_error_code(&error)) {
		case json_error_out_of_memory:
			return -ENOMEM;
		case json_error_duplicate_key:
			return fail(-EBADMSG, "the message gives a key twice", why);
		default:
			return fail(-EBADMSG, "the message is not JSON", why);
		}
	}
	if (!json_is_object(message)) {
		json_decref(message);
		return fail(-EBADMSG, "the message is not a JSON object", why);
	}
	*ret = message;
	return 0;
}

int control_decoder_feed(struct control_decoder *decoder, const void *data, size_t size, size_t *taken, json_t **ret,
			 const char **why)
{
	const char *bytes = data;
	size_t header_taken = 0, body_taken = 0;
	json_t *message = NULL;
	int err;

	if (decoder->header_fill < CONTROL_FRAME_HEADER) {
		err = header_take(decoder, data, size, &header_taken, why);
		if (err)
			return err;
	}
	if (decoder->header_fill == CONTROL_FRAME_HEADER && size > header_taken) {
		err = body_take(decoder, bytes + header_taken, size - header_taken, &body_taken);
		if (err)
			return fail(err, "no memory for the frame", why);
		if (decoder->body_fill == decoder->body_size) {
			err = body_parse(decoder->body, decoder->body_size, &message, why);
			if (err)
				return err;
			decoder->header_fill = 0;
			decoder->body_size = 0;
			decoder->body_fill = 0;
		}
	}
	*taken = header_taken + body_taken;
	*ret = message;
	return 0;
}

void control_decoder_clear(struct control_decoder *decoder)
{
	free(decoder->body);
	*decoder = (struct control_decoder){.limit = decoder->limit};
}

int control_frame(const json_t *message, void **ret, size_t *size)
{
	const size_t flags = JSON_COMPACT;
	size_t body_size = json_dumpb(message, NULL, 0, flags);
	unsigned char *frame;

	if (body_size == 0)
		return -ENOMEM;
	if (body_size > CONTROL_FRAME_MAX)
		return -EMSGSIZE;
	frame = malloc(CONTROL_FRAME_HEADER + body_size);
	if (!frame)
		return -ENOMEM;
	header_write(frame, (uint32_t)body_size);
	if (json_dumpb(message, (char *)frame + CONTROL_FRAME_HEADER, body_size, flags) != body_size) {
		free(frame);
		return -ENOMEM;
	}
	*ret = frame;
	*size = CONTROL_FRAME_HEADER + body_size;
	return 0;
}
