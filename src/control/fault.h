/* SPDX-License-Identifier: BSD-2-Clause */
/* Sentences about what is wrong with a message, or with the way that it came. */
#ifndef BERTH_CONTROL_FAULT_H
#define BERTH_CONTROL_FAULT_H

/* Returns `err` with the sentence in *why, the caller's to free; -ENOMEM, and *why as it was. */
int fault_say(int err, char **why, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
