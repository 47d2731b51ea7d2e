/* SPDX-License-Identifier: Apache-2.0 */
/* What `berth` says to people beside its answer: to standard error, a line each, "berth: " in front. */
#ifndef BERTH_CLI_MESSAGE_H
#define BERTH_CLI_MESSAGE_H

void message(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The sentence that came with an error, or the errno's own words without one; frees it. */
void message_error(int err, char *why);

#endif
