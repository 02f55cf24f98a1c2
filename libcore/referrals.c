// SPDX-License-Identifier: BSD-3-Clause
/*
 * From one discovery service to all that it refers to.
 *
 * Happy path: connect to the first service, read its log (discovery.c), keep its records, put the
 * services that it refers to at the end of the list, disconnect; then the next of the list, until
 * it ends. The list is at most 64 services long and 8 referrals deep, with each address once, so
 * that loops end.
 *
 * Failure modes: the first service fails (the result); another one does (left out, with a line in
 * the log); too many services or records (left out, too); the time for referrals is over (the rest
 * is left out); the context ends (-ECANCELED).
 */
#include <errno.h>
#include <string.h>

#include "discovery_log.h"
#include "sync.h"
#include "transport.h"

#define SERVICES_MAX 64u
#define DEPTH_MAX    8u
#define ENTRIES_MAX  (2 * DISCOVERY_RECORDS_MAX) /* of all services */
#define TIME_MS      60000u                      /* after which no further service is asked */

struct service {
	struct nvmux_trid trid;
	uint8_t depth;
};

struct discover {
	struct nvmux *nvmux;
	struct nvmux_ctrlr_opts opts;
	nvmux_discovery_cb cb;
	void *arg;
	uint64_t deadline_ms;
	struct nvmux_ctrlr *ctrlr; /* of the service that is being asked */
	int err;                   /* what came of it */
	char error[512];           /* and why */
	uint32_t current;
	uint32_t n_services;
	struct service services[SERVICES_MAX];
	struct nvmux_discovery_log *log;
	uint32_t log_room;
	uint32_t *sorted; /* log->n indices into log->entries, in their order */
	bool full;        /* a record didn't fit; said once */
};

static void ask_next(struct discover *op);

static void discover_free(struct discover *op)
{
	free(op->sorted);
	free(op->log);
	free(op);
}

static void discover_end(struct discover *op, int err)
{
	if (err)
		nvmux_error(op->nvmux, err, "%s", op->error);
	op->cb(op->arg, err ? NULL : op->log, err);
	discover_free(op);
}

static void discover_cancel(struct discover *op)
{
	strcpy(op->error, "the context ends");
	discover_end(op, -ECANCELED);
}

/* ---- what was found ---- */

static int compare_entries(const struct nvmux_discovery_entry *a,
			   const struct nvmux_discovery_entry *b)
{
	if (a->trtype != b->trtype)
		return a->trtype < b->trtype ? -1 : 1;
	if (a->subtype != b->subtype)
		return a->subtype < b->subtype ? -1 : 1;
	return nvmux_trid_compare(&a->trid, &b->trid);
}

/* Where @entry belongs in the order. True: it is there already. */
static bool find_entry(const struct discover *op, const struct nvmux_discovery_entry *entry,
		       uint32_t *ret_at)
{
	uint32_t low = 0, high = op->log->n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;
		int diff = compare_entries(&op->log->entries[op->sorted[mid]], entry);

		if (!diff)
			return true;
		if (diff < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_at = low;
	return false;
}

static int make_room(struct discover *op, uint32_t n)
{
	struct nvmux_discovery_log *log;
	uint32_t *sorted;

	if (n <= op->log_room)
		return 0;
	log = realloc(op->log, sizeof(*log) + n * sizeof(log->entries[0]));
	if (!log)
		return -ENOMEM;
	op->log = log;
	sorted = reallocarray(op->sorted, n, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	op->sorted = sorted;
	op->log_room = n;
	return 0;
}

static void take_entry(struct discover *op, const struct nvmux_discovery_entry *entry,
		       uint8_t depth)
{
	uint32_t at;

	if (find_entry(op, entry, &at))
		return;
	if (op->log->n == op->log_room) {
		if (!op->full)
			nvmux_log(op->nvmux, NVMUX_LOG_WARNING, "discovery",
				  "more than %u records: the others are left out", op->log_room);
		op->full = true;
		return;
	}
	memmove(&op->sorted[at + 1], &op->sorted[at], (op->log->n - at) * sizeof(*op->sorted));
	op->sorted[at] = op->log->n;
	op->log->entries[op->log->n] = *entry;
	op->log->entries[op->log->n].depth = depth;
	op->log->n++;
}

/* One address, whatever its service calls itself. */
static bool is_same_service(const struct nvmux_trid *a, const struct nvmux_trid *b)
{
	struct nvmux_trid x = *a, y = *b;

	x.subnqn[0] = y.subnqn[0] = '\0';
	return nvmux_trid_compare(&x, &y) == 0;
}

static void take_referral(struct discover *op, const struct nvmux_trid *found, uint8_t depth)
{
	struct nvmux_trid trid = *found;
	const char *why = NULL;

	/* The way out of this host is that of the service that was asked, where it can be. */
	nvmux_trid_take_source(&trid, &op->services[0].trid);
	for (uint32_t i = 0; i < op->n_services; i++) {
		if (is_same_service(&op->services[i].trid, &trid))
			return;
	}
	if (trid.trtype == NVMUX_TRTYPE_COUNT || !op->nvmux->transports[trid.trtype])
		why = "this build doesn't have its transport";
	else if (depth > DEPTH_MAX)
		why = "it is more than 8 referrals away";
	else if (op->n_services == SERVICES_MAX)
		why = "there are more than 64 services";
	if (why) {
		nvmux_log(op->nvmux, NVMUX_LOG_WARNING, "discovery",
			  "the discovery service at %s is left out: %s", trid.traddr, why);
		return;
	}
	op->services[op->n_services++] = (struct service){.trid = trid, .depth = depth};
}

static int take_log(struct discover *op, const struct nvmux_discovery_log *log)
{
	uint8_t depth = op->services[op->current].depth;
	int err = make_room(op, MIN(op->log->n + log->n, ENTRIES_MAX));

	if (err)
		return nvmux_error(op->nvmux, err, "%s", strerror(-err));
	if (!op->current)
		op->log->genctr = log->genctr;
	for (uint32_t i = 0; i < log->n; i++) {
		const struct nvmux_discovery_entry *entry = &log->entries[i];

		take_entry(op, entry, depth);
		if (entry->subtype == NVMUX_DISCOVERY_REFERRAL)
			take_referral(op, &entry->trid, (uint8_t)(depth + 1));
	}
	return 0;
}

/* ---- asking one service after the other ---- */

/* The service that was asked has been let go of. */
static void asked(struct discover *op)
{
	if (op->nvmux->ending) {
		discover_cancel(op);
		return;
	}
	if (op->err && !op->current) {
		discover_end(op, op->err);
		return;
	}
	if (op->err)
		nvmux_log(op->nvmux, NVMUX_LOG_WARNING, "discovery",
			  "the discovery service at %s is left out: %s",
			  op->services[op->current].trid.traddr, op->error);
	op->current++;
	ask_next(op);
}

static void keep_error(struct discover *op, int err)
{
	op->err = err;
	snprintf(op->error, sizeof(op->error), "%s", nvmux_error_text(op->nvmux));
}

static void detached(void *arg, int err)
{
	struct discover *op = arg;

	/* What it had to say has been read; how it parts is of no interest. */
	asked(op);
}

static void let_go(struct discover *op)
{
	if (op->ctrlr->detaching) /* the context ends, and detaches it */
		discover_cancel(op);
	else
		nvmux_detach_async(op->ctrlr, detached, op);
}

static void log_read(void *arg, const struct nvmux_discovery_log *log, int err)
{
	struct discover *op = arg;

	if (!err)
		err = take_log(op, log);
	if (err)
		keep_error(op, err);
	let_go(op);
}

static void connected(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr *ctrlr, int err)
{
	struct discover *op = arg;

	if (err) {
		keep_error(op, err);
		asked(op);
		return;
	}
	op->ctrlr = ctrlr;
	err = nvmux_ctrlr_get_discovery_log_async(ctrlr, log_read, op);
	if (err) {
		keep_error(op, err);
		let_go(op);
	}
}

static void ask_next(struct discover *op)
{
	int err;

	if (op->current < op->n_services && op->current && nvmux_now_ms() > op->deadline_ms) {
		nvmux_log(op->nvmux, NVMUX_LOG_WARNING, "discovery",
			  "%u discovery services weren't asked within %u s and are left out",
			  op->n_services - op->current, TIME_MS / 1000);
		op->current = op->n_services;
	}
	if (op->current == op->n_services) {
		discover_end(op, 0);
		return;
	}
	op->err = 0;
	err = nvmux_connect_async(op->nvmux, &op->services[op->current].trid, &op->opts, connected,
				  op);
	if (err)
		connected(op, NULL, NULL, err);
}

/* ---- the public functions ---- */

static int take_address(struct nvmux *nvmux, const struct nvmux_trid *trid, struct nvmux_trid *ret)
{
	char why[256];

	if (trid->trtype != NVMUX_TRTYPE_RDMA)
		return nvmux_error(nvmux, -EINVAL,
				   "trtype is %s; discovery services are reached by RDMA",
				   nvmux_trtype_string(trid->trtype) ?: "unknown");
	if (!nvmux->transports[trid->trtype])
		return nvmux_error(nvmux, -EPROTONOSUPPORT, "this build has no transport %s",
				   nvmux_trtype_string(trid->trtype));
	*ret = *trid;
	if (nvmux_trid_check(ret, why, sizeof(why)))
		return nvmux_error(nvmux, -EINVAL, "%s", why);
	if (!ret->subnqn[0])
		strcpy(ret->subnqn, NVMUX_DISCOVERY_NQN);
	return 0;
}

/* A connection for a moment: no keep-alive, and its loss is the end of it. */
static int take_opts(struct nvmux *nvmux, const struct nvmux_ctrlr_opts *opts,
		     struct nvmux_ctrlr_opts *ret)
{
	nvmux_ctrlr_opts_init(ret, sizeof(*ret));
	if (opts && (opts->size < sizeof(opts->size) || opts->size > 4096))
		return nvmux_error(nvmux, -EINVAL,
				   "size of the controller options is %zu; fill them with "
				   "nvmux_ctrlr_opts_init()",
				   opts->size);
	if (opts)
		memcpy(ret, opts, MIN(opts->size, sizeof(*ret)));
	ret->size = sizeof(*ret);
	ret->keep_alive_timeout_ms = 0;
	ret->fast_io_fail_timeout_sec = 0;
	ret->ctrlr_loss_timeout_sec = 0;
	return 0;
}

int nvmux_discover_async(struct nvmux *nvmux, const struct nvmux_trid *trid,
			 const struct nvmux_ctrlr_opts *opts, nvmux_discovery_cb cb, void *arg)
{
	struct discover *op = calloc(1, sizeof(*op));
	int err = -ENOMEM;

	if (op)
		op->log = calloc(1, sizeof(*op->log));
	if (!op || !op->log)
		goto fail;
	op->nvmux = nvmux;
	op->cb = cb;
	op->arg = arg;
	op->deadline_ms = nvmux_now_ms() + TIME_MS;
	op->n_services = 1;
	err = take_address(nvmux, trid, &op->services[0].trid);
	if (!err)
		err = take_opts(nvmux, opts, &op->opts);
	if (err)
		goto fail;
	ask_next(op);
	return 0;
fail:
	if (op)
		discover_free(op);
	return err;
}

struct discover_sync {
	struct nvmux_sync sync;
	struct nvmux_discovery_log *log;
};

static void discovered_sync(void *arg, const struct nvmux_discovery_log *log, int err)
{
	struct discover_sync *op = arg;
	size_t size = log ? sizeof(*log) + log->n * sizeof(log->entries[0]) : 0;

	if (!err) {
		op->log = malloc(size);
		if (op->log)
			memcpy(op->log, log, size);
		else
			err = -ENOMEM;
	}
	nvmux_sync_done(&op->sync, err, 0);
}

int nvmux_discover(struct nvmux *nvmux, const struct nvmux_trid *trid,
		   const struct nvmux_ctrlr_opts *opts, struct nvmux_discovery_log **ret)
{
	struct discover_sync op = {.sync = {.nvmux = nvmux}};
	int err = nvmux_sync_check(nvmux);

	if (!err)
		err = nvmux_discover_async(nvmux, trid, opts, discovered_sync, &op);
	if (!err)
		err = nvmux_sync_wait(&op.sync);
	if (!err)
		*ret = op.log;
	return err;
}

/* ---- for probe ---- */

struct enumerate {
	struct nvmux_trid trid;
	nvmux_found_fn found;
	nvmux_done_fn done;
	void *arg;
};

static void enumerated(void *arg, const struct nvmux_discovery_log *log, int err)
{
	struct enumerate op = *(struct enumerate *)arg;

	free(arg);
	for (uint32_t i = 0; log && i < log->n; i++) {
		struct nvmux_trid trid = log->entries[i].trid;

		if (log->entries[i].subtype != NVMUX_DISCOVERY_NVME ||
		    trid.trtype != NVMUX_TRTYPE_RDMA)
			continue;
		nvmux_trid_take_source(&trid, &op.trid);
		op.found(op.arg, &trid);
	}
	op.done(op.arg, err, 0);
}

void nvmux_discovery_enumerate(struct nvmux *nvmux, const struct nvmux_trid *trid,
			       nvmux_found_fn found, nvmux_done_fn done, void *arg)
{
	struct enumerate *op;
	int err;

	if (trid->subnqn[0] && strcmp(trid->subnqn, NVMUX_DISCOVERY_NQN)) {
		found(arg, trid);
		done(arg, 0, 0);
		return;
	}
	op = calloc(1, sizeof(*op));
	if (!op) {
		done(arg, -ENOMEM, 0);
		return;
	}
	*op = (struct enumerate){.trid = *trid, .found = found, .done = done, .arg = arg};
	/* The family that the address is of, for what carries the host's address over. */
	nvmux_trid_check(&op->trid, NULL, 0);
	err = nvmux_discover_async(nvmux, trid, NULL, enumerated, op);
	if (err) {
		free(op);
		done(arg, err, 0);
	}
}
