// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the library submits, against bytes written from the specification (tests/conformance/
 * vectors.c).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "fake_ctrlr.h"
#include "tests/conformance/vectors.h"

#define SEEN_MAX  512
#define SEEN_DATA 64

struct seen {
	bool admin;
	uint8_t entry[64];
	uint8_t data[SEEN_DATA];
	uint32_t len;
};

struct fixture {
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_ns *ns;
	struct nvmux_qpair *qpair;
	struct nvmux_mem *mem;
	uint8_t *buf;
	uint32_t calls;
};

static struct seen seen[SEEN_MAX];
static uint32_t n_seen;

static void on_command(bool admin, const struct nvmux_cmd *cmd, const uint8_t *data, uint32_t len)
{
	struct seen *s = &seen[n_seen % SEEN_MAX];

	n_seen++;
	*s = (struct seen){.admin = admin, .len = MIN(len, SEEN_DATA)};
	memcpy(s->entry, cmd, sizeof(s->entry));
	if (data)
		memcpy(s->data, data, s->len);
}

static void offer_all(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf)
{
	struct nvme_id_ctrl *id = buf;
	struct nvme_id_ns *ns = buf;

	switch (le32_to_cpu(cmd->cdw10) & 0xff) {
	case NVME_IDENTIFY_CNS_CTRL:
		id->oacs = cpu_to_le16(0x3ff & ~NVME_CTRL_OACS_DBBUF_CFG);
		id->oncs = cpu_to_le16(0x1ff);
		id->fuses = cpu_to_le16(1);
		id->sanicap = cpu_to_le32(7);
		id->ctratt = cpu_to_le32(1u << 19);
		id->frmw = 7 << 1;
		break;
	case NVME_IDENTIFY_CNS_NS:
		ns->nlbaf = 63;
		ns->nmic = 1;
		ns->rescap = 0xff;
		ns->dpc = 0x1f;
		ns->mc = 3;
		for (uint32_t i = 1; i < 64; i++) {
			ns->lbaf[i].ds = 9;
			ns->lbaf[i].ms = cpu_to_le16(8);
		}
		break;
	}
}

static int begin(void **state)
{
	static const struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK};
	static struct fixture f;
	struct nvmux_opts opts;

	fake_reset();
	fake.identify = offer_all;
	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = 64 << 20;
	assert_int_equal(nvmux_create(&opts, &f.nvmux), 0);
	assert_int_equal(nvmux_transport_register(f.nvmux, &fake_transport), 0);
	assert_int_equal(nvmux_connect(f.nvmux, &trid, NULL, &f.ctrlr), 0);
	f.ns = nvmux_ctrlr_get_ns(f.ctrlr, 1);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(f.ctrlr, NULL, &f.qpair), 0);
	assert_int_equal(nvmux_mem_alloc(f.ctrlr, 1 << 20, 0, &f.mem), 0);
	f.buf = nvmux_mem_addr(f.mem);
	*state = &f;
	return 0;
}

static int end(void **state)
{
	struct fixture *f = *state;

	nvmux_qpair_free(f->qpair);
	nvmux_mem_free(f->mem);
	nvmux_destroy(f->nvmux);
	return 0;
}

static void done(void *arg, const struct nvmux_cpl *cpl)
{
	++*(uint32_t *)arg;
}

/* Begin to look at what is submitted. */
static void look(void)
{
	n_seen = 0;
	fake.command = on_command;
}

/* The command of this vector was submitted, with its bytes. */
static void sent(struct fixture *f, const char *name)
{
	const struct vector *v = NULL;
	uint32_t at = 0;
	char start[6] = "";

	for (uint32_t i = 0; i < 100; i++) {
		nvmux_process(f->nvmux);
		nvmux_qpair_process_completions(f->qpair, 0);
	}
	for (unsigned i = 0; i < vectors_count; i++)
		if (!strcmp(vectors[i].name, name))
			v = &vectors[i];
	assert_non_null(v);
	memcpy(start, v->entry, 5);
	for (uint32_t i = 0; i < MIN(n_seen, SEEN_MAX); i++) {
		/* the first with the vector's opcode and flags */
		if (seen[i].admin != v->admin || !vector_matches(start, seen[i].entry, 2, &at))
			continue;
		if (!vector_matches(v->entry, seen[i].entry, 64, &at))
			fail_msg("%s: byte %u of the entry is %02x (%s)", name, at,
				 seen[i].entry[at], v->spec);
		if (!vector_matches(v->data, seen[i].data, seen[i].len, &at))
			fail_msg("%s: byte %u of the data is %02x (%s)", name, at, seen[i].data[at],
				 v->spec);
		return;
	}
	fail_msg("%s: it was never sent", name);
}

static void test_io(void **state)
{
	struct fixture *f = *state;
	uint32_t *n = &f->calls;

	look();
	assert_int_equal(nvmux_ns_cmd_write_uncorrectable(f->ns, f->qpair, 0x54321, 0x20, done, n),
			 0);
	sent(f, "write_uncorrectable");
	assert_int_equal(
		nvmux_ns_cmd_verify(f->ns, f->qpair, 0x12345, 16,
				    NVMUX_IO_FORCE_UNIT_ACCESS | (uint32_t)NVMUX_IO_LIMITED_RETRY,
				    done, n),
		0);
	sent(f, "verify");
	memset(f->buf, 0xc1, 4096);
	memset(f->buf + 4096, 0xd2, 4096);
	look();
	assert_int_equal(nvmux_ns_cmd_compare_and_write(f->ns, f->qpair, f->buf, f->buf + 4096,
							0x7e, 1, 0, done, n),
			 0);
	sent(f, "compare_and_write, first");
	sent(f, "compare_and_write, second");
	memcpy(f->buf, "\3\0\5\0", 4);
	assert_int_equal(
		nvmux_ns_cmd_io_mgmt_recv(f->ns, f->qpair, f->buf, 256, 1, 0x1234, done, n), 0);
	sent(f, "io_mgmt_recv");
	assert_int_equal(nvmux_ns_cmd_io_mgmt_send(f->ns, f->qpair, f->buf, 4, 1, 1, done, n), 0);
	sent(f, "io_mgmt_send");
}

static void test_reservations(void **state)
{
	static const struct nvmux_resv_keys keys = {0x1122334455667788, 0x99aabbccddeeff00};
	struct fixture *f = *state;
	uint32_t *n = &f->calls;

	look();
	assert_int_equal(nvmux_ns_cmd_reservation_register(f->ns, f->qpair, &keys, true,
							   NVMUX_RESV_REPLACE, NVMUX_RESV_CPTPL_SET,
							   done, n),
			 0);
	sent(f, "reservation_register");
	assert_int_equal(
		nvmux_ns_cmd_reservation_acquire(f->ns, f->qpair, &keys, false, NVMUX_RESV_PREEMPT,
						 NVMUX_RESV_EXCLUSIVE_ACCESS_REG_ONLY, done, n),
		0);
	sent(f, "reservation_acquire");
	assert_int_equal(
		nvmux_ns_cmd_reservation_release(f->ns, f->qpair, &keys, false, NVMUX_RESV_RELEASE,
						 NVMUX_RESV_EXCLUSIVE_ACCESS_ALL_REGS, done, n),
		0);
	sent(f, "reservation_release");
	assert_int_equal(
		nvmux_ns_cmd_reservation_report(f->ns, f->qpair, f->buf, 4096, true, done, n), 0);
	sent(f, "reservation_report");
}

static void test_namespaces(void **state)
{
	static const uint16_t both[] = {1, 0x1234};
	struct nvme_id_ns data = {.nsze = cpu_to_le64(0x3000),
				  .ncap = cpu_to_le64(0x2000),
				  .flbas = 0x12,
				  .dps = 0x0b,
				  .nmic = 1};
	struct nvmux_format format = {
		.lbaf = 0x12, .md_interleaved = true, .pi = 3, .pi_first = true, .ses = 1};
	struct fixture *f = *state;
	uint32_t nsid;

	look();
	nvmux_ctrlr_create_ns(f->ctrlr, &data, 0, &nsid);
	sent(f, "create_ns");
	look();
	nvmux_ctrlr_attach_ns(f->ctrlr, 3, both, 2);
	sent(f, "attach_ns");
	look();
	nvmux_ctrlr_detach_ns(f->ctrlr, 3, both + 1, 1);
	sent(f, "detach_ns");
	look();
	nvmux_ctrlr_delete_ns(f->ctrlr, 3);
	sent(f, "delete_ns");
	look();
	nvmux_ctrlr_format(f->ctrlr, 1, &format);
	sent(f, "format");
}

static void test_admin(void **state)
{
	static const struct nvmux_sanitize sanitize = {.action = NVMUX_SANITIZE_OVERWRITE,
						       .ause = true,
						       .owpass = 5,
						       .oipbp = true,
						       .no_dealloc = true,
						       .pattern = 0xdeadbeef};
	static uint8_t page[4096] = {0x5e, 0xc0, 0x5e, 0xc0};
	struct fixture *f = *state;
	uint32_t *n = &f->calls;

	look();
	assert_int_equal(nvmux_ctrlr_cmd_sanitize(f->ctrlr, &sanitize, done, n), 0);
	sent(f, "sanitize");
	assert_int_equal(nvmux_ctrlr_cmd_self_test(f->ctrlr, 0xffffffff, 2, done, n), 0);
	sent(f, "self_test");
	assert_int_equal(
		nvmux_ctrlr_cmd_directive_receive(f->ctrlr, 1, 1, 1, 0xabcd, page, 32, 4, done, n),
		0);
	sent(f, "directive_receive");
	assert_int_equal(
		nvmux_ctrlr_cmd_directive_send(f->ctrlr, 1, 1, 0, 0, NULL, 0, 0x101, done, n), 0);
	sent(f, "directive_send");
	memcpy(page, "\x5e\xc0\x5e\xc0", 4);
	assert_int_equal(nvmux_ctrlr_cmd_security_receive(f->ctrlr, 0xef, 0x1234, 0x56, page + 512,
							  512, done, n),
			 0);
	sent(f, "security_receive");
	assert_int_equal(
		nvmux_ctrlr_cmd_security_send(f->ctrlr, 0xef, 0x1234, 0x56, page, 16, done, n), 0);
	sent(f, "security_send");
	memcpy(page, "\xf0\x0d\xf0\x0d", 4);
	assert_int_equal(nvmux_ctrlr_cmd_fw_download(f->ctrlr, page, 4096, 8192, done, n), 0);
	sent(f, "fw_download");
	assert_int_equal(nvmux_ctrlr_cmd_fw_commit(f->ctrlr, 5, 3, true, done, n), 0);
	sent(f, "fw_commit");
	assert_int_equal(nvmux_ctrlr_cmd_abort(f->ctrlr, f->qpair, 0x123, done, n), 0);
	sent(f, "abort");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_io, begin, end),
		cmocka_unit_test_setup_teardown(test_reservations, begin, end),
		cmocka_unit_test_setup_teardown(test_namespaces, begin, end),
		cmocka_unit_test_setup_teardown(test_admin, begin, end),
	};

	return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
