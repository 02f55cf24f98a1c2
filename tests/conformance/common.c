// SPDX-License-Identifier: BSD-3-Clause
/* Results, waiting for commands, and data whose content says where it belongs. See conform.h. */
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include "conform.h"

#define DEADLINE_MS 30000

/* ---- results ---- */

static void note(char *to, size_t size, const char *text, va_list args)
{
	if (!*to)
		vsnprintf(to, size, text, args);
}

void conform_fail(struct conform *c, const char *text, ...)
{
	va_list args;

	if (c->result != CONFORM_FAILED)
		c->note[0] = '\0';
	c->result = CONFORM_FAILED;
	va_start(args, text);
	note(c->note, sizeof(c->note), text, args);
	va_end(args);
}

void conform_absent(struct conform *c, const char *text, ...)
{
	va_list args;

	c->result = CONFORM_NOT_OFFERED;
	va_start(args, text);
	note(c->note, sizeof(c->note), text, args);
	va_end(args);
}

void conform_disagrees(struct conform *c, const char *text, ...)
{
	va_list args;

	va_start(args, text);
	note(c->disagrees, sizeof(c->disagrees), text, args);
	va_end(args);
}

static void describe(int result, char *text, size_t size)
{
	if (result == -EBADMSG)
		snprintf(text, size, "the data differs");
	else if (result < 0)
		snprintf(text, size, "%s", strerror(-result));
	else
		snprintf(text, size, "status %03xh (%s)", (unsigned)result,
			 nvmux_status_string((uint16_t)result));
}

bool conform_expect(struct conform *c, int got, int want, const char *what)
{
	char is[96], should[96];

	c->checks++;
	if (got == want)
		return true;
	describe(got, is, sizeof(is));
	describe(want, should, sizeof(should));
	if (got == -EBADMSG)
		conform_fail(c, "%s: %s from byte %zu on", what, is, c->differs);
	else
		conform_fail(c, "%s: %s, expected %s", what, is, should);
	return false;
}

bool conform_offered(struct conform *c, bool claimed, int got, int raw)
{
	char text[96];

	c->checks++;
	describe(got, text, sizeof(text));
	if (got == NVME_SC_INVALID_OPCODE) {
		if (claimed)
			conform_disagrees(c, "Identify offers it, the controller says Invalid "
					     "Opcode");
		conform_absent(c, "Invalid Opcode");
		return false;
	}
	if (got == -EOPNOTSUPP) {
		if (claimed) {
			conform_fail(c, "Identify offers it, the library refuses it");
			return false;
		}
		if (raw == 0)
			conform_disagrees(c, "Identify doesn't offer it, yet it works when sent "
					     "raw");
		conform_absent(c, "not in Identify data");
		return false;
	}
	if (got != 0) {
		conform_fail(c, "%s", text);
		return false;
	}
	if (!claimed)
		conform_disagrees(c, "Identify doesn't offer it, yet it works");
	return true;
}

/* ---- commands ---- */

void conform_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct conform_wait *wait = arg;
	uint16_t status = nvmux_cpl_status(cpl);

	wait->calls++;
	wait->status = status & NVMUX_STATUS_CODE_MASK;
	wait->dnr = status & NVMUX_STATUS_DNR;
	wait->dw0 = le32toh(cpl->dw0);
	wait->dw1 = le32toh(cpl->dw1);
}

struct conform_wait *conform_begin(struct conform *c)
{
	memset(&c->wait, 0, sizeof(c->wait));
	return &c->wait;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void nap(struct conform *c)
{
	struct pollfd fd = {.fd = nvmux_get_fd(c->nvmux), .events = POLLIN};

	/* Short: the I/O queue pair is polled. */
	poll(&fd, 1, 1);
}

static int wait_done(struct conform *c, int rc, bool admin)
{
	uint64_t end = now_ms() + DEADLINE_MS;

	if (rc < 0)
		return rc;
	for (uint32_t spins = 0; !c->wait.calls; spins++) {
		if (nvmux_process(c->nvmux) < 0 && nvmux_ctrlr_is_failed(c->ctrlr))
			return -ENXIO;
		if (!admin && c->qpair && nvmux_qpair_process_completions(c->qpair, 0) < 0 &&
		    nvmux_ctrlr_is_failed(c->ctrlr))
			return -ENXIO;
		if (now_ms() > end) {
			c->hung = true;
			return -ETIMEDOUT;
		}
		if (spins > 64 && !c->wait.calls)
			nap(c);
	}
	/* A second call would be seen here or by a later test. */
	if (!admin && c->qpair)
		nvmux_qpair_process_completions(c->qpair, 0);
	if (c->wait.calls != 1)
		conform_fail(c, "the callback was called %u times", c->wait.calls);
	return c->wait.status;
}

int conform_io(struct conform *c, int rc)
{
	return wait_done(c, rc, false);
}

int conform_admin(struct conform *c, int rc)
{
	return wait_done(c, rc, true);
}

void conform_poll(struct conform *c, uint32_t ms)
{
	uint64_t end = now_ms() + ms;

	do {
		nvmux_process(c->nvmux);
		if (c->qpair)
			nvmux_qpair_process_completions(c->qpair, 0);
		nap(c);
	} while (now_ms() < end);
}

static struct nvmux_cmd make_cmd(uint8_t opc, uint32_t nsid, const uint32_t cdw[6])
{
	return (struct nvmux_cmd){
		.opc = opc,
		.nsid = htole32(nsid),
		.cdw10 = htole32(cdw[0]),
		.cdw11 = htole32(cdw[1]),
		.cdw12 = htole32(cdw[2]),
		.cdw13 = htole32(cdw[3]),
		.cdw14 = htole32(cdw[4]),
		.cdw15 = htole32(cdw[5]),
	};
}

int conform_raw(struct conform *c, uint8_t opc, const uint32_t cdw[6], void *buf, uint32_t len)
{
	struct nvmux_cmd cmd = make_cmd(opc, c->nsid, cdw);

	return conform_io(c, nvmux_ctrlr_cmd_io_raw(c->ctrlr, c->qpair, &cmd, buf, len,
						    conform_done, conform_begin(c)));
}

int conform_admin_raw(struct conform *c, uint8_t opc, uint32_t nsid, const uint32_t cdw[6],
		      void *buf, uint32_t len)
{
	struct nvmux_cmd cmd = make_cmd(opc, nsid, cdw);

	return ADMIN(c, nvmux_ctrlr_cmd_admin_raw, &cmd, buf, len);
}

/* ---- data ---- */

int conform_clean(struct conform *c)
{
	int err;

	if (!c->zoned)
		return 0;
	err = IO(c, nvmux_zns_reset_zone, c->base, false);
	return err ? err : IO(c, nvmux_zns_reset_zone, c->other, false);
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

void conform_pattern(struct conform *c, uint8_t *buf, uint64_t lba, uint32_t n, uint32_t seed)
{
	for (uint32_t block = 0; block < n; block++)
		for (uint32_t at = 0; at < c->block_buf; at += 4) {
			uint32_t word = (uint32_t)mix((lba + block) << 20 ^ at ^
						      (uint64_t)seed << 52);

			memcpy(buf + (size_t)block * c->block_buf + at, &word, sizeof(word));
		}
}

int conform_write(struct conform *c, const void *buf, uint64_t lba, uint32_t n)
{
	if (c->md_separate)
		return IO(c, nvmux_ns_cmd_write_with_md, buf, c->md_a, lba, n, 0, 0, 0);
	return IO(c, nvmux_ns_cmd_write, buf, lba, n, 0);
}

int conform_read(struct conform *c, void *buf, uint64_t lba, uint32_t n)
{
	if (c->md_separate)
		return IO(c, nvmux_ns_cmd_read_with_md, buf, c->md_b, lba, n, 0, 0, 0);
	return IO(c, nvmux_ns_cmd_read, buf, lba, n, 0);
}

int conform_put(struct conform *c, uint64_t lba, uint32_t n, uint32_t seed)
{
	conform_pattern(c, c->a, lba, n, seed);
	return conform_write(c, c->a, lba, n);
}

int conform_holds(struct conform *c, uint64_t lba, uint32_t n, uint64_t of_lba, uint32_t seed)
{
	int err;

	memset(c->b, 0xa5, (size_t)n * c->block_buf);
	err = conform_read(c, c->b, lba, n);
	if (err)
		return err;
	conform_pattern(c, c->a, of_lba, n, seed);
	for (size_t i = 0; i < (size_t)n * c->block_buf; i++)
		if (c->a[i] != c->b[i]) {
			c->differs = i;
			return -EBADMSG;
		}
	return 0;
}
