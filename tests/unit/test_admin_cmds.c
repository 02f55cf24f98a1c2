// SPDX-License-Identifier: BSD-3-Clause
/* Admin commands with a function of their own: what is sent, what is refused, what comes of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include <nvmux/admin.h>
#include "fake_ctrlr.h"

#define SENT_MAX 64

static struct {
	uint16_t oacs, oncs;
	uint32_t sanicap;
	uint8_t fwug, fna, lpa;
} say;
static struct nvmux_cmd sent[SENT_MAX]; /* admin commands since attach() */
static uint8_t data[SENT_MAX][16];      /* what each began with */
static uint32_t lens[SENT_MAX];
static uint32_t n_sent, n_lists;
static uint16_t status_next; /* of the next command */
static uint32_t dw0_next;

static struct nvmux *nvmux;
static struct nvmux_ctrlr *ctrlr;

static void identify(struct nvmux_ctrlr *c, const struct nvmux_cmd *cmd, void *buf)
{
	struct nvme_id_ctrl *id = buf;
	uint8_t cns = (uint8_t)le32_to_cpu(cmd->cdw10);

	if (cns == NVME_IDENTIFY_CNS_NS_ACTIVE_LIST)
		n_lists++;
	if (cns != NVME_IDENTIFY_CNS_CTRL)
		return;
	id->oacs = cpu_to_le16(say.oacs);
	id->oncs = cpu_to_le16(say.oncs);
	id->sanicap = cpu_to_le32(say.sanicap);
	id->fwug = say.fwug;
	id->fna = say.fna;
	id->lpa = say.lpa;
}

static uint16_t keep(const struct nvmux_cmd *cmd, const uint8_t *buf, uint32_t len)
{
	uint16_t status = status_next;

	assert_true(n_sent < SENT_MAX);
	sent[n_sent] = *cmd;
	lens[n_sent] = len;
	if (buf)
		memcpy(data[n_sent], buf, len < 16 ? len : 16);
	n_sent++;
	status_next = 0;
	return status;
}

static uint16_t admin(struct nvmux_ctrlr *c, const struct nvmux_cmd *cmd, uint8_t *buf,
		      uint32_t len, uint32_t *dw0)
{
	if (dw0_next)
		*dw0 = dw0_next;
	return keep(cmd, buf, len);
}

static uint16_t log_page(struct nvmux_ctrlr *c, const struct nvmux_cmd *cmd, uint8_t *buf,
			 uint32_t len)
{
	for (uint32_t i = 0; i < len; i += 4) {
		uint32_t at = le32_to_cpu(cmd->cdw12) + i;

		memcpy(buf + i, &at, 4);
	}
	return keep(cmd, NULL, len);
}

static int setup(void **state)
{
	fake_reset();
	fake.identify = identify;
	fake.admin_hook = admin;
	fake.log_page = log_page;
	memset(&say, 0, sizeof(say));
	say.oacs = 0x3f;
	say.oncs = NVME_CTRL_ONCS_SAVE_FEATURES;
	say.lpa = 4;
	nvmux = NULL;
	return 0;
}

static void attach(void)
{
	static const struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK, .traddr = "fake"};
	struct nvmux_opts opts;

	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = 64 << 20;
	assert_int_equal(nvmux_create(&opts, &nvmux), 0);
	assert_int_equal(nvmux_transport_register(nvmux, &fake_transport), 0);
	assert_int_equal(nvmux_connect(nvmux, &trid, NULL, &ctrlr), 0);
	n_sent = n_lists = 0;
	status_next = 0;
	dw0_next = 0;
}

static int teardown(void **state)
{
	if (nvmux)
		nvmux_destroy(nvmux);
	return 0;
}

struct answer {
	unsigned n;
	uint16_t status;
	uint32_t dw0;
};

static void answered(void *arg, const struct nvmux_cpl *cpl)
{
	struct answer *a = arg;

	a->n++;
	a->status = nvmux_cpl_status(cpl) & NVMUX_STATUS_CODE_MASK;
	a->dw0 = le32_to_cpu(cpl->dw0);
}

static void wait_answer(struct answer *a)
{
	for (int i = 0; i < 200 && !a->n; i++)
		nvmux_process(nvmux);
	assert_int_equal(a->n, 1);
}

/* @call sends one command, which is as given. */
#define EXPECT(call, opcode, namespace, dw10, dw11)                      \
	do {                                                             \
		struct answer a = {0};                                   \
		n_sent = 0;                                              \
		assert_int_equal(call, 0);                               \
		wait_answer(&a);                                         \
		assert_int_equal(a.status, 0);                           \
		assert_int_equal(n_sent, 1);                             \
		assert_int_equal(sent[0].opc, opcode);                   \
		assert_int_equal(le32_to_cpu(sent[0].nsid), namespace); \
		assert_int_equal(le32_to_cpu(sent[0].cdw10), dw10);      \
		assert_int_equal(le32_to_cpu(sent[0].cdw11), dw11);      \
	} while (0)

/* @call is refused with @err, and the text has @word; nothing is sent. */
#define REFUSED(call, err, word)                                              \
	do {                                                                  \
		struct answer a = {0};                                        \
		(void)a;                                                      \
		n_sent = 0;                                                   \
		assert_int_equal(call, err);                                  \
		assert_int_equal(n_sent, 0);                                  \
		if (!strstr(nvmux_error_text(nvmux), word))                   \
			fail_msg("no %s in: %s", word, nvmux_error_text(nvmux)); \
	} while (0)

/* ---- one command each ---- */

static void test_features(void **state)
{
	uint8_t buf[64] = {0};

	attach();
	EXPECT(nvmux_ctrlr_cmd_get_feature(ctrlr, 0x0c, 3, 5, 9, buf, 64, answered, &a),
	       nvme_admin_get_features, 5, 0x30c, 9);
	assert_int_equal(lens[0], 64);
	buf[0] = 0x77; /* what was read is there */
	EXPECT(nvmux_ctrlr_cmd_set_feature(ctrlr, 0x0c, true, 5, 9, 8, buf, 64, answered, &a),
	       nvme_admin_set_features, 5, 0x8000000c, 9);
	assert_int_equal(le32_to_cpu(sent[0].cdw12), 8);
	assert_int_equal(data[0][0], 0x77);
	REFUSED(nvmux_ctrlr_cmd_get_feature(ctrlr, 1, 4, 0, 0, NULL, 0, answered, &a), -EINVAL,
		"sel is 4");
	REFUSED(nvmux_ctrlr_cmd_get_feature(ctrlr, 1, 0, 0, 0, buf, 6, answered, &a), -EINVAL,
		"len is 6");
	REFUSED(nvmux_ctrlr_cmd_get_feature(ctrlr, 1, 0, 0, 0, NULL, 8, answered, &a), -EINVAL,
		"without a buffer");
	static const uint8_t own[] = {0x07, 0x08, 0x09, 0x0b, 0x0d, 0x0f, 0x81};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		REFUSED(nvmux_ctrlr_cmd_set_feature(ctrlr, own[i], false, 0, 0, 0, NULL, 0,
						    answered, &a),
			-EBUSY, "the library's own");
	nvmux_destroy(nvmux);
	say.oncs = 0;
	attach();
	REFUSED(nvmux_ctrlr_cmd_set_feature(ctrlr, 1, true, 0, 0, 0, NULL, 0, answered, &a),
		-EOPNOTSUPP, "save");
	REFUSED(nvmux_ctrlr_cmd_get_feature(ctrlr, 1, 2, 0, 0, NULL, 0, answered, &a),
		-EOPNOTSUPP, "sel");
}

static void test_security_and_directives(void **state)
{
	uint8_t buf[512] = {0};

	attach();
	EXPECT(nvmux_ctrlr_cmd_security_receive(ctrlr, 0xea, 0x1234, 7, buf, 512, answered, &a),
	       nvme_admin_security_recv, 0, 0xea123407, 512);
	buf[0] = 0x55;
	EXPECT(nvmux_ctrlr_cmd_security_send(ctrlr, 1, 2, 3, buf, 512, answered, &a),
	       nvme_admin_security_send, 0, 0x01000203, 512);
	assert_int_equal(data[0][0], 0x55);
	EXPECT(nvmux_ctrlr_cmd_directive_receive(ctrlr, 1, 2, 3, 0x4567, buf, 512, 6, answered,
						 &a),
	       nvme_admin_directive_recv, 1, 127, 0x45670302);
	assert_int_equal(le32_to_cpu(sent[0].cdw12), 6);
	EXPECT(nvmux_ctrlr_cmd_directive_send(ctrlr, 1, 1, 0, 0, NULL, 0, 0x101, answered, &a),
	       nvme_admin_directive_send, 1, 0, 1);
	nvmux_destroy(nvmux);
	say.oacs = 0;
	attach();
	REFUSED(nvmux_ctrlr_cmd_security_send(ctrlr, 1, 2, 3, buf, 512, answered, &a),
		-EOPNOTSUPP, "security");
	REFUSED(nvmux_ctrlr_cmd_directive_send(ctrlr, 1, 1, 0, 0, NULL, 0, 0, answered, &a),
		-EOPNOTSUPP, "directives");
	REFUSED(nvmux_ctrlr_cmd_self_test(ctrlr, 1, 1, answered, &a), -EOPNOTSUPP, "self-test");
}

static void test_sanitize_and_self_test(void **state)
{
	struct nvmux_sanitize s = {.action = NVMUX_SANITIZE_OVERWRITE, .ause = true, .owpass = 5,
				   .oipbp = true, .no_dealloc = true, .pattern = 0xdeadbeef};

	say.sanicap = 6;
	attach();
	EXPECT(nvmux_ctrlr_cmd_sanitize(ctrlr, &s, answered, &a), nvme_admin_sanitize_nvm, 0,
	       0x35b, 0xdeadbeef);
	s.action = NVMUX_SANITIZE_BLOCK_ERASE; /* what belongs to overwriting isn't sent */
	EXPECT(nvmux_ctrlr_cmd_sanitize(ctrlr, &s, answered, &a), nvme_admin_sanitize_nvm, 0,
	       0x20a, 0);
	s.action = NVMUX_SANITIZE_EXIT_FAILURE;
	EXPECT(nvmux_ctrlr_cmd_sanitize(ctrlr, &s, answered, &a), nvme_admin_sanitize_nvm, 0,
	       0x209, 0);
	s.action = NVMUX_SANITIZE_CRYPTO_ERASE;
	REFUSED(nvmux_ctrlr_cmd_sanitize(ctrlr, &s, answered, &a), -EOPNOTSUPP, "SANICAP 0x6");
	s.action = 5;
	REFUSED(nvmux_ctrlr_cmd_sanitize(ctrlr, &s, answered, &a), -EINVAL, "action is 5");
	s.action = NVMUX_SANITIZE_OVERWRITE;
	s.owpass = 16;
	REFUSED(nvmux_ctrlr_cmd_sanitize(ctrlr, &s, answered, &a), -EINVAL, "owpass is 16");
	EXPECT(nvmux_ctrlr_cmd_self_test(ctrlr, NVME_NSID_ALL, 2, answered, &a),
	       nvme_admin_dev_self_test, NVME_NSID_ALL, 2, 0);
	REFUSED(nvmux_ctrlr_cmd_self_test(ctrlr, 1, 3, answered, &a), -EINVAL, "stc is 3");
}

/* ---- log pages ---- */

static void test_log_in_pieces(void **state)
{
	static uint8_t buf[300 << 10];
	struct nvmux_log_opts opts = {.size = sizeof(opts), .lsp = 0x7f, .lsi = 0x1122,
				      .csi = 2, .uuid_index = 3, .offset = 0x1000,
				      .clear = true};
	struct answer a = {0};

	attach();
	assert_int_equal(nvmux_ctrlr_cmd_get_log_page(ctrlr, 0xc0, 1, buf, sizeof(buf), &opts,
						      answered, &a),
			 0);
	wait_answer(&a);
	assert_int_equal(a.status, 0);
	assert_int_equal(n_sent, 3); /* 128 KiB each */
	for (uint32_t i = 0; i < 3; i++) {
		uint32_t len = i < 2 ? 128 << 10 : 44 << 10, numd = len / 4 - 1;

		assert_int_equal(lens[i], len);
		assert_int_equal(le32_to_cpu(sent[i].cdw10),
				 numd << 16 | (i < 2 ? 0x8000 : 0) | 0x7f00 | 0xc0);
		assert_int_equal(le32_to_cpu(sent[i].cdw11), 0x11220000 | numd >> 16);
		assert_int_equal(le32_to_cpu(sent[i].cdw12), 0x1000 + i * (128 << 10));
		assert_int_equal(le32_to_cpu(sent[i].cdw14), 0x02000003);
	}
	for (uint32_t i = 0; i < sizeof(buf); i += 4) {
		uint32_t at;

		memcpy(&at, buf + i, 4);
		assert_int_equal(at, 0x1000 + i);
	}
	/* a refusal ends it */
	a = (struct answer){0};
	n_sent = 0;
	status_next = NVME_SC_INVALID_FIELD;
	assert_int_equal(nvmux_ctrlr_cmd_get_log_page(ctrlr, 2, 1, buf, sizeof(buf), NULL,
						      answered, &a),
			 0);
	wait_answer(&a);
	assert_int_equal(a.status, NVME_SC_INVALID_FIELD);
	assert_int_equal(n_sent, 1);
}

static void test_log_refusals(void **state)
{
	static uint8_t buf[300 << 10];
	struct nvmux_log_opts opts = {.size = sizeof(opts)};

	attach();
	REFUSED(nvmux_ctrlr_cmd_get_log_page(ctrlr, 2, 0, buf, 0, NULL, answered, &a), -EINVAL,
		"len is 0");
	REFUSED(nvmux_ctrlr_cmd_get_log_page(ctrlr, 2, 0, buf, 511, NULL, answered, &a), -EINVAL,
		"len is 511");
	opts.offset = 2;
	REFUSED(nvmux_ctrlr_cmd_get_log_page(ctrlr, 2, 0, buf, 512, &opts, answered, &a), -EINVAL,
		"offset is 2");
	opts.offset_is_index = true; /* an index may be odd, in one command */
	EXPECT(nvmux_ctrlr_cmd_get_log_page(ctrlr, 2, 0, buf, 512, &opts, answered, &a),
	       nvme_admin_get_log_page, 0, 127u << 16 | 0x8002, 0);
	assert_int_equal(le32_to_cpu(sent[0].cdw14), 1u << 23);
	REFUSED(nvmux_ctrlr_cmd_get_log_page(ctrlr, 2, 0, buf, sizeof(buf), &opts, answered, &a),
		-EINVAL, "from an index");
	opts = (struct nvmux_log_opts){.size = sizeof(opts), .lsp = 128};
	REFUSED(nvmux_ctrlr_cmd_get_log_page(ctrlr, 2, 0, buf, 512, &opts, answered, &a), -EINVAL,
		"lsp is 128");
	nvmux_destroy(nvmux);
	say.lpa = 0;
	attach();
	opts = (struct nvmux_log_opts){.size = sizeof(opts), .offset = 4};
	REFUSED(nvmux_ctrlr_cmd_get_log_page(ctrlr, 2, 0, buf, 512, &opts, answered, &a),
		-EOPNOTSUPP, "LPA");
	REFUSED(nvmux_ctrlr_cmd_get_log_page(ctrlr, 2, 0, buf, 16388, NULL, answered, &a),
		-EOPNOTSUPP, "LPA");
	EXPECT(nvmux_ctrlr_cmd_get_log_page(ctrlr, 2, 0, buf, 16384, NULL, answered, &a),
	       nvme_admin_get_log_page, 0, 4095u << 16 | 0x8002, 0);
}

/* ---- namespaces and format ---- */

static void test_namespace_management(void **state)
{
	struct nvme_id_ns new_ns = {.nsze = cpu_to_le64(100), .ncap = cpu_to_le64(100)};
	uint16_t ids[] = {9, 1, 5};
	uint32_t nsid = 0;

	attach();
	dw0_next = 12;
	assert_int_equal(nvmux_ctrlr_create_ns(ctrlr, &new_ns, 2, &nsid), 0);
	assert_int_equal(nsid, 12);
	assert_int_equal(sent[0].opc, nvme_admin_ns_mgmt);
	assert_int_equal(le32_to_cpu(sent[0].cdw10), 0);
	assert_int_equal(le32_to_cpu(sent[0].cdw11), 0x02000000);
	assert_int_equal(lens[0], 4096);
	assert_int_equal(data[0][0], 100);
	assert_int_equal(nvmux_ctrlr_attach_ns(ctrlr, 12, ids, 3), 0);
	assert_int_equal(sent[1].opc, nvme_admin_ns_attach);
	assert_int_equal(le32_to_cpu(sent[1].nsid), 12);
	assert_int_equal(le32_to_cpu(sent[1].cdw10), 0);
	assert_memory_equal(data[1], ((uint8_t[8]){3, 0, 1, 0, 5, 0, 9, 0}), 8);
	assert_int_equal(n_lists, 1); /* looked at anew */
	assert_int_equal(nvmux_ctrlr_detach_ns(ctrlr, 12, ids, 1), 0);
	assert_int_equal(le32_to_cpu(sent[2].cdw10), 1);
	assert_int_equal(nvmux_ctrlr_delete_ns(ctrlr, 12), 0);
	assert_int_equal(le32_to_cpu(sent[3].cdw10), 1);
	assert_int_equal(n_lists, 3);
	assert_int_equal(n_sent, 4);
	status_next = 0x118;
	assert_int_equal(nvmux_ctrlr_attach_ns(ctrlr, 12, ids, 3), -EIO);
	assert_non_null(strstr(nvmux_error_text(nvmux), "118"));
	status_next = 0x115;
	assert_int_equal(nvmux_ctrlr_create_ns(ctrlr, &new_ns, 0, &nsid), -EIO);
	assert_int_equal(nsid, 12);
	ids[1] = 9;
	REFUSED(nvmux_ctrlr_attach_ns(ctrlr, 12, ids, 3), -EINVAL, "9 twice");
	REFUSED(nvmux_ctrlr_attach_ns(ctrlr, 12, ids, 0), -EINVAL, "n_cntids is 0");
	REFUSED(nvmux_ctrlr_attach_ns(ctrlr, 12, ids, 2048), -EINVAL, "n_cntids is 2048");
	REFUSED(nvmux_ctrlr_attach_ns(ctrlr, 0, ids, 1), -EINVAL, "nsid is 0");
	REFUSED(nvmux_ctrlr_delete_ns(ctrlr, 0), -EINVAL, "nsid is 0");
	new_ns.nsze = 0;
	REFUSED(nvmux_ctrlr_create_ns(ctrlr, &new_ns, 0, &nsid), -EINVAL, "nsze");
	nvmux_destroy(nvmux);
	say.oacs = 0;
	attach();
	REFUSED(nvmux_ctrlr_delete_ns(ctrlr, 1), -EOPNOTSUPP, "namespace management");
}

static void test_format(void **state)
{
	struct nvmux_format f = {.lbaf = 0x25, .md_interleaved = true, .pi = 2, .pi_first = true,
				 .ses = 1};

	attach();
	assert_int_equal(nvmux_ctrlr_format(ctrlr, 1, &f), 0);
	assert_int_equal(n_sent, 1);
	assert_int_equal(sent[0].opc, nvme_admin_format_nvm);
	assert_int_equal(le32_to_cpu(sent[0].nsid), 1);
	assert_int_equal(le32_to_cpu(sent[0].cdw10),
			 5 | 1 << 4 | 2 << 5 | 1 << 8 | 1 << 9 | 2 << 12);
	assert_int_equal(n_lists, 1);
	assert_int_equal(nvmux_ctrlr_format(ctrlr, NVME_NSID_ALL, &f), 0);
	status_next = NVME_SC_INVALID_FIELD;
	assert_int_equal(nvmux_ctrlr_format(ctrlr, 1, &f), -EIO);
	f.ses = 2;
	REFUSED(nvmux_ctrlr_format(ctrlr, 1, &f), -EOPNOTSUPP, "FNA");
	f.ses = 3;
	REFUSED(nvmux_ctrlr_format(ctrlr, 1, &f), -EINVAL, "ses is 3");
	f = (struct nvmux_format){.lbaf = 64};
	REFUSED(nvmux_ctrlr_format(ctrlr, 1, &f), -EINVAL, "lbaf is 64");
	f = (struct nvmux_format){.pi = 4};
	REFUSED(nvmux_ctrlr_format(ctrlr, 1, &f), -EINVAL, "pi is 4");
}

/* ---- firmware and boot partitions ---- */

static void test_firmware(void **state)
{
	static uint8_t image[40 << 10];
	uint16_t status = 1;

	say.fwug = 3;
	attach();
	status_next = 0;
	assert_int_equal(nvmux_ctrlr_update_firmware(ctrlr, image, sizeof(image), 2, 1, &status),
			 0);
	assert_int_equal(status, 0);
	/* 128 KiB hold ten units of 12 KiB: one piece */
	assert_int_equal(n_sent, 2);
	assert_int_equal(lens[0], sizeof(image));
	assert_int_equal(le32_to_cpu(sent[0].cdw10), sizeof(image) / 4 - 1);
	assert_int_equal(sent[1].opc, nvme_admin_fw_commit);
	assert_int_equal(le32_to_cpu(sent[1].cdw10), 1 << 3 | 2);
	nvmux_destroy(nvmux);
	say.fwug = 0; /* unknown: 4 KiB each */
	attach();
	assert_int_equal(nvmux_ctrlr_update_firmware(ctrlr, image, 10 << 10, 1, 3, NULL), 0);
	assert_int_equal(n_sent, 4);
	assert_int_equal(lens[2], 2048);
	assert_int_equal(le32_to_cpu(sent[2].cdw11), 2048);
	nvmux_destroy(nvmux);
	say.fwug = 0x40; /* 256 KiB exceed what can be moved */
	attach();
	REFUSED(nvmux_ctrlr_update_firmware(ctrlr, image, sizeof(image), 1, 3, NULL), -EOPNOTSUPP,
		"FWUG");
	EXPECT(nvmux_ctrlr_cmd_fw_download(ctrlr, image, 64, 128, answered, &a),
	       nvme_admin_fw_download, 0, 15, 32);
	REFUSED(nvmux_ctrlr_cmd_fw_download(ctrlr, image, 64, 2, answered, &a), -EINVAL,
		"offset is 2");
	REFUSED(nvmux_ctrlr_cmd_fw_download(ctrlr, image, 0, 0, answered, &a), -EINVAL, "len is 0");
	EXPECT(nvmux_ctrlr_cmd_fw_commit(ctrlr, 7, 7, true, answered, &a), nvme_admin_fw_commit, 0,
	       0x8000003f, 0);
	REFUSED(nvmux_ctrlr_cmd_fw_commit(ctrlr, 8, 0, false, answered, &a), -EINVAL, "slot is 8");
	REFUSED(nvmux_ctrlr_cmd_fw_commit(ctrlr, 0, 8, false, answered, &a), -EINVAL,
		"action is 8");
	REFUSED(nvmux_ctrlr_update_firmware(ctrlr, image, 7, 1, 3, NULL), -EINVAL, "size is 7");
}

static uint16_t commit_answers; /* what commits are answered with */

static uint16_t answer_commits(struct nvmux_ctrlr *c, const struct nvmux_cmd *cmd, uint8_t *buf,
			       uint32_t len, uint32_t *dw0)
{
	return cmd->opc == nvme_admin_fw_commit ? commit_answers : 0;
}

static void test_firmware_wants_a_reset(void **state)
{
	static const uint16_t good[] = {0x10b, 0x110, 0x111}, bad[] = {0x107, 0x112, 0x114};
	uint8_t image[64] = {0};
	uint16_t status;

	fake.admin_hook = answer_commits;
	attach();
	for (size_t i = 0; i < 3; i++) {
		commit_answers = good[i];
		assert_int_equal(nvmux_ctrlr_update_firmware(ctrlr, image, 64, 1, 1, &status), 0);
		assert_int_equal(status, good[i]);
		commit_answers = bad[i];
		assert_int_equal(nvmux_ctrlr_update_firmware(ctrlr, image, 64, 1, 1, &status),
				 -EIO);
	}
}

#define BP_BYTES (2u * (128u << 10))

static uint64_t bpmbl;
static uint32_t bprsel, brs;
static bool bp_fails;

static bool boot_regs(struct nvmux_ctrlr *c, bool read, uint32_t offset, uint64_t *value)
{
	switch (offset) {
	case NVME_REG_BPINFO:
		*value = 2 | brs << 24;
		if (brs == 1)
			brs = bp_fails ? 3 : 2; /* at the second look */
		return read;
	case NVME_REG_BPMBL: bpmbl = *value; return true;
	case NVME_REG_BPRSEL: {
		uint32_t from, len;
		struct nvmux_mem *mem;

		bprsel = (uint32_t)*value;
		from = (bprsel >> 10 & 0xfffff) * 4096;
		len = (bprsel & 0x3ff) * 4096;
		mem = nvmux->slot_mem[(bpmbl - NVMUX_IOVA_BASE) >> NVMUX_SLOT_SHIFT];
		assert_non_null(mem);
		assert_true(bpmbl - mem->iova + len <= mem->size);
		for (uint32_t i = 0; i < len; i += 4) {
			uint32_t at = from + i + (bprsel >> 31);

			memcpy(mem->addr + (bpmbl - mem->iova) + i, &at, 4);
		}
		brs = 1;
		return true;
	}
	default: return false;
	}
}

static void test_boot_partitions(void **state)
{
	static uint8_t buf[BP_BYTES];

	fake.reg = boot_regs;
	fake.cap = 1ull << 45;
	brs = 0;
	bp_fails = false;
	say.fwug = 0xff;
	attach();
	assert_int_equal(nvmux_ctrlr_read_boot_partition(ctrlr, 1, buf, 8192, 4096), 0);
	assert_int_equal(bprsel, 1u << 31 | 1 << 10 | 2);
	assert_int_equal(buf[0] | buf[1] << 8, 4097);
	assert_int_equal(buf[8188] | buf[8189] << 8, 4096 + 8188 + 1);
	assert_int_equal(nvmux_ctrlr_read_boot_partition(ctrlr, 0, buf, BP_BYTES, 0), 0);
	REFUSED(nvmux_ctrlr_read_boot_partition(ctrlr, 0, buf, BP_BYTES, 4096), -EINVAL, "within");
	REFUSED(nvmux_ctrlr_read_boot_partition(ctrlr, 0, buf, 100, 0), -EINVAL, "len is 100");
	REFUSED(nvmux_ctrlr_read_boot_partition(ctrlr, 2, buf, 4096, 0), -EINVAL, "bpid is 2");
	bp_fails = true;
	assert_int_equal(nvmux_ctrlr_read_boot_partition(ctrlr, 0, buf, 4096, 0), -EIO);
	assert_int_equal(nvmux_ctrlr_write_boot_partition(ctrlr, 1, buf, BP_BYTES), 0);
	assert_int_equal(n_sent, 3);
	assert_int_equal(le32_to_cpu(sent[1].cdw11), 32 << 10);
	assert_int_equal(le32_to_cpu(sent[2].cdw10), 1u << 31 | 6 << 3);
	nvmux_destroy(nvmux);
	fake.cap = 0;
	attach();
	REFUSED(nvmux_ctrlr_read_boot_partition(ctrlr, 0, buf, 4096, 0), -EOPNOTSUPP, "CAP.BPS");
}

/* ---- abort ---- */

static void ignore(void *arg, const struct nvmux_cpl *cpl)
{
}

static void test_abort(void **state)
{
	struct nvmux_qpair *qpair;
	struct fake_qpair *q;
	struct nvmux_ns *ns;
	struct answer answer = {0};
	int tag, other;

	attach();
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &qpair), 0);
	ns = nvmux_ctrlr_get_ns(ctrlr, 1);
	q = container_of(qpair, struct fake_qpair, base);
	EXPECT(nvmux_ctrlr_cmd_abort(ctrlr, qpair, 0x1234, answered, &a), nvme_admin_abort_cmd, 0,
	       0x12340001, 0);
	EXPECT(nvmux_ctrlr_cmd_abort(ctrlr, NULL, 3, answered, &a), nvme_admin_abort_cmd, 0,
	       0x00030000, 0);
	REFUSED(nvmux_ctrlr_cmd_abort_ext(ctrlr, qpair, &tag, answered, &a), -ENOENT, "argument");
	REFUSED(nvmux_ctrlr_cmd_abort_ext(ctrlr, NULL, &tag, answered, &a), -ENOENT, "argument");
	q->hold = true;
	assert_int_equal(nvmux_ns_cmd_flush(ns, qpair, ignore, &tag), 0);
	assert_int_equal(nvmux_ns_cmd_flush(ns, qpair, ignore, &other), 0);
	assert_int_equal(nvmux_ns_cmd_flush(ns, qpair, ignore, &tag), 0);
	n_sent = 0;
	assert_int_equal(nvmux_ctrlr_cmd_abort_ext(ctrlr, qpair, &tag, answered, &answer), 0);
	wait_answer(&answer);
	assert_int_equal(n_sent, 2);
	assert_int_equal(answer.status, 0);
	assert_int_equal(answer.dw0, 0);
	for (uint32_t i = 0; i < 2; i++) {
		uint32_t cid = le32_to_cpu(sent[i].cdw10) >> 16, at = cid & qpair->cid_mask;

		assert_int_equal(le32_to_cpu(sent[i].cdw10) & 0xffff, 1);
		assert_int_equal(qpair->slots[at].cid, cid);
		assert_ptr_equal(qpair->slots[at].arg, &tag);
	}
	/* one of them wasn't aborted */
	answer = (struct answer){0};
	dw0_next = 1;
	assert_int_equal(nvmux_ctrlr_cmd_abort_ext(ctrlr, qpair, &tag, answered, &answer), 0);
	wait_answer(&answer);
	assert_int_equal(answer.dw0, 1);
	q->hold = false;
	nvmux_qpair_process_completions(qpair, 0);
}

static void try_to_block(void *arg, const struct nvmux_cpl *cpl)
{
	struct nvmux_format f = {0};
	uint32_t nsid;
	int *n = arg;

	assert_int_equal(nvmux_ctrlr_format(ctrlr, 1, &f), -EDEADLK);
	assert_int_equal(nvmux_ctrlr_delete_ns(ctrlr, 1), -EDEADLK);
	assert_int_equal(nvmux_ctrlr_create_ns(ctrlr, NULL, 0, &nsid), -EDEADLK);
	assert_int_equal(nvmux_ctrlr_update_firmware(ctrlr, &f, 4, 0, 0, NULL), -EDEADLK);
	assert_int_equal(nvmux_ctrlr_read_boot_partition(ctrlr, 0, &f, 4096, 0), -EDEADLK);
	++*n;
}

static void test_no_waiting_in_callbacks(void **state)
{
	uint8_t buf[4096];
	int n = 0;

	attach();
	assert_int_equal(nvmux_ctrlr_cmd_identify(ctrlr, 1, 0, 0, 0, 0, buf, try_to_block, &n), 0);
	for (int i = 0; i < 50 && !n; i++)
		nvmux_process(nvmux);
	assert_int_equal(n, 1);
}

/* ---- host memory buffer ---- */

static uint32_t hmb_want, hmb_min;
static struct nvmux_cmd hmb_cmds[8];
static uint32_t n_hmb;
static uint16_t hmb_status;

static void identify_hmb(struct nvmux_ctrlr *c, const struct nvmux_cmd *cmd, void *buf)
{
	struct nvme_id_ctrl *id = buf;

	if ((uint8_t)le32_to_cpu(cmd->cdw10) != NVME_IDENTIFY_CNS_CTRL)
		return;
	id->hmpre = cpu_to_le32(hmb_want);
	id->hmmin = cpu_to_le32(hmb_min);
}

static uint16_t take_hmb(struct nvmux_ctrlr *c, const struct nvmux_cmd *cmd, uint8_t *buf,
			 uint32_t len, uint32_t *dw0)
{
	if (cmd->opc != nvme_admin_set_features ||
	    le32_to_cpu(cmd->cdw10) != NVME_FEAT_FID_HOST_MEM_BUF)
		return 0;
	assert_true(n_hmb < ARRAY_SIZE(hmb_cmds));
	hmb_cmds[n_hmb++] = *cmd;
	return hmb_status;
}

static void check_hmb(const struct nvmux_cmd *cmd, uint32_t units)
{
	uint64_t list = le32_to_cpu(cmd->cdw13) | (uint64_t)le32_to_cpu(cmd->cdw14) << 32;
	const struct nvmux_mem *mem = nvmux->slot_mem[(list - NVMUX_IOVA_BASE) >>
						      NVMUX_SLOT_SHIFT];
	const uint8_t *desc = mem->addr + (list - mem->iova);
	uint64_t addr;
	uint32_t size;

	assert_int_equal(le32_to_cpu(cmd->cdw11), 1);
	assert_int_equal(le32_to_cpu(cmd->cdw12), units);
	assert_int_equal(le32_to_cpu(cmd->cdw15), 1);
	memcpy(&addr, desc, 8);
	memcpy(&size, desc + 8, 4);
	assert_int_equal(addr, mem->iova);
	assert_int_equal(size, units);
	assert_true(list >= addr + (uint64_t)units * 4096 && list + 16 <= mem->iova + mem->size);
}

static void test_host_memory_buffer(void **state)
{
	fake.identify = identify_hmb;
	fake.admin_hook = take_hmb;
	hmb_want = 1000;
	hmb_min = 10;
	n_hmb = hmb_status = 0;
	attach();
	assert_int_equal(n_hmb, 1);
	check_hmb(&hmb_cmds[0], 1000);
	assert_int_equal(nvmux_ctrlr_reset(ctrlr), 0);
	assert_int_equal(n_hmb, 2); /* given anew */
	check_hmb(&hmb_cmds[1], 1000);
	assert_int_equal(nvmux_detach(ctrlr), 0);
	assert_int_equal(n_hmb, 3); /* and taken back */
	assert_int_equal(le32_to_cpu(hmb_cmds[2].cdw11), 0);
	nvmux_destroy(nvmux);
	/* more than the window: what it can do with */
	hmb_want = 1u << 20;
	n_hmb = 0;
	attach();
	assert_int_equal(n_hmb, 1);
	check_hmb(&hmb_cmds[0], 10);
	nvmux_destroy(nvmux);
	/* not even that much, or a refusal: without */
	hmb_min = 1u << 19;
	n_hmb = 0;
	attach();
	assert_int_equal(n_hmb, 0);
	nvmux_destroy(nvmux);
	hmb_want = hmb_min = 1;
	hmb_status = NVME_SC_INVALID_FIELD;
	attach();
	assert_int_equal(n_hmb, 1);
	assert_string_equal(nvmux_ctrlr_get_state_string(ctrlr), "ready");
}

static void test_option_checks(void **state)
{
	static const struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK, .traddr = "fake"};
	struct nvmux_ctrlr_opts opts;
	struct nvmux_ctrlr *c;

	attach();
	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	assert_int_equal(opts.io_timeout_ms, 0);
	assert_int_equal(opts.retry_count, 4);
	assert_int_equal(opts.arbitration, 0);
	assert_int_equal(opts.arbitration_burst, 7);
	assert_int_equal(opts.low_weight, 1);
	assert_int_equal(opts.medium_weight, 1);
	assert_int_equal(opts.high_weight, 1);
#define BAD(field, value)                                                                  \
	do {                                                                               \
		struct nvmux_ctrlr_opts bad = opts;                                        \
		bad.field = value;                                                         \
		assert_int_equal(nvmux_connect(nvmux, &trid, &bad, &c), -EINVAL);          \
		assert_non_null(strstr(nvmux_error_text(nvmux), #field " is " #value ";")); \
	} while (0)
	BAD(io_timeout_ms, 3600001);
	BAD(retry_count, 256);
	BAD(arbitration, 2);
	BAD(arbitration_burst, 8);
	BAD(low_weight, 0);
	BAD(medium_weight, 257);
	BAD(high_weight, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_features, setup, teardown),
		cmocka_unit_test_setup_teardown(test_security_and_directives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sanitize_and_self_test, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_in_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_namespace_management, setup, teardown),
		cmocka_unit_test_setup_teardown(test_format, setup, teardown),
		cmocka_unit_test_setup_teardown(test_firmware, setup, teardown),
		cmocka_unit_test_setup_teardown(test_firmware_wants_a_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_boot_partitions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abort, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_waiting_in_callbacks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host_memory_buffer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_option_checks, setup, teardown),
	};

	return cmocka_run_group_tests_name("admin_cmds", tests, NULL, NULL);
}
