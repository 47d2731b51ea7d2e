/* SPDX-License-Identifier: Apache-2.0 */
/* In a network namespace of its own: each setting that the probes read is turned bad and found. */
#include "features.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox.h"
#include "sysctl.h"

static struct features_options options = {.bpffs = SANDBOX_DIR "/bpf", .device = "net0"};

static int set_up(void **state)
{
	(void)state;
	return sandbox_enter("ip link add net0 type veth peer name peer && ip link add br0 type bridge");
}

static void assert_feature(const char *name, enum feature_state expected, const char *detail)
{
	struct features features;
	const struct feature *found = NULL;

	assert_int_equal(features_probe(&options, &features), 0);
	for (size_t i = 0; i < features.count; i++)
		if (strcmp(features.items[i].name, name) == 0)
			found = &features.items[i];
	if (!found)
		fail_msg("no feature %s", name);
	if (found->state != expected || !strstr(found->detail, detail))
		fail_msg("%s is %s: %s", name, feature_state_name(found->state), found->detail);
	if (expected != FEATURE_OK)
		assert_non_null(found->remedy);
	features_free(&features);
}

static void this_kernel_does(void **state)
{
	struct features features;

	NEED_SANDBOX();
	assert_int_equal(features_probe(&options, &features), 0);
	for (size_t i = 0; i < features.count; i++)
		if (features.items[i].state == FEATURE_FAIL)
			fail_msg("%s: %s", features.items[i].name, features.items[i].detail);
	assert_int_not_equal(features_worst(&features), FEATURE_FAIL);
	features_free(&features);
}

static void rp_filter(void **state)
{
	NEED_SANDBOX();
	sysctl_write("net/ipv4/conf/all/rp_filter", "0");
	sysctl_write("net/ipv4/conf/net0/rp_filter", "1");
	assert_feature("rp_filter", FEATURE_FAIL, "strict");
	sysctl_write("net/ipv4/conf/all/rp_filter", "2"); /* the larger one counts */
	assert_feature("rp_filter", FEATURE_OK, "loose");
	sysctl_write("net/ipv4/conf/all/rp_filter", "0");
	sysctl_write("net/ipv4/conf/net0/rp_filter", "0");
	assert_feature("rp_filter", FEATURE_OK, "off");
}

static void ports(void **state)
{
	static const struct port_run own = {4096, 61440};

	NEED_SANDBOX();
	assert_int_equal(sysctl_write("net/ipv4/ip_local_port_range", "2048 65535"), 0);
	assert_feature("ephemeral_ports", FEATURE_OK, "63488 of 63488");
	options.own = &own;
	options.own_count = 1;
	assert_feature("ephemeral_ports", FEATURE_WARN, "2048 of 63488");
	assert_int_equal(sysctl_write("net/ipv4/ip_local_reserved_ports", "2048-3999"), 0);
	assert_feature("ephemeral_ports", FEATURE_FAIL, "96 of 63488");
	options.own_count = 0;
	sysctl_write("net/ipv4/ip_local_reserved_ports", "");
}

static void switches(void **state)
{
	NEED_SANDBOX();
	sysctl_write("net/ipv4/tcp_timestamps", "0");
	assert_feature("tcp_timestamps", FEATURE_WARN, "off");
	sysctl_write("net/ipv4/tcp_timestamps", "1");
	assert_feature("tcp_timestamps", FEATURE_OK, "on");
	sysctl_write("net/ipv4/ip_forward", "1");
	assert_feature("ip_forward", FEATURE_WARN, "on");
	sysctl_write("net/ipv4/ip_forward", "0");
}

static void device(void **state)
{
	NEED_SANDBOX();
	options.device = "none";
	assert_feature("device", FEATURE_FAIL, "no device none");
	options.device = "br0";
	assert_feature("xdp_native", FEATURE_FAIL, "br0's driver has no native XDP");
	options.device = "net0";
	assert_feature("xdp_native", FEATURE_OK, "net0");
	options.cgroup_root = "/proc";
	assert_feature("cgroup2", FEATURE_FAIL, "/proc");
	options.cgroup_root = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(this_kernel_does), cmocka_unit_test(rp_filter), cmocka_unit_test(ports),
		cmocka_unit_test(switches),         cmocka_unit_test(device),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
