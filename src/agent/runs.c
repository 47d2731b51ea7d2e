/* SPDX-License-Identifier: Apache-2.0 */
#include "runs.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../kernel/cgroup.h"
#include "agent.h"
#include "log.h"
#include "policies.h"

static char *file_name(const struct agent *agent, const char *end)
{
	char *name;

	return asprintf(&name, "%s/runs.json%s", agent->options.run_dir, end) < 0 ? NULL : name;
}

/* The cgroup's number too: another of the same name is another cgroup. */
static json_t *run_json(const struct run *run)
{
	json_t *object = json_pack("{s:s, s:s, s:I}", "cgroup", run->cgroup, run->selector ? "select" : "policy",
				   run->selector ? run->selector : run->policy_name, "id", (json_int_t)run->id);

	if (object && run->user != RUN_BY_BERTH && json_object_set_new(object, "user", json_integer(run->user))) {
		json_decref(object);
		return NULL;
	}
	return object;
}

/* Written aside and renamed: a reader finds the old list or the new one. */
static int save(struct agent *agent)
{
	char *name = file_name(agent, ""), *aside = file_name(agent, ".new");
	json_t *list = json_array();
	int err = -ENOMEM;

	for (size_t i = 0; list && i < agent->runs.count; i++) {
		const struct run *run = &agent->runs.items[i];

		json_array_append_new(list, run_json(run));
	}
	if (name && aside && list) {
		err = json_dump_file(list, aside, JSON_COMPACT) ? -EIO : 0;
		if (!err && rename(aside, name))
			err = -errno;
	}
	json_decref(list);
	free(name);
	free(aside);
	return err;
}

static struct run *find(struct runs *runs, const char *cgroup)
{
	for (size_t i = 0; i < runs->count; i++)
		if (!strcmp(runs->items[i].cgroup, cgroup))
			return &runs->items[i];
	return NULL;
}

static void clear(struct run *run)
{
	free(run->cgroup);
	free(run->selector);
	free(run->policy_name);
}

static int find_cgroup(const struct agent *agent, const char *cgroup, uint64_t *ret)
{
	char *dir;
	int err;

	if (asprintf(&dir, "%s%s", agent->cgroup_root, cgroup) < 0)
		return -ENOMEM;
	err = cgroup_id(dir, ret);
	free(dir);
	return err;
}

/* No policy of a fleet file has a ':' in its name. The caller frees; NULL: no memory. */
static char *run_policy_name(const char *selector)
{
	char *name;

	return asprintf(&name, "run:%s", selector) < 0 ? NULL : name;
}

static uint32_t run_policy_id(const struct run *run)
{
	char *name = run->selector ? run_policy_name(run->selector) : strdup(run->policy_name);
	uint32_t id = name ? policy_id(name) : POLICY_NONE;

	free(name);
	return id;
}

/* So that what the policy refuses can be told by name. */
static void name_run_policy(struct agent *agent, const struct run *run)
{
	char *name = run_policy_name(run->selector);

	if (name)
		(void)dataplane_policy_name(agent->dataplane, run->policy, name);
	free(name);
}

/* Takes over cgroup and selector, whatever it returns. */
static int add(struct runs *runs, struct run run)
{
	struct run *items = run.cgroup && (run.selector || run.policy_name) && runs->count < RUNS_MAX
				    ? reallocarray(runs->items, runs->count + 1, sizeof(*items))
				    : NULL;

	if (!items) {
		clear(&run);
		return runs->count < RUNS_MAX ? -ENOMEM : -EBUSY;
	}
	runs->items = items;
	runs->items[runs->count++] = run;
	return 0;
}

static char *text_of(const json_t *item, const char *key)
{
	const char *text = json_string_value(json_object_get(item, key));

	return text ? strdup(text) : NULL;
}

/* An entry of the list. False: it is none, or its cgroup is gone or another by now. */
static bool read_run(const struct agent *agent, const json_t *item, struct run *run)
{
	const json_t *id = json_object_get(item, "id"), *user = json_object_get(item, "user");

	*run = (struct run){.cgroup = text_of(item, "cgroup"),
			    .selector = text_of(item, "select"),
			    .policy_name = text_of(item, "policy"),
			    .user = user ? json_integer_value(user) : RUN_BY_BERTH};
	if (!run->cgroup || !run->selector == !run->policy_name || find_cgroup(agent, run->cgroup, &run->id))
		return false;
	/* Agents before wrote no number. */
	if (id && (uint64_t)json_integer_value(id) != run->id)
		return false;
	run->policy = run_policy_id(run);
	return run->policy != POLICY_NONE;
}

void runs_load(struct agent *agent)
{
	char *name = file_name(agent, "");
	json_error_t error;
	json_t *list, *item;
	size_t i;

	if (!name || access(name, F_OK)) {
		free(name);
		return;
	}
	list = json_load_file(name, JSON_REJECT_DUPLICATES, &error);
	agent->runs.damaged = !json_is_array(list);
	if (agent->runs.damaged)
		log_line(LOG_WARNING,
			 "%s is damaged (%s): commands of `berth run` that are under way open no more connections",
			 name, error.text);
	json_array_foreach(list, i, item)
	{
		struct run run;

		if (read_run(agent, item, &run))
			(void)add(&agent->runs, run);
		else
			clear(&run);
	}
	json_decref(list);
	free(name);
}

/* The selector as text says it, resolved for this server's site. */
static int resolve(const struct agent *agent, const char *text, struct selector *ret, char **why)
{
	const struct fleet_site *site = &agent->state->fleet->sites[agent_self(agent)->site];
	const char *fault = NULL, *missing = NULL;
	struct selector parsed;
	size_t at = 0;
	int err = selector_parse(text, &parsed, &at, &fault);

	if (err) {
		if (asprintf(why, "selector '%s', character %zu: %s", text, at + 1, fault ? fault : "not understood") <
		    0)
			*why = NULL;
		return err;
	}
	err = selector_resolve(&parsed, &site->place, ret, &missing);
	if (err == -ENOENT) {
		err = -EINVAL;
		if (asprintf(why, "selector '%s': the place of site %s has no '%s'", text, site->name, missing) < 0)
			*why = NULL;
	}
	selector_free(&parsed);
	return err;
}

static int write_run_policy(struct agent *agent, const struct selector *selector, uint32_t id)
{
	struct policy policy = {0};
	int err = policy_write_excepts(agent, id, NULL, 0);

	policy_fill(agent, selector, 1, &policy);
	return err ? err : dataplane_policy_write(agent->dataplane, id, &policy);
}

static int no_slice(const struct agent *agent, const struct run *run, char **why)
{
	const char *server = agent_self(agent)->name, *selector = run->selector;
	int length;

	if (selector)
		length = asprintf(why,
				  "server %s owns no slice of an address that matches '%s': the fleet file has no "
				  "policy that asks for it here (add one with select: \"%s\" and apply it), or its "
				  "slices are all taken (berth plan tells)",
				  server, selector, selector);
	else
		length = asprintf(why,
				  "server %s owns no slice for policy %s: the slices that it asks for are all taken "
				  "(berth plan tells)",
				  server, run->policy_name);
	if (length < 0)
		*why = NULL;
	return -ENOENT;
}

/* Of a selector; the fleet file's are not a run's to drop. */
static void drop_policy_unless_used(struct agent *agent, uint32_t id)
{
	if (policy_in_fleet(agent, id) || runs_policy(&agent->runs, id))
		return;
	(void)dataplane_policy_remove(agent->dataplane, id);
	(void)dataplane_excepts_replace(agent->dataplane, id, NULL, 0);
}

/* Puts the policy of a selector (NULL: the fleet file's is there) into the kernel, then the cgroup under it: in the
 * place of another policy without a gap. */
static int write_run(struct agent *agent, const struct selector *selector, const struct run *run)
{
	int err = selector ? write_run_policy(agent, selector, run->policy) : 0;

	if (selector)
		name_run_policy(agent, run);
	if (!err)
		err = dataplane_cgroup_write(agent->dataplane, run->id, run->policy);
	if (err)
		drop_policy_unless_used(agent, run->policy);
	return err;
}

/* Takes the run over, in the place of the one that its cgroup had. -EUSERS: there are too many. */
static int put(struct agent *agent, struct run run)
{
	struct run *before = find(&agent->runs, run.cgroup);
	uint64_t id = run.id;
	uint32_t policy = before ? before->policy : run.policy;
	int err = 0;

	if (before) {
		clear(before);
		*before = run;
	} else {
		err = add(&agent->runs, run);
	}
	if (err)
		(void)dataplane_cgroup_remove(agent->dataplane, id);
	drop_policy_unless_used(agent, policy);
	return err;
}

static int no_cgroup(const struct agent *agent, const char *cgroup, char **why)
{
	if (asprintf(why, "no cgroup '%s' below %s", cgroup, agent->cgroup_root) < 0)
		*why = NULL;
	return -EINVAL;
}

/* Whether a connection under the policy would have a port to leave from. */
static int check_slices(const struct agent *agent, const struct selector *selector, const struct run *run, char **why)
{
	struct policy probe = {0};

	if (selector)
		policy_fill(agent, selector, 1, &probe);
	else if (dataplane_policy_read(agent->dataplane, run->policy, &probe)) {
		if (asprintf(why, "policy %s is not loaded on this server yet: see berth doctor", run->policy_name) < 0)
			*why = NULL;
		return -EAGAIN;
	}
	return probe.slice_count == 0 ? no_slice(agent, run, why) : 0;
}

static int too_many(char **why)
{
	if (asprintf(why, "%u commands of berth run are under way, which is all that there can be", RUNS_MAX) < 0)
		*why = NULL;
	return -EBUSY;
}

/* Everything that can be wrong with the wish is found out before anything changes. selector NULL: it names a policy. */
static int prepare(const struct agent *agent, const struct run_wish *wish, const struct selector *selector,
		   struct run *run, char **why)
{
	int err;

	run->user = wish->user;
	run->cgroup = strdup(wish->cgroup);
	run->selector = selector ? selector_format(selector) : NULL;
	run->policy_name = selector ? NULL : strdup(wish->policy_name);
	if (!run->cgroup || (!run->selector && !run->policy_name))
		return -ENOMEM;
	run->policy = run_policy_id(run);
	if (run->policy == POLICY_NONE)
		return -ENOMEM;
	err = check_slices(agent, selector, run, why);
	if (err)
		return err;
	return find_cgroup(agent, wish->cgroup, &run->id) ? no_cgroup(agent, wish->cgroup, why) : 0;
}

static int begin(struct agent *agent, const struct run_wish *wish, const struct selector *selector, uint32_t *policy,
		 char **why)
{
	struct run run = {0};
	int err = agent->runs.count < RUNS_MAX ? 0 : too_many(why);

	if (!err)
		err = prepare(agent, wish, selector, &run, why);
	if (!err)
		err = write_run(agent, selector, &run);
	if (err) {
		clear(&run);
		return err;
	}
	*policy = run.policy;
	err = put(agent, run);
	if (!err)
		err = save(agent);
	/* One that the next agent would not know of had better not begin. */
	if (err)
		runs_end(agent, wish->cgroup);
	return err;
}

static int begin_selector(struct agent *agent, const struct run_wish *wish, uint32_t *policy, char **why)
{
	struct selector selector;
	int err = resolve(agent, wish->selector, &selector, why);

	if (err)
		return err;
	err = begin(agent, wish, &selector, policy, why);
	selector_free(&selector);
	return err;
}

/* A number is not enough: another name may have the same one. */
static bool policy_named(const struct fleet *fleet, const char *name)
{
	for (size_t i = 0; i < fleet->policy_count; i++)
		if (strcmp(fleet->policies[i].name, name) == 0)
			return true;
	return false;
}

int runs_begin(struct agent *agent, const struct run_wish *wish, uint32_t *policy, char **why)
{
	if (!agent_self(agent)) {
		*why = strdup("the agent has no fleet that it is in yet: see berth show servers");
		return -EAGAIN;
	}
	if (dataplane_taking_over(agent->dataplane)) {
		*why = strdup("the data plane of another version is being taken over: try again in a moment");
		return -EAGAIN;
	}
	if (wish->selector)
		return begin_selector(agent, wish, policy, why);
	if (!policy_named(agent->state->fleet, wish->policy_name)) {
		if (asprintf(why, "there is no policy '%.64s': berth show policies lists them", wish->policy_name) < 0)
			*why = NULL;
		return -ENOENT;
	}
	return begin(agent, wish, NULL, policy, why);
}

static void end(struct agent *agent, struct run *run)
{
	uint32_t policy = run->policy;

	(void)dataplane_cgroup_remove(agent->dataplane, run->id);
	clear(run);
	*run = agent->runs.items[--agent->runs.count];
	drop_policy_unless_used(agent, policy);
}

void runs_end(struct agent *agent, const char *cgroup)
{
	struct run *run = find(&agent->runs, cgroup);

	if (!run)
		return;
	end(agent, run);
	problems_settle(&agent->problems, "list of runs", save(agent), NULL);
}

/* Nobody else does it: the process that asked for it became the command. */
static void remove_when_empty(const struct agent *agent, const struct run *run)
{
	char *dir;

	if (run->user == RUN_BY_BERTH || asprintf(&dir, "%s%s", agent->cgroup_root, run->cgroup) < 0)
		return;
	(void)cgroup_remove(dir); /* -EBUSY: it runs */
	free(dir);
}

void runs_sweep(struct agent *agent)
{
	size_t before = agent->runs.count;

	for (size_t i = agent->runs.count; i-- > 0;) {
		struct run *run = &agent->runs.items[i];
		uint64_t id;

		remove_when_empty(agent, run);
		if (find_cgroup(agent, run->cgroup, &id) || id != run->id)
			end(agent, run);
	}
	if (agent->runs.count != before)
		problems_settle(&agent->problems, "list of runs", save(agent), NULL);
}

/*
 * The policy of a run's selector, unless it was written for one before, and its cgroup: maps may be new under an old
 * list. A policy that left the fleet file leaves its runs with a number of nothing: they are refused.
 */
static int rewrite(struct agent *agent, size_t index)
{
	const struct run *run = &agent->runs.items[index];
	const struct runs before = {.items = agent->runs.items, .count = index};
	struct selector selector;
	int err = 0;

	if (run->selector && !runs_policy(&before, run->policy)) {
		err = selector_parse(run->selector, &selector, NULL, NULL);
		if (err)
			return err;
		err = write_run_policy(agent, &selector, run->policy);
		selector_free(&selector);
	}
	return err ? err : dataplane_cgroup_write(agent->dataplane, run->id, run->policy);
}

int runs_reconcile(struct agent *agent)
{
	int worst = 0;

	runs_sweep(agent);
	for (size_t i = 0; i < agent->runs.count; i++) {
		int err = rewrite(agent, i);

		worst = err ? err : worst;
	}
	problems_settle(&agent->problems, "policies of berth run", worst, NULL);
	return worst;
}

size_t runs_count(const struct runs *runs, int64_t user)
{
	size_t count = 0;

	for (size_t i = 0; i < runs->count; i++)
		count += runs->items[i].user == user;
	return count;
}

bool runs_policy(const struct runs *runs, uint32_t policy)
{
	for (size_t i = 0; i < runs->count; i++)
		if (runs->items[i].selector && runs->items[i].policy == policy)
			return true;
	return false;
}

bool runs_cgroup(const struct runs *runs, uint64_t cgroup)
{
	for (size_t i = 0; i < runs->count; i++)
		if (runs->items[i].id == cgroup)
			return true;
	return false;
}

void runs_free(struct runs *runs)
{
	for (size_t i = 0; i < runs->count; i++)
		clear(&runs->items[i]);
	free(runs->items);
	*runs = (struct runs){0};
}
