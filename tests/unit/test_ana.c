// SPDX-License-Identifier: BSD-3-Clause
/* Access states of namespaces, and namespaces that are others at a second look. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_ctrlr.h"

static const struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK, .traddr = "fake"};

/* What the next look at namespace 3 finds. */
static struct {
	uint8_t nguid[16];
	uint8_t eui64[8];
	uint8_t uuid[16];
	uint64_t n_lbas;
	uint8_t lba_shift;
	uint16_t metadata;
	uint32_t group;
	bool gone;
	uint8_t cmic;
} ns3;

static void identify(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf)
{
	static const uint8_t head[4] = {NVME_NIDT_UUID, 16, 0, 0};
	struct nvme_id_ctrl *id = buf;
	struct nvme_id_ns *ns = buf;
	__le32 *list = buf;

	switch (le32_to_cpu(cmd->cdw10) & 0xff) {
	case NVME_IDENTIFY_CNS_CTRL:
		id->cmic = ns3.cmic;
		id->anagrpmax = cpu_to_le32(32);
		id->nanagrpid = cpu_to_le32(32);
		break;
	case NVME_IDENTIFY_CNS_NS_ACTIVE_LIST:
		if (ns3.gone) {
			list[1] = list[2];
			list[2] = 0;
		}
		break;
	case NVME_IDENTIFY_CNS_NS:
		ns->anagrpid = cpu_to_le32(1);
		if (le32_to_cpu(cmd->nsid) != 3)
			break;
		ns->nsze = cpu_to_le64(ns3.n_lbas);
		ns->lbaf[0].ds = ns3.lba_shift;
		ns->lbaf[0].ms = cpu_to_le16(ns3.metadata);
		ns->anagrpid = cpu_to_le32(ns3.group);
		memcpy(ns->nguid, ns3.nguid, 16);
		memcpy(ns->eui64, ns3.eui64, 8);
		break;
	case NVME_IDENTIFY_CNS_NS_DESC_LIST:
		if (le32_to_cpu(cmd->nsid) != 3 || !ns3.uuid[0])
			break;
		memcpy(buf, head, 4);
		memcpy((uint8_t *)buf + 4, ns3.uuid, 16);
		break;
	}
}

struct fixture {
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct nvmux_opts opts;

	fake_reset();
	fake.identify = identify;
	memset(&ns3, 0, sizeof(ns3));
	ns3.n_lbas = 1 << 20;
	ns3.lba_shift = 9;
	ns3.group = 2;
	ns3.cmic = 0xb;
	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = 64 << 20;
	assert_int_equal(nvmux_create(&opts, &f->nvmux), 0);
	assert_int_equal(nvmux_transport_register(f->nvmux, &fake_transport), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	nvmux_destroy(f->nvmux);
	free(f);
	return 0;
}

static struct nvmux_ns *attach(struct fixture *f)
{
	assert_int_equal(nvmux_connect(f->nvmux, &trid, NULL, &f->ctrlr), 0);
	return nvmux_ctrlr_get_ns(f->ctrlr, 3);
}

/* ---- the log page ---- */

struct page {
	uint8_t buf[1024];
	size_t size;
};

static void page_init(struct page *page, uint16_t n_groups)
{
	struct nvme_ana_log header = {.chgcnt = cpu_to_le64(1), .ngrps = cpu_to_le16(n_groups)};

	memset(page, 0, sizeof(*page));
	memcpy(page->buf, &header, 16);
	page->size = 16;
}

static void page_group(struct page *page, uint32_t id, uint8_t ana_state, uint32_t n,
		       const uint32_t *nsids)
{
	struct nvme_ana_group_desc desc = {
		.grpid = cpu_to_le32(id),
		.nnsids = cpu_to_le32(n),
		.state = ana_state,
	};

	memcpy(page->buf + page->size, &desc, 32);
	page->size += 32;
	for (uint32_t i = 0; nsids && i < n; i++) {
		__le32 nsid = cpu_to_le32(nsids[i]);

		memcpy(page->buf + page->size, &nsid, 4);
		page->size += 4;
	}
}

/* From memory of the very size, so that a look beyond its end is seen. */
static int take(struct fixture *f, const struct page *page, size_t size)
{
	uint8_t *exact = malloc(size + !size);
	int err;

	memcpy(exact, page->buf, size);
	err = nvmux_ana_take_log(f->ctrlr, exact, size);
	free(exact);
	return err;
}

static void states_are(struct fixture *f, enum nvmux_ana_state s1, enum nvmux_ana_state s3,
		       enum nvmux_ana_state s5)
{
	assert_int_equal(nvmux_ns_get_ana_state(nvmux_ctrlr_get_ns(f->ctrlr, 1)), s1);
	assert_int_equal(nvmux_ns_get_ana_state(nvmux_ctrlr_get_ns(f->ctrlr, 3)), s3);
	assert_int_equal(nvmux_ns_get_ana_state(nvmux_ctrlr_get_ns(f->ctrlr, 5)), s5);
}

static void test_groups_without_lists(void **state)
{
	struct fixture *f = *state;
	struct nvmux_ns *ns = attach(f);
	struct page page;

	assert_true(nvmux_ana_supported(f->ctrlr));
	assert_int_equal(nvmux_ana_log_size(f->ctrlr), 16 + 32 * 32);
	assert_int_equal(nvmux_ns_get_ana_group_id(ns), 2);
	assert_int_equal(nvmux_ns_get_ana_group_id(nvmux_ctrlr_get_ns(f->ctrlr, 1)), 1);
	page_init(&page, 3);
	page_group(&page, 1, 1, 0, NULL);
	page_group(&page, 2, 3, 0, NULL);
	page_group(&page, 32, 15, 0, NULL);
	assert_int_equal(take(f, &page, page.size), 0);
	states_are(f, NVMUX_ANA_OPTIMIZED, NVMUX_ANA_INACCESSIBLE, NVMUX_ANA_OPTIMIZED);
	/* bytes behind the last group don't matter; reserved bits of the state neither */
	page_init(&page, 2);
	page_group(&page, 1, 0xf2, 0, NULL);
	page_group(&page, 2, 4, 0, NULL);
	assert_int_equal(take(f, &page, page.size + 100), 0);
	states_are(f, NVMUX_ANA_NON_OPTIMIZED, NVMUX_ANA_PERSISTENT_LOSS, NVMUX_ANA_NON_OPTIMIZED);
	/* a group that isn't reported any more */
	page_init(&page, 1);
	page_group(&page, 1, 15, 0, NULL);
	assert_int_equal(take(f, &page, page.size), 0);
	states_are(f, NVMUX_ANA_CHANGE, NVMUX_ANA_NONE, NVMUX_ANA_CHANGE);
}

static void test_groups_with_lists(void **state)
{
	static const uint32_t first[] = {1, 2, 4711}, second[] = {3, 5};
	struct fixture *f = *state;
	struct page page;

	attach(f);
	page_init(&page, 2);
	page_group(&page, 7, 1, 3, first);
	page_group(&page, 8, 2, 2, second);
	assert_int_equal(take(f, &page, page.size), 0);
	states_are(f, NVMUX_ANA_OPTIMIZED, NVMUX_ANA_NON_OPTIMIZED, NVMUX_ANA_NON_OPTIMIZED);
	assert_int_equal(nvmux_ns_get_ana_group_id(nvmux_ctrlr_get_ns(f->ctrlr, 5)), 8);
}

static void refused(struct fixture *f, const struct page *page, size_t size, const char *part)
{
	assert_int_equal(take(f, page, size), -EPROTO);
	if (!strstr(nvmux_error_text(f->nvmux), part))
		fail_msg("'%s' doesn't say '%s'", nvmux_error_text(f->nvmux), part);
	states_are(f, NVMUX_ANA_OPTIMIZED, NVMUX_ANA_OPTIMIZED, NVMUX_ANA_OPTIMIZED);
}

/* Nothing is taken of a page that is wrong at its end. */
static void test_pages_that_are_refused(void **state)
{
	static const uint32_t nsids[] = {1, 3, 5};
	static const uint8_t unknown[] = {0, 5, 6, 14, 0xf0};
	struct fixture *f = *state;
	struct page page;

	attach(f);
	page_init(&page, 1);
	page_group(&page, 1, 1, 3, nsids);
	assert_int_equal(take(f, &page, page.size), 0);
	for (size_t size = 0; size < 16; size++)
		refused(f, &page, size, "shorter than its header");
	for (size_t size = 16; size < 48; size++)
		refused(f, &page, size, "descriptor ends beyond");
	for (size_t size = 48; size < page.size; size++)
		refused(f, &page, size, "list of namespaces ends beyond");
	page_init(&page, 65535);
	page_group(&page, 1, 3, 0, NULL);
	refused(f, &page, page.size, "descriptor ends beyond");
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
		page_init(&page, 2);
		page_group(&page, 1, 3, 0, NULL);
		page_group(&page, 2, unknown[i], 0, NULL);
		refused(f, &page, page.size, "state is unknown");
	}
	page_init(&page, 1);
	page_group(&page, 0, 1, 0, NULL);
	refused(f, &page, page.size, "id is 0 or beyond");
	page_init(&page, 1);
	page_group(&page, 33, 1, 0, NULL);
	refused(f, &page, page.size, "id is 0 or beyond");
	/* lists whose length in bytes doesn't fit into 32 bits */
	page_init(&page, 1);
	page_group(&page, 1, 3, 0x40000000, NULL);
	refused(f, &page, page.size, "list of namespaces");
	page_init(&page, 1);
	page_group(&page, 1, 3, UINT32_MAX, NULL);
	refused(f, &page, page.size, "list of namespaces");
}

static void test_any_bytes(void **state)
{
	static const uint32_t nsids[] = {1, 3, 5};
	struct fixture *f = *state;
	uint64_t random = 1;
	struct page page;

	attach(f);
	for (int round = 0; round < 3000; round++) {
		page_init(&page, 3);
		page_group(&page, 1, 1, 0, NULL);
		page_group(&page, 2, 2, 3, nsids);
		page_group(&page, 3, 3, 1, nsids);
		for (int i = 0; i < round % 20; i++) {
			random = random * 6364136223846793005ull + 1442695040888963407ull;
			page.buf[(random >> 33) % page.size] = (uint8_t)(random >> 25);
		}
		take(f, &page, round % 2 ? page.size : (random >> 33) % (page.size + 1));
		for (uint32_t nsid = 1; nsid <= 5; nsid += 2) {
			struct nvmux_ns *ns = nvmux_ctrlr_get_ns(f->ctrlr, nsid);

			assert_true(ns->ana_state <= 4 || ns->ana_state == 15);
		}
	}
}

static void test_without_ana(void **state)
{
	struct fixture *f = *state;
	struct nvmux_ns *ns;

	ns3.cmic = 0x3;
	ns = attach(f);
	assert_false(nvmux_ana_supported(f->ctrlr));
	assert_int_equal(nvmux_ns_get_ana_group_id(ns), 0);
	assert_int_equal(nvmux_ns_get_ana_state(ns), NVMUX_ANA_NONE);
	/* sizes of the log are bounded, whatever it says */
	f->ctrlr->id.nanagrpid = cpu_to_le32(UINT32_MAX);
	assert_int_equal(nvmux_ana_log_size(f->ctrlr), 64 << 10);
	f->ctrlr->max_transfer = 4096;
	assert_int_equal(nvmux_ana_log_size(f->ctrlr), 4096);
}

static void test_names(void **state)
{
	assert_string_equal(nvmux_ana_state_string(NVMUX_ANA_NONE), "none");
	assert_string_equal(nvmux_ana_state_string(NVMUX_ANA_OPTIMIZED), "optimized");
	assert_string_equal(nvmux_ana_state_string(NVMUX_ANA_NON_OPTIMIZED), "non-optimized");
	assert_string_equal(nvmux_ana_state_string(NVMUX_ANA_INACCESSIBLE), "inaccessible");
	assert_string_equal(nvmux_ana_state_string(NVMUX_ANA_PERSISTENT_LOSS), "persistent-loss");
	assert_string_equal(nvmux_ana_state_string(NVMUX_ANA_CHANGE), "change");
	assert_string_equal(nvmux_ana_state_string((enum nvmux_ana_state)9), "none");
}

/* ---- namespaces at a second look ---- */

static bool look_again(struct fixture *f)
{
	struct nvmux_ns *ns = nvmux_ctrlr_get_ns(f->ctrlr, 1);

	assert_int_equal(nvmux_ctrlr_reset(f->ctrlr), 0);
	assert_ptr_equal(nvmux_ctrlr_get_ns(f->ctrlr, 1), ns);
	assert_false(ns->changed);
	ns = nvmux_ctrlr_get_ns(f->ctrlr, 3);
	return ns && ns->changed;
}

static void test_changes_are_seen(void **state)
{
	struct fixture *f = *state;
	struct nvmux_ns *ns;

	ns3.nguid[0] = 1;
	ns3.uuid[0] = 1;
	ns = attach(f);
	assert_false(ns->changed);
	assert_false(look_again(f));
	ns3.nguid[0] = 2;
	assert_true(look_again(f));
	assert_int_equal(nvmux_ns_get_nguid(ns)[0], 2);
	assert_false(look_again(f)); /* against the last look */
	ns3.eui64[7] = 1;
	assert_true(look_again(f));
	ns3.uuid[0] = 2;
	assert_true(look_again(f));
	assert_int_equal(nvmux_ns_get_uuid(ns)[0], 2);
	ns3.uuid[0] = 0; /* it has none any more */
	assert_true(look_again(f));
	assert_null(nvmux_ns_get_uuid(ns));
	ns3.lba_shift = 12;
	ns3.n_lbas = 1 << 20;
	assert_true(look_again(f));
	assert_int_equal(nvmux_ns_get_sector_size(ns), 4096);
	assert_int_equal(nvmux_ns_get_max_io_xfer_size(ns), 128 << 10);
	ns3.n_lbas--;
	assert_true(look_again(f));
	ns3.n_lbas += 100;
	assert_false(look_again(f)); /* grown: what was there is still there */
	assert_int_equal(nvmux_ns_get_num_sectors(ns), ns3.n_lbas);
	ns3.group = 9;
	assert_false(look_again(f));
	assert_int_equal(nvmux_ns_get_ana_group_id(ns), 9);
}

static void test_a_namespace_that_comes_back(void **state)
{
	struct fixture *f = *state;
	struct nvmux_ns *ns;

	ns3.nguid[0] = 1;
	ns = attach(f);
	ns3.gone = true;
	look_again(f);
	assert_null(nvmux_ctrlr_get_ns(f->ctrlr, 3));
	assert_int_equal(ns->n_lbas, 0);
	ns3.gone = false;
	assert_false(look_again(f));
	assert_ptr_equal(nvmux_ctrlr_get_ns(f->ctrlr, 3), ns);
	assert_int_equal(nvmux_ns_get_num_sectors(ns), 1 << 20);
	ns3.lba_shift = 17; /* a format that can't be used */
	look_again(f);
	assert_null(nvmux_ctrlr_get_ns(f->ctrlr, 3));
	ns3.lba_shift = 9;
	ns3.nguid[0] = 3;
	assert_true(look_again(f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_groups_without_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_groups_with_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pages_that_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_any_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_ana, setup, teardown),
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_changes_are_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_namespace_that_comes_back, setup, teardown),
	};

	return cmocka_run_group_tests_name("ana", tests, NULL, NULL);
}
