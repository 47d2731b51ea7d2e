/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that say yes to everything, where the allocator's are: what the kernel takes to call a program at all. */
#include "allocator.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "../../src/kernel/why.h"

#define INSN(opcode, value) ((struct bpf_insn){.code = (opcode), .imm = (value)})

/* What a connect() comes by. */
static const struct {
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
} hooks[EMPTY_HOOKS] = {
	{BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT},
	{BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS},
	{BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS},
};

/* A link's descriptor, or -errno. */
static int hook_attach(int cgroup, size_t index)
{
	const struct bpf_insn program[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 1), /* r0 = 1 */
		INSN(BPF_JMP | BPF_EXIT, 0),
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = hooks[index].attach);
	int fd =
		bpf_prog_load(hooks[index].type, "empty", "GPL", program, sizeof(program) / sizeof(*program), &options);
	int link, err;

	if (fd < 0)
		return -errno;
	link = bpf_link_create(fd, cgroup, hooks[index].attach, NULL);
	err = -errno;
	close(fd);
	return link < 0 ? err : link;
}

void empty_detach(struct empty *empty)
{
	while (empty->count)
		close(empty->links[--empty->count]);
}

int empty_attach(struct empty *empty, const struct rig *rig, char **why)
{
	int cgroup, err = 0;

	if (empty->count)
		return 0;
	cgroup = open(rig->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		return why_say(why, -errno, "%s: %m", rig->top);
	while (!err && empty->count < EMPTY_HOOKS) {
		int link = hook_attach(cgroup, empty->count);

		if (link < 0)
			err = why_say(why, link, "an empty program cannot be attached: %s", strerror(-link));
		else
			empty->links[empty->count++] = link;
	}
	close(cgroup);
	if (err)
		empty_detach(empty);
	return err;
}
