/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: telling of refusals
 *
 * Layout and allowances: abi/event.h. A program can be preempted between reading and writing its CPU's allowance by
 * another one that is refused there: then an event more is told, or a refusal less is counted, which harms nobody.
 *
 * Global functions, so that the verifier reads each of them once, not at every place where something is refused.
 */
#ifndef BERTH_BPF_ALLOC_EVENTS_H
#define BERTH_BPF_ALLOC_EVENTS_H

#include <linux/bpf.h>
#include <linux/errno.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "../abi/event.h"
#include "../abi/hash.h"
#include "alloc_policy.h"
#include "counters.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENTS_BYTES);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, EVENT_BUCKETS);
	__type(key, __u32);
	__type(value, struct event_bucket);
} event_buckets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, WASTERS_MAX);
	__type(key, struct waster_key);
	__type(value, struct waster);
} wasters SEC(".maps");

/* The parts that are read here. */
struct cred {
	struct {
		__u32 val;
	} uid;
} __attribute__((preserve_access_index));

struct task_struct {
	int tgid;
	const struct cred *cred;
	char comm[COMM_SIZE];
} __attribute__((preserve_access_index));

/* What a program wanted, as far as it is known. */
struct attempt {
	struct inet_addr dest;
	__u32 policy;
	__u32 used, busy; /* as in struct event */
	__be16 dest_port;
	__u8 proto;
	__u8 reserved;
};

static __always_inline struct event_bucket *event_bucket_find(const struct attempt *attempt, __u32 verdict)
{
	__u32 hash = hash_mix(attempt->policy ^ hash_mix(verdict << 16 | attempt->dest_port));
	int i;

	for (i = 0; i < 4; i++)
		hash = hash_mix(hash ^ attempt->dest.word[i]);
	hash %= EVENT_BUCKETS;
	return bpf_map_lookup_elem(&event_buckets, &hash);
}

/*
 * Room for an event, without the process; NULL: nothing is told. The allowance is one point in time: each event moves
 * it on by an interval, and it may lie ahead of now by a burst of them.
 */
static __always_inline struct event *event_begin(const struct attempt *attempt, __u32 verdict)
{
	struct event_bucket *bucket = event_bucket_find(attempt, verdict);
	__u64 now = bpf_ktime_get_boot_ns();
	struct event *event = NULL;

	if (!bucket)
		return NULL;
	if (bucket->next < now)
		bucket->next = now;
	if (bucket->next - now <= (EVENT_BURST - 1) * EVENT_INTERVAL_NS)
		event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) { /* or the ring is full: nobody reads it */
		bucket->held_back++;
		count(VERDICT_EVENT_LOST);
		return NULL;
	}
	bucket->next += EVENT_INTERVAL_NS;
	*event = (struct event){
		.time = now,
		.held_back = bucket->held_back,
		.verdict = verdict,
		.policy = attempt->policy,
		.dest_port = attempt->dest_port,
		.proto = attempt->proto,
		.used = attempt->used,
		.busy = attempt->busy,
	};
	bucket->held_back = 0;
	__builtin_memcpy(event->dest, &attempt->dest, sizeof(event->dest));
	return event;
}

/* For hooks that run in the caller's own context. */
__noinline int event_of_call(const struct attempt *attempt, __u32 verdict)
{
	struct event *event = attempt ? event_begin(attempt, verdict) : NULL;

	if (!event)
		return -EAGAIN;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	event->uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* The same for programs that may not ask who calls. */
__noinline int event_of_task(const struct attempt *attempt, __u32 verdict)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct event *event = attempt ? event_begin(attempt, verdict) : NULL;

	if (!event)
		return -EAGAIN;
	event->pid = BPF_CORE_READ(task, tgid);
	event->uid = BPF_CORE_READ(task, cred, uid.val);
	bpf_core_read(event->comm, sizeof(event->comm), &task->comm);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/*
 * For packets. Nearly all leave in their sender's system call; one that is sent again, or by the kernel's own doing,
 * bears the name of whoever ran just then.
 */
__noinline int event_of_packet(struct __sk_buff *skb, const struct attempt *attempt, __u32 verdict)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct event *event = attempt ? event_begin(attempt, verdict) : NULL;

	if (!event)
		return -EAGAIN;
	event->pid = BPF_CORE_READ(task, tgid);
	event->uid = bpf_get_socket_uid(skb);
	bpf_core_read(event->comm, sizeof(event->comm), &task->comm);
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* The calling program has a socket that keeps a port from everybody else, or brought one of its own. */
__noinline int waster_count(__u32 policy)
{
	struct waster_key key = {.policy = policy};
	struct waster fresh = {.count = 1, .last = bpf_ktime_get_boot_ns()};
	struct waster *waster;

	bpf_get_current_comm(key.comm, sizeof(key.comm));
	waster = bpf_map_lookup_elem(&wasters, &key);
	if (!waster)
		return bpf_map_update_elem(&wasters, &key, &fresh, BPF_NOEXIST);
	__sync_fetch_and_add(&waster->count, 1);
	waster->last = fresh.last;
	return 0;
}

#endif
