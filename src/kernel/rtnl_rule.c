/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "rtnl_private.h"

static void rule_put(struct rtnl_request *request, struct fib_rule_hdr *info, const struct rtnl_rule *rule)
{
	info->family = AF_INET;
	info->action = FR_ACT_TO_TBL;
	info->table = RT_TABLE_UNSPEC; /* told in FRA_TABLE */
	info->dst_len = (uint8_t)rule->to.len;
	mnl_attr_put_u32(request->header, FRA_PRIORITY, rule->pref);
	mnl_attr_put_u32(request->header, FRA_TABLE, rule->table);
	if (rule->to.len)
		mnl_attr_put_u32(request->header, FRA_DST, htonl(rule->to.addr));
	if (rule->from_here)
		mnl_attr_put_strz(request->header, FRA_IIFNAME, "lo");
}

/* NLM_F_EXCL does not see that a default rule, which the kernel made itself, is the same: looked for beforehand. */
int rtnl_rule_add(struct rtnl *rtnl, const struct rtnl_rule *rule)
{
	struct rtnl_request request;
	struct fib_rule_hdr *info;
	bool there;
	int err;

	err = rtnl_rule_find(rtnl, rule, &there);
	if (err || there)
		return err;
	info = rtnl_request_begin(&request, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, sizeof(*info));
	rule_put(&request, info, rule);
	mnl_attr_put_u8(request.header, FRA_PROTOCOL, rule->protocol ? rule->protocol : RTNL_PROTOCOL);
	err = rtnl_talk(rtnl, &request, NULL, NULL);
	return err == -EEXIST ? 0 : err;
}

int rtnl_rule_remove(struct rtnl *rtnl, const struct rtnl_rule *rule)
{
	struct rtnl_request request;
	struct fib_rule_hdr *info = rtnl_request_begin(&request, RTM_DELRULE, NLM_F_ACK, sizeof(*info));
	int err;

	rule_put(&request, info, rule);
	err = rtnl_talk(rtnl, &request, NULL, NULL);
	return err == -ENOENT ? 0 : err;
}

/* True when the rule asks for anything that struct rtnl_rule has no field for. */
static bool rule_asks_more(const struct fib_rule_hdr *info, const struct nlattr **attrs)
{
	static const uint8_t others[] = {
		FRA_SRC,      FRA_GOTO,        FRA_FWMARK,     FRA_FWMASK,    FRA_FLOW,
		FRA_TUN_ID,   FRA_OIFNAME,     FRA_L3MDEV,     FRA_UID_RANGE, FRA_SUPPRESS_IFGROUP,
		FRA_IP_PROTO, FRA_SPORT_RANGE, FRA_DPORT_RANGE};

	for (size_t i = 0; i < sizeof(others); i++)
		if (attrs[others[i]])
			return true;
	if (attrs[FRA_SUPPRESS_PREFIXLEN] && rtnl_attr_u32(attrs[FRA_SUPPRESS_PREFIXLEN]) != UINT32_MAX)
		return true;
	if (attrs[FRA_IIFNAME] && strcmp(mnl_attr_get_str(attrs[FRA_IIFNAME]), "lo"))
		return true;
	return info->action != FR_ACT_TO_TBL || info->src_len || info->tos || (info->flags & FIB_RULE_INVERT);
}

static int rules_answer(void *arg, const struct nlmsghdr *message)
{
	const struct fib_rule_hdr *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[FRA_MAX + 1];
	struct rtnl_rule rule;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || info->family != AF_INET || info->dst_len > 32)
		return 0;
	rtnl_attributes(message, sizeof(*info), attrs, FRA_MAX);
	if (rule_asks_more(info, attrs))
		return 0;
	rule = (struct rtnl_rule){
		.pref = rtnl_attr_u32(attrs[FRA_PRIORITY]),
		.from_here = attrs[FRA_IIFNAME],
		.to = {.addr = rtnl_attr_ipv4(attrs[FRA_DST]), .len = info->dst_len},
		.table = attrs[FRA_TABLE] ? rtnl_attr_u32(attrs[FRA_TABLE]) : info->table,
		.protocol = attrs[FRA_PROTOCOL] ? mnl_attr_get_u8(attrs[FRA_PROTOCOL]) : 0,
	};
	return rtnl_list_add(arg, &rule, sizeof(rule));
}

int rtnl_rules(struct rtnl *rtnl, struct rtnl_rule **ret, size_t *count)
{
	struct rtnl_list list = {0};
	struct rtnl_request request;
	struct fib_rule_hdr *info = rtnl_request_begin(&request, RTM_GETRULE, NLM_F_DUMP, sizeof(*info));
	int err;

	info->family = AF_INET;
	err = rtnl_dump(rtnl, &request, rules_answer, &list);
	if (err)
		return err;
	*ret = (struct rtnl_rule *)list.items;
	*count = list.count;
	return 0;
}

int rtnl_rule_find(struct rtnl *rtnl, const struct rtnl_rule *rule, bool *ret)
{
	struct rtnl_rule *rules;
	bool found = false;
	size_t count;
	int err = rtnl_rules(rtnl, &rules, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count && !found; i++)
		found = rules[i].pref == rule->pref && rules[i].table == rule->table &&
			rules[i].from_here == rule->from_here && rules[i].to.addr == rule->to.addr &&
			rules[i].to.len == rule->to.len;
	free(rules);
	*ret = found;
	return 0;
}
