/* SPDX-License-Identifier: Apache-2.0 */
#include "programs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "../abi/forwarder.h"
#include "bpflog.h"
#include "why.h"

#define VERIFIER_LOG_SIZE (1u << 20)

/*
 * The objects as clang made them, compressed: they hold the tables' zeros, tens of megabytes of them. OBJECTS_DIR is
 * where the Makefile puts them.
 */
#define EMBED(object) \
	__asm__(".pushsection .rodata\n" #object "_packed:\n.incbin \"" OBJECTS_DIR "/" #object \
		".bpf.o.gz\"\n" #object "_packed_end:\n.popsection\n"); \
	extern const unsigned char object##_packed[], object##_packed_end[]

EMBED(forwarder);
EMBED(guard);
EMBED(allocator);

static const struct {
	const char *name;
	const unsigned char *packed, *end;
} objects[PROGRAM_OBJECTS] = {
	[OBJECT_FORWARDER] = {"forwarder", forwarder_packed, forwarder_packed_end},
	[OBJECT_GUARD] = {"guard", guard_packed, guard_packed_end},
	[OBJECT_ALLOCATOR] = {"allocator", allocator_packed, allocator_packed_end},
};

const char *program_object_name(enum program_object which)
{
	return objects[which].name;
}

/* RFC 1952: a gzip member ends with the size of what is in it, 32 bits, low byte first. */
static size_t unpacked_size(const unsigned char *end)
{
	return (size_t)end[-4] | (size_t)end[-3] << 8 | (size_t)end[-2] << 16 | (size_t)end[-1] << 24;
}

static int unpack(enum program_object which, void *to, size_t size)
{
	z_stream stream = {
		.next_in = (unsigned char *)objects[which].packed,
		.avail_in = (unsigned)(objects[which].end - objects[which].packed),
		.next_out = to,
		.avail_out = (unsigned)size,
	};
	int result;

	if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK) /* 16: with gzip's header */
		return -ENOMEM;
	result = inflate(&stream, Z_FINISH);
	(void)inflateEnd(&stream);
	return result == Z_STREAM_END ? 0 : -EBADMSG;
}

int program_object_open(enum program_object which, struct bpf_object **ret)
{
	LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = objects[which].name);
	size_t size = unpacked_size(objects[which].end);
	void *elf = malloc(size);
	struct bpf_object *object;
	int err = elf ? unpack(which, elf, size) : -ENOMEM;

	if (!err) {
		bpflog_begin();
		object = bpf_object__open_mem(elf, size, &options);
		err = object ? 0 : -errno;
		bpflog_end();
	}
	if (!err)
		*ret = object;
	/* libbpf has copied what it needs: programs, names, the tables' first contents. */
	free(elf);
	return err;
}

/* The last line of the verifier's log that says something: the statistics at its end don't. Cuts the log up. */
static const char *verifier_reason(char *log)
{
	static const char *const statistics[] = {"processed ", "verification time", "stack depth", "max_states"};
	const char *reason = "";

	for (char *rest, *line = strtok_r(log, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		bool says = true;

		for (size_t i = 0; i < sizeof(statistics) / sizeof(*statistics); i++)
			says = says && strncmp(line, statistics[i], strlen(statistics[i]));
		if (says)
			reason = line;
	}
	return reason;
}

static int load_failed(enum program_object which, int err, const char *warning, char *log, char **why)
{
	const char *reason = verifier_reason(log);

	if (err == -EPERM && !*reason)
		return why_say(why, err,
			       "not allowed to load BPF programs: be root, or have CAP_BPF, CAP_NET_ADMIN "
			       "and CAP_PERFMON");
	return why_say(why, err, "the kernel does not take the %s: %s%s%s", objects[which].name,
		       *warning ? warning : strerror(-err), *reason ? ": " : "", reason);
}

/*
 * The verifier is asked for its log only once it has refused: it costs time. A program's log is libbpf's own affair
 * unless we give it a buffer.
 */
int program_object_load(enum program_object which, struct bpf_object *object, char **why)
{
	struct bpf_program *program;
	const char *warning;
	char *log;
	int err;

	log = calloc(1, VERIFIER_LOG_SIZE);
	if (!log)
		return why_say(why, -ENOMEM, "no memory");
	bpf_object__for_each_program(program, object) bpf_program__set_log_buf(program, log, VERIFIER_LOG_SIZE);
	bpflog_begin();
	err = bpf_object__load(object);
	warning = bpflog_end();
	if (err)
		err = load_failed(which, err, warning, log, why);
	bpf_object__for_each_program(program, object) bpf_program__set_log_buf(program, NULL, 0);
	free(log);
	return err;
}
