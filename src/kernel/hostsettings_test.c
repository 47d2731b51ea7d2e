/* SPDX-License-Identifier: Apache-2.0 */
#include "hostsettings.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "portset.h"
#include "sandbox.h"
#include "sysctl.h"

#define JOURNAL SANDBOX_DIR "/host-settings"
#define PORTS "net/ipv4/ip_local_reserved_ports"

static const struct prefix pool = {0xcb007100, 24};
static const struct prefix other = {0xc6336400, 24};
static const struct port_run run = {4096, 2048};

static int set_up(void **state)
{
	(void)state;
	return sandbox_enter("ip link set lo up");
}

static void assert_setting(const char *key, const char *expected)
{
	char *now = NULL;

	assert_int_equal(sysctl_read(key, &now), 0);
	assert_string_equal(now, expected);
	free(now);
}

static void assert_rules(const char *expected)
{
	char command[512];

	snprintf(command, sizeof(command), "test \"$(ip rule show | tr -s ' \\t\\n' ' ')\" = \"%s\"", expected);
	if (sandbox_run(command)) {
		sandbox_run("ip rule show");
		fail_msg("rules are not: %s", expected);
	}
}

#define RULES_BEFORE "0: from all lookup local 32766: from all lookup main 32767: from all lookup default "
#define RULES_WITH_POOL \
	"50: from all to 203.0.113.0/24 iif lo lookup main proto 60 100: from all lookup local " \
	"32766: from all lookup main 32767: from all lookup default "

static void apply(size_t pools, size_t runs)
{
	const struct prefix both[] = {pool, other};
	const struct host_settings want = {.pools = both, .pool_count = pools, .own = &run, .own_count = runs};
	char *why = NULL;
	int err = host_settings_apply(SANDBOX_DIR, &want, &why);

	if (err)
		fail_msg("%s", why);
}

static void restore(void)
{
	char *why = NULL;
	int err = host_settings_restore(SANDBOX_DIR, &why);

	if (err)
		fail_msg("%s", why);
}

static void sets_and_restores(void **state)
{
	NEED_SANDBOX();
	assert_int_equal(sysctl_write(PORTS, "8080,5000"), 0);
	assert_rules(RULES_BEFORE);
	for (int twice = 0; twice < 2; twice++) {
		apply(1, 1);
		assert_setting("net/ipv4/conf/all/accept_local", "1");
		assert_setting("net/ipv4/conf/all/arp_ignore", "1");
		assert_setting("net/ipv4/conf/all/arp_announce", "2");
		assert_setting(PORTS, "4096-6143,8080");
		assert_rules(RULES_WITH_POOL);
	}
	for (int twice = 0; twice < 2; twice++) {
		restore();
		assert_setting("net/ipv4/conf/all/accept_local", "0");
		assert_setting("net/ipv4/conf/all/arp_ignore", "0");
		assert_setting("net/ipv4/conf/all/arp_announce", "0");
		/* 5000 was the administrator's before it became part of a slice. */
		assert_setting(PORTS, "5000,8080");
		assert_rules(RULES_BEFORE);
		assert_int_not_equal(access(JOURNAL, F_OK), 0);
	}
}

static void follows_what_is_wanted(void **state)
{
	NEED_SANDBOX();
	assert_int_equal(sysctl_write(PORTS, ""), 0);
	apply(2, 1);
	assert_int_equal(sandbox_run("ip rule show | grep -q 'to 198.51.100.0/24'"), 0);
	apply(1, 0);
	assert_rules(RULES_WITH_POOL);
	assert_setting(PORTS, "");
	restore();
	assert_rules(RULES_BEFORE);
}

static void leaves_alone_what_others_changed(void **state)
{
	NEED_SANDBOX();
	apply(1, 1);
	assert_int_equal(sysctl_write("net/ipv4/conf/all/arp_ignore", "2"), 0);
	assert_int_equal(sysctl_write(PORTS, "4096-6143,7000"), 0);
	restore();
	assert_setting("net/ipv4/conf/all/arp_ignore", "2");
	assert_setting("net/ipv4/conf/all/arp_announce", "0");
	assert_setting(PORTS, "7000");
	sysctl_write("net/ipv4/conf/all/arp_ignore", "0");
	sysctl_write(PORTS, "");
}

/* Longer than the page that the kernel takes and some programs read at a time. */
static void keeps_a_long_list_of_ports(void **state)
{
	struct port_set odd = {0};
	char *text, *with_ours;

	NEED_SANDBOX();
	for (uint32_t port = 10001; port < 60000; port += 2)
		port_set_add(&odd, port, 1);
	text = port_set_format(&odd);
	port_set_add(&odd, run.first, run.count);
	with_ours = port_set_format(&odd);
	assert_true(text && with_ours && strlen(text) > 100000);
	assert_int_equal(sysctl_write(PORTS, text), 0);
	assert_setting(PORTS, text);
	apply(1, 1);
	assert_setting(PORTS, with_ours);
	restore();
	assert_setting(PORTS, text);
	assert_int_equal(sysctl_write(PORTS, ""), 0);
	free(text);
	free(with_ours);
}

/* systemd-networkd does so with every rule whose protocol is not the kernel's. */
static void the_local_rule_looks_like_the_kernels(void **state)
{
	NEED_SANDBOX();
	apply(1, 0);
	assert_int_equal(sandbox_run("ip -d rule show pref 100 | grep -q 'lookup local proto kernel'"), 0);
	/* And comes back, should somebody delete it. */
	assert_int_equal(sandbox_run("ip rule del pref 100"), 0);
	apply(1, 0);
	assert_rules(RULES_WITH_POOL);
	restore();
	assert_rules(RULES_BEFORE);
}

static void leaves_the_local_rule_where_others_moved_it(void **state)
{
	NEED_SANDBOX();
	apply(1, 0);
	assert_int_equal(sandbox_run("ip rule add pref 10 lookup local && ip rule del pref 100"), 0);
	restore();
	assert_rules("10: from all lookup local 32766: from all lookup main 32767: from all lookup default ");
	/* But not without any. */
	assert_int_equal(sandbox_run("ip rule add pref 0 lookup local && ip rule del pref 10"), 0);
	apply(1, 0);
	assert_int_equal(sandbox_run("ip rule del pref 100"), 0);
	restore();
	assert_rules(RULES_BEFORE);
}

/* What the administrator had set already is not ours to undo. */
static void leaves_alone_what_was_there(void **state)
{
	NEED_SANDBOX();
	assert_int_equal(sysctl_write("net/ipv4/conf/all/arp_announce", "2"), 0);
	assert_int_equal(
		sandbox_run("ip rule add pref 100 lookup local && ip rule add pref 50 iif lo to 203.0.113.0/24 "
			    "lookup main && ip rule del pref 0"),
		0);
	apply(1, 1);
	restore();
	assert_setting("net/ipv4/conf/all/arp_announce", "2");
	assert_rules(
		"50: from all to 203.0.113.0/24 iif lo lookup main 100: from all lookup local 32766: from all lookup "
		"main 32767: from all lookup default ");
	sysctl_write("net/ipv4/conf/all/arp_announce", "0");
	sandbox_run("ip rule add pref 0 lookup local; ip rule del pref 50; ip rule del pref 100");
}

/* The process ends between journal and change, or half way through the rules. */
static void restores_after_a_crash(void **state)
{
	FILE *file;

	NEED_SANDBOX();
	file = fopen(JOURNAL, "we");
	assert_non_null(file);
	fputs("set net/ipv4/conf/all/arp_ignore 0 1\nports 4096-6143\npool 203.0.113.0/24\nlocal\n", file);
	fclose(file);
	assert_int_equal(sandbox_run("ip rule add pref 100 lookup local proto 60"), 0);
	restore();
	assert_setting("net/ipv4/conf/all/arp_ignore", "0");
	assert_rules("0: from all lookup local 32766: from all lookup main 32767: from all lookup default ");
	assert_int_not_equal(access(JOURNAL, F_OK), 0);
}

static void refuses_a_strange_journal(void **state)
{
	static const char *const lines[] = {"set ../../etc/passwd 0 1\n", "set a b\n", "pool 203.0.113.1/24\n",
					    "what\n"};
	char *why = NULL;

	NEED_SANDBOX();
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		FILE *file = fopen(JOURNAL, "we");

		assert_non_null(file);
		fputs(lines[i], file);
		fclose(file);
		assert_int_equal(host_settings_restore(SANDBOX_DIR, &why), -EBADMSG);
		assert_non_null(why);
		free(why);
	}
	unlink(JOURNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_and_restores),
		cmocka_unit_test(follows_what_is_wanted),
		cmocka_unit_test(leaves_alone_what_others_changed),
		cmocka_unit_test(the_local_rule_looks_like_the_kernels),
		cmocka_unit_test(leaves_the_local_rule_where_others_moved_it),
		cmocka_unit_test(leaves_alone_what_was_there),
		cmocka_unit_test(keeps_a_long_list_of_ports),
		cmocka_unit_test(restores_after_a_crash),
		cmocka_unit_test(refuses_a_strange_journal),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
