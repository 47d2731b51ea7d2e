/* SPDX-License-Identifier: Apache-2.0 */
/* Policies. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/allocator.h"
#include "fleet_file_reader.h"

static void read_policy_name(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_policy *policy = object;

	policy->name = reader_name(reader, node);
}

/* What is wrong with a path below the cgroup root, or NULL. The kernel's own form is the only one that matches. */
static const char *cgroup_fault(const char *path)
{
	size_t depth = 0;

	if (*path != '/')
		return "must start with '/': it is a path below the cgroup root";
	if (strlen(path) >= CGROUP_PATH_MAX)
		return "is too long: 255 characters at most";
	if (strcmp(path, "/") == 0)
		return NULL;
	while (*path) {
		size_t len = strcspn(++path, "/");

		if (len == 0)
			return "must have one '/' between names and none at its end";
		if (path[0] == '.' && (len == 1 || (len == 2 && path[1] == '.')))
			return "must not have '.' or '..' as a name: write the path out";
		if (++depth > CGROUP_DEPTH_MAX)
			return "is too deep: 16 levels at most";
		path += len;
	}
	return NULL;
}

_Static_assert(FLEET_FALLBACKS_MAX == POLICY_TIERS_MAX - 1, "the selector's own tier, and one for each fallback");
_Static_assert(CGROUP_PATH_MAX == 256 && CGROUP_DEPTH_MAX == 16, "the sentences above say these limits");

static void read_cgroup(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_policy *policy = object;
	const char *text = reader_text(reader, node);
	const char *why;
	struct shown shown;

	if (!text)
		return;
	why = cgroup_fault(text);
	if (why) {
		reader_fault(reader, node, "cgroup %s %s", shown_quote(text, &shown), why);
		return;
	}
	policy->cgroup = strdup(text);
	if (!policy->cgroup)
		reader->no_memory = true;
}

static bool read_selector(struct reader *reader, const struct node *node, struct selector *ret)
{
	const char *text = reader_text(reader, node);
	struct shown shown;
	const char *why;
	size_t at;
	int err;

	if (!text)
		return false;
	err = selector_parse(text, ret, &at, &why);
	if (err == -EINVAL)
		reader_fault_at(reader, node->line, node_text_column(node, at), "%s %s: %s", node->name,
				shown_quote(text, &shown), why);
	else if (err)
		reader->no_memory = true;
	return !err;
}

static void read_select(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_policy *policy = object;

	read_selector(reader, node, &policy->select);
}

static void read_one_fallback(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_policy *policy = object;
	struct selector *fallback;

	if (policy->fallback_count == FLEET_FALLBACKS_MAX) {
		reader_fault(reader, node, "a policy has at most %u fallbacks", FLEET_FALLBACKS_MAX);
		return;
	}
	fallback = reader_grow(reader, policy->fallback, policy->fallback_count, sizeof(*fallback));
	if (!fallback)
		return;
	policy->fallback = fallback;
	if (read_selector(reader, node, &fallback[policy->fallback_count]))
		policy->fallback_count++;
}

static void read_fallback(struct reader *reader, const struct node *node, void *object)
{
	reader_list(reader, node, read_one_fallback, object);
}

static void read_address_choice(struct reader *reader, const struct node *node, void *object)
{
	static const char *const choices[] = {[ADDRESS_STICKY] = "sticky", [ADDRESS_SPREAD] = "spread", NULL};
	struct fleet_policy *policy = object;
	unsigned choice;

	if (reader_choice(reader, node, choices, &choice))
		policy->address = choice;
}

static void read_unconnected_udp(struct reader *reader, const struct node *node, void *object)
{
	static const char *const choices[] = {
		[UNCONNECTED_DENY] = "deny", [UNCONNECTED_OWN_ADDRESS] = "own_address", NULL};
	struct fleet_policy *policy = object;
	unsigned choice;

	if (reader_choice(reader, node, choices, &choice))
		policy->unconnected_udp = choice;
}

static void read_other_netns(struct reader *reader, const struct node *node, void *object)
{
	static const char *const choices[] = {
		[OTHER_NETNS_DENY] = "deny", [OTHER_NETNS_HOST_ADDRESS] = "host_address", NULL};
	struct fleet_policy *policy = object;
	unsigned choice;

	if (reader_choice(reader, node, choices, &choice))
		policy->other_netns = choice;
}

static void read_mark(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_policy *policy = object;
	unsigned mark;

	if (reader_number(reader, node, 1, UINT32_MAX, &mark))
		policy->mark = mark;
}

static void read_slices(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_policy *policy = object;

	reader_number(reader, node, 1, POLICY_SLICES_MAX, &policy->slices);
}

static void read_destinations(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_policy *policy = object;

	reader_number(reader, node, 1, DESTINATIONS_MAX, &policy->destinations);
}

static void read_excepted(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_policy *policy = object;
	struct prefix prefix;
	struct prefix *except;

	if (!reader_prefix(reader, node, &prefix))
		return;
	except = reader_grow(reader, policy->except, policy->except_count, sizeof(*except));
	if (!except)
		return;
	except[policy->except_count++] = prefix;
	policy->except = except;
}

static void read_except(struct reader *reader, const struct node *node, void *object)
{
	reader_list(reader, node, read_excepted, object);
}

static void read_served(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_policy *policy = object;
	unsigned port;
	uint16_t *serve;

	if (!reader_number(reader, node, 1, 65535, &port))
		return;
	serve = reader_grow(reader, policy->serve, policy->serve_count, sizeof(*serve));
	if (!serve)
		return;
	serve[policy->serve_count++] = (uint16_t)port;
	policy->serve = serve;
}

static void read_serve(struct reader *reader, const struct node *node, void *object)
{
	reader_list(reader, node, read_served, object);
}

void fleet_file_policy(struct reader *reader, const struct node *item, void *object)
{
	static const struct field fields[] = {{"name", read_policy_name, "crawler"},
					      {"cgroup", read_cgroup, NULL},
					      {"mark", read_mark, NULL},
					      {"select", read_select, "country=DE"},
					      {"fallback", read_fallback, NULL},
					      {"address", read_address_choice, NULL},
					      {"unconnected_udp", read_unconnected_udp, NULL},
					      {"other_netns", read_other_netns, NULL},
					      {"slices", read_slices, NULL},
					      {"destinations", read_destinations, NULL},
					      {"except", read_except, NULL},
					      {"serve", read_serve, NULL},
					      {"allow", fleet_file_allow, NULL},
					      {0}};
	struct fleet *fleet = object;
	struct fleet_policy *policies;

	if (item->kind == NODE_MAPPING && !node_member(item, "cgroup") && !node_member(item, "mark"))
		reader_fault(reader, item,
			     "a policy must have the key cgroup or the key mark: write for example `cgroup: "
			     "/system.slice/crawler.service`");
	if (!node_list_add(reader, &reader->policies, item))
		return;
	policies = reader_grow(reader, fleet->policies, fleet->policy_count, sizeof(*policies));
	if (!policies)
		return;
	fleet->policies = policies;
	policies[fleet->policy_count].slices = 1;
	reader_mapping(reader, item, "a policy", fields, &policies[fleet->policy_count++]);
}
