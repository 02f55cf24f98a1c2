// SPDX-License-Identifier: BSD-3-Clause
/* Log lines to stderr or to the journal. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef HAVE_SYSTEMD
#include <systemd/sd-journal.h>
#endif
#include "daemon/log.h"
#include "libcore/core.h"

static const struct {
	const char *name;
	int priority; /* syslog's */
} levels[] = {
	[NVMUX_LOG_ERROR] = {"error", 3},
	[NVMUX_LOG_WARNING] = {"warning", 4},
	[NVMUX_LOG_INFO] = {"info", 6},
	[NVMUX_LOG_DEBUG] = {"debug", 7},
};

/* systemd says in the environment which stream it connected to the journal. */
static bool stderr_is_journal(void)
{
#ifdef HAVE_SYSTEMD
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &dev, &ino) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
#else
	return false;
#endif
}

void log_init(struct log *log)
{
	memset(log, 0, sizeof(*log));
	log->level = NVMUX_LOG_INFO;
	log->journal = stderr_is_journal();
}

void log_configure(struct log *log, const struct nvmuxd_config *config, bool verbose)
{
	log->level = verbose ? NVMUX_LOG_DEBUG : config->log_level;
	memcpy(log->modules, config->module_levels, sizeof(log->modules));
	log->n_modules = config->n_module_levels;
}

static bool level_on(const struct log *log, enum nvmux_log_level level, const char *module)
{
	for (uint32_t i = 0; i < log->n_modules; i++) {
		if (strcmp(log->modules[i].module, module) == 0)
			return level <= log->modules[i].level;
	}
	return level <= log->level;
}

static void write_line(const struct log *log, enum nvmux_log_level level, const char *module,
		       const char *text)
{
#ifdef HAVE_SYSTEMD
	if (log->journal) {
		sd_journal_send("MESSAGE=%s: %s", module, text, "PRIORITY=%d",
				levels[level].priority, "NVMUX_MODULE=%s", module, NULL);
		return;
	}
#endif
	fprintf(stderr, "nvmuxd: %s: %s: %s\n", levels[level].name, module, text);
}

/* Whether this line still fits into the current second. */
static bool admit(struct log *log)
{
	uint64_t second = nvmux_now_ms() / 1000;
	char text[64];

	if (second != log->second) {
		if (log->suppressed) {
			snprintf(text, sizeof(text), "%u lines left out", log->suppressed);
			write_line(log, NVMUX_LOG_WARNING, "log", text);
		}
		log->second = second;
		log->in_second = 0;
		log->suppressed = 0;
	}
	if (log->in_second < LOG_PER_SECOND) {
		log->in_second++;
		return true;
	}
	log->suppressed++;
	return false;
}

/* Others' text (an NQN, a serial number, a client's name) must not end or fake a line. */
static void sanitize(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
	}
}

void log_write(struct log *log, enum nvmux_log_level level, const char *module, const char *fmt,
	       ...)
{
	char text[1024];
	va_list ap;

	if (!level_on(log, level, module) || !admit(log))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sanitize(text);
	write_line(log, level, module, text);
}

void log_from_library(void *arg, enum nvmux_log_level level, const char *module, const char *text)
{
	log_write(arg, level, module, "%s", text);
}
