// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a controller must say of itself, what it is told of its host, and the limits of commands
 * without data that follow from what it says.
 */
#include "io_fixture.h"

#define DWORDS_MAX 16

static struct {
	uint8_t sqes, cqes, mdts, nothing; /* identify data that is wrong; 0xff: as it should be */
	uint32_t nn;
	uint16_t oncs;
	uint32_t ctratt;
	struct nvme_id_ctrl_nvm limits;
	bool no_limits; /* it refuses to tell */
	uint16_t mssrl;
	uint32_t mcl;
	uint8_t msrc;
	unsigned n_ids; /* times that it was told the host's identifier */
	uint8_t id[16];
	uint32_t id_len, id_cdw11;
	uint16_t id_status;
} dev;

static void dev_reset(void)
{
	memset(&dev, 0, sizeof(dev));
	dev.sqes = 0x66;
	dev.cqes = 0x44;
	dev.mdts = 5;
	dev.nn = 3;
}

static void identify(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf)
{
	struct nvme_id_ctrl *id = buf;
	struct nvme_id_ns *ns = buf;

	switch (le32_to_cpu(cmd->cdw10) & 0xff) {
	case NVME_IDENTIFY_CNS_CTRL:
		id->sqes = dev.sqes;
		id->cqes = dev.cqes;
		id->mdts = dev.mdts;
		id->nn = cpu_to_le32(dev.nn);
		id->oncs = cpu_to_le16(dev.oncs);
		id->ctratt = cpu_to_le32(dev.ctratt);
		if (dev.nothing)
			memset(id, 0, sizeof(*id));
		break;
	case NVME_IDENTIFY_CNS_NS:
		ns->mssrl = cpu_to_le16(dev.mssrl);
		ns->mcl = cpu_to_le32(dev.mcl);
		ns->msrc = dev.msrc;
		break;
	case NVME_IDENTIFY_CNS_CSI_CTRL:
		assert_int_equal(le32_to_cpu(cmd->cdw11) >> 24, 0);
		memcpy(buf, &dev.limits, sizeof(dev.limits));
		break;
	}
}

static uint16_t other_command(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, uint8_t *buf,
			      uint32_t len, uint32_t *dw0)
{
	if (cmd->opc != nvme_admin_set_features ||
	    (le32_to_cpu(cmd->cdw10) & 0xff) != NVME_FEAT_FID_HOST_ID)
		return 0;
	dev.n_ids++;
	dev.id_len = len;
	dev.id_cdw11 = le32_to_cpu(cmd->cdw11);
	memcpy(dev.id, buf, len);
	return dev.id_status;
}

static struct nvmux *context(void)
{
	struct nvmux_opts opts;
	struct nvmux *nvmux;

	fake_reset();
	fake.identify = identify;
	fake.admin_hook = other_command;
	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = 64 << 20;
	opts.hostnqn = "nqn.2014-08.org.nvmexpress:uuid:00112233-4455-6677-8899-aabbccddeeff";
	opts.hostid = "00112233-4455-6677-8899-aabbccddeeff";
	assert_int_equal(nvmux_create(&opts, &nvmux), 0);
	assert_int_equal(nvmux_transport_register(nvmux, &fake_transport), 0);
	return nvmux;
}

static int attach(struct nvmux *nvmux, struct nvmux_ctrlr **ret)
{
	static const struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK, .traddr = "fake"};

	return nvmux_connect(nvmux, &trid, NULL, ret);
}

static void expect_refusal(int err, const char *field, const char *value)
{
	struct nvmux *nvmux = context();
	struct nvmux_ctrlr *ctrlr;
	const char *text;

	assert_int_equal(attach(nvmux, &ctrlr), err);
	text = nvmux_error_text(nvmux);
	if (!strstr(text, field) || !strstr(text, value))
		fail_msg("'%s' names no %s %s", text, field, value);
	assert_int_equal(fake.opened, fake.closed);
	nvmux_destroy(nvmux);
	dev_reset();
}

static void test_identify_data_that_can_not_be(void **state)
{
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;

	dev_reset();
	dev.nothing = 1;
	expect_refusal(-EPROTO, "Identify Controller", "all of it is 0");
	dev.sqes = 0;
	expect_refusal(-EPROTO, "SQES", "00h");
	dev.sqes = 0x56; /* the largest is smaller than the required */
	expect_refusal(-EPROTO, "SQES", "56h");
	dev.sqes = 0x77;
	expect_refusal(-EOPNOTSUPP, "SQES", "77h");
	dev.cqes = 0x04;
	expect_refusal(-EPROTO, "CQES", "04h");
	dev.cqes = 0x55;
	expect_refusal(-EOPNOTSUPP, "CQES", "55h");
	dev.nn = 0;
	expect_refusal(-EPROTO, "NN is 0", "1 to fffffffeh");
	dev.nn = UINT32_MAX;
	expect_refusal(-EPROTO, "NN is 0xffffffff", "1 to fffffffeh");
	dev.mdts = 52;
	expect_refusal(-EPROTO, "MDTS is 52", "0 to 51");

	dev.sqes = 0x76; /* larger ones are possible, too */
	dev.cqes = 0x84;
	dev.mdts = 51;
	nvmux = context();
	assert_int_equal(attach(nvmux, &ctrlr), 0);
	nvmux_destroy(nvmux);
}

static void test_host_identifier(void **state)
{
	static const uint8_t id[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77,
				       0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
	struct nvmux_ctrlr *ctrlr;
	struct nvmux *nvmux;

	dev_reset(); /* no reservations: it isn't asked to know us */
	nvmux = context();
	assert_int_equal(attach(nvmux, &ctrlr), 0);
	assert_int_equal(dev.n_ids, 0);
	nvmux_destroy(nvmux);

	dev.oncs = NVME_CTRL_ONCS_RESERVATIONS;
	dev.ctratt = NVME_CTRL_CTRATT_128_ID;
	nvmux = context();
	assert_int_equal(attach(nvmux, &ctrlr), 0);
	assert_int_equal(dev.n_ids, 1);
	assert_int_equal(dev.id_len, 16);
	assert_int_equal(dev.id_cdw11, 1);
	assert_memory_equal(dev.id, id, 16);
	assert_int_equal(nvmux_ctrlr_reset(ctrlr), 0);
	assert_int_equal(dev.n_ids, 2);
	nvmux_destroy(nvmux);

	dev.ctratt = 0;
	dev.id_status = NVME_SC_INVALID_FIELD; /* all but reservations works */
	nvmux = context();
	assert_int_equal(attach(nvmux, &ctrlr), 0);
	assert_int_equal(dev.n_ids, 3);
	assert_int_equal(dev.id_len, 8);
	assert_int_equal(dev.id_cdw11, 0);
	assert_memory_equal(dev.id, id, 8);
	assert_int_equal(nvmux_ctrlr_get_num_ns(ctrlr), 3);
	nvmux_destroy(nvmux);
}

/* ---- limits ---- */

static void begin_limited(struct fixture *f)
{
	struct nvmux_io_qpair_opts opts;

	*f = (struct fixture){.nvmux = context()};
	assert_int_equal(attach(f->nvmux, &f->ctrlr), 0);
	f->ns = nvmux_ctrlr_get_ns(f->ctrlr, 1);
	nvmux_io_qpair_opts_init(f->ctrlr, &opts, sizeof(opts));
	opts.io_queue_depth = 32;
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(f->ctrlr, &opts, &f->qpair), 0);
	f->q = container_of(f->qpair, struct fake_qpair, base);
}

static void end_limited(struct fixture *f)
{
	nvmux_qpair_free(f->qpair);
	nvmux_destroy(f->nvmux);
}

/* How many commands, and blocks of the first. */
static void expect_split(struct fixture *f, int err, uint32_t n, uint32_t blocks)
{
	assert_int_equal(err, 0);
	drain(f);
	assert_int_equal(f->q->n_cmds, n);
	assert_int_equal((le32_to_cpu(f->q->cmds[0].cdw12) & 0xffff) + 1, blocks);
	f->q->n_cmds = 0;
}

static void test_commands_without_data_are_split(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	dev_reset();
	dev.oncs = UINT16_MAX & ~NVME_CTRL_ONCS_RESERVATIONS;
	dev.limits.wzsl = 2; /* 16 KiB: 32 blocks */
	dev.limits.wusl = 1;
	dev.limits.vsl = 20; /* 4 GiB, of which a command says 65536 blocks */
	begin_limited(&f);
	expect_split(&f, nvmux_ns_cmd_write_zeroes(f.ns, f.qpair, 0, 100, 0, done, &o), 4, 32);
	expect_split(&f, nvmux_ns_cmd_write_zeroes(f.ns, f.qpair, 0, 32, 0, done, &o), 1, 32);
	expect_split(&f, nvmux_ns_cmd_write_uncorrectable(f.ns, f.qpair, 0, 17, done, &o), 2, 16);
	expect_split(&f, nvmux_ns_cmd_verify(f.ns, f.qpair, 0, 65537, 0, done, &o), 2, 65536);
	assert_int_equal(o.calls, 4);
	f.ns->md_size = 3584; /* so that a block is 4 KiB, */
	f.ns->md_interleaved = true;
	expect_split(&f, nvmux_ns_cmd_write_uncorrectable(f.ns, f.qpair, 0, 3, done, &o), 2, 2);
	f.ns->lba_shift = 16; /* or larger than the limit */
	expect_split(&f, nvmux_ns_cmd_write_uncorrectable(f.ns, f.qpair, 0, 3, done, &o), 3, 1);
	end_limited(&f);

	dev.limits = (struct nvme_id_ctrl_nvm){0}; /* as large as a transfer */
	begin_limited(&f);
	expect_split(&f, nvmux_ns_cmd_write_zeroes(f.ns, f.qpair, 0, 257, 0, done, &o), 2, 256);
	end_limited(&f);
}

static int dsm(struct fixture *f, const struct nvmux_dsm_range *ranges, uint32_t n)
{
	static struct outcome o;
	int err = nvmux_ns_cmd_dataset_management(f->ns, f->qpair, NVMUX_DSM_DEALLOCATE, ranges, n,
						  done, &o);

	drain(f);
	return err;
}

static void test_ranges_beyond_the_limits(void **state)
{
	struct nvmux_dsm_range ranges[9] = {{0}};
	struct fixture f;

	dev_reset();
	dev.oncs = NVME_CTRL_ONCS_DSM;
	dev.limits.dmrl = 8;
	dev.limits.dmrsl = htole32(64);
	dev.limits.dmsl = htole64(100);
	begin_limited(&f);
	assert_int_equal(dsm(&f, ranges, 8), 0);
	assert_int_equal(dsm(&f, ranges, 9), -E2BIG);
	ranges[0].lba_count = cpu_to_le32(64);
	assert_int_equal(dsm(&f, ranges, 1), 0);
	ranges[1].lba_count = cpu_to_le32(36);
	assert_int_equal(dsm(&f, ranges, 2), 0);
	ranges[2].lba_count = cpu_to_le32(1);
	assert_int_equal(dsm(&f, ranges, 3), -E2BIG);
	ranges[0].lba_count = cpu_to_le32(65);
	assert_int_equal(dsm(&f, ranges, 1), -E2BIG);
	end_limited(&f);
}

static int copy(struct fixture *f, const struct nvmux_copy_range *ranges, uint32_t n)
{
	static struct outcome o;
	int err = nvmux_ns_cmd_copy(f->ns, f->qpair, ranges, n, 4096, 0, done, &o);

	drain(f);
	return err;
}

static void test_copies_beyond_the_limits(void **state)
{
	struct nvmux_copy_range ranges[4] = {{.lba_count = cpu_to_le16(15)}};
	struct fixture f;

	dev_reset();
	dev.oncs = NVME_CTRL_ONCS_COPY;
	dev.mssrl = 16;
	dev.mcl = 24;
	dev.msrc = 2;
	begin_limited(&f);
	assert_int_equal(copy(&f, ranges, 1), 0);
	assert_int_equal(copy(&f, ranges, 3), 0);
	assert_int_equal(copy(&f, ranges, 4), -E2BIG); /* MSRC is 0's based */
	ranges[1].lba_count = cpu_to_le16(7);
	assert_int_equal(copy(&f, ranges, 2), 0);
	ranges[1].lba_count = cpu_to_le16(8);
	assert_int_equal(copy(&f, ranges, 2), -E2BIG);
	ranges[0].lba_count = cpu_to_le16(16);
	assert_int_equal(copy(&f, ranges, 1), -E2BIG);
	end_limited(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identify_data_that_can_not_be),
		cmocka_unit_test(test_host_identifier),
		cmocka_unit_test(test_commands_without_data_are_split),
		cmocka_unit_test(test_ranges_beyond_the_limits),
		cmocka_unit_test(test_copies_beyond_the_limits),
	};

	return cmocka_run_group_tests_name("prepare", tests, NULL, NULL);
}
