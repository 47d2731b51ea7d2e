/* SPDX-License-Identifier: Apache-2.0 */
#include "hostsettings.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hostjournal.h"
#include "portset.h"
#include "rtnl.h"
#include "sysctl.h"
#include "why.h"

#define RESERVED_PORTS "net/ipv4/ip_local_reserved_ports"
#define PREF_POOL 50
#define PREF_LOCAL 100

static const struct {
	const char *key;
	const char *value;
} settings[] = {
	{"net/ipv4/conf/all/accept_local", "1"},
	{"net/ipv4/conf/all/arp_ignore", "1"},
	{"net/ipv4/conf/all/arp_announce", "2"},
};

static const struct rtnl_rule local_first = {.pref = 0, .table = RT_TABLE_LOCAL, .protocol = RTPROT_KERNEL};
/* As the kernel's own: systemd-networkd deletes rules of others, and without this one the host has no addresses. */
static const struct rtnl_rule local_later = {.pref = PREF_LOCAL, .table = RT_TABLE_LOCAL, .protocol = RTPROT_KERNEL};

static struct rtnl_rule pool_rule(struct prefix pool)
{
	return (struct rtnl_rule){.pref = PREF_POOL, .from_here = true, .to = pool, .table = RT_TABLE_MAIN};
}

/* What a setting was before stays what it was when we set it ourselves; anybody else's later value counts anew. */
static int setting_note(struct host_journal *journal, const char *key, const char *before, const char *after)
{
	struct journal_setting *setting = host_journal_setting(journal, key);

	if (strlen(key) >= sizeof(setting->key) || strlen(before) >= sizeof(setting->before))
		return -ERANGE;
	if (!setting) {
		if (journal->setting_count == JOURNAL_SETTINGS_MAX)
			return -ENOSPC;
		setting = &journal->settings[journal->setting_count++];
	}
	snprintf(setting->key, sizeof(setting->key), "%s", key);
	snprintf(setting->before, sizeof(setting->before), "%s", before);
	snprintf(setting->after, sizeof(setting->after), "%s", after);
	return 0;
}

static int setting_apply(const char *run_dir, struct host_journal *journal, const char *key, const char *value)
{
	char *now;
	int err = sysctl_read(key, &now);

	if (err)
		return err;
	if (strcmp(now, value)) {
		err = setting_note(journal, key, now, value);
		if (!err)
			err = host_journal_write(run_dir, journal);
		if (!err)
			err = sysctl_write(key, value);
	}
	free(now);
	return err;
}

static int settings_apply(const char *run_dir, struct host_journal *journal, char **why)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		int err = setting_apply(run_dir, journal, settings[i].key, settings[i].value);

		if (err)
			return why_say(why, err, "cannot set %s to %s: %s", settings[i].key, settings[i].value,
				       strerror(-err));
	}
	return 0;
}

static int reserved_read(struct port_set *ret)
{
	char *text;
	int err = sysctl_read(RESERVED_PORTS, &text);

	if (err)
		return err;
	err = port_set_parse(text, ret);
	free(text);
	return err;
}

static int reserved_write(const struct port_set *set)
{
	char *text = port_set_format(set);
	int err = text ? sysctl_write(RESERVED_PORTS, text) : -ENOMEM;

	free(text);
	return err;
}

static int journal_ports(const struct host_journal *journal, struct port_set *ret)
{
	return port_set_parse(journal->ports ? journal->ports : "", ret);
}

/*
 * Reserves `own`, lets go of what we reserved before and need no more. What others reserved is theirs: only ports
 * that nobody had reserved become ours.
 */
static int reserve(const char *run_dir, struct host_journal *journal, const struct port_set *own)
{
	struct port_set now, ours, next, added, want;
	char *text;
	int err;

	err = reserved_read(&now);
	if (!err)
		err = journal_ports(journal, &ours);
	if (err)
		return err;
	next = now;
	port_set_subtract(&next, &ours); /* theirs */
	added = *own;
	port_set_subtract(&added, &next);
	want = next;
	port_set_join(&want, own);
	if (port_set_equal(&want, &now) && port_set_equal(&added, &ours))
		return 0;

	/* Until the kernel has the new list, both what we had and what we take are ours to take back. */
	port_set_join(&ours, &added);
	text = port_set_format(&ours);
	if (!text)
		return -ENOMEM;
	free(journal->ports);
	journal->ports = text;
	err = host_journal_write(run_dir, journal);
	if (!err)
		err = reserved_write(&want);
	if (err)
		return err;
	text = port_set_format(&added);
	if (!text)
		return -ENOMEM;
	free(journal->ports);
	journal->ports = text;
	return host_journal_write(run_dir, journal);
}

static bool prefix_in(const struct prefix *prefixes, size_t count, struct prefix prefix)
{
	for (size_t i = 0; i < count; i++)
		if (prefixes[i].addr == prefix.addr && prefixes[i].len == prefix.len)
			return true;
	return false;
}

/* Adds the rule unless the local table has one already, wherever that stands. */
static int local_ensure(struct rtnl *rtnl, const struct rtnl_rule *rule)
{
	struct rtnl_rule *rules;
	bool there = false;
	size_t count;
	int err = rtnl_rules(rtnl, &rules, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++)
		there |= rules[i].table == RT_TABLE_LOCAL && !rules[i].from_here && rules[i].to.len == 0;
	free(rules);
	return there ? 0 : rtnl_rule_add(rtnl, rule);
}

/* A pool's rule at 0 would come behind the local table's, which stands there: that one moves first. */
static int local_move(const char *run_dir, struct host_journal *journal, struct rtnl *rtnl)
{
	bool first;
	int err = rtnl_rule_find(rtnl, &local_first, &first);

	if (err)
		return err;
	if (!first) /* moved already, by us or by the administrator; ours may have been deleted since */
		return journal->local_moved ? local_ensure(rtnl, &local_later) : 0;
	if (!journal->local_moved) {
		journal->local_moved = true;
		err = host_journal_write(run_dir, journal);
	}
	if (!err)
		err = rtnl_rule_add(rtnl, &local_later);
	return err ? err : rtnl_rule_remove(rtnl, &local_first);
}

static int pool_add(const char *run_dir, struct host_journal *journal, struct rtnl *rtnl, struct prefix pool)
{
	struct rtnl_rule rule = pool_rule(pool);
	bool there;
	int err = rtnl_rule_find(rtnl, &rule, &there);

	if (err || there)
		return err; /* ours, or the administrator's */
	if (!prefix_in(journal->pools, journal->pool_count, pool)) {
		err = host_journal_add_pool(journal, pool);
		if (!err)
			err = host_journal_write(run_dir, journal);
	}
	return err ? err : rtnl_rule_add(rtnl, &rule);
}

static int pools_drop(const char *run_dir, struct host_journal *journal, struct rtnl *rtnl,
		      const struct host_settings *want)
{
	size_t kept = 0;
	int err = 0;

	for (size_t i = 0; i < journal->pool_count; i++) {
		struct rtnl_rule rule = pool_rule(journal->pools[i]);
		bool drop = !err && !prefix_in(want->pools, want->pool_count, journal->pools[i]);

		if (drop)
			err = rtnl_rule_remove(rtnl, &rule);
		if (!drop || err)
			journal->pools[kept++] = journal->pools[i];
	}
	if (kept == journal->pool_count)
		return err;
	journal->pool_count = kept;
	return err ? err : host_journal_write(run_dir, journal);
}

static int rules_apply(const char *run_dir, struct host_journal *journal, const struct host_settings *want, char **why)
{
	struct rtnl *rtnl;
	int err = rtnl_open(&rtnl);

	if (err)
		return why_say(why, err, "cannot open netlink: %s", strerror(-err));
	if (want->pool_count)
		err = local_move(run_dir, journal, rtnl);
	for (size_t i = 0; !err && i < want->pool_count; i++)
		err = pool_add(run_dir, journal, rtnl, want->pools[i]);
	if (!err)
		err = pools_drop(run_dir, journal, rtnl, want);
	rtnl_close(rtnl);
	return err ? why_say(why, err, "cannot set the routing rules for the pools: %s", strerror(-err)) : 0;
}

int host_settings_apply(const char *run_dir, const struct host_settings *want, char **why)
{
	struct host_journal journal = {0};
	struct port_set own = {0};
	int err;

	err = host_journal_read(run_dir, &journal);
	if (err)
		return why_say(why, err, "cannot read %s/host-settings: %s", run_dir, strerror(-err));
	err = settings_apply(run_dir, &journal, why);
	if (!err) {
		for (size_t i = 0; i < want->own_count; i++)
			port_set_add(&own, want->own[i].first, want->own[i].count);
		err = reserve(run_dir, &journal, &own);
		if (err)
			why_say(why, err, "cannot set " RESERVED_PORTS ": %s", strerror(-err));
	}
	if (!err)
		err = rules_apply(run_dir, &journal, want, why);
	host_journal_free(&journal);
	return err;
}

/* Puts the rule back to where it was. Where ours is gone somebody else moved it: then any that there is will do. */
static int local_restore(struct rtnl *rtnl)
{
	bool ours;
	int err = rtnl_rule_find(rtnl, &local_later, &ours);

	if (err)
		return err;
	return ours ? rtnl_rule_add(rtnl, &local_first) : local_ensure(rtnl, &local_first);
}

static int rules_restore(const struct host_journal *journal)
{
	struct rtnl *rtnl;
	int err = rtnl_open(&rtnl);

	if (err)
		return err;
	if (journal->local_moved)
		err = local_restore(rtnl);
	for (size_t i = 0; !err && i < journal->pool_count; i++) {
		struct rtnl_rule rule = pool_rule(journal->pools[i]);

		err = rtnl_rule_remove(rtnl, &rule);
	}
	if (!err && journal->local_moved)
		err = rtnl_rule_remove(rtnl, &local_later);
	rtnl_close(rtnl);
	return err;
}

static int ports_restore(const struct host_journal *journal)
{
	struct port_set now, ours, theirs;
	int err = reserved_read(&now);

	if (!err)
		err = journal_ports(journal, &ours);
	if (err)
		return err;
	theirs = now;
	port_set_subtract(&theirs, &ours);
	return port_set_equal(&now, &theirs) ? 0 : reserved_write(&theirs);
}

static int setting_restore(const struct journal_setting *setting)
{
	char *now;
	int err = sysctl_read(setting->key, &now);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (strcmp(now, setting->after) == 0)
		err = sysctl_write(setting->key, setting->before);
	free(now);
	return err;
}

int host_settings_restore(const char *run_dir, char **why)
{
	struct host_journal journal = {0};
	char *faults = NULL;
	int first, err;

	err = host_journal_read(run_dir, &journal);
	if (err)
		return why_say(why, err, "cannot read %s/host-settings: %s", run_dir, strerror(-err));
	first = rules_restore(&journal);
	if (first)
		why_add(&faults, "cannot restore the routing rules: %s", strerror(-first));
	err = ports_restore(&journal);
	if (err)
		why_add(&faults, "cannot restore " RESERVED_PORTS ": %s", strerror(-err));
	first = first ? first : err;
	for (size_t i = journal.setting_count; i > 0; i--) {
		err = setting_restore(&journal.settings[i - 1]);
		if (err)
			why_add(&faults, "cannot restore %s: %s", journal.settings[i - 1].key, strerror(-err));
		first = first ? first : err;
	}
	host_journal_free(&journal);
	if (!first)
		first = host_journal_remove(run_dir);
	if (first)
		why_say(why, first, "%s", faults ? faults : strerror(-first));
	free(faults);
	return first;
}
