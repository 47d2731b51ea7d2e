/* SPDX-License-Identifier: Apache-2.0 */
/* Sections held against each other and against the tables' limits. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../abi/allocator.h"
#include "../abi/wrap.h"
#include "fleet_file_reader.h"

/* The policy "none" takes one number. */
#define FLEET_POLICIES_MAX (POLICIES_MAX - 1)
/* The other half is for what every policy excepts. */
#define FLEET_EXCEPTS_MAX (EXCEPTS_MAX / 2)

/* `{name: a, underlay: 192.0.2.1}` has more than 16 bytes, so a file's size limits servers more than the wrap does. */
_Static_assert(FLEET_FILE_MAX / 16 < WRAP_SERVER_ID_MAX, "a fleet file can list more servers than there are ids");

static int text_order(const void *a, const void *b)
{
	const struct node *left = *(const struct node *const *)a;
	const struct node *right = *(const struct node *const *)b;
	int order = strcmp(left->text, right->text);

	if (order == 0)
		order = (left->line > right->line) - (left->line < right->line);
	if (order == 0)
		order = (left->column > right->column) - (left->column < right->column);
	return order;
}

/* Values are compared as text: names, and numbers and addresses, which have one way to be written. */
static void check_unique(struct reader *reader, struct node_list *values, const char *what)
{
	if (values->count > 1)
		qsort(values->items, values->count, sizeof(*values->items), text_order);
	for (size_t i = 1; i < values->count && !reader_stopped(reader); i++) {
		const struct node *before = values->items[i - 1];
		const struct node *node = values->items[i];

		if (strcmp(before->text, node->text) == 0)
			reader_fault(reader, node, "%s %s is used twice: line %zu has it, too", what, node->text,
				     before->line);
	}
	free(values->items);
}

/* Adds the value of `key` of each element that has it. */
static void gather(struct reader *reader, const struct node_list *elements, const char *key, struct node_list *values)
{
	for (size_t i = 0; i < elements->count; i++) {
		const struct node *value = node_member(elements->items[i], key);

		if (value && !node_list_add(reader, values, value))
			return;
	}
}

static void check_unique_key(struct reader *reader, const struct node_list *elements, const char *key, const char *what)
{
	struct node_list values = {0};

	gather(reader, elements, key, &values);
	check_unique(reader, &values, what);
}

static void check_unique_addresses(struct reader *reader)
{
	struct node_list values = {0};

	gather(reader, &reader->sites, "tunnel", &values);
	gather(reader, &reader->servers, "underlay", &values);
	check_unique(reader, &values, "address");
}

/* Underlay addresses in a pool would be taken for egress addresses. */
static void check_outside_pools(struct reader *reader, const struct node_list *elements, const char *key)
{
	for (size_t i = 0; i < elements->count && !reader_stopped(reader); i++) {
		const struct node *value = node_member(elements->items[i], key);
		const struct fleet_pool *pool;
		char text[ADDR_TEXT_MAX];
		uint32_t addr;

		if (!value || addr_parse(value->text, &addr))
			continue;
		pool = fleet_find_pool(reader->fleet, addr);
		if (pool)
			reader_fault(reader, value, "%s %s lies in the pool %s: use an address outside of every pool",
				     key, value->text, prefix_format(pool->prefix, text));
	}
}

static void check_tunnels(struct reader *reader)
{
	const struct fleet *fleet = reader->fleet;

	for (size_t i = 0; fleet->site_count > 1 && i < fleet->site_count && !reader_stopped(reader); i++)
		if (!fleet->sites[i].tunnel)
			reader_fault(reader, reader->sites.items[i],
				     "site %s has no tunnel address: a fleet of several sites needs one for each",
				     fleet->sites[i].name);
}

static void check_limit(struct reader *reader, const struct node_list *elements, size_t max, const char *what)
{
	if (elements->count > max)
		reader_fault(reader, elements->items[max], "a fleet has at most %zu %s, this file has %zu", max, what,
			     elements->count);
}

/* Rows of the tables that all policies share. */
static void check_policy_tables(struct reader *reader)
{
	const struct fleet *fleet = reader->fleet;
	size_t excepts = 0;
	size_t serves = 0;

	for (size_t i = 0; i < fleet->policy_count; i++) {
		const struct node *node = reader->policies.items[i];

		excepts += fleet->policies[i].except_count;
		serves += fleet->policies[i].serve_count;
		if (excepts > FLEET_EXCEPTS_MAX) {
			reader_fault(reader, node_member(node, "except"),
				     "the policies up to this one except %zu prefixes, all together may except %u",
				     excepts, FLEET_EXCEPTS_MAX);
			return;
		}
		if (serves > SERVE_PORTS_MAX) {
			reader_fault(reader, node_member(node, "serve"),
				     "the policies up to this one serve on %zu ports, all together may on %u", serves,
				     SERVE_PORTS_MAX);
			return;
		}
	}
}

/* Each name is looked up on every server. */
static void check_allowed(struct reader *reader)
{
	const struct fleet *fleet = reader->fleet;
	size_t count = 0;

	for (size_t i = 0; i < fleet->policy_count; i++) {
		count += fleet->policies[i].users.count + fleet->policies[i].groups.count;
		if (count > FLEET_ALLOWED_MAX) {
			reader_fault(reader, node_member(reader->policies.items[i], "allow"),
				     "the policies up to this one allow %zu users and groups, all together may allow "
				     "%u: put users into a group",
				     count, FLEET_ALLOWED_MAX);
			return;
		}
	}
}

static bool selector_matches_any(const struct fleet *fleet, const struct selector *selector)
{
	for (size_t i = 0; i < fleet->addresses_count; i++)
		if (selector_matches(selector, &fleet->addresses[i].tags))
			return true;
	return false;
}

/* Points at `$site.KEY` in a selector's text. */
static size_t variable_column(const struct node *select, const char *key)
{
	const char *at = select->text;

	while ((at = strstr(at, "$site."))) {
		const char *found = at;

		at += strlen("$site.");
		/* A longer key may begin like this one; strchr() finds the end of the text as well. */
		if (strncmp(at, key, strlen(key)) == 0 && strchr(", ", at[strlen(key)]))
			return node_text_column(select, (size_t)(found - select->text));
	}
	return select->column;
}

/* Every site's place must have the keys that the selector takes from it. */
static bool check_variables(struct reader *reader, const struct selector *selector, const struct node *select)
{
	const struct fleet *fleet = reader->fleet;

	for (size_t i = 0; i < selector->count; i++) {
		const struct selector_term *term = &selector->terms[i];

		for (size_t j = 0; term->from_site && j < fleet->site_count; j++) {
			if (tags_get(&fleet->sites[j].place, term->value))
				continue;
			reader_fault_at(reader, select->line, variable_column(select, term->value),
					"%s asks for $site.%s, but the place of site %s has no %s: add it there",
					select->name, term->value, fleet->sites[j].name, term->value);
			return false;
		}
	}
	return true;
}

static bool selector_has_variable(const struct selector *selector)
{
	for (size_t i = 0; i < selector->count; i++)
		if (selector->terms[i].from_site)
			return true;
	return false;
}

/* True when the selector, as one site or another asks it, finds an address. */
static bool select_finds(struct reader *reader, const struct selector *selector)
{
	const struct fleet *fleet = reader->fleet;
	size_t sites = selector_has_variable(selector) ? fleet->site_count : 1;
	bool found = false;

	for (size_t i = 0; i < sites && !found; i++) {
		struct selector resolved;

		if (selector_resolve(selector, &fleet->sites[i].place, &resolved, NULL)) {
			reader->no_memory = true;
			return false;
		}
		found = selector_matches_any(fleet, &resolved);
		selector_free(&resolved);
	}
	return found;
}

static void check_select(struct reader *reader, const struct selector *selector, const struct node *select)
{
	struct shown shown;

	if (check_variables(reader, selector, select) && !select_finds(reader, selector) && !reader->no_memory)
		reader_fault(reader, select, "%s %s matches no address of this fleet: give a range these tags",
			     select->name, shown_quote(select->text, &shown));
}

/* It would never be come to: what it finds, one before it has found. */
static void check_fallback_is_new(struct reader *reader, const struct fleet_policy *policy, size_t index,
				  const struct node *node)
{
	struct shown shown;
	bool known = selector_compare(&policy->fallback[index], &policy->select) == 0;

	for (size_t i = 0; i < index; i++)
		known |= selector_compare(&policy->fallback[index], &policy->fallback[i]) == 0;
	if (known)
		reader_fault(reader, node, "fallback %s says what select or an earlier fallback does: leave it out",
			     shown_quote(node->text, &shown));
}

static void check_fallbacks(struct reader *reader, const struct fleet_policy *policy, const struct node *item)
{
	const struct node *list = node_member(item, "fallback"), *node;
	size_t items = 0, i = 0;

	for (node = list ? list->child : NULL; node; node = node->next)
		items++;
	if (items != policy->fallback_count)
		return; /* one could not be read, which is told of already */
	for (node = list ? list->child : NULL; node; node = node->next, i++) {
		check_select(reader, &policy->fallback[i], node);
		check_fallback_is_new(reader, policy, i, node);
	}
}

static void check_selects(struct reader *reader)
{
	const struct fleet *fleet = reader->fleet;

	for (size_t i = 0; i < fleet->policy_count && !reader_stopped(reader); i++) {
		const struct node *item = reader->policies.items[i];

		check_select(reader, &fleet->policies[i].select, node_member(item, "select"));
		check_fallbacks(reader, &fleet->policies[i], item);
	}
}

void fleet_file_check(struct reader *reader)
{
	check_limit(reader, &reader->sites, WRAP_SITE_ID_MAX, "sites");
	check_limit(reader, &reader->policies, FLEET_POLICIES_MAX, "policies");
	check_policy_tables(reader);
	check_allowed(reader);
	fleet_file_check_pools(reader);
	check_unique_key(reader, &reader->sites, "name", "site name");
	check_unique_key(reader, &reader->sites, "id", "site id");
	check_unique_key(reader, &reader->servers, "name", "server name");
	check_unique_key(reader, &reader->servers, "id", "server id");
	check_unique_key(reader, &reader->policies, "name", "policy name");
	check_unique_key(reader, &reader->policies, "cgroup", "cgroup");
	check_unique_key(reader, &reader->policies, "mark", "mark");
	check_unique_addresses(reader);
	check_outside_pools(reader, &reader->sites, "tunnel");
	check_outside_pools(reader, &reader->servers, "underlay");
	check_tunnels(reader);
	check_selects(reader);
}
