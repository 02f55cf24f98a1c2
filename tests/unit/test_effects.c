// SPDX-License-Identifier: BSD-3-Clause
/* What is done about commands that change something for others, by the log of effects. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "daemon/effects.h"
#include "fake_ctrlr.h"

#define VENDOR_NCC 0x81
#define VENDOR_CCC 0xe2
#define VENDOR     0x83

static struct nvmux_ctrlr *ctrlr;
static struct nvmux *nvmux;

static uint16_t log_page(struct nvmux_ctrlr *c, const struct nvmux_cmd *cmd, uint8_t *buf,
			 uint32_t len)
{
	__le32 *log = (__le32 *)(void *)buf;

	memset(buf, 0, len);
	if ((uint8_t)le32_to_cpu(cmd->cdw10) != NVME_LOG_LID_CMD_EFFECTS)
		return NVME_SC_INVALID_FIELD;
	log[nvme_admin_set_features] = log[nvme_admin_fw_commit] = log[0xc1] = log[0xc4] =
		log[256 + VENDOR_CCC] = cpu_to_le32(1 | NVMUX_EFFECT_CTRLR);
	log[256 + VENDOR_NCC] = cpu_to_le32(1 | NVMUX_EFFECT_NS_CAPABILITY);
	log[256 + VENDOR] = cpu_to_le32(1 | NVMUX_EFFECT_LBA_CONTENT);
	return 0;
}

static struct effects_plan plan(bool io, uint8_t opc)
{
	const struct nvmux_cmd cmd = {.opc = opc};
	struct effects_plan ret;

	effects_plan(ctrlr, io, &cmd, &ret);
	return ret;
}

/* A reset is never what undoes the command. */
static void changed_controller(void **state)
{
	(void)state;
	assert_true(plan(false, 0xc1).identify && plan(false, 0xc1).reset);
	assert_true(plan(false, 0xc1).hold && plan(false, 0xc1).look);
	assert_true(plan(false, nvme_admin_set_features).identify);
	assert_false(plan(false, nvme_admin_set_features).reset);
	assert_false(plan(false, nvme_admin_fw_commit).identify);
	assert_false(plan(false, nvme_admin_fw_commit).reset);
}

/* Of the eight commit actions, the one that activates an image without a reset. */
static void activated_firmware(void **state)
{
	struct effects_plan ret;

	(void)state;
	for (uint32_t action = 0; action < 8; action++) {
		const struct nvmux_cmd cmd = {.opc = nvme_admin_fw_commit,
					      .cdw10 = cpu_to_le32(action << 3 | 2)};

		effects_plan(ctrlr, false, &cmd, &ret);
		assert_int_equal(ret.identify, action == 3);
		assert_int_equal(ret.hold, action == 3);
	}
}

static void vendor_io(void **state)
{
	uint32_t bits[4];

	(void)state;
	assert_true(plan(true, VENDOR_NCC).hold && plan(true, VENDOR_NCC).look);
	assert_true(plan(true, VENDOR_CCC).identify);
	assert_false(plan(true, VENDOR).hold);
	effects_noticed(ctrlr, bits);
	assert_int_equal(bits[0], 1u << (VENDOR_NCC & 31));
	assert_int_equal(bits[1] | bits[2], 0);
	assert_int_equal(bits[3], 1u << (VENDOR_CCC & 31));
}

static void identify(struct nvmux_ctrlr *c, const struct nvmux_cmd *cmd, void *buf)
{
	struct nvme_id_ctrl *id = buf;
	struct nvme_id_ns *ns = buf;

	switch (le32_to_cpu(cmd->cdw10) & 0xff) {
	case NVME_IDENTIFY_CNS_CTRL: id->lpa = 1 << 1; break;
	case NVME_IDENTIFY_CNS_NS:
		ns->nsze = cpu_to_le64(1 << 20);
		ns->lbaf[0].ds = 9;
		break;
	default: break;
	}
}

static int setup(void **state)
{
	static const struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_LOOPBACK, .traddr = "fake"};
	struct nvmux_opts opts;

	(void)state;
	fake_reset();
	fake.identify = identify;
	fake.log_page = log_page;
	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = 64 << 20;
	assert_int_equal(nvmux_create(&opts, &nvmux), 0);
	assert_int_equal(nvmux_transport_register(nvmux, &fake_transport), 0);
	assert_int_equal(nvmux_connect(nvmux, &trid, NULL, &ctrlr), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	nvmux_destroy(nvmux);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changed_controller),
		cmocka_unit_test(activated_firmware),
		cmocka_unit_test(vendor_io),
	};

	return cmocka_run_group_tests_name("effects", tests, setup, teardown);
}
