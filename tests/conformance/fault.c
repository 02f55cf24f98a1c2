// SPDX-License-Identifier: BSD-3-Clause
/* Injected errors, time-outs, events, resets: what happens when something goes wrong. */
#include "conform.h"

#define INJECTED NVMUX_STATUS(2, 0x81) /* Unrecovered Read Error */

static int read_one(struct conform *c)
{
	return conform_read(c, c->b, c->base, 1);
}

static void test_injection(struct conform *c)
{
	struct nvmux_error_injection injection = {
		.opc = nvme_cmd_read, .count = 2, .status = INJECTED | NVMUX_STATUS_DNR};

	OK(c, nvmux_qpair_add_cmd_error_injection(c->ctrlr, c->qpair, &injection), "add");
	EXPECT(c, read_one(c), INJECTED, "the first, after it was executed");
	OK(c, IO(c, nvmux_ns_cmd_flush), "another opcode");
	EXPECT(c, read_one(c), INJECTED, "the second");
	OK(c, read_one(c), "the third");
	injection.do_not_submit = true;
	injection.count = UINT32_MAX;
	injection.delay_us = 1000;
	OK(c, nvmux_qpair_add_cmd_error_injection(c->ctrlr, c->qpair, &injection), "add again");
	for (uint32_t i = 0; i < 5; i++)
		EXPECT(c, read_one(c), INJECTED, "never sent");
	nvmux_qpair_remove_cmd_error_injection(c->ctrlr, c->qpair, nvme_cmd_read);
	OK(c, read_one(c), "once removed");
	CHECK(c, nvmux_qpair_get_num_outstanding(c->qpair) == 0, "commands are left");
}

static void test_admin_injection(struct conform *c)
{
	struct nvmux_error_injection injection = {.opc = nvme_admin_identify,
						  .do_not_submit = true,
						  .count = 1,
						  .status = NVME_SC_INTERNAL | NVMUX_STATUS_DNR};
	static uint8_t page[CONFORM_PAGE];

	OK(c, nvmux_qpair_add_cmd_error_injection(c->ctrlr, NULL, &injection), "add");
	EXPECT(c, ADMIN(c, nvmux_ctrlr_cmd_identify, NVME_IDENTIFY_CNS_CTRL, 0, 0, 0, 0, page),
	       NVME_SC_INTERNAL, "Identify");
	OK(c, ADMIN(c, nvmux_ctrlr_cmd_identify, NVME_IDENTIFY_CNS_CTRL, 0, 0, 0, 0, page),
	   "Identify again");
}

static void on_timeout(void *arg, struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
		       uint16_t cid)
{
	uint32_t *calls = arg;

	(void)ctrlr;
	(void)qpair;
	(void)cid;
	++*calls;
}

static void test_timeout(struct conform *c)
{
	uint32_t calls = 0;

	OK(c, nvmux_ctrlr_register_timeout_callback(c->ctrlr, 60000, 60000, on_timeout, &calls),
	   "register");
	for (uint32_t i = 0; i < 20; i++)
		OK(c, read_one(c), "read");
	CHECK(c, calls == 0, "%u time-outs of commands that were answered", calls);
	OK(c, nvmux_ctrlr_register_timeout_callback(c->ctrlr, 0, 0, NULL, NULL), "unregister");
}

static void test_strings(struct conform *c)
{
	struct nvmux_cmd cmd = {.opc = nvme_cmd_read, .nsid = htole32(7)};
	struct nvmux_cpl cpl = {.status = htole16(0x281 << 1)};
	char text[256];

	CHECK(c, strstr(nvmux_cmd_string(&cmd, false, text, sizeof(text)), "7"), "%s", text);
	CHECK(c, strlen(nvmux_cpl_string(&cpl, text, sizeof(text))) > 5, "%s", text);
	CHECK(c, strlen(nvmux_status_string(0x281)) > 5, "a status");
	CHECK(c, strlen(nvmux_status_type_string(0x281)) > 3, "a status type");
}

struct events {
	uint32_t calls;
	uint32_t dw0;
};

static void on_event(void *arg, const struct nvmux_cpl *cpl)
{
	struct events *events = arg;

	events->calls++;
	events->dw0 = le32toh(cpl->dw0);
}

/* A temperature threshold of 0 K is always exceeded. */
static void test_events(struct conform *c)
{
	struct events events = {0};
	uint32_t before;

	if (ADMIN(c, nvmux_ctrlr_cmd_get_feature, NVME_FEAT_FID_TEMP_THRESH, 0, 0, 0, NULL, 0))
		ABSENT(c, "no temperature threshold");
	before = c->wait.dw0 & 0xffff;
	nvmux_ctrlr_register_aer_callback(c->ctrlr, on_event, &events);
	OK(c,
	   ADMIN(c, nvmux_ctrlr_cmd_set_feature, NVME_FEAT_FID_TEMP_THRESH, false, 0, 1, 0, NULL,
		 0),
	   "a threshold that is exceeded");
	for (uint32_t i = 0; i < 100 && !events.calls; i++)
		conform_poll(c, 20);
	OK(c,
	   ADMIN(c, nvmux_ctrlr_cmd_set_feature, NVME_FEAT_FID_TEMP_THRESH, false, 0, before, 0,
		 NULL, 0),
	   "set it back");
	conform_poll(c, 50);
	nvmux_ctrlr_register_aer_callback(c->ctrlr, NULL, NULL);
	if (!events.calls && c->daemon)
		ABSENT(c, "events of the daemon's controllers come by RPC");
	if (!events.calls)
		ABSENT(c,
		       "the controller sends no event when the temperature passes its threshold");
	CHECK(c, (events.dw0 & 7) == 1, "type %u, expected SMART / Health", events.dw0 & 7);
	CHECK(c, (events.dw0 >> 16 & 0xff) == NVME_LOG_LID_SMART, "page %02xh",
	      events.dw0 >> 16 & 0xff);
}

static void test_qpair_reconnect(struct conform *c)
{
	int err = nvmux_qpair_disconnect(c->qpair);

	OK(c, err, "disconnect");
	CHECK(c, !nvmux_qpair_is_connected(c->qpair), "it is still connected");
	CHECK(c, nvmux_qpair_get_failure_reason(c->qpair) == NVMUX_QPAIR_FAILURE_LOCAL,
	      "the reason");
	CHECK(c, read_one(c) < 0, "a disconnected queue pair takes a command");
	OK(c, nvmux_qpair_reconnect(c->qpair), "reconnect");
	CHECK(c, nvmux_qpair_is_connected(c->qpair), "it isn't connected");
	OK(c, read_one(c), "read");
}

/* After a reset of any kind the same queue pair reads and writes the same data. */
static void still_works(struct conform *c)
{
	int err = -EAGAIN;

	for (uint32_t i = 0; i < 500 && (err == -EAGAIN || err == -ENXIO); i++) {
		conform_poll(c, 10);
		err = read_one(c);
	}
	OK(c, err, "read");
	if (c->destructive)
		OK(c, conform_holds(c, c->base, 4, c->base, 97), "the data is as it was");
}

static void before_reset(struct conform *c)
{
	if (!c->destructive)
		return;
	OK(c, conform_clean(c), "clean");
	OK(c, conform_put(c, c->base, 4, 97), "write");
}

static void test_reset(struct conform *c)
{
	struct conform_wait waits[8] = {0};

	before_reset(c);
	if (c->result != CONFORM_PASSED)
		return;
	OK(c, nvmux_ctrlr_reset(c->ctrlr), "reset");
	still_works(c);
	if (c->result != CONFORM_PASSED || c->md_separate)
		return;
	for (uint32_t i = 0; i < CONFORM_COUNT(waits); i++)
		OK(c,
		   nvmux_ns_cmd_read(c->ns, c->qpair, c->b, c->base, 1, 0, conform_done, &waits[i]),
		   "submission");
	OK(c, nvmux_ctrlr_reset(c->ctrlr), "reset with reads in flight");
	for (uint32_t i = 0; i < 500; i++)
		conform_poll(c, 0);
	for (uint32_t i = 0; i < CONFORM_COUNT(waits); i++)
		CHECK(c, waits[i].calls == 1, "%u callbacks of a read in flight", waits[i].calls);
	still_works(c);
}

static void test_reset_subsystem(struct conform *c)
{
	bool claimed = nvmux_ctrlr_get_regs_cap(c->ctrlr) >> 36 & 1; /* NSSRS */
	int got;

	before_reset(c);
	if (c->result != CONFORM_PASSED)
		return;
	got = nvmux_ctrlr_reset_subsystem(c->ctrlr);
	if (conform_offered(c, claimed, got, -1))
		still_works(c);
}

static void test_disconnect(struct conform *c)
{
	int err;

	before_reset(c);
	if (c->result != CONFORM_PASSED)
		return;
	err = nvmux_ctrlr_disconnect(c->ctrlr);
	if (c->daemon) {
		EXPECT(c, err, -EACCES, "disconnect through the daemon");
		ABSENT(c, "not through the daemon");
	}
	if (err == -EOPNOTSUPP && c->fabrics)
		ABSENT(c, "not over a fabric");
	OK(c, err, "disconnect");
	CHECK(c, read_one(c) < 0, "a disconnected controller takes a command");
	OK(c, nvmux_ctrlr_reconnect_start(c->ctrlr), "reconnect");
	do {
		conform_poll(c, 5);
		err = nvmux_ctrlr_reconnect_poll_async(c->ctrlr);
	} while (err == -EAGAIN);
	OK(c, err, "reconnect");
	still_works(c);
}

const struct conform_test conform_tests_fault[] = {
	{"error injection: I/O", test_injection, false, true},
	{"error injection: admin", test_admin_injection, false, true},
	{"register_timeout_callback", test_timeout, false, true},
	{"cmd_string, cpl_string", test_strings, false, true},
	{"register_aer_callback", test_events, true, true},
	{"qpair_disconnect, qpair_reconnect", test_qpair_reconnect, false, true},
	{"ctrlr_reset", test_reset, false, true},
	{"ctrlr_reset_subsystem", test_reset_subsystem, true, true},
	{"ctrlr_disconnect, reconnect", test_disconnect, false, true},
	{0},
};
