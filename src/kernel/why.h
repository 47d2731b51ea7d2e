/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences that go up to a person beside an error. */
#ifndef BERTH_KERNEL_WHY_H
#define BERTH_KERNEL_WHY_H

/* Puts a sentence into *why (the caller frees; why may be NULL, without memory *why is NULL) and returns `err`. */
int why_say(char **why, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Adds a sentence to the one in *why, if any. */
void why_add(char **why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
