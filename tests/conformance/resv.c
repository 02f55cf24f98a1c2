// SPDX-License-Identifier: BSD-3-Clause
/* Reservations and I/O management. */
#include "conform.h"

#define KEY      0x1122334455667788ull
#define OTHER    0x99aabbccddeeff00ull
#define CONFLICT NVME_SC_RESERVATION_CONFLICT

static int report(struct conform *c, bool extended)
{
	memset(c->small, 0xa5, CONFORM_PAGE);
	return IO(c, nvmux_ns_cmd_reservation_report, c->small, CONFORM_PAGE, extended);
}

static uint16_t registrants(const struct conform *c)
{
	return (uint16_t)(c->small[5] | c->small[6] << 8); /* REGCTL */
}

static uint64_t reported_key(const struct conform *c, bool extended)
{
	uint64_t key;

	/* RKEY of the first registrant: 24 + 16, extended 64 + 8 */
	memcpy(&key, c->small + (extended ? 72 : 40), sizeof(key));
	return le64toh(key);
}

static int do_register(struct conform *c, uint64_t current, uint64_t new, bool ignore,
		       enum nvmux_resv_register_action action)
{
	struct nvmux_resv_keys keys = {.current = current, .other = new};

	return IO(c, nvmux_ns_cmd_reservation_register, &keys, ignore, action,
		  NVMUX_RESV_CPTPL_NO_CHANGE);
}

/* Whether reservations are there; leaves this host registered with KEY. */
static bool begin(struct conform *c)
{
	bool claimed = oncs(c) & NVME_CTRL_ONCS_RESERVATIONS;
	uint32_t cdw[6] = {0};
	int got, raw = -1;

	cdw[0] = NVMUX_RESV_REGISTER;
	got = do_register(c, 0, KEY, true, NVMUX_RESV_REGISTER);
	if (got == -EOPNOTSUPP) {
		memset(c->small, 0, 16);
		raw = conform_raw(c, nvme_cmd_resv_register, cdw, c->small, 16);
	}
	return conform_offered(c, claimed, got, raw);
}

static void end(struct conform *c)
{
	struct nvmux_resv_keys keys = {.current = KEY};

	IO(c, nvmux_ns_cmd_reservation_release, &keys, false, NVMUX_RESV_CLEAR, 0);
}

static void register_steps(struct conform *c)
{
	OK(c, report(c, true), "report");
	CHECK(c, registrants(c) == 1, "%u registrants", registrants(c));
	CHECK(c, reported_key(c, true) == KEY, "the key of the report");
	OK(c, do_register(c, KEY, OTHER, false, NVMUX_RESV_REPLACE), "replace");
	EXPECT(c, do_register(c, KEY, KEY, false, NVMUX_RESV_REPLACE), CONFLICT,
	       "replace with a wrong key");
	OK(c, do_register(c, OTHER, KEY, false, NVMUX_RESV_REPLACE), "replace it back");
	EXPECT(c, do_register(c, OTHER, 0, false, NVMUX_RESV_UNREGISTER), CONFLICT,
	       "unregister with a wrong key");
	OK(c, do_register(c, KEY, 0, false, NVMUX_RESV_UNREGISTER), "unregister");
	OK(c, report(c, true), "report");
	CHECK(c, registrants(c) == 0, "%u registrants once unregistered", registrants(c));
}

static void test_register(struct conform *c)
{
	if (!begin(c))
		return;
	register_steps(c);
	end(c);
}

static void acquire_steps(struct conform *c)
{
	struct nvmux_resv_keys keys = {.current = KEY}, wrong = {.current = OTHER};

	EXPECT(c,
	       IO(c, nvmux_ns_cmd_reservation_acquire, &wrong, false, NVMUX_RESV_ACQUIRE,
		  NVMUX_RESV_WRITE_EXCLUSIVE),
	       CONFLICT, "acquire with a wrong key");
	for (int type = NVMUX_RESV_WRITE_EXCLUSIVE; type <= NVMUX_RESV_EXCLUSIVE_ACCESS_ALL_REGS;
	     type++) {
		OK(c,
		   IO(c, nvmux_ns_cmd_reservation_acquire, &keys, false, NVMUX_RESV_ACQUIRE,
		      (enum nvmux_resv_type)type),
		   "acquire");
		OK(c, report(c, true), "report");
		CHECK(c, c->small[4] == type, "type %u is reported, it was %d", c->small[4], type);
		if (!c->zoned)
			OK(c, conform_put(c, c->base, 1, 70), "the holder writes");
		OK(c,
		   IO(c, nvmux_ns_cmd_reservation_release, &keys, false, NVMUX_RESV_RELEASE,
		      (enum nvmux_resv_type)type),
		   "release");
	}
	OK(c, report(c, true), "report");
	CHECK(c, c->small[4] == 0, "type %u once released", c->small[4]);
}

static void test_acquire(struct conform *c)
{
	if (!begin(c))
		return;
	acquire_steps(c);
	end(c);
}

static void release_steps(struct conform *c)
{
	struct nvmux_resv_keys keys = {.current = KEY}, wrong = {.current = OTHER};

	OK(c,
	   IO(c, nvmux_ns_cmd_reservation_acquire, &keys, false, NVMUX_RESV_ACQUIRE,
	      NVMUX_RESV_EXCLUSIVE_ACCESS),
	   "acquire");
	EXPECT(c,
	       IO(c, nvmux_ns_cmd_reservation_release, &wrong, false, NVMUX_RESV_RELEASE,
		  NVMUX_RESV_EXCLUSIVE_ACCESS),
	       CONFLICT, "release with a wrong key");
	EXPECT(c,
	       IO(c, nvmux_ns_cmd_reservation_release, &keys, false, NVMUX_RESV_RELEASE,
		  NVMUX_RESV_WRITE_EXCLUSIVE),
	       NVME_SC_INVALID_FIELD, "release of another type");
	OK(c, IO(c, nvmux_ns_cmd_reservation_release, &keys, false, NVMUX_RESV_CLEAR, 0), "clear");
	OK(c, report(c, true), "report");
	CHECK(c, registrants(c) == 0 && c->small[4] == 0, "what is left once cleared");
}

static void test_release(struct conform *c)
{
	if (!begin(c))
		return;
	release_steps(c);
	end(c);
}

static void test_report(struct conform *c)
{
	bool claimed = oncs(c) & NVME_CTRL_ONCS_RESERVATIONS;
	uint32_t cdw[6] = {CONFORM_PAGE / 4 - 1, 1};
	int got = report(c, true), raw = -1;

	if (got == -EOPNOTSUPP)
		raw = conform_raw(c, nvme_cmd_resv_report, cdw, c->small, CONFORM_PAGE);
	if (!conform_offered(c, claimed, got, raw))
		return;
	got = report(c, false);
	/* A host with an identifier of 128 bits must ask for the extended structure. */
	CHECK(c, got == 0 || got == 0x018, "the structure of 64-bit identifiers: %x", got);
	EXPECT(c, IO(c, nvmux_ns_cmd_reservation_report, c->small, 6, true), -EINVAL,
	       "a length that isn't a multiple of 4");
}

static void test_io_mgmt(struct conform *c)
{
	uint32_t ctratt = le32toh(c->id->ctratt);
	bool claimed = ctratt & 1u << 19; /* FDPS */
	int got = IO(c, nvmux_ns_cmd_io_mgmt_recv, c->small, CONFORM_PAGE, 1, 0);

	if (got != -EOPNOTSUPP && got != NVME_SC_INVALID_OPCODE && got > 0 && !claimed)
		ABSENT(c, "refused with %s", nvmux_status_string((uint16_t)got));
	if (!conform_offered(c, claimed, got, -1))
		return;
	got = IO(c, nvmux_ns_cmd_io_mgmt_recv, c->small, CONFORM_PAGE, 0xff, 0);
	EXPECT(c, got, NVME_SC_INVALID_FIELD, "an operation that isn't there");
}

static void test_io_mgmt_send(struct conform *c)
{
	bool claimed = le32toh(c->id->ctratt) & 1u << 19;
	int got;

	memset(c->small, 0, CONFORM_PAGE);
	got = IO(c, nvmux_ns_cmd_io_mgmt_send, c->small, 2 * 2, 1, 1);
	if (got != -EOPNOTSUPP && got != NVME_SC_INVALID_OPCODE && got > 0 && !claimed)
		ABSENT(c, "refused with %s", nvmux_status_string((uint16_t)got));
	conform_offered(c, claimed, got, -1);
}

const struct conform_test conform_tests_resv[] = {
	{"reservation_register", test_register, true, false},
	{"reservation_acquire", test_acquire, true, false},
	{"reservation_release", test_release, true, false},
	{"reservation_report", test_report, false, true},
	{"io_mgmt_recv", test_io_mgmt, false, true},
	{"io_mgmt_send", test_io_mgmt_send, true, true},
	{0},
};
