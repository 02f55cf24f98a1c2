// SPDX-License-Identifier: BSD-3-Clause
/* The description of a controller in words: "mem,size=64M,bs=4096+null,size=1T,mdts=5". */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include "emulator/fault.h"
#include "emulator/model.h"
#include "libcore/util.h"

#define SIZE_MAX_BYTES (1ull << 62)
#define TOKEN_MAX      320

struct parse {
	struct emu_config *config;
	struct emu_ns_config ns; /* of the part being read */
	bool has_backing;
	bool has_ns_key; /* a key that only makes sense with a backing */
	char *why;
	size_t why_size;
};

__attribute__((format(printf, 2, 3))) static int bad(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (p->why_size > 0)
		vsnprintf(p->why, p->why_size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

void emu_config_init(struct emu_config *config)
{
	*config = (struct emu_config){
		.model = "nvmux emulated controller",
		.max_io_queues = 64,
		.queue_entries = 1024,
		.mdts = 7,
		.ready_timeout = EMU_READY_TIMEOUT,
	};
}

/* A plain decimal number in [min, max]. */
static int parse_number(struct parse *p, const char *key, const char *value, uint64_t min,
			uint64_t max, uint64_t *ret)
{
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(value, &end, 10);
	if (!isdigit((unsigned char)value[0]) || *end || errno || v < min || v > max)
		return bad(p, "%s=%.64s: must be a number from %llu to %llu", key, value,
			   (unsigned long long)min, (unsigned long long)max);
	*ret = v;
	return 0;
}

/* 64M, 64MiB and 64MB are the same. */
static int parse_size(struct parse *p, const char *key, const char *value, uint64_t *ret)
{
	static const char units[] = "KMGTP";
	unsigned shift = 0;
	const char *unit;
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(value, &end, 10);
	if (!isdigit((unsigned char)value[0]) || errno)
		goto malformed;
	unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (*end && strcasecmp(end, "B") != 0 && !(unit && strcasecmp(end, "iB") == 0))
		goto malformed;
	if (v == 0 || v > SIZE_MAX_BYTES >> shift)
		return bad(p, "%s=%.64s: must be from 1 byte to 4096P", key, value);
	*ret = v << shift;
	return 0;
malformed:
	return bad(p, "%s=%.64s: must be digits and perhaps one of K, M, G, T, P", key, value);
}

void emu_config_default_serial(struct emu_config *config, const char *text)
{
	uint64_t sum = 0xcbf29ce484222325ull; /* 64-bit FNV-1a */

	if (config->serial[0])
		return;
	for (; *text; text++)
		sum = (sum ^ (uint8_t)*text) * 0x100000001b3ull;
	snprintf(config->serial, sizeof(config->serial), "NVMX%016llX", (unsigned long long)sum);
}

static int parse_serial(struct parse *p, const char *value)
{
	size_t len = strlen(value);

	for (size_t i = 0; i < len; i++) {
		if (value[i] < 0x20 || value[i] > 0x7e)
			return bad(p, "serial=%.64s: must be printable ASCII", value);
	}
	if (len == 0 || len >= sizeof(p->config->serial))
		return bad(p, "serial=%.64s: must have 1 to 20 characters", value);
	memcpy(p->config->serial, value, len + 1);
	return 0;
}

/* Keys of a namespace that are numbers; -ENOENT: it is none of them. */
static int parse_format_key(struct parse *p, const char *key, const char *value)
{
	struct emu_ns_config *ns = &p->ns;
	uint64_t v = 0;
	int err;

	if (strcmp(key, "ms") == 0) {
		err = parse_number(p, key, value, 0, 64, &v);
		if (err || (v != 0 && v != 8 && v != 16 && v != 64))
			return bad(p, "ms=%.64s: must be 0, 8, 16 or 64", value);
		ns->ms = (uint16_t)v;
	} else if (strcmp(key, "mset") == 0) {
		err = parse_number(p, key, value, 0, 1, &v);
		ns->mset = v;
	} else if (strcmp(key, "pi") == 0) {
		err = parse_number(p, key, value, 0, 3, &v);
		ns->pi = (uint8_t)v;
	} else if (strcmp(key, "pil") == 0) {
		err = parse_number(p, key, value, 0, 1, &v);
		ns->pil = v;
	} else if (strcmp(key, "maxopen") == 0) {
		err = parse_number(p, key, value, 0, UINT32_MAX, &v);
		ns->maxopen = (uint32_t)v;
	} else if (strcmp(key, "maxactive") == 0) {
		err = parse_number(p, key, value, 0, UINT32_MAX, &v);
		ns->maxactive = (uint32_t)v;
	} else if (strcmp(key, "zone") == 0) {
		err = parse_size(p, key, value, &ns->zone);
	} else if (strcmp(key, "zcap") == 0) {
		err = parse_size(p, key, value, &ns->zcap);
	} else {
		err = -ENOENT;
	}
	return err;
}

static int parse_ns_key(struct parse *p, const char *key, const char *value)
{
	size_t len = strlen(value);
	uint64_t bs;

	p->has_ns_key = true;
	if (parse_format_key(p, key, value) != -ENOENT)
		return parse_format_key(p, key, value);
	if (strcmp(key, "size") == 0)
		return parse_size(p, key, value, &p->ns.size);
	if (strcmp(key, "bs") == 0) {
		if (parse_size(p, key, value, &bs) || (bs != 512 && bs != 4096))
			return bad(p, "bs=%.64s: must be 512 or 4096", value);
		p->ns.block_size = (uint32_t)bs;
		return 0;
	}
	if (len == 0 || len >= sizeof(p->ns.path))
		return bad(p, "path=%.64s: must have 1 to %zu bytes", value,
			   sizeof(p->ns.path) - 1);
	memcpy(p->ns.path, value, len + 1);
	return 0;
}

/* One or more fault descriptions, separated by ';'. */
static int parse_faults(struct parse *p, const char *value)
{
	char *faults = p->config->faults, copy[EMU_FAULTS_TEXT_MAX], *save = NULL;
	size_t have = strlen(faults), len = strlen(value);
	struct emu_fault fault;
	char why[192];

	if (have + 1 + len >= EMU_FAULTS_TEXT_MAX)
		return bad(p, "fault=%.64s: too long, all of them together", value);
	memcpy(copy, value, len + 1);
	if (!value[strspn(value, ";")])
		return bad(p, "fault=: is empty");
	for (char *s = strtok_r(copy, ";", &save); s; s = strtok_r(NULL, ";", &save)) {
		if (emu_fault_parse(&fault, s, why, sizeof(why)))
			return bad(p, "fault=%s", why);
	}
	snprintf(faults + have, EMU_FAULTS_TEXT_MAX - have, "%s%s", have ? ";" : "", value);
	return 0;
}

/* Keys of the I/O command sets; -ENOENT: it is none of them. */
static int parse_io_key(struct parse *p, const char *key, const char *value)
{
	struct emu_config *c = p->config;
	uint64_t v = 0;
	char *end;
	int err;

	if (strcmp(key, "sgl") == 0) {
		err = parse_number(p, key, value, 0, 1, &v);
		c->sgl = v;
		return err;
	}
	if (strcmp(key, "zasl") == 0) {
		err = parse_number(p, key, value, 0, 16, &v);
		c->zasl = err ? c->zasl : (uint8_t)v;
		return err;
	}
	if (strcmp(key, "oncs") != 0)
		return -ENOENT;
	errno = 0;
	v = strtoull(value, &end, 16);
	if (!isxdigit((unsigned char)value[0]) || *end || errno || v > UINT16_MAX)
		return bad(p, "oncs=%.64s: must be hexadecimal, the bits of ONCS to leave out",
			   value);
	c->oncs_off = (uint16_t)v;
	return 0;
}

/* Keys of the admin command set; -ENOENT: it is none of them. */
static int parse_admin_key(struct parse *p, const char *key, const char *value)
{
	struct emu_config *c = p->config;
	uint64_t v = 0;
	int err;

	if (strcmp(key, "fault") == 0)
		return parse_faults(p, value);
	if (strcmp(key, "wrr") == 0) {
		err = parse_number(p, key, value, 0, 1, &v);
		c->wrr = err ? c->wrr : v != 0;
		return err;
	}
	if (strcmp(key, "ready") == 0) {
		err = parse_number(p, key, value, 1, UINT8_MAX, &v);
		c->ready_timeout = err ? c->ready_timeout : (uint8_t)v;
		return err;
	}
	if (strcmp(key, "fdp") == 0) {
		err = parse_number(p, key, value, 0, EMU_FDP_MAX, &v);
		c->fdp = err ? c->fdp : (uint32_t)v;
		return err;
	}
	if (strcmp(key, "hmb") != 0)
		return -ENOENT;
	err = strcmp(value, "0") == 0 ? 0 : parse_size(p, key, value, &v);
	if (!err && (v % 4096 || v > 1ull << 32))
		return bad(p, "hmb=%.64s: must be a multiple of 4 KiB, to 4 GiB", value);
	c->hmb = err ? c->hmb : v;
	return err;
}

static int parse_ctrlr_key(struct parse *p, const char *key, const char *value)
{
	struct emu_config *c = p->config;
	uint64_t v = 0;
	int err = parse_admin_key(p, key, value);

	if (err == -ENOENT)
		err = parse_io_key(p, key, value);
	if (err != -ENOENT)
		return err;
	if (strcmp(key, "mdts") == 0) {
		err = parse_number(p, key, value, 0, 16, &v);
		c->mdts = err ? c->mdts : (uint8_t)v;
	} else if (strcmp(key, "noiob") == 0) {
		err = parse_number(p, key, value, 0, UINT16_MAX, &v);
		c->noiob = err ? c->noiob : (uint16_t)v;
	} else if (strcmp(key, "queues") == 0) {
		err = parse_number(p, key, value, 1, EMU_QUEUES_MAX - 1, &v);
		c->max_io_queues = err ? c->max_io_queues : (uint16_t)v;
	} else if (strcmp(key, "entries") == 0) {
		err = parse_number(p, key, value, 2, 65536, &v);
		c->queue_entries = err ? c->queue_entries : (uint32_t)v;
	} else if (strcmp(key, "vectors") == 0) {
		err = parse_number(p, key, value, 1, EMU_QUEUES_MAX, &v);
		c->irq_vectors = err ? c->irq_vectors : (uint16_t)v;
	} else if (strcmp(key, "serial") == 0) {
		err = parse_serial(p, value);
	} else {
		err = bad(p,
			  "%.64s=: unknown key; known are size, bs, path, mdts, noiob, queues, "
			  "entries, vectors, serial, wrr, hmb, fault, ms, mset, pi, pil, zoned, "
			  "zone, "
			  "zcap, maxopen, maxactive, sgl, zasl, oncs, fdp",
			  key);
	}
	return err;
}

static bool is_ns_key(const char *key)
{
	static const char *const keys[] = {
		"size", "bs",   "path", "ms",      "mset",      "pi",
		"pil",  "zone", "zcap", "maxopen", "maxactive",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(key, keys[i]) == 0)
			return true;
	}
	return false;
}

static int parse_token(struct parse *p, char *token)
{
	static const char *const backings[] = {
		[EMU_BACKING_NULL] = "null",
		[EMU_BACKING_MEMORY] = "mem",
		[EMU_BACKING_FILE] = "file",
	};
	char *value = strchr(token, '=');

	if (!value && strcmp(token, "zoned") == 0) {
		p->has_ns_key = p->ns.zoned = true;
		return 0;
	}
	if (!value) {
		for (size_t i = 0; i < ARRAY_SIZE(backings); i++) {
			if (strcmp(token, backings[i]) != 0)
				continue;
			if (p->has_backing)
				return bad(p, "%s: a second backing; separate namespaces with '+'",
					   token);
			p->has_backing = true;
			p->ns.backing = (enum emu_backing)i;
			return 0;
		}
		return bad(p, "%.64s: unknown backing; known are mem, null, file", token);
	}
	*value++ = '\0';
	if (is_ns_key(token))
		return parse_ns_key(p, token, value);
	return parse_ctrlr_key(p, token, value);
}

static int check_format(struct parse *p, const struct emu_ns_config *ns)
{
	if (ns->mset && !ns->ms)
		return bad(p, "mset=1: there is no metadata without ms=");
	if (ns->pi && !ns->ms)
		return bad(p, "pi=%u: needs metadata, ms=8, 16 or 64", ns->pi);
	if (ns->pil && !ns->pi)
		return bad(p, "pil=1: there is no protection information without pi=");
	if (!ns->zoned && (ns->zone || ns->zcap || ns->maxopen || ns->maxactive))
		return bad(p, "zone, zcap, maxopen and maxactive are of a zoned namespace");
	return 0;
}

static int check_zones(struct parse *p, const struct emu_ns_config *ns)
{
	if (ns->backing == EMU_BACKING_FILE)
		return bad(p, "zoned: not in a file, which doesn't keep the state of zones");
	if (!ns->zone || ns->zone % ns->block_size || ns->size % ns->zone)
		return bad(p,
			   "zone=%llu: must be given, a multiple of the block size that "
			   "divides the size",
			   (unsigned long long)ns->zone);
	if (ns->size / ns->zone > 1u << 24)
		return bad(p, "zone=%llu: more than 16777216 zones", (unsigned long long)ns->zone);
	if (ns->zcap % ns->block_size || ns->zcap > ns->zone)
		return bad(p, "zcap=%llu: must be a multiple of the block size, to zone=",
			   (unsigned long long)ns->zcap);
	if (ns->maxactive && ns->maxopen > ns->maxactive)
		return bad(p, "maxopen=%u: more than maxactive", ns->maxopen);
	return 0;
}

/* All of a part has been read: add its namespace. */
static int end_part(struct parse *p)
{
	struct emu_config *c = p->config;
	struct emu_ns_config *ns = &p->ns;

	if (!p->has_backing && p->has_ns_key)
		return bad(p, "size, bs, path and the like need a backing: mem, null or file");
	if (!p->has_backing)
		return 0;
	if (ns->backing == EMU_BACKING_FILE && !ns->path[0])
		return bad(p, "file: needs path=");
	if (ns->backing != EMU_BACKING_FILE && ns->path[0])
		return bad(p, "path=%.64s: only a file has one", ns->path);
	if (ns->backing != EMU_BACKING_FILE && ns->size == 0)
		return bad(p, "%s: needs size=", ns->backing == EMU_BACKING_NULL ? "null" : "mem");
	if (ns->size % ns->block_size != 0)
		return bad(p, "size=%llu: must be a multiple of the block size, %u",
			   (unsigned long long)ns->size, ns->block_size);
	if (check_format(p, ns) || (ns->zoned && check_zones(p, ns)))
		return -EINVAL;
	if (c->n_ns == EMU_NS_MAX)
		return bad(p, "more than %d namespaces", EMU_NS_MAX);
	c->ns[c->n_ns++] = *ns;
	return 0;
}

/* Copy up to an unescaped ',' or '+' or the end; *text then points at it. */
static int next_token(struct parse *p, const char **text, char token[TOKEN_MAX])
{
	const char *s = *text;
	size_t len = 0;

	while (*s && *s != ',' && *s != '+') {
		if (*s == '\\' && s[1])
			s++;
		if (len == TOKEN_MAX - 1)
			return bad(p, "%.32s…: too long", token);
		token[len++] = *s++;
		token[len] = '\0';
	}
	token[len] = '\0';
	*text = s;
	return 0;
}

static int parse_all(struct parse *p, const char *text)
{
	char token[TOKEN_MAX];
	int err;

	for (;;) {
		err = next_token(p, &text, token);
		if (!err)
			err = token[0] ? parse_token(p, token) : bad(p, "a part is empty");
		if (err)
			return err;
		if (*text != ',') {
			err = end_part(p);
			if (err)
				return err;
			p->ns = (struct emu_ns_config){.block_size = 512};
			p->has_backing = p->has_ns_key = false;
		}
		if (!*text)
			return 0;
		text++;
	}
}

int emu_config_parse(struct emu_config *config, const char *text, char *why, size_t why_size)
{
	struct emu_config *copy = malloc(sizeof(*copy));
	struct parse p = {
		.config = copy,
		.ns = {.block_size = 512},
		.why = why,
		.why_size = why_size,
	};
	int err;

	if (!copy)
		return -ENOMEM;
	*copy = *config;
	err = parse_all(&p, text);
	if (!err)
		*config = *copy;
	free(copy);
	return err;
}
