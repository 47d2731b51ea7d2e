/* SPDX-License-Identifier: Apache-2.0 */
/* The backends that store_open() knows. */
#ifndef BERTH_STORE_BACKENDS_H
#define BERTH_STORE_BACKENDS_H

#include "store.h"

/* sqlite:///PATH: a file, shared by the processes of one machine. */
extern const struct store_backend sqlite_backend;
/* memory://NAME: for tests. Stores of one name share contents; all of them on one thread. */
extern const struct store_backend memory_backend;

#endif
