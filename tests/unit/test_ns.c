// SPDX-License-Identifier: BSD-3-Clause
/* Formats and command sets of namespaces, what a controller offers, and notices of changes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include <nvmux/admin.h>
#include <nvmux/pi.h>
#include "fake_ctrlr.h"

/* What namespace 1 of the controller says of itself. */
static struct {
	uint16_t ms;
	uint8_t ds;
	uint8_t flbas;
	uint8_t dps;
	uint8_t csi;
	uint32_t elbaf;
	uint64_t zsze;
	uint64_t nsze;
	uint8_t zasl;
	bool elbas;
	bool no_zns; /* its command set's data is refused */
	uint32_t oaes;
	uint8_t lpa;
} say;

/* bits: CNS 05h and 06h, by command set; without the NVM command set's limits, asked for always */
static uint32_t csi_asked;

static void identify(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf)
{
	uint8_t cns = (uint8_t)le32_to_cpu(cmd->cdw10), csi = le32_to_cpu(cmd->cdw11) >> 24;
	struct nvme_id_ctrl *id = buf;
	struct nvme_id_ns *ns = buf;
	uint8_t *bytes = buf;

	if (cns == NVME_IDENTIFY_CNS_CSI_NS || (cns == NVME_IDENTIFY_CNS_CSI_CTRL && csi))
		csi_asked |= 1u << (csi + (cns == NVME_IDENTIFY_CNS_CSI_CTRL ? 8 : 0));
	if (cns == NVME_IDENTIFY_CNS_CTRL) {
		id->ctratt = cpu_to_le32(say.elbas ? 1u << 15 : 0);
		id->oaes = cpu_to_le32(say.oaes);
		id->lpa = say.lpa;
		id->cntlid = cpu_to_le16(7);
		id->oncs = cpu_to_le16(NVME_CTRL_ONCS_COMPARE | NVME_CTRL_ONCS_DSM |
				       NVME_CTRL_ONCS_VERIFY);
		id->vwc = 1;
		id->sgls = cpu_to_le32(2);
	} else if (cns == NVME_IDENTIFY_CNS_NS && le32_to_cpu(cmd->nsid) == 1) {
		ns->nsze = cpu_to_le64(say.nsze);
		ns->flbas = say.flbas;
		ns->dps = say.dps;
		ns->dlfeat = 1;
		ns->lbaf[say.flbas & 0xf].ds = say.ds;
		ns->lbaf[say.flbas & 0xf].ms = cpu_to_le16(say.ms);
	} else if (cns == NVME_IDENTIFY_CNS_NS_DESC_LIST && le32_to_cpu(cmd->nsid) == 1) {
		bytes[0] = NVME_NIDT_CSI;
		bytes[1] = 1;
		bytes[4] = say.csi;
	} else if (cns == NVME_IDENTIFY_CNS_CSI_NS && csi == NVME_CSI_NVM) {
		((struct nvme_nvm_id_ns *)buf)->elbaf[say.flbas & 0xf] = cpu_to_le32(say.elbaf);
	} else if (cns == NVME_IDENTIFY_CNS_CSI_NS && csi == NVME_CSI_ZNS) {
		((struct nvme_zns_id_ns *)buf)->lbafe[say.flbas & 0xf].zsze =
			cpu_to_le64(say.zsze);
		((struct nvme_zns_id_ns *)buf)->mor = cpu_to_le32(3);
	} else if (cns == NVME_IDENTIFY_CNS_CSI_CTRL && csi == NVME_CSI_ZNS) {
		bytes[0] = say.zasl;
	}
}

static struct nvmux *nvmux;
static struct nvmux_ctrlr *ctrlr;

static void attach(void)
{
	static const struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK, .traddr = "fake"};
	struct nvmux_opts opts;

	csi_asked = 0;
	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = 64 << 20;
	assert_int_equal(nvmux_create(&opts, &nvmux), 0);
	assert_int_equal(nvmux_transport_register(nvmux, &fake_transport), 0);
	assert_int_equal(nvmux_connect(nvmux, &trid, NULL, &ctrlr), 0);
}

static int setup(void **state)
{
	fake_reset();
	fake.identify = identify;
	memset(&say, 0, sizeof(say));
	say.ds = 9;
	say.nsze = 1 << 20;
	nvmux = NULL;
	return 0;
}

static int teardown(void **state)
{
	if (nvmux)
		nvmux_destroy(nvmux);
	return 0;
}

/* ---- metadata and protection information ---- */

static void test_separate_metadata(void **state)
{
	struct nvmux_ns *ns;
	struct nvmux_pi pi;

	say.ms = 16;
	say.flbas = 2;
	say.dps = 1;
	attach();
	ns = nvmux_ctrlr_get_ns(ctrlr, 1);
	assert_non_null(ns);
	assert_int_equal(nvmux_ns_get_md_size(ns), 16);
	assert_int_equal(nvmux_ns_get_sector_size(ns), 512);
	assert_int_equal(nvmux_ns_get_extended_sector_size(ns), 512);
	assert_false(nvmux_ns_supports_extended_lba(ns));
	assert_int_equal(nvmux_ns_get_pi_type(ns), NVMUX_PI_TYPE1);
	assert_int_equal(nvmux_ns_get_format_index(ns), 2);
	assert_int_equal(nvmux_ns_get_max_io_xfer_size(ns), 128 << 10); /* MDTS: data only */
	assert_int_equal(nvmux_ns_get_flags(ns),
			 NVMUX_NS_COMPARE_SUPPORTED | NVMUX_NS_DEALLOCATE_SUPPORTED |
				 NVMUX_NS_VERIFY_SUPPORTED | NVMUX_NS_FLUSH_SUPPORTED |
				 NVMUX_NS_DPS_PI_SUPPORTED);
	assert_true(nvmux_ns_supports_compare(ns));
	assert_false(nvmux_ns_supports_write_uncorrectable(ns));
	assert_int_equal(nvmux_ns_get_dealloc_logical_block_read_value(ns), NVMUX_DEALLOC_READ_00);
	assert_int_equal(nvmux_pi_init(ns, 5, NVMUX_PI_GUARD, 0, 0, &pi), 0);
	assert_int_equal(pi.md_size, 16);
	assert_false(pi.first || pi.interleaved);
	assert_int_equal(csi_asked, 0);
}

static void test_interleaved_metadata(void **state)
{
	struct nvmux_ns *ns;

	say.ms = 8;
	say.flbas = 0x10;
	say.dps = 8 | 3;
	attach();
	ns = nvmux_ctrlr_get_ns(ctrlr, 1);
	assert_non_null(ns);
	assert_int_equal(nvmux_ns_get_extended_sector_size(ns), 520);
	assert_true(nvmux_ns_supports_extended_lba(ns));
	assert_int_equal(nvmux_ns_get_pi_type(ns), NVMUX_PI_TYPE3);
	assert_true(ns->pi_first);
	/* MDTS counts the metadata: 131072 / 520 blocks */
	assert_int_equal(ns->max_lbas, 252);
	assert_true(nvmux_ns_get_flags(ns) & NVMUX_NS_EXTENDED_LBA_SUPPORTED);
}

static void left_out(void)
{
	attach();
	assert_null(nvmux_ctrlr_get_ns(ctrlr, 1));
	assert_int_equal(nvmux_ctrlr_get_num_ns(ctrlr), 2); /* the others are there */
	nvmux_destroy(nvmux);
	nvmux = NULL;
}

static void test_what_is_left_out(void **state)
{
	say.ms = 8;
	say.dps = 4; /* no such type */
	left_out();
	say.dps = 1;
	say.ms = 4; /* too small for 8 bytes */
	left_out();
	say.ms = 16;
	say.elbas = true;
	say.elbaf = 1 << 7; /* 32-bit guard */
	left_out();
	assert_int_equal(csi_asked, 1);
	say.elbaf = 16; /* a storage tag */
	left_out();
	say.elbaf = 0;
	attach();
	assert_non_null(nvmux_ctrlr_get_ns(ctrlr, 1));
	nvmux_destroy(nvmux);
	nvmux = NULL;
	say.csi = NVME_CSI_KV;
	left_out();
	say.csi = 9;
	left_out();
	say.csi = NVME_CSI_ZNS; /* without a zone size */
	left_out();
	say.zsze = say.nsze + 1;
	left_out();
	say = (typeof(say)){.ds = 16, .ms = 65535, .flbas = 0x10, .nsze = 1 << 20};
	fake.mdts = 4; /* 64 KiB: an extended block exceeds it */
	left_out();
}

/* ---- zoned ---- */

static void test_zoned(void **state)
{
	struct nvmux_ns *ns;

	say.csi = NVME_CSI_ZNS;
	say.zsze = 3000;
	say.zasl = 3;
	fake.cap = 1ull << 43; /* CAP.CSS bit 6 */
	attach();
	assert_int_equal(NVME_CC_CSS(nvmux_ctrlr_get_regs_cc(ctrlr)), NVME_CC_CSS_CSI);
	ns = nvmux_ctrlr_get_ns(ctrlr, 1);
	assert_non_null(ns);
	assert_int_equal(nvmux_ns_get_csi(ns), NVME_CSI_ZNS);
	assert_int_equal(ns->zone_lbas, 3000);
	assert_int_equal(ns->n_zones, (1 << 20) / 3000);
	assert_int_equal(le32_to_cpu(ns->zns->mor), 3);
	assert_int_equal(ctrlr->max_append, 32 << 10);
	assert_true(nvmux_ns_get_flags(ns) & NVMUX_NS_ZONED);
	assert_true(nvmux_ctrlr_get_flags(ctrlr) & NVMUX_CTRLR_ZONE_APPEND_SUPPORTED);
	assert_null(nvmux_ctrlr_get_ns(ctrlr, 3)->zns);
	assert_int_equal(csi_asked, 1u << NVME_CSI_ZNS | 1u << (8 + NVME_CSI_ZNS));
}

static void test_one_command_set(void **state)
{
	attach();
	assert_int_equal(NVME_CC_CSS(nvmux_ctrlr_get_regs_cc(ctrlr)), NVME_CC_CSS_NVM);
	assert_int_equal(nvmux_ctrlr_get_id(ctrlr), 7);
	assert_int_equal(nvmux_ctrlr_get_max_sges(ctrlr), 1);
	assert_int_equal(nvmux_ctrlr_get_numa_id(ctrlr), -1);
	assert_int_equal(nvmux_ctrlr_get_flags(ctrlr),
			 NVMUX_CTRLR_SGL_SUPPORTED | NVMUX_CTRLR_SGL_DWORD_ALIGNED);
	assert_null(ctrlr->zns_id);
}

static bool regs(struct nvmux_ctrlr *c, bool read, uint32_t offset, uint64_t *value)
{
	switch (offset) {
	case NVME_REG_CMBSZ: *value = 0x11; return read;
	case NVME_REG_PMRCAP: *value = 0x22; return read;
	case NVME_REG_BPINFO: *value = 0x33; return read;
	default: return false;
	}
}

static void test_registers(void **state)
{
	fake.reg = regs;
	fake.cap = 1ull << 45 | 1ull << 56 | 1ull << 57;
	attach();
	assert_int_equal(nvmux_ctrlr_get_regs_cmbsz(ctrlr), 0x11);
	assert_int_equal(nvmux_ctrlr_get_regs_pmrcap(ctrlr), 0x22);
	assert_int_equal(nvmux_ctrlr_get_regs_bpinfo(ctrlr), 0x33);
	nvmux_destroy(nvmux);
	fake.cap = 1ull << 56;
	attach();
	assert_int_equal(nvmux_ctrlr_get_regs_cmbsz(ctrlr), 0);
	assert_int_equal(nvmux_ctrlr_get_regs_pmrcap(ctrlr), 0x22);
	assert_int_equal(nvmux_ctrlr_get_regs_bpinfo(ctrlr), 0);
}

/* ---- what it offers ---- */

static uint32_t logs_asked;

static uint16_t offers(struct nvmux_ctrlr *c, const struct nvmux_cmd *cmd, uint8_t *buf,
		       uint32_t len)
{
	uint8_t lid = (uint8_t)le32_to_cpu(cmd->cdw10);
	__le32 *log = (__le32 *)(void *)buf;

	logs_asked |= 1u << lid;
	memset(buf, 0, len);
	switch (lid) {
	case NVME_LOG_LID_SUPPORTED_LOG_PAGES:
		log[NVME_LOG_LID_SMART] = log[0xc5] = cpu_to_le32(1);
		log[NVME_LOG_LID_FID_SUPPORTED_EFFECTS] = cpu_to_le32(1);
		return 0;
	case NVME_LOG_LID_CMD_EFFECTS:
		log[0xc1] = cpu_to_le32(0xffffffff);
		log[256 + nvme_cmd_write] = cpu_to_le32(3);
		return 0;
	case NVME_LOG_LID_FID_SUPPORTED_EFFECTS: log[0xd0] = cpu_to_le32(1); return 0;
	default: return NVME_SC_INVALID_FIELD;
	}
}

static void test_offers_by_the_logs(void **state)
{
	say.lpa = 1 << 1 | 1 << 5;
	fake.log_page = offers;
	logs_asked = 0;
	attach();
	assert_int_equal(logs_asked, 1u << 0 | 1u << 5 | 1u << 0x12);
	assert_true(nvmux_ctrlr_is_log_page_supported(ctrlr, 0xc5));
	assert_true(nvmux_ctrlr_is_log_page_supported(ctrlr, NVME_LOG_LID_SMART));
	assert_false(nvmux_ctrlr_is_log_page_supported(ctrlr, NVME_LOG_LID_ERROR));
	assert_true(nvmux_ctrlr_is_feature_supported(ctrlr, 0xd0));
	assert_false(nvmux_ctrlr_is_feature_supported(ctrlr, NVME_FEAT_FID_ARBITRATION));
	assert_int_equal(nvmux_ctrlr_get_effects(ctrlr, false, 0xc1), 0x7001f);
	assert_int_equal(nvmux_ctrlr_get_effects(ctrlr, true, nvme_cmd_write),
			 NVMUX_EFFECT_SUPPORTED | NVMUX_EFFECT_LBA_CONTENT);
	assert_int_equal(nvmux_ctrlr_get_effects(ctrlr, true, nvme_cmd_read), 0);
	logs_asked = 0;
	say.lpa = 1 << 1; /* other firmware */
	assert_int_equal(nvmux_ctrlr_reset(ctrlr), 0);
	assert_int_equal(logs_asked, 1u << 5);
	assert_true(nvmux_ctrlr_is_log_page_supported(ctrlr, NVME_LOG_LID_ERROR));
	assert_false(nvmux_ctrlr_is_log_page_supported(ctrlr, 0xc5));
	assert_int_equal(nvmux_ctrlr_get_effects(ctrlr, false, 0xc1), 0x7001f);
}

static uint16_t refuse(struct nvmux_ctrlr *c, const struct nvmux_cmd *cmd, uint8_t *buf,
		       uint32_t len)
{
	return NVME_SC_INVALID_FIELD;
}

static void test_offers_without_logs(void **state)
{
	for (int refused = 0; refused < 2; refused++) {
		say.lpa = refused ? 1 << 1 | 1 << 5 : 0;
		fake.log_page = refused ? refuse : NULL;
		attach();
		assert_true(nvmux_ctrlr_is_log_page_supported(ctrlr, NVME_LOG_LID_ERROR));
		assert_false(nvmux_ctrlr_is_log_page_supported(ctrlr, NVME_LOG_LID_SANITIZE));
		assert_false(nvmux_ctrlr_is_log_page_supported(ctrlr, 0xc5));
		assert_true(nvmux_ctrlr_is_feature_supported(ctrlr, NVME_FEAT_FID_VOLATILE_WC));
		assert_false(nvmux_ctrlr_is_feature_supported(ctrlr, NVME_FEAT_FID_HOST_MEM_BUF));
		assert_int_equal(nvmux_ctrlr_get_effects(ctrlr, true, nvme_cmd_verify),
				 NVMUX_EFFECT_SUPPORTED);
		assert_int_equal(nvmux_ctrlr_get_effects(ctrlr, true, nvme_cmd_copy), 0);
		assert_int_equal(nvmux_ctrlr_get_effects(ctrlr, false, nvme_admin_format_nvm), 0);
		assert_int_equal(nvmux_ctrlr_get_effects(ctrlr, false, nvme_admin_identify),
				 NVMUX_EFFECT_SUPPORTED);
		/* the vendor's may do anything */
		assert_int_equal(nvmux_ctrlr_get_effects(ctrlr, false, 0xc0),
				 NVMUX_EFFECT_NS_CAPABILITY | NVMUX_EFFECT_NS_INVENTORY |
					 2 << NVMUX_EFFECT_CSE_SHIFT);
		nvmux_destroy(nvmux);
		nvmux = NULL;
	}
}

/* ---- notices ---- */

static uint32_t told[8], n_told, n_events;
static uint16_t aers_seen;
static __le32 changed[4];

static uint16_t changed_list(struct nvmux_ctrlr *c, const struct nvmux_cmd *cmd, uint8_t *buf,
			     uint32_t len)
{
	uint32_t cdw10 = le32_to_cpu(cmd->cdw10);

	assert_int_equal(cdw10 & 0xff, NVME_LOG_LID_CHANGED_NS);
	assert_int_equal(cdw10 & 1u << 15, 0); /* RAE clear: the event is cleared */
	assert_int_equal(len, 4096);
	memset(buf, 0, len);
	memcpy(buf, changed, sizeof(changed));
	return 0;
}

static void on_changed(void *arg, struct nvmux_ctrlr *c, uint32_t nsid)
{
	assert_ptr_equal(arg, told);
	assert_ptr_equal(c, ctrlr);
	told[n_told++ % 8] = nsid;
}

static void on_aer(void *arg, const struct nvmux_cpl *cpl)
{
	aers_seen++;
}

static void on_event(void *arg, struct nvmux_ctrlr *c, enum nvmux_ctrlr_event event)
{
	n_events += event == NVMUX_CTRLR_NS_CHANGED;
}

#define EVENT_NS_CHANGED (NVME_LOG_LID_CHANGED_NS << 16 | 2)

static void run(void)
{
	for (int i = 0; i < 50; i++)
		nvmux_process(nvmux);
}

/* The event request has gone out for the n-th time: its log page has been read. */
static void wait_for_request(uint32_t n)
{
	for (int i = 0; i < 200 && fake.aers < n; i++) {
		usleep(1000);
		run();
	}
	assert_int_equal(fake.aers, n);
}

static void attach_with_notices(void)
{
	say.oaes = NVME_CTRL_OAES_NA;
	fake.log_page = changed_list;
	n_told = n_events = aers_seen = 0;
	attach();
	nvmux_ctrlr_register_aer_callback(ctrlr, on_aer, NULL);
	nvmux_ctrlr_set_event_cb(ctrlr, on_event, NULL);
}

static void test_changed_namespaces(void **state)
{
	struct nvmux_ns *ns;

	attach_with_notices();
	nvmux_ctrlr_register_ns_attr_changed_callback(ctrlr, on_changed, told);
	ns = nvmux_ctrlr_get_ns(ctrlr, 1);
	changed[0] = cpu_to_le32(1);
	changed[1] = cpu_to_le32(9);
	say.nsze = 5000;
	say.ms = 8;
	say.flbas = 0x10;
	fake_event(ctrlr, EVENT_NS_CHANGED);
	run();
	assert_int_equal(aers_seen, 1);
	assert_int_equal(n_told, 2);
	assert_int_equal(told[0], 1);
	assert_int_equal(told[1], 9);
	assert_int_equal(n_events, 1);
	assert_ptr_equal(nvmux_ctrlr_get_ns(ctrlr, 1), ns);
	assert_int_equal(nvmux_ns_get_num_sectors(ns), 5000);
	assert_int_equal(nvmux_ns_get_extended_sector_size(ns), 520);
	assert_string_equal(nvmux_ctrlr_get_state_string(ctrlr), "ready");
	assert_int_equal(fake.aers, 2); /* asked for the next one */

	/* one that comes, another that goes, in a list that is too long */
	changed[0] = cpu_to_le32(NVME_NSID_ALL);
	fake.n_ns = 4;
	n_told = 0;
	fake_event(ctrlr, EVENT_NS_CHANGED);
	run();
	assert_int_equal(n_told, 4);
	assert_non_null(nvmux_ctrlr_get_ns(ctrlr, 7));

	/* two notices at once: the second look comes after the first */
	changed[0] = cpu_to_le32(3);
	changed[1] = 0;
	n_told = 0;
	fake.inline_answers = false;
	fake_event(ctrlr, EVENT_NS_CHANGED);
	wait_for_request(4);
	changed[0] = cpu_to_le32(5);
	fake_event(ctrlr, EVENT_NS_CHANGED);
	wait_for_request(5);
	for (int i = 0; i < 200 && n_told < 2; i++) {
		usleep(1000);
		run();
	}
	assert_int_equal(n_told, 2);
	assert_int_equal(told[0] + told[1], 8);
	/* and detaching in the midst of one */
	fake_event(ctrlr, EVENT_NS_CHANGED);
	assert_int_equal(nvmux_detach(ctrlr), 0);
	assert_int_equal(fake.opened, fake.closed);
}

static void ignored(void *arg, const struct nvmux_cpl *cpl)
{
}

/* Another format isn't taken over behind the back of who may be making commands by the old one. */
static void test_formatted_under_queue_pairs(void **state)
{
	const struct nvmux_dsm_range range = {.lba_count = cpu_to_le32(1)};
	struct nvmux_qpair *qpair;
	struct nvmux_ns *ns;

	attach_with_notices();
	nvmux_ctrlr_register_ns_attr_changed_callback(ctrlr, on_changed, told);
	ns = nvmux_ctrlr_get_ns(ctrlr, 1);
	ctrlr->id.oncs = cpu_to_le16(NVME_CTRL_ONCS_DSM | NVME_CTRL_ONCS_VERIFY);
	assert_int_equal(nvmux_ctrlr_alloc_io_qpair(ctrlr, NULL, &qpair), 0);
	changed[0] = cpu_to_le32(1);
	changed[1] = 0;
	say.nsze = 5000;
	fake_event(ctrlr, EVENT_NS_CHANGED); /* the size may change */
	run();
	assert_int_equal(nvmux_ns_get_num_sectors(ns), 5000);
	say.ds = 12;
	fake_event(ctrlr, EVENT_NS_CHANGED);
	run();
	assert_int_equal(n_told, 2);
	assert_true(nvmux_ns_get_flags(ns) & NVMUX_NS_STALE);
	assert_int_equal(nvmux_ns_get_sector_size(ns), 512);
	assert_int_equal(nvmux_ns_get_num_sectors(ns), 0);
	assert_int_equal(nvmux_ns_cmd_read(ns, qpair, told, 0, 1, 0, ignored, NULL), -ESTALE);
	assert_int_equal(nvmux_ns_cmd_verify(ns, qpair, 0, 1, 0, ignored, NULL), -ESTALE);
	assert_int_equal(nvmux_ns_cmd_dataset_management(ns, qpair, NVMUX_DSM_DEALLOCATE, &range, 1,
							 ignored, NULL),
			 -ESTALE);
	assert_ptr_equal(nvmux_ctrlr_get_ns(ctrlr, 1), ns);
	/* a further notice is no consent */
	fake_event(ctrlr, EVENT_NS_CHANGED);
	run();
	assert_int_equal(nvmux_ns_get_sector_size(ns), 512);
	assert_int_equal(nvmux_ctrlr_rescan(ctrlr), 0);
	assert_false(nvmux_ns_get_flags(ns) & NVMUX_NS_STALE);
	assert_int_equal(nvmux_ns_get_sector_size(ns), 4096);
	assert_int_equal(nvmux_ns_get_num_sectors(ns), 5000);
	assert_int_equal(nvmux_ns_cmd_verify(ns, qpair, 5000, 1, 0, ignored, NULL), -EINVAL);
	/* as it was is as good */
	say.ds = 9;
	fake_event(ctrlr, EVENT_NS_CHANGED);
	run();
	assert_true(nvmux_ns_get_flags(ns) & NVMUX_NS_STALE);
	say.ds = 12;
	fake_event(ctrlr, EVENT_NS_CHANGED);
	run();
	assert_false(nvmux_ns_get_flags(ns) & NVMUX_NS_STALE);
	assert_int_equal(nvmux_ns_get_num_sectors(ns), 5000);
	/* and a reset looks, too */
	say.ds = 9;
	fake_event(ctrlr, EVENT_NS_CHANGED);
	run();
	assert_int_equal(nvmux_ctrlr_reset(ctrlr), 0);
	assert_false(nvmux_ns_get_flags(ns) & NVMUX_NS_STALE);
	assert_int_equal(nvmux_ns_get_sector_size(ns), 512);
}

static void test_nobody_wants_to_know(void **state)
{
	attach_with_notices();
	changed[0] = cpu_to_le32(1);
	changed[1] = 0;
	say.nsze = 5000;
	fake_event(ctrlr, EVENT_NS_CHANGED);
	run();
	assert_int_equal(aers_seen, 1);
	assert_int_equal(nvmux_ns_get_num_sectors(nvmux_ctrlr_get_ns(ctrlr, 1)), 1 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_separate_metadata, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interleaved_metadata, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_left_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_zoned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_command_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_registers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offers_by_the_logs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offers_without_logs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changed_namespaces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_formatted_under_queue_pairs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_wants_to_know, setup, teardown),
	};

	return cmocka_run_group_tests_name("ns", tests, NULL, NULL);
}
