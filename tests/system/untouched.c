// SPDX-License-Identifier: BSD-3-Clause
/*
 * I/O with memory that this process can't touch: whatever the library does for a read or a write,
 * it does without looking at the data.
 *
 * Happy path: attach the controller that the transport id names, make a queue pair and a region,
 * say where that is ("region ADDRESS BYTES"), and wait for a line on standard input. Then, for
 * extents of several sizes and places in the region: fill one with a pattern, take all access to
 * the region away (mprotect), write, give it back, clear it; take it away, read, give it back,
 * compare. Say "done N" (extents), wait for another line, end with 0. While it waits, others may
 * look at the process, or do the same to the daemon's view of the region.
 *
 * Failure modes: whoever touches the region during an I/O in this process gets SIGSEGV, which ends
 * it. A miscompare ends it with code 2, a command's error with 3, anything else with 1.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <nvmux/nvmux.h>
#include "libcore/util.h"

#define REGION_BYTES (4u << 20)

struct extent {
	uint32_t offset; /* in the region */
	uint32_t bytes;
};

static const struct extent extents[] = {
	{0, 4096},           {8192, 8192},
	{65536, 131072},     {1 << 20, 1 << 20},
	{3 << 20, 4096},     {(3 << 20) + 4096 + 512, 12288},
	{8192 + 2048, 4096}, {(1 << 20) + 512, 1 << 20},
};

struct state {
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_ns *ns;
	struct nvmux_qpair *qpair;
	struct nvmux_mem *mem;
	uint8_t *region;
	bool done;
	uint16_t status;
};

static int fail(int code, const char *what)
{
	fprintf(stderr, "%s\n", what);
	return code;
}

static void wait_for_line(void)
{
	char line[16];

	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		exit(fail(1, "standard input has ended"));
}

static uint8_t pattern(uint32_t seed, uint32_t i)
{
	return (uint8_t)((seed * 2654435761u + i * 40503u) >> 7);
}

static void on_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct state *s = arg;

	s->status = nvmux_cpl_status(cpl);
	s->done = true;
}

/* One I/O, during which nobody in this process has access to the region. */
static int run_io(struct state *s, const struct extent *e, uint64_t lba, bool write)
{
	uint32_t n = e->bytes / nvmux_ns_get_sector_size(s->ns);
	uint8_t *buf = s->region + e->offset;
	int rc;

	s->done = false;
	NVMUX_ASSERT(mprotect(s->region, REGION_BYTES, PROT_NONE) == 0);
	rc = write ? nvmux_ns_cmd_write(s->ns, s->qpair, buf, lba, n, 0, on_done, s)
		   : nvmux_ns_cmd_read(s->ns, s->qpair, buf, lba, n, 0, on_done, s);
	while (rc >= 0 && !s->done) {
		rc = nvmux_process(s->nvmux);
		if (rc >= 0)
			rc = nvmux_qpair_process_completions(s->qpair, 0);
	}
	NVMUX_ASSERT(mprotect(s->region, REGION_BYTES, PROT_READ | PROT_WRITE) == 0);
	return rc < 0 ? rc : 0;
}

/* Written and read back. Return an exit code or a negative errno value. */
static int check_extent(struct state *s, const struct extent *e, uint32_t seed)
{
	uint64_t lba = (uint64_t)seed * (1 << 20) / nvmux_ns_get_sector_size(s->ns);
	uint8_t *data = s->region + e->offset;
	int rc;

	for (uint32_t i = 0; i < e->bytes; i++)
		data[i] = pattern(seed, i);
	rc = run_io(s, e, lba, true);
	if (!rc && !s->status) {
		memset(s->region, 0, REGION_BYTES);
		rc = run_io(s, e, lba, false);
	}
	if (rc)
		return rc;
	if (s->status)
		return fail(3, nvmux_status_string(s->status));
	for (uint32_t i = 0; i < e->bytes; i++) {
		if (data[i] != pattern(seed, i))
			return fail(2, "what was read isn't what was written");
	}
	return 0;
}

static int run(struct state *s)
{
	struct nvmux_io_qpair_opts opts;
	int rc;

	s->ns = nvmux_ctrlr_get_ns(s->ctrlr, 1);
	if (!s->ns)
		return fail(1, "there is no namespace 1");
	nvmux_io_qpair_opts_init(s->ctrlr, &opts, sizeof(opts));
	rc = nvmux_ctrlr_alloc_io_qpair(s->ctrlr, &opts, &s->qpair);
	if (!rc)
		rc = nvmux_mem_alloc(s->ctrlr, REGION_BYTES, 0, &s->mem);
	if (rc)
		return rc;
	s->region = nvmux_mem_addr(s->mem);
	memset(s->region, 0, REGION_BYTES);
	printf("region %#" PRIxPTR " %u\n", (uintptr_t)s->region, REGION_BYTES);
	wait_for_line();
	for (uint32_t i = 0; i < ARRAY_SIZE(extents) && !rc; i++)
		rc = check_extent(s, &extents[i], i);
	if (!rc) {
		printf("done %zu\n", ARRAY_SIZE(extents));
		wait_for_line();
	}
	return rc;
}

int main(int argc, char **argv)
{
	struct nvmux_ctrlr_opts opts;
	struct nvmux_trid trid;
	struct state s = {0};
	char why[256];
	int rc;

	if (argc != 2)
		return fail(64, "usage: nvmux-untouched TRANSPORT-ID");
	if (nvmux_trid_parse(&trid, argv[1], why, sizeof(why)) < 0)
		return fail(64, why);
	rc = nvmux_create(NULL, &s.nvmux);
	if (rc < 0)
		return fail(1, strerror(-rc));
	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	rc = nvmux_connect(s.nvmux, &trid, &opts, &s.ctrlr);
	if (!rc)
		rc = run(&s);
	if (rc < 0)
		fprintf(stderr, "%s: %s\n", strerror(-rc), nvmux_error_text(s.nvmux));
	nvmux_qpair_free(s.qpair);
	nvmux_mem_free(s.mem);
	if (s.ctrlr)
		nvmux_detach(s.ctrlr);
	nvmux_destroy(s.nvmux);
	return rc < 0 ? 1 : rc;
}
