// SPDX-License-Identifier: BSD-3-Clause
/* The emulator's NVM commands and data pointers, right and wrong. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "emu_host.h"

#define GENERIC(sc) NVMUX_STATUS(0, NVME_SC_##sc)
#define MEDIA(sc)   NVMUX_STATUS(2, NVME_SC_##sc)
#define NS_512      1
#define NS_4096     2
#define NS_NULL     3
#define BLOCKS_512  (8u << 11)
#define FUA         (1u << 30)
#define DATA        HOST_DATA_PAGE
#define DATA2       (HOST_DATA_PAGE + 512)
#define LIST        (HOST_DATA_PAGE + 1024)
#define SPEC        "mem,size=8M+mem,size=8M,bs=4096+null,size=8T"

static struct host *started(const char *description)
{
	struct host *host = host_new(description);

	assert_int_equal(host_enable(host), 1);
	host_create_queues(host, 1);
	return host;
}

static uint16_t io(struct host *host, struct nvmux_cmd cmd)
{
	return host_do(host, 1, &cmd, NULL);
}

static uint16_t rw(struct host *host, uint8_t opc, uint32_t nsid, uint64_t slba, uint32_t n,
		   uint64_t prp1, uint64_t prp2)
{
	return io(host, host_rw(opc, nsid, slba, n, prp1, prp2));
}

static void fill(uint8_t *p, size_t n, uint8_t seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(i * 7 + (i >> 9) * 13 + (i >> 12) + seed);
}

/* ---- commands ---- */

static void check_format(struct host *host, uint32_t nsid, uint32_t block)
{
	uint8_t *out = host_page(host, DATA), *in = host_page(host, DATA2);
	uint32_t n = HOST_PAGE / block;

	for (uint32_t lba = 0; lba < 16; lba += n) {
		fill(out, HOST_PAGE, (uint8_t)(nsid + lba));
		assert_int_equal(rw(host, nvme_cmd_write, nsid, lba, n, host_iova(DATA), 0), 0);
	}
	for (uint32_t lba = 0; lba < 16; lba += n) {
		fill(out, HOST_PAGE, (uint8_t)(nsid + lba));
		assert_int_equal(rw(host, nvme_cmd_read, nsid, lba, n, host_iova(DATA2), 0), 0);
		assert_memory_equal(in, out, HOST_PAGE);
		assert_int_equal(rw(host, nvme_cmd_compare, nsid, lba, n, host_iova(DATA), 0), 0);
	}
	out[HOST_PAGE - 1] ^= 1;
	assert_int_equal(rw(host, nvme_cmd_compare, nsid, 16 - n, n, host_iova(DATA), 0),
			 MEDIA(COMPARE_FAILED));
	assert_int_equal(rw(host, nvme_cmd_verify, nsid, 0, 16, 0, 0), 0);
}

static void test_both_formats(void **state)
{
	struct host *host = started(SPEC);

	check_format(host, NS_512, 512);
	check_format(host, NS_4096, 4096);
	/* a namespace doesn't reach into another one, nor a block into its neighbour */
	memset(host_page(host, DATA), 0xee, HOST_PAGE);
	assert_int_equal(rw(host, nvme_cmd_write, NS_512, 3, 1, host_iova(DATA), 0), 0);
	assert_int_equal(rw(host, nvme_cmd_read, NS_512, 2, 3, host_iova(DATA2), 0), 0);
	assert_int_not_equal(host_page(host, DATA2)[511], 0xee);
	assert_int_equal(host_page(host, DATA2)[512], 0xee);
	assert_int_equal(host_page(host, DATA2)[1023], 0xee);
	assert_int_not_equal(host_page(host, DATA2)[1024], 0xee);
	host_free(host);
}

static void test_lba_range(void **state)
{
	static const uint8_t opcodes[] = {nvme_cmd_read, nvme_cmd_write, nvme_cmd_compare,
					  nvme_cmd_verify, nvme_cmd_write_zeroes};
	struct host *host = started(SPEC);
	uint64_t prp = host_iova(DATA);

	for (size_t i = 0; i < sizeof(opcodes); i++) {
		uint8_t opc = opcodes[i];

		assert_int_equal(rw(host, opc, NS_512, BLOCKS_512 - 1, 1, prp, 0), 0);
		assert_int_equal(rw(host, opc, NS_512, BLOCKS_512 - 1, 2, prp, 0),
				 GENERIC(LBA_RANGE));
		assert_int_equal(rw(host, opc, NS_512, BLOCKS_512, 1, prp, 0), GENERIC(LBA_RANGE));
		assert_int_equal(rw(host, opc, NS_512, UINT64_MAX, 2, prp, 0), GENERIC(LBA_RANGE));
		assert_int_equal(rw(host, opc, NS_512, 1ull << 55, 1, prp, 0), GENERIC(LBA_RANGE));
		assert_int_equal(rw(host, opc, 0, 0, 1, prp, 0), GENERIC(INVALID_NS));
		assert_int_equal(rw(host, opc, 4, 0, 1, prp, 0), GENERIC(INVALID_FIELD));
		assert_int_equal(rw(host, opc, 200, 0, 1, prp, 0), GENERIC(INVALID_NS));
		assert_int_equal(rw(host, opc, NVME_NSID_ALL, 0, 1, prp, 0), GENERIC(INVALID_NS));
	}
	host_free(host);
}

static void test_invalid_commands(void **state)
{
	struct host *host = started(SPEC);
	struct nvmux_cmd cmd = host_rw(nvme_cmd_read, NS_512, 0, 1, host_iova(DATA), 0);

	for (uint32_t opc = 0; opc < 256; opc++) {
		switch (opc) {
		case nvme_cmd_flush:
		case nvme_cmd_write:
		case nvme_cmd_read:
		case nvme_cmd_compare:
		case nvme_cmd_write_zeroes:
		case nvme_cmd_dsm:
		case nvme_cmd_write_uncor:
		case nvme_cmd_resv_register:
		case nvme_cmd_resv_report:
		case nvme_cmd_resv_acquire:
		case nvme_cmd_resv_release:
		case nvme_cmd_copy:
		case nvme_cmd_verify: continue;
		default: break;
		}
		assert_int_equal(rw(host, (uint8_t)opc, NS_512, 0, 1, host_iova(DATA), 0),
				 GENERIC(INVALID_OPCODE));
	}
	for (int i = 0; i < 4; i++) {
		static const uint8_t flags[] = {0x40, 0x80, 0xc0, 0x03};

		cmd.flags = flags[i];
		assert_int_equal(io(host, cmd), GENERIC(INVALID_FIELD));
	}
	host_free(host);
}

static void test_transfer_limit(void **state)
{
	struct host *host = started(SPEC ",mdts=1");
	uint64_t a = host_iova(DATA), b = host_iova(DATA + 1);

	assert_int_equal(rw(host, nvme_cmd_read, NS_512, 0, 16, a, b), 0);
	assert_int_equal(rw(host, nvme_cmd_read, NS_512, 0, 17, a, b), GENERIC(INVALID_FIELD));
	assert_int_equal(rw(host, nvme_cmd_write, NS_4096, 0, 3, a, b), GENERIC(INVALID_FIELD));
	assert_int_equal(rw(host, nvme_cmd_compare, NS_4096, 0, 3, a, b), GENERIC(INVALID_FIELD));
	/* no data, no limit */
	assert_int_equal(rw(host, nvme_cmd_write_zeroes, NS_512, 0, BLOCKS_512, 0, 0), 0);
	assert_int_equal(rw(host, nvme_cmd_verify, NS_512, 0, BLOCKS_512, 0, 0), 0);
	host_free(host);
}

static void test_zeroes(void **state)
{
	struct host *host = started(SPEC);
	uint8_t *p = host_page(host, DATA);

	memset(p, 0xff, 64 * HOST_PAGE);
	for (uint32_t i = 0; i < 64; i++)
		assert_int_equal(rw(host, nvme_cmd_write, NS_512, i * 8, 8, host_iova(DATA), 0), 0);
	/* a few blocks, and many: from the middle of a page to the middle of another */
	assert_int_equal(rw(host, nvme_cmd_write_zeroes, NS_512, 3, 2, 0, 0), 0);
	assert_int_equal(rw(host, nvme_cmd_write_zeroes, NS_512, 11, 300, 0, 0), 0);
	for (uint32_t lba = 0; lba < 512; lba++) {
		bool zero = lba == 3 || lba == 4 || (lba >= 11 && lba < 311);

		p[0] = p[511] = 0x77;
		assert_int_equal(rw(host, nvme_cmd_read, NS_512, lba, 1, host_iova(DATA), 0), 0);
		assert_int_equal(p[0], zero ? 0 : 0xff);
		assert_int_equal(p[511], zero ? 0 : 0xff);
	}
	host_free(host);
}

static void test_dataset_management(void **state)
{
	struct host *host = started(SPEC);
	struct nvme_dsm_range *r = (void *)host_page(host, DATA);
	struct nvmux_cmd cmd = {
		.opc = nvme_cmd_dsm,
		.nsid = cpu_to_le32(NS_512),
		.dptr = {cpu_to_le64(host_iova(DATA)), cpu_to_le64(host_iova(DATA + 1))},
		.cdw10 = cpu_to_le32(1), /* two ranges */
		.cdw11 = cpu_to_le32(1 << 2),
	};
	uint8_t *p = host_page(host, DATA2);

	memset(p, 0xff, HOST_PAGE);
	for (uint32_t i = 0; i < 16; i++)
		assert_int_equal(rw(host, nvme_cmd_write, NS_512, i * 8, 8, host_iova(DATA2), 0),
				 0);
	r[0] = (struct nvme_dsm_range){.slba = cpu_to_le64(5), .nlb = cpu_to_le32(1)};
	r[1] = (struct nvme_dsm_range){.slba = cpu_to_le64(100), .nlb = cpu_to_le32(10)};
	cmd.cdw11 = cpu_to_le32(1); /* a hint only */
	assert_int_equal(io(host, cmd), 0);
	assert_int_equal(rw(host, nvme_cmd_read, NS_512, 5, 1, host_iova(DATA2), 0), 0);
	assert_int_equal(p[0], 0xff);
	cmd.cdw11 = cpu_to_le32(1 << 2);
	assert_int_equal(io(host, cmd), 0);
	assert_int_equal(rw(host, nvme_cmd_read, NS_512, 4, 3, host_iova(DATA2), 0), 0);
	assert_int_equal(p[511], 0xff);
	assert_int_equal(p[512], 0);
	assert_int_equal(p[1023], 0);
	assert_int_equal(p[1024], 0xff);
	assert_int_equal(rw(host, nvme_cmd_read, NS_512, 109, 2, host_iova(DATA2), 0), 0);
	assert_int_equal(p[0], 0);
	assert_int_equal(p[512], 0xff);
	/* one range beyond the end: none is done */
	r[0].slba = cpu_to_le64(0);
	r[1].slba = cpu_to_le64(BLOCKS_512 - 1);
	assert_int_equal(io(host, cmd), GENERIC(LBA_RANGE));
	assert_int_equal(rw(host, nvme_cmd_read, NS_512, 0, 1, host_iova(DATA2), 0), 0);
	assert_int_equal(p[0], 0xff);
	/* 256 ranges are one page; from the middle of one they take two */
	memset(host_page(host, DATA), 0, 2 * HOST_PAGE);
	cmd.cdw10 = cpu_to_le32(255);
	cmd.dptr[0] = cpu_to_le64(host_iova(DATA) + 2048);
	assert_int_equal(io(host, cmd), 0);
	cmd.dptr[1] = cpu_to_le64(HOST_NOWHERE);
	assert_int_equal(io(host, cmd), GENERIC(DATA_XFER_ERROR));
	host_free(host);
}

static void test_null(void **state)
{
	struct host *host = started(SPEC);
	uint64_t last = (8ull << 40) / 512 - 8;

	memset(host_page(host, DATA), 0x99, HOST_PAGE);
	assert_int_equal(rw(host, nvme_cmd_write, NS_NULL, last, 8, host_iova(DATA), 0), 0);
	assert_int_equal(rw(host, nvme_cmd_read, NS_NULL, last, 8, host_iova(DATA), 0), 0);
	assert_int_equal(host_page(host, DATA)[0], 0x99); /* not touched */
	assert_int_equal(rw(host, nvme_cmd_compare, NS_NULL, 0, 8, host_iova(DATA), 0), 0);
	assert_int_equal(rw(host, nvme_cmd_write_zeroes, NS_NULL, 0, 65536, 0, 0), 0);
	assert_int_equal(rw(host, nvme_cmd_read, NS_NULL, last, 9, host_iova(DATA), 0),
			 GENERIC(LBA_RANGE));
	/* Addresses are checked all the same. */
	assert_int_equal(rw(host, nvme_cmd_read, NS_NULL, 0, 1, HOST_NOWHERE, 0),
			 GENERIC(DATA_XFER_ERROR));
	assert_int_equal(rw(host, nvme_cmd_read, NS_NULL, 0, 1, HOST_RO_IOVA, 0),
			 GENERIC(DATA_XFER_ERROR));
	assert_int_equal(rw(host, nvme_cmd_write, NS_NULL, 0, 1, HOST_RO_IOVA, 0), 0);
	host_free(host);
}

static void test_file(void **state)
{
	char path[] = "/tmp/emu-io-XXXXXX", spec[64];
	struct nvmux_cmd flush = {.opc = nvme_cmd_flush, .nsid = cpu_to_le32(1)};
	struct nvmux_cmd fua;
	struct host *host;
	uint8_t block[512];
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	snprintf(spec, sizeof(spec), "file,path=%s,size=1M", path);
	host = started(spec);
	fill(host_page(host, DATA), HOST_PAGE, 1);
	assert_int_equal(rw(host, nvme_cmd_write, 1, 100, 8, host_iova(DATA), 0), 0);
	assert_int_equal(io(host, flush), 0);
	flush.nsid = cpu_to_le32(NVME_NSID_ALL);
	assert_int_equal(io(host, flush), 0);
	flush.nsid = cpu_to_le32(2);
	assert_int_equal(io(host, flush), GENERIC(INVALID_NS));
	fua = host_rw(nvme_cmd_write, 1, 109, 1, host_iova(DATA), 0);
	fua.cdw12 = cpu_to_le32(FUA);
	assert_int_equal(io(host, fua), 0);
	assert_int_equal(rw(host, nvme_cmd_write_zeroes, 1, 101, 1, 0, 0), 0);
	assert_int_equal(rw(host, nvme_cmd_write_zeroes, 1, 300, 1500, 0, 0), 0);
	assert_int_equal(pread(fd, block, 512, 100 * 512), 512);
	assert_memory_equal(block, host_page(host, DATA), 512);
	assert_int_equal(pread(fd, block, 512, 109 * 512), 512);
	assert_memory_equal(block, host_page(host, DATA), 512);
	assert_int_equal(pread(fd, block, 512, 101 * 512), 512);
	assert_int_equal(block[0], 0);
	host_free(host);
	/* It is there for the next one. */
	snprintf(spec, sizeof(spec), "file,path=%s", path);
	host = started(spec);
	assert_int_equal(rw(host, nvme_cmd_read, 1, 100, 1, host_iova(DATA2), 0), 0);
	fill(host_page(host, DATA), HOST_PAGE, 1);
	assert_memory_equal(host_page(host, DATA2), host_page(host, DATA), 512);
	host_free(host);
	close(fd);
	unlink(path);
}

/* ---- data pointers ---- */

/*
 * Write @n blocks of 512 bytes that begin @offset into a page and go on in pages two apart, by a
 * list that begins @list_offset into its page; read them back into one piece and compare.
 */
static void check_prps(struct host *host, uint32_t offset, uint32_t n, uint32_t list_offset)
{
	__le64 *list = (void *)(host_page(host, LIST) + list_offset);
	uint32_t list_page = LIST, left = n * 512, page = DATA, n_pages;
	uint8_t *expect = malloc(n * 512), *p = expect;
	uint64_t prp2 = host_iova(LIST) + list_offset;
	uint32_t first = MIN(left, HOST_PAGE - offset);

	assert_non_null(expect);
	fill(expect, n * 512, (uint8_t)(offset + n));
	memcpy(host_page(host, page) + offset, p, first);
	p += first;
	left -= first;
	n_pages = (left + HOST_PAGE - 1) / HOST_PAGE;
	for (uint32_t i = 0; i < n_pages; i++) {
		uint32_t len = MIN(left, HOST_PAGE);

		page += 2;
		memcpy(host_page(host, page), p, len);
		p += len;
		left -= len;
		if (n_pages == 1) {
			prp2 = host_iova(page);
			break;
		}
		/* the last entry of a page leads on, unless it is the last of all */
		if (((uintptr_t)list & 4095) == 4088 && i != n_pages - 1) {
			list_page += 2;
			*list = cpu_to_le64(host_iova(list_page));
			list = (void *)host_page(host, list_page);
		}
		*list++ = cpu_to_le64(host_iova(page));
	}
	assert_int_equal(rw(host, nvme_cmd_write, NS_512, 7, n, host_iova(DATA) + offset, prp2), 0);
	assert_int_equal(rw(host, nvme_cmd_compare, NS_512, 7, n, host_iova(DATA) + offset, prp2),
			 0);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(
			rw(host, nvme_cmd_read, NS_512, 7 + i, 1, host_iova(LIST - 1) + 1024, 0),
			0);
		assert_memory_equal(host_page(host, LIST - 1) + 1024, expect + i * 512, 512);
	}
	/* and the other way: the same places get the same data back */
	for (uint32_t i = DATA; i < DATA + 2 * n_pages + 1; i++)
		memset(host_page(host, i), 0, HOST_PAGE);
	assert_int_equal(rw(host, nvme_cmd_read, NS_512, 7, n, host_iova(DATA) + offset, prp2), 0);
	assert_memory_equal(host_page(host, DATA) + offset, expect, first);
	if (n_pages)
		assert_memory_equal(host_page(host, DATA + 2), expect + first,
				    MIN(n * 512 - first, HOST_PAGE));
	if (n_pages > 1)
		assert_int_equal(host_page(host, DATA + 3)[0], 0); /* in between: not touched */
	free(expect);
}

static void test_prps(void **state)
{
	struct host *host = started(SPEC ",mdts=0");

	check_prps(host, 0, 1, 0);
	check_prps(host, 0, 8, 0);
	check_prps(host, 4, 1, 0);
	check_prps(host, 3584, 1, 0);
	check_prps(host, 3588, 1, 0); /* across a page */
	check_prps(host, 0, 9, 0);    /* two pages */
	check_prps(host, 512, 15, 0);
	check_prps(host, 0, 17, 0); /* a list of two */
	check_prps(host, 2048, 24, 0);
	check_prps(host, 4092, 16, 8);
	check_prps(host, 0, 256, 4032); /* a list that goes on in another page */
	check_prps(host, 0, 24, 4088);  /* whose first part is nothing but the pointer */
	check_prps(host, 0, 17, 4080);  /* whose last entry is data: two are enough */
	check_prps(host, 0, 1300, 4000);
	host_free(host);
}

static void test_long_list(void **state)
{
	struct host *host = started(SPEC ",mdts=0");
	uint32_t n_pages = 1200; /* three pages of list; the same data page again and again */
	uint32_t pages[] = {LIST, LIST + 5, LIST + 3};
	uint32_t k = 0;
	__le64 *list = (void *)host_page(host, LIST);

	for (uint32_t i = 1; i < n_pages; i++) {
		if (k < 2 && ((uintptr_t)list & 4095) == 4088) {
			*list = cpu_to_le64(host_iova(pages[++k]));
			list = (void *)host_page(host, pages[k]);
		}
		*list++ = cpu_to_le64(host_iova(DATA + i % 2));
	}
	fill(host_page(host, DATA), 2 * HOST_PAGE, 9);
	assert_int_equal(
		rw(host, nvme_cmd_write, NS_4096, 100, n_pages, host_iova(DATA), host_iova(LIST)),
		0);
	assert_int_equal(
		rw(host, nvme_cmd_read, NS_4096, 100 + n_pages - 1, 1, host_iova(DATA2), 0), 0);
	assert_memory_equal(host_page(host, DATA2), host_page(host, DATA + 1), HOST_PAGE);
	host_free(host);
}

static void test_hostile_prps(void **state)
{
	struct host *host = started(SPEC ",mdts=0");
	uint64_t end = HOST_IOVA + (uint64_t)HOST_MEM_PAGES * HOST_PAGE;
	uint64_t a = host_iova(DATA), list_iova = host_iova(LIST);
	__le64 *list = (void *)host_page(host, LIST);
	const uint8_t r = nvme_cmd_read, w = nvme_cmd_write;

	/* alignment */
	for (uint32_t i = 1; i < 4; i++)
		assert_int_equal(rw(host, r, NS_512, 0, 1, a + i, 0), GENERIC(PRP_INVALID_OFFSET));
	assert_int_equal(rw(host, r, NS_512, 0, 9, a, a + 4), GENERIC(PRP_INVALID_OFFSET));
	assert_int_equal(rw(host, r, NS_512, 0, 17, a, list_iova + 4), GENERIC(PRP_INVALID_OFFSET));
	list[0] = cpu_to_le64(a + HOST_PAGE);
	list[1] = cpu_to_le64(a + 512);
	assert_int_equal(rw(host, r, NS_512, 0, 17, a, list_iova), GENERIC(PRP_INVALID_OFFSET));
	/* places that aren't there, or not for writing, or run over an end */
	assert_int_equal(rw(host, r, NS_512, 0, 1, 0, 0), GENERIC(DATA_XFER_ERROR));
	assert_int_equal(rw(host, w, NS_512, 0, 1, HOST_NOWHERE, 0), GENERIC(DATA_XFER_ERROR));
	assert_int_equal(rw(host, r, NS_512, 0, 8, UINT64_MAX & ~3ull, 0),
			 GENERIC(DATA_XFER_ERROR));
	assert_int_equal(rw(host, r, NS_512, 0, 8, UINT64_MAX & ~4095ull, 0),
			 GENERIC(DATA_XFER_ERROR));
	assert_int_equal(rw(host, r, NS_512, 0, 9, end - HOST_PAGE, end), GENERIC(DATA_XFER_ERROR));
	assert_int_equal(rw(host, r, NS_512, 0, 8, end - HOST_PAGE, end), 0);
	assert_int_equal(rw(host, r, NS_512, 0, 8, HOST_IOVA - HOST_PAGE, 0),
			 GENERIC(DATA_XFER_ERROR));
	assert_int_equal(rw(host, r, NS_512, 0, 9, a, 0), GENERIC(DATA_XFER_ERROR));
	assert_int_equal(rw(host, r, NS_512, 0, 17, a, HOST_NOWHERE), GENERIC(DATA_XFER_ERROR));
	list[1] = cpu_to_le64(HOST_NOWHERE);
	assert_int_equal(rw(host, r, NS_512, 0, 17, a, list_iova), GENERIC(DATA_XFER_ERROR));
	list[1] = cpu_to_le64(a + 2 * HOST_PAGE);
	list[2] = cpu_to_le64(HOST_NOWHERE); /* beyond what is used */
	assert_int_equal(rw(host, r, NS_512, 0, 24, a, list_iova), 0);
	list[1] = cpu_to_le64(HOST_RO_IOVA);
	assert_int_equal(rw(host, r, NS_512, 0, 24, a, list_iova), GENERIC(DATA_XFER_ERROR));
	assert_int_equal(rw(host, w, NS_512, 0, 24, a, list_iova), 0);
	/* a list in memory that can be read only */
	memcpy(host_page(host, HOST_MEM_PAGES - HOST_RO_PAGES), list, 16);
	assert_int_equal(rw(host, w, NS_512, 0, 24, a, HOST_RO_IOVA), 0);
	/* chains: misaligned, nowhere, to itself */
	list[511] = cpu_to_le64(list_iova + 8);
	assert_int_equal(rw(host, r, NS_512, 0, 32, a, list_iova + 4088),
			 GENERIC(PRP_INVALID_OFFSET));
	list[511] = cpu_to_le64(HOST_NOWHERE);
	assert_int_equal(rw(host, r, NS_512, 0, 32, a, list_iova + 4088), GENERIC(DATA_XFER_ERROR));
	for (uint32_t i = 0; i < 511; i++)
		list[i] = cpu_to_le64(a);
	list[511] = cpu_to_le64(list_iova);
	assert_int_equal(rw(host, r, NS_4096, 0, 2000, a, list_iova), 0); /* it ends */
	host_free(host);
}

static void test_mapping_that_changes(void **state)
{
	struct host *host = started(SPEC);
	uint64_t a = host_iova(DATA);

	assert_int_equal(rw(host, nvme_cmd_read, NS_512, 0, 1, a, 0), 0);
	/* What was found before isn't remembered beyond the change. */
	host->mapped = false;
	emu_dma_changed(host->ctrlr, a, HOST_PAGE);
	assert_int_equal(rw(host, nvme_cmd_read, NS_512, 0, 1, a, 0), GENERIC(DATA_XFER_ERROR));
	host->mapped = true;
	assert_int_equal(rw(host, nvme_cmd_read, NS_512, 0, 1, a, 0), 0);
	host_free(host);
}

static void test_counters(void **state)
{
	struct host *host = started(SPEC);
	struct nvmux_cmd log = {
		.opc = nvme_admin_get_log_page,
		.dptr = {cpu_to_le64(host_iova(DATA))},
		.cdw10 = cpu_to_le32(NVME_LOG_LID_SMART | 127 << 16),
	};
	struct nvmux_cmd gone = host_delete(nvme_admin_delete_sq, 1);
	const struct nvme_smart_log *smart = (const void *)host_page(host, DATA);

	for (int i = 0; i < 1001; i++)
		assert_int_equal(rw(host, nvme_cmd_read, NS_512, 0, 1, host_iova(DATA2), 0), 0);
	assert_int_equal(rw(host, nvme_cmd_write, NS_512, 0, 1, host_iova(DATA2), 0), 0);
	/* what fails isn't counted */
	for (int i = 0; i < 3; i++) {
		assert_int_not_equal(rw(host, nvme_cmd_read, NS_512, 0, 1, 4096, 0), 0);
		assert_int_not_equal(rw(host, nvme_cmd_write, NS_512, 0, 1, 4096, 0), 0);
		assert_int_not_equal(rw(host, nvme_cmd_compare, NS_512, 0, 1, 4096, 0), 0);
		assert_int_not_equal(rw(host, nvme_cmd_verify, NS_512, 1ull << 40, 1, 0, 0), 0);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(host_do(host, 0, &log, NULL), 0);
		assert_int_equal(smart->host_reads[0] | smart->host_reads[1] << 8, 1001);
		assert_int_equal(smart->host_writes[0], 1);
		assert_int_equal(smart->data_units_read[0], 2);
		assert_int_equal(smart->data_units_written[0], 1);
		if (i == 0) /* they outlive the queue */
			assert_int_equal(host_do(host, 0, &gone, NULL), 0);
	}
	host_free(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_formats),
		cmocka_unit_test(test_lba_range),
		cmocka_unit_test(test_invalid_commands),
		cmocka_unit_test(test_transfer_limit),
		cmocka_unit_test(test_zeroes),
		cmocka_unit_test(test_dataset_management),
		cmocka_unit_test(test_null),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_prps),
		cmocka_unit_test(test_long_list),
		cmocka_unit_test(test_hostile_prps),
		cmocka_unit_test(test_mapping_that_changes),
		cmocka_unit_test(test_counters),
	};

	return cmocka_run_group_tests_name("emu_io", tests, NULL, NULL);
}
