/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_BENCH_RANDOM_H
#define BERTH_BENCH_RANDOM_H

#include <stdint.h>

/* splitmix64: a quick generator with a state of its own. */
uint64_t random_next(uint64_t *state);

#endif
