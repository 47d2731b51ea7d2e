/* SPDX-License-Identifier: Apache-2.0 */
#include "forwarder_model.h"

#include <err.h>
#include <stdio.h>
#include <string.h>

#include "../../src/core/decide.h"
#include "forwarder_rig.h"

_Static_assert(NO_VERDICT == DECIDE_UNCOUNTED, "both say so of a packet that is none of ours");

/* The sockets that the rig opened. */
static bool socket_wants(void *context, uint32_t src, uint16_t sport, uint32_t dst, uint16_t dport)
{
	(void)context;
	if (dst != EGRESS)
		return false;
	if (dport == PORT_CONNECTED || dport == PORT_CONNECTED_V6)
		return src == PEER && sport == 53;
	return dport == PORT_BOUND;
}

/* First fragments, in the order of their coming. */
static struct {
	struct fragment_key key;
	uint16_t steering;
} remembered[1024];
static size_t remembered_count;

static int fragment_recall(void *context, const struct fragment_key *key)
{
	(void)context;
	for (size_t i = remembered_count; i-- > 0;)
		if (!memcmp(&remembered[i].key, key, sizeof(*key)))
			return remembered[i].steering;
	return -1;
}

static void fragment_remember(void *context, const struct fragment_key *key, uint16_t steering)
{
	(void)context;
	if (remembered_count == sizeof(remembered) / sizeof(*remembered))
		errx(1, "the model has no room for so many fragments");
	remembered[remembered_count].key = *key;
	remembered[remembered_count++].steering = steering;
}

void model_forget(void)
{
	remembered_count = 0;
}

static uint32_t xdp_action(const struct decision *decision, uint32_t ifindex)
{
	switch (decision->action) {
	case DECIDE_PASS:
		return XDP_PASS;
	case DECIDE_DROP:
		return XDP_DROP;
	case DECIDE_ANSWER:
		return XDP_TX;
	case DECIDE_SEND:
		break;
	}
	return decision->ifindex == ifindex ? XDP_TX : XDP_REDIRECT;
}

void model_run(const struct packet *in, uint32_t ifindex, struct model_result *ret)
{
	const struct decider decider = {
		.config = &forwarder_skel->data_config->config,
		.directories = &forwarder_skel->data_directories->directories,
		.slices = &forwarder_skel->data_slices->slices,
		.hops = &forwarder_skel->data_hops->hops,
		.members = &forwarder_skel->data_members->members,
		.socket_wants = socket_wants,
		.fragment_recall = fragment_recall,
		.fragment_remember = fragment_remember,
	};
	struct decision decision = {.bytes = ret->out.bytes};

	decide(&decider, in->bytes, in->size, &decision);
	ret->action = xdp_action(&decision, ifindex);
	ret->verdict = decision.verdict;
	ret->report = decision.action == DECIDE_ANSWER;
	ret->out.size = decision.size;
}

bool model_agrees(const struct model_result *model, const struct program_result *program)
{
	bool counted = program_counted(program, model->verdict);

	if (model->action != program->action)
		fprintf(stderr, "the model says action %u, the program %u\n", model->action, program->action);
	return packet_same(&model->out, &program->out) && counted && model->action == program->action;
}
