/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Logging of nvmuxd: one line per event with its level and module, to stderr, or to the journal
 * with structured fields when systemd connected stderr to it. At most LOG_PER_SECOND lines a
 * second; what was left out is counted and said.
 */
#ifndef NVMUXD_LOG_H
#define NVMUXD_LOG_H

#include "conf/conf.h"

#define LOG_PER_SECOND 200

struct log {
	enum nvmux_log_level level;
	struct conf_module_level modules[CONF_MODULES_MAX];
	uint32_t n_modules;
	bool journal;
	uint64_t second; /* which one is being counted */
	uint32_t in_second;
	uint32_t suppressed;
};

void log_init(struct log *log);
/* Levels of the configuration; @verbose: everything. */
void log_configure(struct log *log, const struct nvmuxd_config *config, bool verbose);
__attribute__((format(printf, 4, 5))) void log_write(struct log *log, enum nvmux_log_level level,
						     const char *module, const char *fmt, ...);
/* For the library's context. @arg: the struct log. */
void log_from_library(void *arg, enum nvmux_log_level level, const char *module, const char *text);

#define log_error(log, module, ...)   log_write(log, NVMUX_LOG_ERROR, module, __VA_ARGS__)
#define log_warning(log, module, ...) log_write(log, NVMUX_LOG_WARNING, module, __VA_ARGS__)
#define log_info(log, module, ...)    log_write(log, NVMUX_LOG_INFO, module, __VA_ARGS__)
#define log_debug(log, module, ...)   log_write(log, NVMUX_LOG_DEBUG, module, __VA_ARGS__)

#endif
