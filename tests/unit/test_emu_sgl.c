// SPDX-License-Identifier: BSD-3-Clause
/* The emulator's SGLs, right and wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "emu_host.h"

#define GENERIC(sc) NVMUX_STATUS(0, NVME_SC_##sc)
#define DATA        HOST_DATA_PAGE
#define LIST        (HOST_DATA_PAGE + 64)
#define BLOCK       0x00u
#define BUCKET      0x10u
#define SEGMENT     0x20u
#define LAST        0x30u
#define PSDT_SGL    0x40u
#define PSDT_SGL_MD 0x80u

static struct host *started(const char *description)
{
	struct host *host = host_new(description);

	assert_int_equal(host_enable(host), 1);
	host_create_queues(host, 1);
	return host;
}

static void desc(struct host *host, uint32_t page, uint32_t index, uint64_t addr, uint32_t len,
		 uint32_t type)
{
	uint64_t *p = (uint64_t *)(void *)(host_page(host, page) + 16 * index);

	p[0] = htole64(addr);
	p[1] = htole64(len | (uint64_t)type << 56);
}

static struct nvmux_cmd sgl_cmd(uint8_t opc, uint32_t n, uint64_t addr, uint32_t len, uint32_t type)
{
	struct nvmux_cmd cmd = host_rw(opc, 1, 0, n, addr, len | (uint64_t)type << 56);

	cmd.flags = PSDT_SGL;
	return cmd;
}

static uint16_t io(struct host *host, uint8_t opc, uint32_t n, uint64_t addr, uint32_t len,
		   uint32_t type)
{
	struct nvmux_cmd cmd = sgl_cmd(opc, n, addr, len, type);

	return host_do(host, 1, &cmd, NULL);
}

static void test_moves(void **state)
{
	struct host *host = started("mem,size=1M,sgl=1");
	uint8_t *p = host_page(host, DATA);

	for (uint32_t i = 0; i < 2048; i++)
		p[3 + i] = (uint8_t)(i * 7 + i / 256);
	/* one block that begins anywhere, over the end of a page */
	assert_int_equal(io(host, nvme_cmd_write, 4, host_iova(DATA) + 3, 2048, BLOCK), 0);
	assert_int_equal(io(host, nvme_cmd_compare, 4, host_iova(DATA) + 3, 2048, BLOCK), 0);
	/* a segment, and a last one: pieces of odd sizes, an empty one, a bit bucket */
	desc(host, LIST, 0, host_iova(DATA + 2) + 1, 1001, BLOCK);
	desc(host, LIST, 1, 0, 0, BLOCK);
	desc(host, LIST, 2, host_iova(LIST + 1), 32, LAST);
	desc(host, LIST + 1, 0, 0, 500, BUCKET);
	desc(host, LIST + 1, 1, host_iova(DATA + 4), 547, BLOCK);
	assert_int_equal(io(host, nvme_cmd_read, 4, host_iova(LIST), 48, SEGMENT), 0);
	assert_memory_equal(host_page(host, DATA + 2) + 1, p + 3, 1001);
	assert_memory_equal(host_page(host, DATA + 4), p + 3 + 1501, 547);
	/* of a write, a bit bucket is nothing */
	desc(host, LIST, 0, 0, 500, BUCKET);
	desc(host, LIST, 1, host_iova(DATA) + 3, 2048, BLOCK);
	assert_int_equal(io(host, nvme_cmd_compare, 4, host_iova(LIST), 32, LAST), 0);
	host_free(host);
}

static void test_invalid(void **state)
{
	struct host *host = started("mem,size=1M,sgl=1");
	uint64_t data = host_iova(DATA), list = host_iova(LIST);
	struct nvmux_cmd cmd = sgl_cmd(nvme_cmd_read, 1, data, 512, BLOCK);

	assert_int_equal(io(host, nvme_cmd_read, 1, data, 511, BLOCK), GENERIC(SGL_INVALID_DATA));
	assert_int_equal(io(host, nvme_cmd_read, 1, data, 513, BLOCK), GENERIC(SGL_INVALID_DATA));
	assert_int_equal(io(host, nvme_cmd_read, 1, data, 512, 0x01), GENERIC(SGL_INVALID_TYPE));
	assert_int_equal(io(host, nvme_cmd_read, 1, data, 512, 0x40), GENERIC(SGL_INVALID_TYPE));
	assert_int_equal(io(host, nvme_cmd_read, 1, data, 512, 0x50), GENERIC(SGL_INVALID_TYPE));
	assert_int_equal(io(host, nvme_cmd_read, 1, HOST_NOWHERE, 512, BLOCK),
			 GENERIC(DATA_XFER_ERROR));
	assert_int_equal(io(host, nvme_cmd_read, 1, HOST_RO_IOVA, 512, BLOCK),
			 GENERIC(DATA_XFER_ERROR));
	assert_int_equal(io(host, nvme_cmd_read, 1, list, 0, LAST), GENERIC(SGL_INVALID_LAST));
	assert_int_equal(io(host, nvme_cmd_read, 1, list, 24, LAST), GENERIC(SGL_INVALID_LAST));
	/* the last segment names no other one; one that isn't last does */
	desc(host, LIST, 0, list, 16, SEGMENT);
	assert_int_equal(io(host, nvme_cmd_read, 1, list, 16, LAST), GENERIC(SGL_INVALID_LAST));
	desc(host, LIST, 0, data, 512, BLOCK);
	assert_int_equal(io(host, nvme_cmd_read, 1, list, 16, SEGMENT), GENERIC(SGL_INVALID_LAST));
	desc(host, LIST, 0, list, 16, LAST);
	desc(host, LIST, 1, data, 512, BLOCK);
	assert_int_equal(io(host, nvme_cmd_read, 1, list, 32, LAST), GENERIC(SGL_INVALID_COUNT));
	/* a segment that names itself ends too */
	desc(host, LIST, 0, 0, 0, BLOCK);
	desc(host, LIST, 1, list, 32, SEGMENT);
	assert_int_equal(io(host, nvme_cmd_read, 1, list, 32, SEGMENT), GENERIC(SGL_INVALID_COUNT));
	cmd.flags = 0xc0;
	assert_int_equal(host_do(host, 1, &cmd, NULL), GENERIC(INVALID_FIELD));
	host_free(host);
	host = started("mem,size=1M");
	assert_int_equal(io(host, nvme_cmd_read, 1, data, 512, BLOCK), GENERIC(INVALID_FIELD));
	host_free(host);
}

static void test_metadata(void **state)
{
	struct host *host = started("mem,size=1M,sgl=1,ms=16");
	struct nvmux_cmd cmd = sgl_cmd(nvme_cmd_write, 2, host_iova(DATA), 1024, BLOCK);
	uint8_t *md = host_page(host, DATA + 1) + 1;

	for (uint32_t i = 0; i < 32; i++)
		md[i] = (uint8_t)(i + 1);
	cmd.mptr = cpu_to_le64(host_iova(DATA + 1) + 1); /* one buffer, anywhere */
	assert_int_equal(host_do(host, 1, &cmd, NULL), 0);
	cmd.opc = nvme_cmd_read;
	cmd.flags = PSDT_SGL_MD;
	cmd.mptr = cpu_to_le64(host_iova(LIST));
	desc(host, LIST, 0, host_iova(LIST + 1), 32, LAST);
	desc(host, LIST + 1, 0, host_iova(DATA + 2), 5, BLOCK);
	desc(host, LIST + 1, 1, host_iova(DATA + 3), 27, BLOCK);
	assert_int_equal(host_do(host, 1, &cmd, NULL), 0);
	assert_memory_equal(host_page(host, DATA + 2), md, 5);
	assert_memory_equal(host_page(host, DATA + 3), md + 5, 27);
	desc(host, LIST, 0, host_iova(DATA + 3), 31, BLOCK);
	assert_int_equal(host_do(host, 1, &cmd, NULL), GENERIC(SGL_INVALID_METADATA));
	cmd.mptr = cpu_to_le64(host_iova(LIST) + 4);
	assert_int_equal(host_do(host, 1, &cmd, NULL), GENERIC(INVALID_FIELD));
	host_free(host);
}

static void test_advertised(void **state)
{
	struct host *host = started("mem,size=1M,sgl=1");
	const struct nvme_id_ctrl *id = (void *)host_page(host, DATA);
	struct nvmux_cmd cmd = host_identify(NVME_IDENTIFY_CNS_CTRL, 0, DATA);

	assert_int_equal(host_do(host, 0, &cmd, NULL), 0);
	assert_int_equal(le32_to_cpu(id->sgls), 0x000b0001);
	host_free(host);
	host = started("mem,size=1M");
	id = (void *)host_page(host, DATA);
	assert_int_equal(host_do(host, 0, &cmd, NULL), 0);
	assert_int_equal(le32_to_cpu(id->sgls), 0);
	host_free(host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_metadata),
		cmocka_unit_test(test_advertised),
	};

	return cmocka_run_group_tests_name("emu_sgl", tests, NULL, NULL);
}
