/* SPDX-License-Identifier: Apache-2.0 */
/* Files below /proc/sys, of the caller's network namespace. */
#ifndef BERTH_KERNEL_SYSCTL_H
#define BERTH_KERNEL_SYSCTL_H

/* key: "net/ipv4/ip_forward". The value, without its newline; the caller frees. */
int sysctl_read(const char *key, char **ret);
int sysctl_read_number(const char *key, long *ret);
int sysctl_write(const char *key, const char *value);

#endif
