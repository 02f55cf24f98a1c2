// SPDX-License-Identifier: BSD-3-Clause
/* Admin commands with a function of their own, and what the getters say against Identify. */
#include "conform.h"

#define INVALID_LOG 0x109
#define ALL         0xffffffffu

static uint8_t page[CONFORM_PAGE], other_page[CONFORM_PAGE];

static int identify(struct conform *c, uint8_t cns, uint32_t nsid, uint8_t csi)
{
	memset(page, 0xa5, sizeof(page));
	return ADMIN(c, nvmux_ctrlr_cmd_identify, cns, nsid, 0, csi, 0, page);
}

static void test_identify(struct conform *c)
{
	const struct nvme_id_ns *ns = nvmux_ns_get_data(c->ns);
	uint32_t first;

	OK(c, identify(c, NVME_IDENTIFY_CNS_CTRL, 0, 0), "controller");
	CHECK(c, !memcmp(page, c->id, 72), "the controller isn't the one that was attached");
	if (!c->zoned) {
		OK(c, identify(c, NVME_IDENTIFY_CNS_NS, c->nsid, 0), "namespace");
		CHECK(c, !memcmp(page, &ns->nsze, 16), "the namespace's size");
	}
	OK(c, identify(c, NVME_IDENTIFY_CNS_NS_ACTIVE_LIST, 0, 0), "list of namespaces");
	memcpy(&first, page, sizeof(first));
	CHECK(c, le32toh(first) == nvmux_ctrlr_get_first_active_ns(c->ctrlr),
	      "the first of the list");
	OK(c, identify(c, NVME_IDENTIFY_CNS_NS_DESC_LIST, c->nsid, 0), "descriptors");
	CHECK(c, identify(c, 0x7f, 0, 0) != 0, "a CNS that isn't there");
	CHECK(c, c->wait.status == NVME_SC_INVALID_FIELD, "status %xh", c->wait.status);
	if (identify(c, NVME_IDENTIFY_CNS_NS, 0xfffffff0u, 0) == 0) {
		CHECK(c, !page[0] && !memcmp(page, page + 1, sizeof(page) - 1),
		      "data of an invalid namespace");
		conform_disagrees(c, "zeroes for a namespace identifier beyond NN, not Invalid "
				     "Namespace");
	}
}

static int get_log(struct conform *c, uint8_t lid, void *buf, uint32_t len, uint64_t offset)
{
	struct nvmux_log_opts opts = {.size = sizeof(opts), .offset = offset};

	return ADMIN(c, nvmux_ctrlr_cmd_get_log_page, lid, ALL, buf, len, &opts);
}

static void test_log_page(struct conform *c)
{
	static const uint8_t lids[] = {NVME_LOG_LID_ERROR, NVME_LOG_LID_SMART,
				       NVME_LOG_LID_FW_SLOT};

	for (uint32_t i = 0; i < CONFORM_COUNT(lids); i++) {
		CHECK(c, nvmux_ctrlr_is_log_page_supported(c->ctrlr, lids[i]),
		      "page %02xh is mandatory", lids[i]);
		OK(c, get_log(c, lids[i], page, lids[i] == NVME_LOG_LID_ERROR ? 64 : 512, 0),
		   "a mandatory page");
	}
	if (c->id->lpa & 1 << 2) { /* extended data: offsets */
		OK(c, get_log(c, NVME_LOG_LID_FW_SLOT, page, 512, 0), "512 bytes");
		OK(c, get_log(c, NVME_LOG_LID_FW_SLOT, other_page, 128, 256), "from offset 256");
		CHECK(c, !memcmp(page + 256, other_page, 128), "what is at offset 256 differs");
	}
	EXPECT(c, get_log(c, NVME_LOG_LID_SMART, page, 510, 0), -EINVAL, "510 bytes");
	CHECK(c, get_log(c, 0x6f, page, 512, 0) != 0, "a page that isn't there");
	CHECK(c, c->wait.status == INVALID_LOG || c->wait.status == NVME_SC_INVALID_FIELD,
	      "a page that isn't there: status %xh", c->wait.status);
	CHECK(c, !nvmux_ctrlr_is_log_page_supported(c->ctrlr, 0x6f),
	      "page 6Fh is said to be supported");
}

static void test_effects(struct conform *c)
{
	uint32_t effects;

	effects = nvmux_ctrlr_get_effects(c->ctrlr, true, nvme_cmd_read);
	CHECK(c, effects & NVMUX_EFFECT_SUPPORTED, "read isn't supported: %x", effects);
	CHECK(c, !(effects & NVMUX_EFFECT_LBA_CONTENT), "read changes blocks: %x", effects);
	effects = nvmux_ctrlr_get_effects(c->ctrlr, true, nvme_cmd_write);
	CHECK(c, effects & NVMUX_EFFECT_LBA_CONTENT, "write changes no block: %x", effects);
	effects = nvmux_ctrlr_get_effects(c->ctrlr, false, nvme_admin_identify);
	CHECK(c, effects & NVMUX_EFFECT_SUPPORTED, "Identify isn't supported: %x", effects);
}

static int get_feature(struct conform *c, uint8_t fid, uint8_t sel, uint32_t nsid)
{
	return ADMIN(c, nvmux_ctrlr_cmd_get_feature, fid, sel, nsid, 0, NULL, 0);
}

static int set_feature(struct conform *c, uint8_t fid, uint32_t value)
{
	return ADMIN(c, nvmux_ctrlr_cmd_set_feature, fid, false, 0, value, 0, NULL, 0);
}

static void test_feature(struct conform *c)
{
	static const uint8_t own[] = {NVME_FEAT_FID_NUM_QUEUES,   NVME_FEAT_FID_IRQ_COALESCE,
				      NVME_FEAT_FID_ASYNC_EVENT,  NVME_FEAT_FID_KATO,
				      NVME_FEAT_FID_HOST_MEM_BUF, NVME_FEAT_FID_HOST_ID};
	uint32_t before;
	int absent, got = get_feature(c, NVME_FEAT_FID_TEMP_THRESH, 0, 0);

	for (uint32_t i = 0; i < CONFORM_COUNT(own); i++)
		EXPECT(c, set_feature(c, own[i], 0), -EBUSY, "a feature of the library's own");
	absent = get_feature(c, 0x7f, 0, 0);
	if (absent == NVME_SC_INVALID_OPCODE)
		conform_disagrees(c, "Invalid Opcode for a feature that isn't there, not Invalid "
				     "Field");
	else
		CHECK(c, absent == NVME_SC_INVALID_FIELD || (c->daemon && absent >= 0x700),
		      "a feature that isn't there: %d", absent);
	if (got == NVME_SC_INVALID_FIELD)
		return; /* fabrics targets have no temperature */
	OK(c, get_feature(c, NVME_FEAT_FID_TEMP_THRESH, 0, 0), "get");
	before = c->wait.dw0;
	OK(c, set_feature(c, NVME_FEAT_FID_TEMP_THRESH, 400), "set");
	OK(c, get_feature(c, NVME_FEAT_FID_TEMP_THRESH, 0, 0), "get again");
	CHECK(c, (c->wait.dw0 & 0xffff) == 400, "%u, 400 was set", c->wait.dw0 & 0xffff);
	OK(c, set_feature(c, NVME_FEAT_FID_TEMP_THRESH, before & 0xffff), "set it back");
	CHECK(c, nvmux_ctrlr_is_feature_supported(c->ctrlr, NVME_FEAT_FID_TEMP_THRESH),
	      "it isn't said to be supported");
	CHECK(c, !nvmux_ctrlr_is_feature_supported(c->ctrlr, 0x7f),
	      "feature 7Fh is said to be supported");
}

static void test_abort(struct conform *c)
{
	int got = ADMIN(c, nvmux_ctrlr_cmd_abort, c->qpair, 0x3ff);

	if (got == -EOPNOTSUPP && c->daemon)
		ABSENT(c, "not through the daemon: queues are shared there");
	if (!conform_offered(c, true, got, -1)) /* a mandatory command */
		return;
	CHECK(c, c->wait.dw0 & 1, "it is said to have been aborted");
	EXPECT(c, ADMIN(c, nvmux_ctrlr_cmd_abort_ext, c->qpair, (void *)&c->checks), -ENOENT,
	       "nothing in flight with this argument");
}

static void test_namespaces(struct conform *c)
{
	bool claimed = oacs(c) & NVME_CTRL_OACS_NS_MGMT;
	struct nvme_id_ns *data = (void *)page;
	uint16_t id = nvmux_ctrlr_get_id(c->ctrlr);
	uint32_t nsid = 0, before = nvmux_ctrlr_get_num_ns(c->ctrlr);
	int got;

	memset(page, 0, sizeof(page));
	data->nsze = data->ncap = htole64(2048);
	got = nvmux_ctrlr_create_ns(c->ctrlr, data, 0, &nsid);
	if (got == -EIO && strcasestr(nvmux_error_text(c->nvmux), "opcode")) {
		if (claimed)
			conform_disagrees(c, "Identify offers it, the controller says Invalid "
					     "Opcode");
		ABSENT(c, "Invalid Opcode");
	}
	if (got == -EIO && claimed)
		ABSENT(c, "%s", nvmux_error_text(c->nvmux));
	if (!conform_offered(c, claimed, got, -1))
		return;
	CHECK(c, nsid && nsid != c->nsid, "nsid %u", nsid);
	CHECK(c, !nvmux_ctrlr_is_active_ns(c->ctrlr, nsid), "active before it is attached");
	OK(c, nvmux_ctrlr_attach_ns(c->ctrlr, nsid, &id, 1), "attach");
	conform_poll(c, 300);
	CHECK(c, nvmux_ctrlr_is_active_ns(c->ctrlr, nsid), "not active once attached");
	CHECK(c, nvmux_ctrlr_get_num_ns(c->ctrlr) == before + 1, "number of namespaces");
	CHECK(c, nvmux_ns_get_num_sectors(nvmux_ctrlr_get_ns(c->ctrlr, nsid)) == 2048, "size");
	OK(c, nvmux_ctrlr_detach_ns(c->ctrlr, nsid, &id, 1), "detach");
	conform_poll(c, 300);
	CHECK(c, !nvmux_ctrlr_is_active_ns(c->ctrlr, nsid), "active once detached");
	EXPECT(c, nvmux_ctrlr_detach_ns(c->ctrlr, nsid, &id, 1), -EIO, "detach again");
	OK(c, nvmux_ctrlr_delete_ns(c->ctrlr, nsid), "delete");
	EXPECT(c, nvmux_ctrlr_delete_ns(c->ctrlr, nsid), -EIO, "delete again");
	OK(c, conform_read(c, c->b, c->base, 1), "the other namespace is read as before");
}

/* The daemon refuses what it keeps to itself: by the text of the library's last error. */
static bool reserved(const struct conform *c)
{
	return strcasestr(nvmux_error_text(c->nvmux), "reserved to the daemon");
}

static void test_format(struct conform *c)
{
	const struct nvme_id_ns *data = nvmux_ns_get_data(c->ns);
	struct nvmux_format format = {
		.lbaf = (uint8_t)nvmux_ns_get_format_index(c->ns),
		.md_interleaved = c->md_size && !c->md_separate,
		.pi = (uint8_t)c->pi,
		.pi_first = c->pi_first,
	};
	int got;

	OK(c, conform_clean(c), "clean");
	OK(c, conform_put(c, c->base, 4, 95), "write");
	got = nvmux_ctrlr_format(c->ctrlr, c->nsid, &format);
	if (got == -EIO && strcasestr(nvmux_error_text(c->nvmux), "opcode"))
		got = NVME_SC_INVALID_OPCODE;
	/* A zoned namespace keeps its format on some controllers that can format others. */
	if (got == -EIO && c->zoned && strcasestr(nvmux_error_text(c->nvmux), "invalid format")) {
		conform_disagrees(c, "Identify offers it, a zoned namespace is refused with "
				     "Invalid Format");
		ABSENT(c, "Invalid Format");
	}
	if (got == -EIO && c->daemon && reserved(c))
		ABSENT(c, "not through the daemon: over a fabric it can't hold others still");
	CHECK(c, got != -EIO, "%s", nvmux_error_text(c->nvmux));
	if (!conform_offered(c, oacs(c) & NVME_CTRL_OACS_FORMAT, got, -1))
		return;
	CHECK(c, nvmux_ns_get_sector_size(c->ns) == c->block, "the block size is another one");
	CHECK(c, nvmux_ns_get_pi_type(c->ns) == c->pi, "the protection type is another one");
	if (!c->pi) { /* no check of what isn't protected any more */
		OK(c, conform_read(c, c->b, c->base, 4), "read");
		conform_pattern(c, c->a, c->base, 4, 95);
		CHECK(c, memcmp(c->a, c->b, (size_t)4 * c->block_buf), "the data is still there");
	}
	format.lbaf = 63;
	if (data->nlbaf < 63)
		CHECK(c, nvmux_ctrlr_format(c->ctrlr, c->nsid, &format) < 0, "format 63");
}

static void test_sanitize(struct conform *c)
{
	struct nvmux_sanitize sanitize = {.action = NVMUX_SANITIZE_BLOCK_ERASE};
	uint32_t sanicap = le32toh(c->id->sanicap);
	int got;

	if (!(sanicap & 2) && sanicap & 1)
		sanitize.action = NVMUX_SANITIZE_CRYPTO_ERASE;
	OK(c, conform_clean(c), "clean");
	OK(c, conform_put(c, c->base, 4, 96), "write");
	got = ADMIN(c, nvmux_ctrlr_cmd_sanitize, &sanitize);
	if (!conform_offered(c, sanicap & 7, got, -1))
		return;
	for (uint32_t i = 0; i < 300; i++) {
		OK(c, get_log(c, NVME_LOG_LID_SANITIZE, page, 512, 0), "status");
		if ((page[2] & 7) != 2) /* SSTAT: in progress */
			break;
		conform_poll(c, 100);
	}
	CHECK(c, (page[2] & 7) == 1 || (page[2] & 7) == 4, "SSTAT %u", page[2] & 7);
	OK(c, conform_read(c, c->b, c->base, 4), "read");
	conform_pattern(c, c->a, c->base, 4, 96);
	CHECK(c, memcmp(c->a, c->b, (size_t)4 * c->block_buf), "the data is still there");
	sanitize.action = 7;
	CHECK(c, ADMIN(c, nvmux_ctrlr_cmd_sanitize, &sanitize) != 0, "action 7");
}

static void test_self_test(struct conform *c)
{
	int got = ADMIN(c, nvmux_ctrlr_cmd_self_test, ALL, 1);

	if (!conform_offered(c, oacs(c) & NVME_CTRL_OACS_SELF_TEST, got, -1))
		return;
	OK(c, get_log(c, NVME_LOG_LID_DEVICE_SELF_TEST, page, 564, 0), "log");
	OK(c, ADMIN(c, nvmux_ctrlr_cmd_self_test, ALL, 0xf), "abort");
	OK(c, get_log(c, NVME_LOG_LID_DEVICE_SELF_TEST, page, 564, 0), "log");
	CHECK(c, (page[0] & 0xf) == 0, "a test runs once aborted");
	got = ADMIN(c, nvmux_ctrlr_cmd_self_test, ALL, 7);
	CHECK(c, got == -EINVAL || got == NVME_SC_INVALID_FIELD, "code 7: %d", got);
}

static void test_firmware(struct conform *c)
{
	bool claimed = oacs(c) & NVME_CTRL_OACS_FW;
	int got;

	memset(page, 0x42, sizeof(page));
	got = ADMIN(c, nvmux_ctrlr_cmd_fw_download, page, sizeof(page), 0);
	if (!conform_offered(c, claimed, got, -1))
		return;
	EXPECT(c, ADMIN(c, nvmux_ctrlr_cmd_fw_download, page, 6, 0), -EINVAL, "6 bytes");
	got = ADMIN(c, nvmux_ctrlr_cmd_fw_commit, 1, 0, false);
	CHECK(c, got == 0 || got == 0x107 || got == 0x106, "commit: status %xh", got);
	CHECK(c, ADMIN(c, nvmux_ctrlr_cmd_fw_commit, 7, 0, false) != 0 || c->id->frmw >> 1 >= 7,
	      "a slot that isn't there");
}

static void test_security(struct conform *c)
{
	int got;

	memset(page, 0, sizeof(page));
	got = ADMIN(c, nvmux_ctrlr_cmd_security_receive, 0, 0, 0, page, 512);
	if (!conform_offered(c, oacs(c) & NVME_CTRL_OACS_SECURITY, got, -1))
		return;
	CHECK(c, page[6] << 8 | page[7], "the list of protocols is empty");
	got = ADMIN(c, nvmux_ctrlr_cmd_security_send, 0xef, 0, 0, page, 512);
	CHECK(c, got != -EOPNOTSUPP && got != NVME_SC_INVALID_OPCODE, "send: %d", got);
}

static void test_directives(struct conform *c)
{
	int got = ADMIN(c, nvmux_ctrlr_cmd_directive_receive, c->nsid, 1, 0, 0, page, CONFORM_PAGE,
			0);

	if (!conform_offered(c, oacs(c) & NVME_CTRL_OACS_DIRECTIVES, got, -1))
		return;
	CHECK(c, page[0] & 1, "the Identify directive isn't supported");
	CHECK(c, ADMIN(c, nvmux_ctrlr_cmd_directive_send, c->nsid, 0x7f, 0, 0, NULL, 0, 0) != 0,
	      "an operation that isn't there");
}

static void test_boot_partition(struct conform *c)
{
	bool claimed = nvmux_ctrlr_get_regs_cap(c->ctrlr) >> 45 & 1; /* BPS */
	int got = nvmux_ctrlr_read_boot_partition(c->ctrlr, 0, page, CONFORM_PAGE, 0);

	if (got == -EACCES && c->daemon)
		ABSENT(c, "not through the daemon");
	if (!conform_offered(c, claimed, got, -1))
		return;
	for (uint32_t i = 0; i < CONFORM_PAGE; i++)
		page[i] = (uint8_t)(i * 7 + i / 256);
	OK(c, nvmux_ctrlr_write_boot_partition(c->ctrlr, 1, page, CONFORM_PAGE), "write");
	OK(c, nvmux_ctrlr_read_boot_partition(c->ctrlr, 1, other_page, CONFORM_PAGE, 0), "read");
	CHECK(c, !memcmp(page, other_page, CONFORM_PAGE), "what was written isn't what is read");
	OK(c, nvmux_ctrlr_read_boot_partition(c->ctrlr, 0, other_page, CONFORM_PAGE, 0),
	   "read the other one");
	CHECK(c, memcmp(page, other_page, CONFORM_PAGE) != 0, "the other one has changed, too");
	EXPECT(c, nvmux_ctrlr_read_boot_partition(c->ctrlr, 2, page, CONFORM_PAGE, 0), -EINVAL,
	       "a third one");
	EXPECT(c, nvmux_ctrlr_read_boot_partition(c->ctrlr, 1, page, CONFORM_PAGE, 1u << 31),
	       -EINVAL, "beyond the end");
}

static void test_getters(struct conform *c)
{
	const struct nvme_id_ns *ns = nvmux_ns_get_data(c->ns);

	CHECK(c, nvmux_ctrlr_get_ns(c->ctrlr, c->nsid) == c->ns, "nvmux_ctrlr_get_ns()");
	CHECK(c, nvmux_ns_get_ctrlr(c->ns) == c->ctrlr, "nvmux_ns_get_ctrlr()");
	CHECK(c, nvmux_ns_get_id(c->ns) == c->nsid, "nvmux_ns_get_id()");
	CHECK(c, nvmux_ns_get_num_sectors(c->ns) == le64toh(ns->nsze), "NSZE");
	CHECK(c, nvmux_ns_get_size(c->ns) == le64toh(ns->nsze) * c->block, "size");
	CHECK(c, c->block == 1u << ns->lbaf[nvmux_ns_get_format_index(c->ns)].ds, "LBADS");
	CHECK(c, c->md_size == le16toh(ns->lbaf[nvmux_ns_get_format_index(c->ns)].ms), "MS");
	CHECK(c, (ns->dps & 7) == c->pi, "DPS");
	CHECK(c, nvmux_ctrlr_get_id(c->ctrlr) == le16toh(c->id->cntlid), "CNTLID");
	CHECK(c, nvmux_ctrlr_get_max_xfer_size(c->ctrlr) >= CONFORM_PAGE, "transfer size");
	CHECK(c, nvmux_ctrlr_get_max_sges(c->ctrlr) >= 1, "pieces");
	CHECK(c, nvmux_ctrlr_get_regs_vs(c->ctrlr) >= 0x10000, "VS");
	CHECK(c, nvmux_ctrlr_get_regs_csts(c->ctrlr) & 1, "CSTS.RDY");
	CHECK(c, !(nvmux_ns_get_flags(c->ns) & NVMUX_NS_ZONED) == !c->zoned, "flag ZONED");
	CHECK(c,
	      !(nvmux_ns_get_flags(c->ns) & NVMUX_NS_COPY_SUPPORTED) ==
		      !(oncs(c) & NVME_CTRL_ONCS_COPY),
	      "flag COPY");
}

const struct conform_test conform_tests_admin[] = {
	{"identify", test_identify, false, true},
	{"getters", test_getters, false, true},
	{"get_log_page", test_log_page, false, true},
	{"get_effects", test_effects, false, true},
	{"get_feature, set_feature", test_feature, true, true},
	{"abort", test_abort, false, true},
	{"security_receive, security_send", test_security, false, true},
	{"directive_receive, directive_send", test_directives, false, true},
	{"self_test", test_self_test, true, true},
	{"fw_download, fw_commit", test_firmware, true, true},
	{"read_boot_partition, write_boot_partition", test_boot_partition, true, true},
	{"create_ns, attach_ns, detach_ns, delete_ns", test_namespaces, true, false},
	{"format", test_format, true, false},
	{"sanitize", test_sanitize, true, false},
	{0},
};
