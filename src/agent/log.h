/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's one logging edge: a line to standard error, with the level that the journal understands. */
#ifndef BERTH_AGENT_LOG_H
#define BERTH_AGENT_LOG_H

enum log_level { LOG_ERROR = 3, LOG_WARNING = 4, LOG_NOTICE = 5, LOG_INFO = 6 };

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
