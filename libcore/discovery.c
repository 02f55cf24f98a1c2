// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reading the log page of one discovery controller. What is in it is discovery_log.c's, whom else
 * it refers to is referrals.c's.
 *
 * Happy path: the header says how many records there are; they are read in pieces of 4 KiB, with
 * the event that announces a change retained; then the header again, which lets go of the event: is
 * it that of the beginning, the records belong together.
 *
 * Failure modes: the log changed meanwhile (from the beginning, some times), a header that can't be
 * (-EPROTO), a command that fails (-EIO; also when the controller is lost or detached, which ends
 * it), a controller that answers each command in time but never gets to an end (-ETIMEDOUT).
 */
#include <errno.h>
#include <string.h>

#include "discovery_log.h"
#include "transport.h"

#define PIECE_SIZE 4096u
#define ROUNDS_MAX 8u
#define TIME_MS    30000u /* of all rounds; looked at between commands, which have deadlines too */

struct fetch {
	struct nvmux_ctrlr *ctrlr;
	nvmux_discovery_cb cb;
	void *arg;
	uint64_t deadline_ms;
	uint32_t round;
	struct discovery_header header; /* of this round */
	uint8_t *log;
	uint32_t size; /* of the log */
	uint32_t have; /* bytes that have been read */
	uint8_t again[DISCOVERY_HEADER_SIZE];
};

static void fetch_free(struct fetch *fetch)
{
	free(fetch->log);
	free(fetch);
}

static void fetch_fail(struct fetch *fetch, int err)
{
	nvmux_discovery_cb cb = fetch->cb;
	void *arg = fetch->arg;

	fetch_free(fetch);
	cb(arg, NULL, err);
}

static int protocol_error(struct fetch *fetch, int err, const char *why)
{
	return nvmux_error(fetch->ctrlr->nvmux, err, "%s: discovery log page: %s",
			   fetch->ctrlr->trid.traddr, why);
}

/* Section 5.16: LID, RAE and NUMDL in dword 10, the offset in dwords 12 and 13. */
static int get_log(struct fetch *fetch, uint32_t offset, void *buf, uint32_t len, bool retain,
		   nvmux_cmd_cb cb)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_get_log_page,
		.cdw10 = cpu_to_le32((len / 4 - 1) << 16 | (retain ? 1u << 15 : 0) |
				     NVME_LOG_LID_DISCOVER),
		.cdw12 = cpu_to_le32(offset),
	};

	return nvmux_ctrlr_admin(fetch->ctrlr, &cmd, buf, len, cb, fetch);
}

/* What a completion means; negative: the reason has been kept, the fetch is to fail. */
static int check_answer(struct fetch *fetch, const struct nvmux_cpl *cpl)
{
	uint16_t status = nvmux_cpl_status(cpl);

	if (nvmux_cpl_is_error(cpl))
		return nvmux_error(fetch->ctrlr->nvmux, -EIO,
				   "%s: Get Log Page of the discovery log: status %03x (%s)",
				   fetch->ctrlr->trid.traddr, status & NVMUX_STATUS_CODE_MASK,
				   nvmux_status_string(status));
	if (nvmux_now_ms() > fetch->deadline_ms)
		return nvmux_error(fetch->ctrlr->nvmux, -ETIMEDOUT,
				   "%s: the discovery log couldn't be read within %u s",
				   fetch->ctrlr->trid.traddr, TIME_MS / 1000);
	return 0;
}

static void first_read(void *arg, const struct nvmux_cpl *cpl);

static int begin_round(struct fetch *fetch)
{
	fetch->have = DISCOVERY_HEADER_SIZE;
	return get_log(fetch, 0, fetch->log, DISCOVERY_HEADER_SIZE, true, first_read);
}

static void fetch_done(struct fetch *fetch)
{
	struct nvmux_ctrlr *ctrlr = fetch->ctrlr;
	struct nvmux_discovery_log *log;
	uint32_t left_out;
	char why[128];
	int err = discovery_log_parse(fetch->log, fetch->size, &log, &left_out, why, sizeof(why));

	if (err) {
		fetch_fail(fetch,
			   protocol_error(fetch, err, err == -ENOMEM ? strerror(ENOMEM) : why));
		return;
	}
	if (left_out)
		nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "discovery",
			  "%s: %u of %u records are left out: %s", ctrlr->trid.traddr, left_out,
			  log->n + left_out, why);
	fetch->cb(fetch->arg, log, 0);
	free(log);
	fetch_free(fetch);
}

static void read_again(void *arg, const struct nvmux_cpl *cpl)
{
	struct fetch *fetch = arg;
	struct discovery_header header;
	char why[128];
	int err = check_answer(fetch, cpl);

	if (!err) {
		err = discovery_header_parse(fetch->again, sizeof(fetch->again), &header, why,
					     sizeof(why));
		if (err)
			protocol_error(fetch, err, why);
	}
	if (!err && header.genctr == fetch->header.genctr &&
	    header.numrec == fetch->header.numrec) {
		fetch_done(fetch);
		return;
	}
	if (!err && ++fetch->round == ROUNDS_MAX) {
		snprintf(why, sizeof(why), "it changed while it was read, %u times", ROUNDS_MAX);
		err = protocol_error(fetch, -EAGAIN, why);
	}
	if (!err)
		err = begin_round(fetch);
	if (err)
		fetch_fail(fetch, err);
}

static void piece_read(void *arg, const struct nvmux_cpl *cpl);

/* The next piece, or the look at the header that ends the round. */
static int read_on(struct fetch *fetch)
{
	uint32_t at = fetch->have, len = MIN(fetch->size - at, PIECE_SIZE);

	if (!len)
		return get_log(fetch, 0, fetch->again, sizeof(fetch->again), false, read_again);
	fetch->have += len;
	return get_log(fetch, at, fetch->log + at, len, true, piece_read);
}

static void piece_read(void *arg, const struct nvmux_cpl *cpl)
{
	struct fetch *fetch = arg;
	int err = check_answer(fetch, cpl);

	if (!err)
		err = read_on(fetch);
	if (err)
		fetch_fail(fetch, err);
}

/* The header says how large the log is. */
static int take_header(struct fetch *fetch)
{
	char why[128];
	uint8_t *grown;
	int err = discovery_header_parse(fetch->log, DISCOVERY_HEADER_SIZE, &fetch->header, why,
					 sizeof(why));

	if (err)
		return protocol_error(fetch, err, why);
	fetch->size = DISCOVERY_HEADER_SIZE + fetch->header.numrec * DISCOVERY_RECORD_SIZE;
	grown = realloc(fetch->log, fetch->size);
	if (!grown)
		return protocol_error(fetch, -ENOMEM, strerror(ENOMEM));
	fetch->log = grown;
	return 0;
}

static void first_read(void *arg, const struct nvmux_cpl *cpl)
{
	struct fetch *fetch = arg;
	int err = check_answer(fetch, cpl);

	if (!err)
		err = take_header(fetch);
	if (!err)
		err = read_on(fetch);
	if (err)
		fetch_fail(fetch, err);
}

int nvmux_ctrlr_get_discovery_log_async(struct nvmux_ctrlr *ctrlr, nvmux_discovery_cb cb, void *arg)
{
	struct fetch *fetch;
	int err;

	if (!ctrlr->discovery)
		return nvmux_error(ctrlr->nvmux, -EINVAL, "%s: %s isn't a discovery service",
				   ctrlr->trid.traddr, ctrlr->trid.subnqn);
	fetch = calloc(1, sizeof(*fetch));
	if (!fetch)
		return -ENOMEM;
	fetch->ctrlr = ctrlr;
	fetch->cb = cb;
	fetch->arg = arg;
	fetch->deadline_ms = nvmux_now_ms() + TIME_MS;
	fetch->log = malloc(DISCOVERY_HEADER_SIZE);
	err = fetch->log ? begin_round(fetch) : -ENOMEM;
	if (err)
		fetch_free(fetch);
	return err;
}
