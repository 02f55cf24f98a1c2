// SPDX-License-Identifier: BSD-3-Clause
/* The dwords of every I/O command, derived by hand from the specifications; and refusals. */
#include "io_fixture.h"

#define LBA 0x123456789ull /* needs both dwords */

struct dwords {
	uint32_t opc, flags, cdw2, cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

/* The command before the last @back, still in flight; then it ends. */
static void expect_nth(struct fixture *f, uint32_t i, const struct dwords *want)
{
	const struct nvmux_cmd *cmd = &f->q->cmds[i];

	assert_int_equal(cmd->opc, want->opc);
	assert_int_equal(cmd->flags, want->flags);
	assert_int_equal(le32_to_cpu(cmd->nsid), 1);
	assert_int_equal(le32_to_cpu(cmd->cdw2), want->cdw2);
	assert_int_equal(le32_to_cpu(cmd->cdw3), 0);
	assert_int_equal(le32_to_cpu(cmd->cdw10), want->cdw10);
	assert_int_equal(le32_to_cpu(cmd->cdw11), want->cdw11);
	assert_int_equal(le32_to_cpu(cmd->cdw12), want->cdw12);
	assert_int_equal(le32_to_cpu(cmd->cdw13), want->cdw13);
	assert_int_equal(le32_to_cpu(cmd->cdw14), want->cdw14);
	assert_int_equal(le32_to_cpu(cmd->cdw15), want->cdw15);
}

static void expect(struct fixture *f, int err, const struct dwords *want)
{
	assert_int_equal(err, 0);
	assert_int_equal(f->q->n_cmds, 1);
	expect_nth(f, 0, want);
	f->q->n_cmds = 0;
	drain(f);
}
#define EXPECT(f, err, ...) expect(f, err, &(struct dwords){__VA_ARGS__})

static void expect_data(const struct fixture *f, uint64_t offset, uint32_t len)
{
	const struct fake_payload *p = &f->q->payloads[0];

	assert_int_equal(p->n, len ? 1 : 0);
	assert_int_equal(p->len, len);
	if (len) {
		assert_ptr_equal(p->segs[0].mem, f->mem);
		assert_int_equal(p->segs[0].offset, offset);
		assert_int_equal(p->segs[0].len, len);
	}
}

static void test_read_write_compare(void **state)
{
	static const struct {
		uint8_t opc;
		int (*fn)(struct nvmux_ns *, struct nvmux_qpair *, const void *, uint64_t, uint32_t,
			  uint32_t, nvmux_cmd_cb, void *);
	} ops[] = {{1, nvmux_ns_cmd_write}, {5, nvmux_ns_cmd_compare}};
	struct outcome o = {0};
	struct fixture f;

	begin(&f, 8);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		EXPECT(&f,
		       ops[i].fn(f.ns, f.qpair, f.buf + 512, LBA, 8, NVMUX_IO_FORCE_UNIT_ACCESS,
				 done, &o),
		       .opc = ops[i].opc, .cdw10 = 0x23456789, .cdw11 = 1, .cdw12 = 0x40000007);
		expect_data(&f, 512, 4096);
	}
	EXPECT(&f,
	       nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, LBA, 1, (uint32_t)NVMUX_IO_LIMITED_RETRY,
				 done, &o),
	       .opc = 2, .cdw10 = 0x23456789, .cdw11 = 1, .cdw12 = 0x80000000);
	assert_int_equal(o.calls, 3);
	f.ctrlr->id.oncs = 0;
	assert_int_equal(nvmux_ns_cmd_compare(f.ns, f.qpair, f.buf, 0, 1, 0, done, &o),
			 -EOPNOTSUPP);
	end(&f);
}

static void format(struct fixture *f, uint16_t md_size, bool interleaved, uint8_t pi)
{
	f->ns->md_size = md_size;
	f->ns->md_interleaved = interleaved;
	f->ns->pi_type = pi;
}

static void test_metadata_and_protection(void **state)
{
	const uint32_t check = (uint32_t)NVMUX_IO_PRCHK_GUARD | NVMUX_IO_PRCHK_APPTAG |
			       NVMUX_IO_PRCHK_REFTAG;
	struct nvmux_io_ext ext = {.size = sizeof(ext)};
	struct iovec iov = {.iov_len = 4096};
	struct outcome o = {0};
	struct fixture f;

	begin(&f, 8);
	iov.iov_base = f.buf;
	format(&f, 16, false, 1);
	EXPECT(&f,
	       nvmux_ns_cmd_write_with_md(f.ns, f.qpair, f.buf, f.buf + 8192, LBA, 4, check, 0xfff0,
					  0x1234, done, &o),
	       .opc = 1, .cdw10 = 0x23456789, .cdw11 = 1, .cdw12 = 0x1c000003, .cdw14 = 0x23456789,
	       .cdw15 = 0xfff01234);
	expect_data(&f, 0, 2048);
	assert_int_equal(f.q->payloads[0].md.offset, 8192);
	assert_int_equal(f.q->payloads[0].md.len, 64);
	/* separate metadata must have a place, and there is none elsewhere */
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 0, 1, 0, done, &o), -EINVAL);
	assert_int_equal(
		nvmux_ns_cmd_read_with_md(f.ns, f.qpair, f.buf, f.buf + 2, 0, 1, 0, 0, 0, done, &o),
		-EINVAL);
	assert_int_equal(nvmux_ns_cmd_read_with_md(f.ns, f.qpair, f.buf, f.buf + FIXTURE_MEM - 16,
						   0, 2, 0, 0, 0, done, &o),
			 -EFAULT);
	/* 8 bytes that the controller makes: none moved, interleaved or not */
	for (int interleaved = 0; interleaved < 2; interleaved++) {
		format(&f, 8, interleaved, 2);
		EXPECT(&f,
		       nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, LBA, 4, NVMUX_IO_PRACT, done, &o),
		       .opc = 2, .cdw10 = 0x23456789, .cdw11 = 1, .cdw12 = 0x20000003,
		       .cdw14 = 0x23456789);
		expect_data(&f, 0, 2048);
		assert_int_equal(f.q->payloads[0].md.len, 0);
	}
	EXPECT(&f, nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 9, 4, 0, done, &o), .opc = 2, .cdw10 = 9,
	       .cdw12 = 3, .cdw14 = 9);
	expect_data(&f, 0, 4 * 520);
	/* more than that is moved even then */
	format(&f, 64, true, 1);
	EXPECT(&f, nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 9, 2, NVMUX_IO_PRACT, done, &o),
	       .opc = 2, .cdw10 = 9, .cdw12 = 0x20000001, .cdw14 = 9);
	expect_data(&f, 0, 2 * 576);
	assert_int_equal(
		nvmux_ns_cmd_read_with_md(f.ns, f.qpair, f.buf, f.buf, 0, 1, 0, 0, 0, done, &o),
		-EINVAL);
	/* without protection information PRACT hides nothing */
	format(&f, 8, true, 0);
	EXPECT(&f, nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 9, 2, NVMUX_IO_PRACT, done, &o),
	       .opc = 2, .cdw10 = 9, .cdw12 = 0x20000001);
	expect_data(&f, 0, 2 * 520);
	/* type 3: the tag is the caller's */
	format(&f, 8, true, 3);
	ext.reftag = 0xabcd1234;
	ext.cdw13 = 0x00070055;
	ext.flags = NVMUX_IO_STREAMS;
	EXPECT(&f, nvmux_ns_cmd_writev_iov(f.ns, f.qpair, &iov, 1, 9, 2, &ext, done, &o), .opc = 1,
	       .cdw10 = 9, .cdw12 = 0x00100001, .cdw13 = 0x00070055, .cdw14 = 0xabcd1234);
	ext.size = 4;
	assert_int_equal(nvmux_ns_cmd_writev_iov(f.ns, f.qpair, &iov, 1, 9, 2, &ext, done, &o),
			 -EINVAL);
	assert_int_equal(o.calls, 7);
	end(&f);
}

/* A capsule has no place for it. */
static void test_no_separate_metadata_over_fabrics(void **state)
{
	const struct nvmux_cmd cmd = {.opc = nvme_cmd_read, .nsid = cpu_to_le32(1)};
	const struct nvmux_transport *own;
	struct nvmux_transport fabrics;
	struct outcome o = {0};
	struct fixture f;

	begin(&f, 8);
	format(&f, 8, false, 0);
	own = f.ctrlr->transport;
	fabrics = *own;
	fabrics.flags |= NVMUX_TRANSPORT_FABRICS;
	f.ctrlr->transport = &fabrics;
	assert_int_equal(nvmux_ns_cmd_read_with_md(f.ns, f.qpair, f.buf, f.buf + 4096, 0, 1, 0, 0,
						   0, done, &o),
			 -EOPNOTSUPP);
	assert_int_equal(nvmux_ctrlr_cmd_io_raw_with_md(f.ctrlr, f.qpair, &cmd, f.buf, 512,
							f.buf + 4096, 8, done, &o),
			 -EOPNOTSUPP);
	f.ctrlr->transport = own;
	assert_int_equal(f.q->n_cmds, 0);
	end(&f);
}

static void test_commands_without_data(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	begin(&f, 8);
	EXPECT(&f, nvmux_ns_cmd_flush(f.ns, f.qpair, done, &o), .opc = 0);
	EXPECT(&f,
	       nvmux_ns_cmd_write_zeroes(f.ns, f.qpair, LBA, 256, NVMUX_IO_DEALLOCATE, done, &o),
	       .opc = 8, .cdw10 = 0x23456789, .cdw11 = 1, .cdw12 = 0x020000ff);
	expect_data(&f, 0, 0);
	EXPECT(&f, nvmux_ns_cmd_write_uncorrectable(f.ns, f.qpair, LBA, 2, done, &o), .opc = 4,
	       .cdw10 = 0x23456789, .cdw11 = 1, .cdw12 = 1);
	format(&f, 8, false, 1); /* it has no tags */
	EXPECT(&f, nvmux_ns_cmd_write_uncorrectable(f.ns, f.qpair, LBA, 2, done, &o), .opc = 4,
	       .cdw10 = 0x23456789, .cdw11 = 1, .cdw12 = 1);
	f.ctrlr->id.oncs = 0;
	EXPECT(&f, nvmux_ns_cmd_verify(f.ns, f.qpair, LBA, 3, NVMUX_IO_PRCHK_REFTAG, done, &o),
	       .opc = 0xc, .cdw10 = 0x23456789, .cdw11 = 1, .cdw12 = 0x04000002,
	       .cdw14 = 0x23456789);
	assert_int_equal(nvmux_ns_cmd_write_zeroes(f.ns, f.qpair, 0, 1, 0, done, &o), -EOPNOTSUPP);
	assert_int_equal(nvmux_ns_cmd_write_uncorrectable(f.ns, f.qpair, 0, 1, done, &o),
			 -EOPNOTSUPP);
	assert_int_equal(nvmux_ns_cmd_verify(f.ns, f.qpair, 0, 0, 0, done, &o), -EINVAL);
	assert_int_equal(nvmux_ns_cmd_verify(f.ns, f.qpair, f.ns->n_lbas, 1, 0, done, &o), -EINVAL);
	assert_int_equal(nvmux_ns_cmd_verify(f.ns, f.qpair, 0, 1, 1, done, &o), -EINVAL);
	assert_int_equal(o.calls, 5);
	end(&f);
}

static const uint8_t *staged(const struct fixture *f, uint32_t i)
{
	const struct nvmux_seg *seg = &f->q->payloads[i].segs[0];

	assert_ptr_equal(seg->mem, f->qpair->staging);
	assert_int_equal(seg->offset % NVMUX_PAGE_SIZE, 0);
	return seg->mem->addr + seg->offset;
}

static void test_ranges(void **state)
{
	struct nvmux_dsm_range dsm[257] = {{1, cpu_to_le32(16), cpu_to_le64(LBA)}};
	struct nvmux_copy_range copy[129] = {
		{.lba = cpu_to_le64(LBA), .lba_count = cpu_to_le16(15), .reftag = 7}};
	struct outcome o = {0};
	struct fixture f;

	begin(&f, 64);
	EXPECT(&f,
	       nvmux_ns_cmd_dataset_management(f.ns, f.qpair, NVMUX_DSM_DEALLOCATE, dsm, 256, done,
					       &o),
	       .opc = 9, .cdw10 = 255, .cdw11 = 4);
	assert_int_equal(f.q->payloads[0].len, 4096);
	assert_memory_equal(staged(&f, 0), dsm, 4096);
	assert_int_equal(nvmux_ns_cmd_dataset_management(f.ns, f.qpair, 4, dsm, 257, done, &o),
			 -EINVAL);
	assert_int_equal(nvmux_ns_cmd_dataset_management(f.ns, f.qpair, 4, dsm, 0, done, &o),
			 -EINVAL);
	assert_int_equal(nvmux_ns_cmd_dataset_management(f.ns, f.qpair, 8, dsm, 1, done, &o),
			 -EINVAL);
	dsm[1].lba = cpu_to_le64(f.ns->n_lbas);
	assert_int_equal(nvmux_ns_cmd_dataset_management(f.ns, f.qpair, 4, dsm, 2, done, &o),
			 -EINVAL);

	format(&f, 8, false, 1);
	EXPECT(&f,
	       nvmux_ns_cmd_copy(f.ns, f.qpair, copy, 128, LBA + 64,
				 (uint32_t)NVMUX_IO_PRACT | NVMUX_IO_PRCHK_GUARD, done, &o),
	       .opc = 0x19, .cdw10 = 0x234567c9, .cdw11 = 1, .cdw12 = 0x3000c07f,
	       .cdw14 = 0x234567c9);
	assert_int_equal(f.q->payloads[0].len, 4096);
	assert_memory_equal(staged(&f, 0), copy, 4096);
	assert_int_equal(nvmux_ns_cmd_copy(f.ns, f.qpair, copy, 129, 0, 0, done, &o), -E2BIG);
	assert_int_equal(nvmux_ns_cmd_copy(f.ns, f.qpair, copy, 1, f.ns->n_lbas - 15, 0, done, &o),
			 -EINVAL);
	assert_int_equal(nvmux_ns_cmd_copy(f.ns, f.qpair, copy, 1, 0, 3, done, &o), -EINVAL);
	assert_int_equal(o.calls, 2);
	f.ctrlr->id.oncs = 0;
	assert_int_equal(nvmux_ns_cmd_copy(f.ns, f.qpair, copy, 1, 0, 0, done, &o), -EOPNOTSUPP);
	assert_int_equal(nvmux_ns_cmd_dataset_management(f.ns, f.qpair, 4, dsm, 1, done, &o),
			 -EOPNOTSUPP);
	end(&f);
}

/* As many as there are pages; each its own, and given back when the command ends. */
static void test_staging_is_bounded_and_comes_back(void **state)
{
	struct nvmux_dsm_range range = {0};
	struct outcome o = {0};
	struct fixture f;

	begin(&f, 64);
	for (int round = 0; round < 3; round++) {
		f.q->n_cmds = 0;
		for (uint32_t i = 0; i < NVMUX_QPAIR_STAGED; i++) {
			range.lba = cpu_to_le64(i);
			range.lba_count = cpu_to_le32(1);
			assert_int_equal(nvmux_ns_cmd_dataset_management(f.ns, f.qpair, 4, &range,
									 1, done, &o),
					 0);
		}
		assert_int_equal(
			nvmux_ns_cmd_dataset_management(f.ns, f.qpair, 4, &range, 1, done, &o),
			-EAGAIN);
		for (uint32_t i = 0; i < NVMUX_QPAIR_STAGED; i++) {
			const struct nvmux_dsm_range *in = (const void *)staged(&f, i);

			assert_int_equal(le64_to_cpu(in->lba), i);
		}
		drain(&f);
		assert_int_equal(o.calls, NVMUX_QPAIR_STAGED * (round + 1));
		assert_int_equal(f.qpair->staging_used, 0);
	}
	end(&f);
	begin_opts(&f, 8, true);
	assert_null(f.qpair->staging);
	assert_int_equal(nvmux_ns_cmd_dataset_management(f.ns, f.qpair, 4, &range, 1, done, &o),
			 -ENOMEM);
	assert_int_equal(f.q->n_cmds, 0);
	end(&f);
}

static void test_reservations(void **state)
{
	static const uint8_t bytes[16] = {8,    7,    6,    5,    4,    3,    2,    1,
					  0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
	const struct nvmux_resv_keys keys = {0x0102030405060708, 0x1122334455667788};
	struct outcome o = {0};
	struct fixture f;

	begin(&f, 8);
	EXPECT(&f,
	       nvmux_ns_cmd_reservation_register(f.ns, f.qpair, &keys, true, NVMUX_RESV_REPLACE,
						 NVMUX_RESV_CPTPL_SET, done, &o),
	       .opc = 0xd, .cdw10 = 0xc000000a);
	assert_int_equal(f.q->payloads[0].len, 16);
	assert_memory_equal(staged(&f, 0), bytes, 16);
	EXPECT(&f,
	       nvmux_ns_cmd_reservation_acquire(f.ns, f.qpair, &keys, false,
						NVMUX_RESV_PREEMPT_ABORT,
						NVMUX_RESV_EXCLUSIVE_ACCESS_ALL_REGS, done, &o),
	       .opc = 0x11, .cdw10 = 0x602);
	assert_int_equal(f.q->payloads[0].len, 16);
	EXPECT(&f,
	       nvmux_ns_cmd_reservation_release(f.ns, f.qpair, &keys, true, NVMUX_RESV_CLEAR,
						NVMUX_RESV_WRITE_EXCLUSIVE, done, &o),
	       .opc = 0x15, .cdw10 = 0x109);
	assert_int_equal(f.q->payloads[0].len, 8);
	assert_memory_equal(staged(&f, 0), bytes, 8);
	EXPECT(&f, nvmux_ns_cmd_reservation_report(f.ns, f.qpair, f.buf + 4, 4096, true, done, &o),
	       .opc = 0xe, .cdw10 = 1023, .cdw11 = 1);
	expect_data(&f, 4, 4096);
	assert_int_equal(nvmux_ns_cmd_reservation_report(f.ns, f.qpair, f.buf, 6, 0, done, &o),
			 -EINVAL);
	assert_int_equal(nvmux_ns_cmd_reservation_acquire(f.ns, f.qpair, &keys, false,
							  NVMUX_RESV_ACQUIRE,
							  (enum nvmux_resv_type)7, done, &o),
			 -EINVAL);
	assert_int_equal(nvmux_ns_cmd_reservation_register(f.ns, f.qpair, &keys, false,
							   NVMUX_RESV_REGISTER,
							   (enum nvmux_resv_cptpl)1, done, &o),
			 -EINVAL);
	assert_int_equal(o.calls, 4);
	f.ctrlr->id.oncs = cpu_to_le16(0xffdf);
	assert_int_equal(nvmux_ns_cmd_reservation_report(f.ns, f.qpair, f.buf, 64, 0, done, &o),
			 -EOPNOTSUPP);
	end(&f);
}

static void test_io_management(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	begin(&f, 8);
	EXPECT(&f, nvmux_ns_cmd_io_mgmt_recv(f.ns, f.qpair, f.buf, 64, 1, 0x1234, done, &o),
	       .opc = 0x12, .cdw10 = 0x12340001, .cdw11 = 15);
	expect_data(&f, 0, 64);
	EXPECT(&f, nvmux_ns_cmd_io_mgmt_send(f.ns, f.qpair, f.buf, 8, 1, 3, done, &o), .opc = 0x1d,
	       .cdw10 = 0x00030001);
	expect_data(&f, 0, 8);
	assert_int_equal(nvmux_ns_cmd_io_mgmt_recv(f.ns, f.qpair, f.buf, 0, 1, 0, done, &o),
			 -EINVAL);
	assert_int_equal(o.calls, 2);
	end(&f);
}

static void test_zoned(void **state)
{
	struct nvme_zns_id_ns zns = {.lbafe = {{.zdes = 2}}};
	struct outcome o = {0};
	struct fixture f;

	begin(&f, 8);
	assert_int_equal(nvmux_zns_zone_append(f.ns, f.qpair, f.buf, 0, 1, 0, done, &o),
			 -EOPNOTSUPP);
	assert_int_equal(nvmux_zns_open_zone(f.ns, f.qpair, 0, false, done, &o), -EOPNOTSUPP);
	assert_int_equal(nvmux_zns_ns_get_num_zones(f.ns), 0);
	f.ns->zone_lbas = 0x1000;
	f.ns->zns = &zns;
	f.ns->n_zones = f.ns->n_lbas / 0x1000;
	f.ctrlr->max_append = 4096;
	assert_int_equal(nvmux_zns_ns_get_zone_size(f.ns), 0x1000 * 512);
	EXPECT(&f, nvmux_zns_zone_append(f.ns, f.qpair, f.buf, 0x123456000, 8, 0, done, &o),
	       .opc = 0x7d, .cdw10 = 0x23456000, .cdw11 = 1, .cdw12 = 7);
	expect_data(&f, 0, 4096);
	assert_int_equal(nvmux_zns_zone_append(f.ns, f.qpair, f.buf, 0, 9, 0, done, &o), -E2BIG);
	assert_int_equal(nvmux_zns_zone_append(f.ns, f.qpair, f.buf, 0, 1, 1, done, &o), -EINVAL);
	format(&f, 8, false, 1);
	EXPECT(&f,
	       nvmux_zns_zone_append_with_md(f.ns, f.qpair, f.buf, f.buf + 4096, 0x1000, 2, 0, 1, 2,
					     done, &o),
	       .opc = 0x7d, .cdw10 = 0x1000, .cdw12 = 0x02000001, .cdw14 = 0x1000,
	       .cdw15 = 0x00010002);
	assert_int_equal(f.q->payloads[0].md.len, 16);
	EXPECT(&f, nvmux_zns_close_zone(f.ns, f.qpair, 0x123456000, false, done, &o), .opc = 0x79,
	       .cdw10 = 0x23456000, .cdw11 = 1, .cdw13 = 1);
	EXPECT(&f, nvmux_zns_finish_zone(f.ns, f.qpair, 0x1000, true, done, &o), .opc = 0x79,
	       .cdw13 = 0x102);
	EXPECT(&f, nvmux_zns_open_zone(f.ns, f.qpair, 0x1000, false, done, &o), .opc = 0x79,
	       .cdw10 = 0x1000, .cdw13 = 3);
	EXPECT(&f, nvmux_zns_reset_zone(f.ns, f.qpair, 0x1000, false, done, &o), .opc = 0x79,
	       .cdw10 = 0x1000, .cdw13 = 4);
	EXPECT(&f, nvmux_zns_offline_zone(f.ns, f.qpair, 0x1000, false, done, &o), .opc = 0x79,
	       .cdw10 = 0x1000, .cdw13 = 5);
	EXPECT(&f, nvmux_zns_set_zone_desc_ext(f.ns, f.qpair, 0x1000, f.buf, 128, done, &o),
	       .opc = 0x79, .cdw10 = 0x1000, .cdw13 = 0x10);
	expect_data(&f, 0, 128);
	assert_int_equal(
		nvmux_zns_set_zone_desc_ext(f.ns, f.qpair, 0x1000, f.buf, 64, done, &o), -EINVAL);
	zns.lbafe[0].zdes = 0;
	assert_int_equal(nvmux_zns_set_zone_desc_ext(f.ns, f.qpair, 0x1000, f.buf, 64, done, &o),
			 -EOPNOTSUPP);
	EXPECT(&f, nvmux_zns_report_zones(f.ns, f.qpair, f.buf, 4096, 0x1000, 3, true, done, &o),
	       .opc = 0x7a, .cdw10 = 0x1000, .cdw12 = 1023, .cdw13 = 0x10300);
	EXPECT(&f, nvmux_zns_ext_report_zones(f.ns, f.qpair, f.buf, 64, 0x1000, 0, false, done, &o),
	       .opc = 0x7a, .cdw10 = 0x1000, .cdw12 = 15, .cdw13 = 1);
	assert_int_equal(nvmux_zns_reset_zone(f.ns, f.qpair, f.ns->n_lbas, false, done, &o),
			 -EINVAL);
	assert_int_equal(o.calls, 10);
	end(&f);
}

static void test_raw(void **state)
{
	const struct nvmux_cmd cmd = {.opc = 0x81, .nsid = cpu_to_le32(1), .cdw15 = 0x55};
	struct iovec iov[3];
	struct outcome o = {0};
	struct fixture f;

	begin(&f, 8);
	f.ctrlr->max_segs = 3;
	f.ctrlr->sgl = true;
	for (int i = 0; i < 3; i++)
		iov[i] = (struct iovec){f.buf + 1000 * i, 100};
	EXPECT(&f,
	       nvmux_ctrlr_cmd_io_raw_with_md(f.ctrlr, f.qpair, &cmd, f.buf, 512, f.buf + 1024, 20,
					      done, &o),
	       .opc = 0x81, .cdw15 = 0x55);
	assert_int_equal(f.q->payloads[0].md.len, 20);
	EXPECT(&f,
	       nvmux_ctrlr_cmd_iov_raw_with_md(f.ctrlr, f.qpair, &cmd, iov, 3, NULL, 0, done, &o),
	       .opc = 0x81, .cdw15 = 0x55);
	assert_int_equal(f.q->payloads[0].n, 3);
	assert_int_equal(f.q->payloads[0].len, 300);
	f.ctrlr->max_segs = 2;
	assert_int_equal(
		nvmux_ctrlr_cmd_iov_raw_with_md(f.ctrlr, f.qpair, &cmd, iov, 3, NULL, 0, done, &o),
		-EINVAL);
	f.ctrlr->max_segs = 3;
	f.ctrlr->sgl = false;
	assert_int_equal(
		nvmux_ctrlr_cmd_iov_raw_with_md(f.ctrlr, f.qpair, &cmd, iov, 3, NULL, 0, done, &o),
		-EINVAL);
	iov[0].iov_len = SIZE_MAX;
	assert_int_equal(
		nvmux_ctrlr_cmd_iov_raw_with_md(f.ctrlr, f.qpair, &cmd, iov, 3, NULL, 0, done, &o),
		-EINVAL);
	assert_int_equal(nvmux_ctrlr_cmd_io_raw(f.ctrlr, f.qpair, &cmd, f.buf,
						f.ctrlr->max_transfer + 4, done, &o),
			 -EINVAL);
	assert_int_equal(f.q->n_cmds, 0);
	assert_int_equal(o.calls, 2);
	end(&f);
}

/* What two fused commands' statuses become, in either order of completion. */
static void test_compare_and_write(void **state)
{
	for (int fail_at = 0; fail_at < 3; fail_at++) {
		for (int swapped = 0; swapped < 2; swapped++) {
			struct outcome o = {0};
			struct fixture f;

			begin(&f, 8);
			f.q->io_fail_at = fail_at < 2 ? (uint32_t)fail_at : UINT32_MAX;
			f.q->io_status = fail_at ? 0x281 : 0x285;
			assert_int_equal(nvmux_ns_cmd_compare_and_write(f.ns, f.qpair, f.buf,
									f.buf + 4096, LBA, 8, 0,
									done, &o),
					 0);
			assert_int_equal(f.q->n_cmds, 2);
			expect_nth(&f, 0,
				   &(struct dwords){.opc = 5,
						    .flags = 1,
						    .cdw10 = 0x23456789,
						    .cdw11 = 1,
						    .cdw12 = 7});
			expect_nth(&f, 1,
				   &(struct dwords){.opc = 1,
						    .flags = 2,
						    .cdw10 = 0x23456789,
						    .cdw11 = 1,
						    .cdw12 = 7});
			assert_int_equal(f.q->payloads[1].segs[0].offset, 4096);
			if (!fail_at) /* then the second is aborted: 0Ah */
				f.q->ready[1].status = cpu_to_le16(0x0a << 1);
			if (swapped) {
				struct nvmux_cpl first = f.q->ready[0];

				f.q->ready[0] = f.q->ready[1];
				f.q->ready[1] = first;
			}
			drain(&f);
			assert_int_equal(o.calls, 1);
			assert_int_equal(o.status, fail_at == 0 ? 0x285 : fail_at == 1 ? 0x281 : 0);
			assert_int_equal(f.qpair->slow, 0);
			end(&f);
		}
	}
}

static void test_fused_rules(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	begin(&f, 3);
	assert_int_equal(
		nvmux_ns_cmd_write(f.ns, f.qpair, f.buf, 0, 1, NVMUX_IO_FUSE_SECOND, done, &o),
		-EINVAL);
	assert_int_equal(
		nvmux_ns_cmd_compare(f.ns, f.qpair, f.buf, 0, 257, NVMUX_IO_FUSE_FIRST, done, &o),
		-E2BIG);
	assert_int_equal(
		nvmux_ns_cmd_compare_and_write(f.ns, f.qpair, f.buf, f.buf, 0, 257, 0, done, &o),
		-E2BIG);
	assert_int_equal(
		nvmux_ns_cmd_compare(f.ns, f.qpair, f.buf, 0, 1, NVMUX_IO_FUSE_FIRST, done, &o), 0);
	/* nothing goes between the two */
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 0, 1, 0, done, &o), -EINVAL);
	assert_int_equal(nvmux_ns_cmd_flush(f.ns, f.qpair, done, &o), -EINVAL);
	assert_int_equal(
		nvmux_ns_cmd_compare(f.ns, f.qpair, f.buf, 0, 1, NVMUX_IO_FUSE_FIRST, done, &o),
		-EINVAL);
	assert_int_equal(
		nvmux_ns_cmd_write(f.ns, f.qpair, f.buf, 0, 1, NVMUX_IO_FUSE_SECOND, done, &o), 0);
	/* one slot is left, two are needed */
	assert_int_equal(
		nvmux_ns_cmd_compare_and_write(f.ns, f.qpair, f.buf, f.buf, 0, 1, 0, done, &o),
		-EAGAIN);
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 0, 1, 0, done, &o), 0);
	assert_int_equal(f.q->cmds[0].flags, 1);
	assert_int_equal(f.q->cmds[1].flags, 2);
	drain(&f);
	assert_int_equal(o.calls, 3);
	f.ctrlr->id.fuses = 0;
	assert_int_equal(
		nvmux_ns_cmd_compare_and_write(f.ns, f.qpair, f.buf, f.buf, 0, 1, 0, done, &o),
		-EOPNOTSUPP);
	assert_int_equal(
		nvmux_ns_cmd_compare(f.ns, f.qpair, f.buf, 0, 1, NVMUX_IO_FUSE_FIRST, done, &o),
		-EOPNOTSUPP);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_write_compare),
		cmocka_unit_test(test_metadata_and_protection),
		cmocka_unit_test(test_no_separate_metadata_over_fabrics),
		cmocka_unit_test(test_commands_without_data),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_staging_is_bounded_and_comes_back),
		cmocka_unit_test(test_reservations),
		cmocka_unit_test(test_io_management),
		cmocka_unit_test(test_zoned),
		cmocka_unit_test(test_raw),
		cmocka_unit_test(test_compare_and_write),
		cmocka_unit_test(test_fused_rules),
	};

	return cmocka_run_group_tests_name("core_io_cmds", tests, NULL, NULL);
}
