/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF programs that are built into this one. */
#ifndef BERTH_KERNEL_PROGRAMS_H
#define BERTH_KERNEL_PROGRAMS_H

#include <bpf/libbpf.h>
#include <stdint.h>

enum program_object { OBJECT_FORWARDER, OBJECT_GUARD, OBJECT_ALLOCATOR, PROGRAM_OBJECTS };

/* "forwarder", "guard", "allocator". */
const char *program_object_name(enum program_object which);
/* Opened, not loaded; the caller closes it. -errno. */
int program_object_open(enum program_object which, struct bpf_object **ret);
/* Loads it. On failure *why is a sentence with what the verifier said last. Quiet otherwise. */
int program_object_load(enum program_object which, struct bpf_object *object, char **why);

#endif
