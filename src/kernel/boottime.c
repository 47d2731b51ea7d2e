/* SPDX-License-Identifier: Apache-2.0 */
#include "boottime.h"

#include <time.h>

#define NS_PER_S 1000000000ll

static int64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

int64_t boottime_unix(uint64_t time)
{
	return (now_ns(CLOCK_REALTIME) - (now_ns(CLOCK_BOOTTIME) - (int64_t)time)) / NS_PER_S;
}
