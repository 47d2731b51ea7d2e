/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "rtnl_private.h"

static int filter_answer(void *arg, const struct nlmsghdr *message)
{
	(void)message;
	++*(size_t *)arg;
	return 0;
}

static int side_count(struct rtnl *rtnl, uint32_t ifindex, uint32_t minor, size_t *count)
{
	struct rtnl_request request;
	struct tcmsg *info = rtnl_request_begin(&request, RTM_GETTFILTER, NLM_F_DUMP, sizeof(*info));
	int err;

	info->tcm_family = AF_UNSPEC;
	info->tcm_ifindex = (int)ifindex;
	info->tcm_parent = TC_H_MAKE(TC_H_CLSACT, minor);
	err = rtnl_talk(rtnl, &request, filter_answer, count);
	/* EINTR: somebody changes them, so there are some; EINVAL: no such qdisc */
	if (err == -EINTR)
		++*count;
	return err == -EINTR || err == -EINVAL ? 0 : err;
}

int rtnl_clsact_filters(struct rtnl *rtnl, uint32_t ifindex, size_t *ret)
{
	size_t count = 0;
	int err = side_count(rtnl, ifindex, TC_H_MIN_INGRESS, &count);

	if (!err)
		err = side_count(rtnl, ifindex, TC_H_MIN_EGRESS, &count);
	if (!err)
		*ret = count;
	return err;
}
