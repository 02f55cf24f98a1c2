// SPDX-License-Identifier: BSD-3-Clause
/*
 * The loader: INI files by inih, one problem at a time reported with its file and line.
 *
 * inih is given lines by our own reader, which counts them (the handler isn't told), strips
 * leading blanks (so that an indented key isn't taken for a continuation line), and refuses what
 * doesn't fit inih's buffer instead of splitting it silently.
 */
#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "conf/conf.h"
#include "libcore/util.h"

#define LINE_MAX_BYTES 1024
#define SEEN_MAX       512 /* keys of one file */
#define PROBLEMS_MAX   50

struct seen_key {
	char section[64];
	char name[32];
	int line;
};

struct loader {
	struct nvmuxd_config config;
	const char *file; /* being read */
	FILE *stream;
	int line;
	bool section_known;                 /* else its keys are passed over: it was reported */
	struct conf_controller *controller; /* of the section, or NULL */
	const char *kind;                   /* of section, where that has a name */
	struct origin {
		char file[256];
		int line;
	} origins[CONF_CONTROLLERS_MAX]; /* where each controller's section began */
	struct origin discovery_origins[CONF_DISCOVERIES_MAX];
	struct seen_key seen[SEEN_MAX];
	unsigned n_seen;
	unsigned problems;
	int err;
	conf_report_fn report;
	void *arg;
};

__attribute__((format(printf, 3, 4))) static void problem(struct loader *loader, int line,
							  const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (!loader->err)
		loader->err = -EINVAL;
	if (loader->problems++ >= PROBLEMS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	loader->report(loader->arg, loader->file, line, text);
}

/* ---- suggestions ---- */

/* Levenshtein distance of two short words, in any case; 99 when one is too long. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[33], previous, above;
	size_t n = strlen(b);

	if (n >= ARRAY_SIZE(row) || strlen(a) >= ARRAY_SIZE(row))
		return 99;
	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1]; i++) {
		previous = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			above = row[j];
			row[j] = MIN(MIN(above, row[j - 1]) + 1,
				     previous + (strncasecmp(&a[i - 1], &b[j - 1], 1) != 0));
			previous = above;
		}
	}
	return row[n];
}

static bool has_name(const char *section)
{
	return strcmp(section, "controller") == 0 || strcmp(section, "discovery") == 0;
}

/* Whether a key is one of @section: a discovery service is described as a controller is. */
static bool is_key_of(const struct conf_key *key, const char *section)
{
	return strcmp(key->section, section) == 0 ||
	       (strcmp(section, "discovery") == 0 && strcmp(key->section, "controller") == 0);
}

/* The key of @section (NULL: the section) that @word may stand for, or NULL. */
static const char *suggest(const char *section, const char *word)
{
	const char *best = NULL;
	unsigned least = 4, d; /* more than three mistakes are another word */

	for (const struct conf_key *key = conf_keys; key->section; key++) {
		if (section && !is_key_of(key, section))
			continue;
		d = distance(word, section ? key->name : key->section);
		if (d < least && d < strlen(word)) {
			least = d;
			best = section ? key->name : key->section;
		}
	}
	return best;
}

/* The section that has a key of this name, or NULL. */
static const char *section_of(const char *name)
{
	for (const struct conf_key *key = conf_keys; key->section; key++) {
		if (strcmp(key->name, name) == 0)
			return key->section;
	}
	return NULL;
}

/* ---- sections and keys ---- */

static const struct conf_key *find_key(const char *section, const char *name)
{
	for (const struct conf_key *key = conf_keys; key->section; key++) {
		if (is_key_of(key, section) && strcmp(key->name, name) == 0)
			return key;
	}
	return NULL;
}

static bool section_known(const char *section)
{
	for (const struct conf_key *key = conf_keys; key->section; key++) {
		if (strcmp(key->section, section) == 0 && !has_name(section))
			return true;
	}
	return false;
}

/* A controller or a discovery service by its name: found or made. NULL: reported. */
static struct conf_controller *find_or_make(struct loader *loader, const char *name,
					    struct conf_controller *list, struct origin *origins,
					    uint32_t *n, uint32_t max)
{
	struct conf_controller *controller;

	for (uint32_t i = 0; i < *n; i++) {
		if (strcmp(list[i].name, name) == 0)
			return &list[i];
	}
	if (*n == max) {
		problem(loader, loader->line, "more than %u sections [%s NAME]", max, loader->kind);
		return NULL;
	}
	controller = &list[*n];
	conf_controller_init(controller);
	snprintf(controller->name, sizeof(controller->name), "%s", name);
	snprintf(origins[*n].file, sizeof(origins[*n].file), "%s", loader->file);
	origins[*n].line = loader->line;
	(*n)++;
	return controller;
}

/* What the section [KIND NAME] is about. NULL: reported. */
static struct conf_controller *controller_of(struct loader *loader, const char *section)
{
	struct nvmuxd_config *config = &loader->config;
	const char *name = section + strlen(loader->kind);
	bool discovery = strcmp(loader->kind, "discovery") == 0;
	unsigned max = discovery ? CONF_DISCOVERY_NAME_MAX : CONF_NAME_MAX;

	name += strspn(name, " \t");
	if (!conf_name_valid(name) || strlen(name) >= max) {
		problem(loader, loader->line,
			"section [%s]: a %s's name has 1 to %u letters, digits, '-', '_' or '.', "
			"as in [%s %s]",
			section, discovery ? "discovery service" : "controller", max - 1,
			loader->kind, discovery ? "storage" : "nvme0");
		return NULL;
	}
	if (discovery)
		return find_or_make(loader, name, config->discoveries, loader->discovery_origins,
				    &config->n_discoveries, CONF_DISCOVERIES_MAX);
	return find_or_make(loader, name, config->controllers, loader->origins,
			    &config->n_controllers, CONF_CONTROLLERS_MAX);
}

/* Whether the key was given before in the same file; a later file may override an earlier one. */
static bool duplicate(struct loader *loader, const char *section, const char *name)
{
	struct seen_key *seen;

	for (unsigned i = 0; i < loader->n_seen; i++) {
		seen = &loader->seen[i];
		if (strcmp(seen->section, section) == 0 && strcmp(seen->name, name) == 0) {
			problem(loader, loader->line,
				"'%s' of [%s] is given twice, first in line %d", name, section,
				seen->line);
			return true;
		}
	}
	if (loader->n_seen == SEEN_MAX) {
		problem(loader, loader->line, "more than %u keys in one file", SEEN_MAX);
		return true;
	}
	seen = &loader->seen[loader->n_seen++];
	snprintf(seen->section, sizeof(seen->section), "%s", section);
	snprintf(seen->name, sizeof(seen->name), "%s", name);
	seen->line = loader->line;
	return false;
}

static void unknown_key(struct loader *loader, const char *shown, const char *section,
			const char *name)
{
	const char *near = suggest(section, name);
	const char *other = section_of(name);

	if (near)
		problem(loader, loader->line, "unknown key '%s' in [%s]; did you mean '%s'?", name,
			shown, near);
	else if (other)
		problem(loader, loader->line, "unknown key '%s' in [%s]; it belongs to [%s]", name,
			shown, other);
	else
		problem(loader, loader->line, "unknown key '%s' in [%s]", name, shown);
}

static void unknown_section(struct loader *loader, const char *section)
{
	const char *near = suggest(NULL, section);

	if (near && has_name(near))
		problem(loader, loader->line, "section [%s] lacks a name; write [%s NAME]", section,
			near);
	else if (near)
		problem(loader, loader->line, "unknown section [%s]; did you mean [%s]?", section,
			near);
	else
		problem(loader, loader->line,
			"unknown section [%s]; there are [daemon], [host], [reactor], [limits], "
			"[controller NAME] and [discovery NAME]",
			section);
}

/* "controller" of "controller NAME"; NULL: a section without a name. */
static const char *kind_of(const char *section)
{
	static const char *const kinds[] = {"controller", "discovery"};
	size_t len = strcspn(section, " \t");

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (section[len] && strlen(kinds[i]) == len && strncmp(section, kinds[i], len) == 0)
			return kinds[i];
	}
	return NULL;
}

static void on_section(struct loader *loader, const char *line)
{
	char section[64];
	size_t len = strcspn(line, "]");

	loader->section_known = false;
	loader->controller = NULL;
	if (line[len] != ']')
		return; /* inih calls it a syntax error */
	if (len >= sizeof(section)) {
		problem(loader, loader->line, "a section's name has at most %zu bytes",
			sizeof(section) - 1);
		return;
	}
	memcpy(section, line, len);
	section[len] = '\0';
	loader->kind = kind_of(section);
	if (loader->kind) {
		loader->controller = controller_of(loader, section);
		loader->section_known = loader->controller != NULL;
	} else if (section_known(section)) {
		loader->section_known = true;
	} else {
		unknown_section(loader, section);
	}
}

/* Which CPUs may be used is found out later, by whoever starts the reactors. */
static void note_cores(struct loader *loader)
{
	snprintf(loader->config.cores_file, sizeof(loader->config.cores_file), "%s", loader->file);
	loader->config.cores_line = loader->line;
}

/* inih's handler. Its result is always "fine": we keep count of problems ourselves. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct loader *loader = user;
	const char *kind = loader->controller ? loader->kind : section;
	char *base = loader->controller ? (char *)loader->controller : (char *)&loader->config;
	const struct conf_key *key;
	char why[256];

	if (!section[0]) {
		problem(loader, loader->line,
			"'%s' stands before the first section, such as [daemon]", name);
		return 1;
	}
	if (!loader->section_known)
		return 1;
	key = find_key(kind, name);
	if (!key) {
		unknown_key(loader, section, kind, name);
		return 1;
	}
	if (duplicate(loader, section, name))
		return 1;
	if (key->set(key, base + key->offset, value, why, sizeof(why)))
		problem(loader, loader->line, "%s = %s: %s", name, value, why);
	else if (strcmp(name, "cores") == 0)
		note_cores(loader);
	return 1;
}

/* ---- files ---- */

/* inih's reader: one line into @buf. */
static char *next_line(char *buf, int size, void *stream)
{
	struct loader *loader = stream;
	char line[LINE_MAX_BYTES], *start;
	size_t len;

	if (!fgets(line, sizeof(line), loader->stream))
		return NULL;
	loader->line++;
	start = line + strspn(line, " \t");
	len = strlen(start);
	if (!strchr(line, '\n') && !feof(loader->stream)) {
		for (int c = 0; c != EOF && c != '\n'; c = getc(loader->stream))
			;
		len = SIZE_MAX;
	}
	if (len >= (size_t)size) {
		problem(loader, loader->line, "the line is longer than %d bytes",
			MIN(size, LINE_MAX_BYTES) - 2);
		start = strcpy(line, "#\n"); /* keeps inih's count of lines right */
		len = strlen(start);
	}
	memcpy(buf, start, len + 1);
	if (start[0] == '[')
		on_section(loader, start + 1);
	return buf;
}

static void load_file(struct loader *loader, const char *file, bool must_exist)
{
	unsigned problems = loader->problems;
	int line;

	loader->file = file;
	loader->line = 0;
	loader->n_seen = 0;
	loader->section_known = false;
	loader->controller = NULL;
	loader->stream = fopen(file, "re");
	if (!loader->stream) {
		int err = -errno;

		if (err == -ENOENT && !must_exist)
			return;
		problem(loader, 0, "can't be read: %s", strerror(-err));
		loader->err = err;
		return;
	}
	line = ini_parse_stream(next_line, loader, on_key, loader);
	if (line > 0)
		problem(loader, line, "neither a [section] nor KEY = VALUE nor a # comment");
	else if (ferror(loader->stream)) {
		problem(loader, 0, "can't be read: %s", strerror(errno));
		loader->err = -EIO;
	}
	fclose(loader->stream);
	if (loader->problems == problems)
		loader->report(loader->arg, file, 0, NULL);
}

static int is_drop_in(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

static void load_drop_ins(struct loader *loader, const char *file)
{
	char dir[4096], path[8192];
	struct dirent **entries;
	int n;

	snprintf(dir, sizeof(dir), "%s.d", file);
	n = scandir(dir, &entries, is_drop_in, alphasort);
	if (n < 0) {
		if (errno != ENOENT && errno != ENOTDIR) {
			loader->file = dir;
			problem(loader, 0, "can't be read: %s", strerror(errno));
		}
		return;
	}
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, entries[i]->d_name);
		load_file(loader, path, true);
		free(entries[i]);
	}
	free(entries);
}

/* What can be judged only when everything has been read. */
static void check_sections(struct loader *loader, const char *kind, struct conf_controller *list,
			   const struct origin *origins, uint32_t n,
			   int (*check)(struct conf_controller *, char *, size_t))
{
	char why[256];

	for (uint32_t i = 0; i < n; i++) {
		loader->file = origins[i].file;
		if (!list[i].has_transport)
			problem(loader, origins[i].line, "[%s %s] has neither 'trtype' nor 'trid'",
				kind, list[i].name);
		else if (check(&list[i], why, sizeof(why)))
			problem(loader, origins[i].line, "[%s %s]: %s", kind, list[i].name, why);
	}
}

void conf_init(struct nvmuxd_config *config)
{
	char why[256];

	memset(config, 0, sizeof(*config));
	for (const struct conf_key *key = conf_keys; key->section; key++) {
		if (has_name(key->section))
			continue;
		if (key->set(key, (char *)config + key->offset, key->def, why, sizeof(why)))
			NVMUX_ASSERT(!"a default that its own key refuses");
	}
}

int conf_load(struct nvmuxd_config *config, const char *file, bool must_exist,
	      conf_report_fn report, void *arg)
{
	struct loader *loader = calloc(1, sizeof(*loader));
	int err;

	if (!loader)
		return -ENOMEM;
#ifdef HAVE_INI_MAX_LINE
	/* where inih can be told at run time: an NQN alone may have 223 bytes */
	ini_max_line = LINE_MAX_BYTES;
#endif
	conf_init(&loader->config);
	loader->report = report;
	loader->arg = arg;
	load_file(loader, file, must_exist);
	load_drop_ins(loader, file);
	check_sections(loader, "controller", loader->config.controllers, loader->origins,
		       loader->config.n_controllers, conf_controller_check);
	check_sections(loader, "discovery", loader->config.discoveries, loader->discovery_origins,
		       loader->config.n_discoveries, conf_discovery_check);
	err = loader->err;
	if (!err)
		*config = loader->config;
	free(loader);
	return err;
}
