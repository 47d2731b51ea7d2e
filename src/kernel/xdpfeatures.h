/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the kernel which kinds of XDP a device's driver has, without attaching anything (netdev family, Linux 6.3). */
#ifndef BERTH_KERNEL_XDPFEATURES_H
#define BERTH_KERNEL_XDPFEATURES_H

#include <stdint.h>

/* Bits of the answer, as the kernel numbers them. */
#define XDP_FEATURE_BASIC (1u << 0) /* native XDP, with XDP_TX */
#define XDP_FEATURE_REDIRECT (1u << 1) /* may redirect to other devices */

/* -EOPNOTSUPP: this kernel does not tell; -ENODEV. */
int xdp_features_get(uint32_t ifindex, uint64_t *ret);

#endif
