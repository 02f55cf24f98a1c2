// SPDX-License-Identifier: BSD-3-Clause
/*
 * Faults on demand: their description, and which one hits.
 *
 * While none is set, a queue's thread tests one word per command and never comes here. The table is
 * under a lock, for a fault may be set while other threads serve queues.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include "emulator/internal.h"

#define DELAY_MS   1000
#define REORDER_MS 100

struct armed {
	struct emu_fault fault;
	uint32_t seen; /* commands that the filters let through */
	uint32_t left; /* how often still; 0: no limit */
};

struct emu_faults {
	pthread_mutex_t lock;
	uint32_t n;
	struct armed list[EMU_FAULTS_MAX];

	bool gone_for_ms; /* the device answers all ones … */
	uint64_t gone_until;
	bool gone;  /* … or without an end */
	bool cut;   /* until the connection ends */
	bool stuck; /* CSTS.RDY shows stuck_rdy */
	bool stuck_rdy;
	uint64_t stuck_until; /* 0: until cleared */
};

static const char *const names[] = {
	[EMU_FAULT_DROP] = "drop",
	[EMU_FAULT_DELAY] = "delay",
	[EMU_FAULT_DUPLICATE] = "duplicate",
	[EMU_FAULT_REORDER] = "reorder",
	[EMU_FAULT_BADCID] = "badcid",
	[EMU_FAULT_STATUS] = "status",
	[EMU_FAULT_SHORTIDENTIFY] = "shortidentify",
	[EMU_FAULT_MISSIRQ] = "missirq",
	[EMU_FAULT_CFS] = "cfs",
	[EMU_FAULT_ALLONES] = "allones",
	[EMU_FAULT_TRUNCATE] = "truncate",
	[EMU_FAULT_REMOVE] = "remove",
	[EMU_FAULT_STUCKREADY] = "stuckready",
	[EMU_FAULT_BADLEN] = "badlen",
};

/* ---- description ---- */

static int bad(char *why, size_t why_size, const char *part, const char *text)
{
	if (why_size > 0)
		snprintf(why, why_size, "%.40s: %s", part, text);
	return -EINVAL;
}

static bool number(const char *text, int base, uint64_t max, uint32_t *ret)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, base);
	if (!isxdigit((unsigned char)text[0]) || *end || errno || v > max)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static int parse_what(struct emu_fault *f, char *word, char *why, size_t why_size)
{
	char *value = strchr(word, '=');
	uint32_t v;

	if (value)
		*value++ = '\0';
	for (size_t i = 1; i < ARRAY_SIZE(names); i++) {
		if (strcmp(word, names[i]) == 0)
			f->what = (enum emu_fault_what)i;
	}
	if (f->what == EMU_FAULT_NONE)
		return bad(why, why_size, word,
			   "unknown fault; known are drop, delay, duplicate, reorder, badcid, "
			   "status=HEX, cfs, allones, stuckready, shortidentify, badlen, truncate, "
			   "remove, missirq");
	if ((f->what == EMU_FAULT_STATUS) != (value != NULL))
		return bad(why, why_size, word, value ? "takes no value" : "needs a value");
	if (!value)
		return 0;
	if (!number(value, 16, 0x7fff, &v) || v == 0)
		return bad(why, why_size, value, "must be a hexadecimal status from 1 to 7fff");
	f->status = (uint16_t)v;
	return 0;
}

static int parse_filter(struct emu_fault *f, char *word, char *why, size_t why_size)
{
	char *value = strchr(word, '=');
	uint32_t v = 0;
	bool good;

	if (!value)
		return bad(why, why_size, word, "must be opc=, qid=, nth=, times= or ms=");
	*value++ = '\0';
	if (strcmp(word, "opc") == 0) {
		good = number(value, 16, 0xff, &v);
		f->opc = (int32_t)v;
	} else if (strcmp(word, "qid") == 0) {
		good = number(value, 10, 0xffff, &v);
		f->qid = (int32_t)v;
	} else if (strcmp(word, "nth") == 0) {
		good = number(value, 10, UINT32_MAX, &f->nth) && f->nth > 0;
	} else if (strcmp(word, "times") == 0) {
		good = number(value, 10, UINT32_MAX, &f->times);
	} else if (strcmp(word, "ms") == 0) {
		good = number(value, 10, 3600 * 1000, &f->ms);
	} else {
		return bad(why, why_size, word, "must be opc=, qid=, nth=, times= or ms=");
	}
	return good ? 0 : bad(why, why_size, word, "the value is malformed or out of range");
}

static bool is_level(enum emu_fault_what what)
{
	return what == EMU_FAULT_ALLONES || what == EMU_FAULT_STUCKREADY;
}

int emu_fault_parse(struct emu_fault *ret, const char *spec, char *why, size_t why_size)
{
	struct emu_fault f = {.opc = -1, .qid = -1, .nth = 0, .times = UINT32_MAX};
	char text[EMU_FAULT_SPEC_MAX], *save = NULL, *word;
	int err;

	if (strlen(spec) >= sizeof(text))
		return bad(why, why_size, spec, "too long");
	memcpy(text, spec, strlen(spec) + 1);
	word = strtok_r(text, ":", &save);
	if (!word)
		return bad(why, why_size, "fault", "is empty");
	err = parse_what(&f, word, why, why_size);
	while (!err && (word = strtok_r(NULL, ":", &save)))
		err = parse_filter(&f, word, why, why_size);
	if (err)
		return err;
	if (f.times == UINT32_MAX)
		f.times = is_level(f.what) ? 0 : 1;
	if (f.ms == 0 && f.what == EMU_FAULT_DELAY)
		f.ms = DELAY_MS;
	if (f.ms == 0 && f.what == EMU_FAULT_REORDER)
		f.ms = REORDER_MS;
	if (f.what == EMU_FAULT_SHORTIDENTIFY && f.opc < 0)
		f.opc = nvme_admin_identify;
	if (f.what == EMU_FAULT_SHORTIDENTIFY && f.qid < 0)
		f.qid = 0;
	*ret = f;
	return 0;
}

/* ---- the table ---- */

int emu_faults_create(struct emu_ctrlr *ctrlr, char *why, size_t why_size)
{
	struct emu_faults *faults = calloc(1, sizeof(*faults));
	char text[sizeof(ctrlr->config.faults)], *save = NULL;
	int err = 0;

	if (!faults)
		return -ENOMEM;
	pthread_mutex_init(&faults->lock, NULL);
	ctrlr->faults = faults;
	memcpy(text, ctrlr->config.faults, sizeof(text));
	for (char *s = strtok_r(text, ";", &save); s && !err; s = strtok_r(NULL, ";", &save))
		err = emu_fault_set(ctrlr, s, why, why_size);
	return err;
}

void emu_faults_destroy(struct emu_ctrlr *ctrlr)
{
	if (!ctrlr->faults)
		return;
	pthread_mutex_destroy(&ctrlr->faults->lock);
	free(ctrlr->faults);
}

static void update_slow(struct emu_ctrlr *ctrlr)
{
	emu_slow_set(ctrlr, EMU_SLOW_FAULT,
		     ctrlr->faults->n > 0 || ctrlr->faults->gone || ctrlr->faults->gone_for_ms ||
			     ctrlr->faults->cut || ctrlr->faults->stuck);
}

static void remove_at(struct emu_faults *faults, uint32_t i)
{
	faults->n--;
	memmove(&faults->list[i], &faults->list[i + 1], (faults->n - i) * sizeof(faults->list[0]));
}

/* The fault has hit once. */
static void used(struct emu_faults *faults, uint32_t i)
{
	if (faults->list[i].left > 0 && --faults->list[i].left == 0)
		remove_at(faults, i);
}

/* The lock is held. Faults of the controller: what they do does not need the command. */
static void begin(struct emu_ctrlr *ctrlr, const struct emu_fault *f)
{
	struct emu_faults *faults = ctrlr->faults;
	uint64_t until = emu_now_ns() + f->ms * EMU_NS_PER_MS;

	switch (f->what) {
	case EMU_FAULT_CFS: emu_set_fatal(ctrlr); break;
	case EMU_FAULT_TRUNCATE:
		faults->cut = true;
		if (ctrlr->carrier.truncate)
			ctrlr->carrier.truncate(ctrlr->carrier.arg);
		break;
	case EMU_FAULT_REMOVE:
		if (ctrlr->carrier.request)
			ctrlr->carrier.request(ctrlr->carrier.arg);
		break;
	case EMU_FAULT_ALLONES:
		faults->gone |= f->ms == 0;
		faults->gone_for_ms = f->ms > 0;
		faults->gone_until = until;
		break;
	default: break;
	}
}

static bool has_filter(const struct emu_fault *f)
{
	return f->opc >= 0 || f->qid >= 0 || f->nth > 0;
}

static bool at_once(const struct emu_fault *f)
{
	bool of_ctrlr = f->what == EMU_FAULT_CFS || f->what == EMU_FAULT_ALLONES ||
			f->what == EMU_FAULT_TRUNCATE || f->what == EMU_FAULT_REMOVE;

	return of_ctrlr && !has_filter(f);
}

int emu_fault_set(struct emu_ctrlr *ctrlr, const char *spec, char *why, size_t why_size)
{
	struct emu_faults *faults = ctrlr->faults;
	struct emu_fault f;
	int err = emu_fault_parse(&f, spec, why, why_size);

	if (err)
		return err;
	pthread_mutex_lock(&faults->lock);
	if (at_once(&f) && (f.what != EMU_FAULT_CFS || ctrlr->running)) {
		begin(ctrlr, &f);
	} else if (faults->n == EMU_FAULTS_MAX) {
		snprintf(why, why_size, "there are %d faults already", EMU_FAULTS_MAX);
		err = -ENOSPC;
	} else {
		faults->list[faults->n++] = (struct armed){.fault = f, .left = f.times};
	}
	update_slow(ctrlr);
	pthread_mutex_unlock(&faults->lock);
	return err;
}

void emu_fault_clear(struct emu_ctrlr *ctrlr)
{
	struct emu_faults *faults = ctrlr->faults;

	pthread_mutex_lock(&faults->lock);
	faults->n = 0;
	faults->gone = faults->gone_for_ms = faults->stuck = false;
	update_slow(ctrlr);
	pthread_mutex_unlock(&faults->lock);
}

static int print(const struct armed *a, char *text, size_t size)
{
	const struct emu_fault *f = &a->fault;
	char status[16] = "", opc[16] = "", qid[16] = "", ms[24] = "";
	uint32_t nth = f->nth > a->seen ? f->nth - a->seen : 1;

	if (f->what == EMU_FAULT_STATUS)
		snprintf(status, sizeof(status), "=%x", f->status);
	if (f->opc >= 0)
		snprintf(opc, sizeof(opc), ":opc=%02x", (unsigned)f->opc);
	if (f->qid >= 0)
		snprintf(qid, sizeof(qid), ":qid=%d", (int)f->qid);
	if (f->ms)
		snprintf(ms, sizeof(ms), ":ms=%u", f->ms);
	return snprintf(text, size, "%s%s%s%s:nth=%u:times=%u%s\n", names[f->what], status, opc,
			qid, nth, a->left, ms);
}

size_t emu_fault_list(struct emu_ctrlr *ctrlr, char *text, size_t size)
{
	struct emu_faults *faults = ctrlr->faults;
	size_t len = 0;

	pthread_mutex_lock(&faults->lock);
	for (uint32_t i = 0; i < faults->n && len < size; i++)
		len += (size_t)print(&faults->list[i], text + len, size - len);
	pthread_mutex_unlock(&faults->lock);
	return MIN(len, size ? size - 1 : 0);
}

/* ---- hits ---- */

/* Whether it is this fault's turn; the lock is held. */
static bool hits(struct armed *a, uint16_t qid, uint32_t opc)
{
	if (a->fault.opc >= 0 && (uint32_t)a->fault.opc != opc)
		return false;
	if (a->fault.qid >= 0 && a->fault.qid != qid)
		return false;
	a->seen += a->seen < UINT32_MAX;
	return a->seen >= a->fault.nth;
}

struct emu_fault emu_fault_command(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	struct emu_faults *faults = sq->ctrlr->faults;
	struct emu_fault f = {.what = EMU_FAULT_NONE};

	pthread_mutex_lock(&faults->lock);
	for (uint32_t i = 0; i < faults->n; i++) {
		struct armed *a = &faults->list[i];

		if (a->fault.what == EMU_FAULT_BADLEN || a->fault.what == EMU_FAULT_STUCKREADY)
			continue;
		if (!hits(a, sq->id, cmd->opc))
			continue;
		f = a->fault;
		used(faults, i);
		begin(sq->ctrlr, &f);
		break;
	}
	update_slow(sq->ctrlr);
	pthread_mutex_unlock(&faults->lock);
	return f;
}

bool emu_fault_bad_length(struct emu_ctrlr *ctrlr, uint16_t command)
{
	struct emu_faults *faults = ctrlr->faults;
	bool hit = false;

	if (!(emu_slow(ctrlr) & EMU_SLOW_FAULT))
		return false;
	pthread_mutex_lock(&faults->lock);
	for (uint32_t i = 0; i < faults->n && !hit; i++) {
		if (faults->list[i].fault.what != EMU_FAULT_BADLEN)
			continue;
		hit = hits(&faults->list[i], 0, command);
		if (hit)
			used(faults, i);
	}
	update_slow(ctrlr);
	pthread_mutex_unlock(&faults->lock);
	return hit;
}

bool emu_is_gone(struct emu_ctrlr *ctrlr)
{
	struct emu_faults *faults = ctrlr->faults;
	bool gone;

	if (likely(!(emu_slow(ctrlr) & EMU_SLOW_FAULT)))
		return false;
	pthread_mutex_lock(&faults->lock);
	if (faults->gone_for_ms && emu_now_ns() >= faults->gone_until)
		faults->gone_for_ms = false;
	gone = faults->gone || faults->gone_for_ms || faults->cut;
	update_slow(ctrlr);
	pthread_mutex_unlock(&faults->lock);
	return gone;
}

void emu_fault_end_connection(struct emu_ctrlr *ctrlr)
{
	pthread_mutex_lock(&ctrlr->faults->lock);
	ctrlr->faults->cut = false;
	update_slow(ctrlr);
	pthread_mutex_unlock(&ctrlr->faults->lock);
}

/* ---- CC.EN and CSTS.RDY ---- */

void emu_fault_enable(struct emu_ctrlr *ctrlr, bool was_ready)
{
	struct emu_faults *faults = ctrlr->faults;

	if (likely(!(emu_slow(ctrlr) & EMU_SLOW_FAULT)))
		return;
	pthread_mutex_lock(&faults->lock);
	for (uint32_t i = 0; i < faults->n; i++) {
		struct emu_fault f = faults->list[i].fault;

		if (f.what == EMU_FAULT_STUCKREADY) {
			faults->stuck = true;
			faults->stuck_rdy = was_ready;
			faults->stuck_until = f.ms ? emu_now_ns() + f.ms * EMU_NS_PER_MS : 0;
		} else if (f.what == EMU_FAULT_CFS && !has_filter(&f) && ctrlr->running) {
			begin(ctrlr, &f);
		} else {
			continue;
		}
		used(faults, i);
		break;
	}
	update_slow(ctrlr);
	pthread_mutex_unlock(&faults->lock);
}

void emu_fault_reset(struct emu_ctrlr *ctrlr)
{
	struct emu_faults *faults = ctrlr->faults;

	if (!faults || likely(!(emu_slow(ctrlr) & EMU_SLOW_FAULT)))
		return;
	pthread_mutex_lock(&faults->lock);
	faults->stuck = false;
	update_slow(ctrlr);
	pthread_mutex_unlock(&faults->lock);
}

uint32_t emu_fault_csts(struct emu_ctrlr *ctrlr, uint32_t csts)
{
	const uint32_t rdy = NVME_CSTS_RDY_MASK << NVME_CSTS_RDY_SHIFT;
	struct emu_faults *faults = ctrlr->faults;

	if (likely(!(emu_slow(ctrlr) & EMU_SLOW_FAULT)))
		return csts;
	pthread_mutex_lock(&faults->lock);
	if (faults->stuck && faults->stuck_until && emu_now_ns() >= faults->stuck_until)
		faults->stuck = false;
	if (faults->stuck)
		csts = (csts & ~rdy) | (faults->stuck_rdy ? rdy : 0);
	update_slow(ctrlr);
	pthread_mutex_unlock(&faults->lock);
	return csts;
}
