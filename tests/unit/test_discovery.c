// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reading discovery logs and following referrals, with services that change, lie, fail, and refer
 * to each other in circles.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "discovery_page.h"
#include "fake_ctrlr.h"
#include "libcore/discovery_log.h"

#define SERVICES 80
#define STEPS    17 /* operations of connecting and reading a log that fits into one piece */

/* One that a fake controller plays; which one its address says. */
struct service {
	char traddr[32];
	uint64_t genctr;
	uint64_t numrec; /* as it claims */
	uint16_t recfmt;
	uint32_t n; /* records that are there */
	struct nvmf_disc_log_entry *records;
	uint32_t changes; /* this many reads of the header are each followed by a change */
	uint32_t fail_at; /* the command that fails, 1: the first */
	int open_error;
	/* counts */
	uint32_t opened, commands, headers, released;
};

static struct service services[SERVICES];
static uint32_t n_services;

static struct service *service(const char *traddr)
{
	for (uint32_t i = 0; i < n_services; i++) {
		if (!strcmp(services[i].traddr, traddr))
			return &services[i];
	}
	fail_msg("nobody is at '%s'", traddr);
	return NULL;
}

static struct service *new_service(const char *traddr)
{
	struct service *s = &services[n_services++];

	assert_true(n_services <= SERVICES);
	*s = (struct service){.genctr = 40 + n_services};
	strcpy(s->traddr, traddr);
	return s;
}

static void add(struct service *s, uint8_t subtype, const char *traddr, const char *nqn)
{
	s->records = realloc(s->records, (s->n + 1) * sizeof(*s->records));
	s->records[s->n++] = page_record(subtype, traddr, "4420", nqn);
	s->numrec = s->n;
}

static void refer(struct service *s, const char *traddr)
{
	add(s, NVME_NQN_DISC, traddr, NVMUX_DISCOVERY_NQN);
}

static uint16_t log_page(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, uint8_t *buf,
			 uint32_t len)
{
	struct service *s = service(ctrlr->trid.traddr);
	uint32_t cdw10 = le32_to_cpu(cmd->cdw10), offset = le32_to_cpu(cmd->cdw12);
	size_t size = DISCOVERY_HEADER_SIZE + (size_t)s->n * DISCOVERY_RECORD_SIZE;
	uint8_t header[DISCOVERY_HEADER_SIZE];

	assert_int_equal(cdw10 & 0xff, 0x70);
	assert_int_equal(((cdw10 >> 16) + 1) * 4, len);
	assert_int_equal(cmd->cdw11, 0);
	assert_int_equal(cmd->cdw13, 0);
	assert_true(len <= 4096 && offset % 4 == 0);
	memset(buf, 0, len);
	if (!offset) {
		assert_true(len <= DISCOVERY_HEADER_SIZE);
		page_header(header, s->genctr, s->numrec, s->recfmt);
		memcpy(buf, header, len);
	} else {
		/* never more than the log said it has */
		assert_true(offset >= DISCOVERY_HEADER_SIZE);
		assert_true(offset + len <= DISCOVERY_HEADER_SIZE + s->numrec * 1024);
		if (offset < size)
			memcpy(buf, (uint8_t *)s->records + offset - DISCOVERY_HEADER_SIZE,
			       MIN(len, size - offset));
	}
	s->commands++;
	s->headers += !offset;
	s->released += !(cdw10 >> 15 & 1);
	if (!offset && s->changes) {
		s->changes--;
		s->genctr++;
	}
	return s->commands == s->fail_at ? NVME_SC_INTERNAL : 0;
}

static int open_error(struct nvmux_ctrlr *ctrlr)
{
	struct service *s = service(ctrlr->trid.traddr);

	s->opened++;
	assert_string_equal(ctrlr->trid.subnqn, NVMUX_DISCOVERY_NQN);
	assert_int_equal(ctrlr->opts.keep_alive_timeout_ms, 0);
	return s->open_error;
}

struct fixture {
	struct nvmux_transport transport;
	struct nvmux *nvmux;
	char log[16384];
	struct nvmux_trid trid;
	struct nvmux_discovery_log *found;
	/* of asynchronous calls */
	unsigned calls;
	int err;
};

static void log_line(void *arg, enum nvmux_log_level level, const char *module, const char *text)
{
	struct fixture *f = arg;
	size_t n = strlen(f->log);

	if (level <= NVMUX_LOG_WARNING)
		snprintf(f->log + n, sizeof(f->log) - n, "%s\n", text);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct nvmux_opts opts;

	fake_reset();
	fake.log_page = log_page;
	fake.open_error = open_error;
	n_services = 0;
	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = 64 << 20;
	opts.log = log_line;
	opts.log_arg = f;
	assert_int_equal(nvmux_create(&opts, &f->nvmux), 0);
	f->transport = fake_transport;
	f->transport.trtype = NVMUX_TRTYPE_RDMA;
	f->nvmux->transports[NVMUX_TRTYPE_RDMA] = &f->transport;
	f->trid.trtype = NVMUX_TRTYPE_RDMA;
	strcpy(f->trid.traddr, "10.0.0.1");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; f->nvmux && i < NVMUX_CTRLRS_MAX; i++)
		assert_null(f->nvmux->ctrlrs[i]);
	assert_int_equal(fake.opened, fake.closed);
	nvmux_destroy(f->nvmux);
	for (uint32_t i = 0; i < n_services; i++)
		free(services[i].records);
	free(f->found);
	free(f);
	return 0;
}

static int discover(struct fixture *f)
{
	free(f->found);
	f->found = NULL;
	return nvmux_discover(f->nvmux, &f->trid, NULL, &f->found);
}

static void test_one_service(void **state)
{
	struct fixture *f = *state;
	struct service *s = new_service("10.0.0.1");

	for (int i = 0; i < 10; i++) {
		char nqn[32];

		snprintf(nqn, sizeof(nqn), "nqn.x:%d", i);
		add(s, NVME_NQN_NVME, "10.0.0.1", nqn);
	}
	for (int inline_answers = 0; inline_answers < 2; inline_answers++) {
		fake.inline_answers = inline_answers;
		s->commands = s->headers = s->released = 0;
		assert_int_equal(discover(f), 0);
		assert_int_equal(f->found->genctr, 41);
		assert_int_equal(f->found->n, 10);
		for (uint32_t i = 0; i < 10; i++) {
			assert_int_equal(f->found->entries[i].trid.subnqn[6], '0' + i);
			assert_int_equal(f->found->entries[i].depth, 0);
		}
		/* header, 4 + 4 + 2 records, header */
		assert_int_equal(s->commands, 5);
		assert_int_equal(s->headers, 2);
		assert_int_equal(s->released, 1);
		assert_string_equal(f->log, "");
	}
}

static void test_an_empty_log(void **state)
{
	struct fixture *f = *state;

	new_service("10.0.0.1");
	assert_int_equal(discover(f), 0);
	assert_int_equal(f->found->n, 0);
}

static void test_changes_while_it_is_read(void **state)
{
	struct fixture *f = *state;
	struct service *s = new_service("10.0.0.1");

	add(s, NVME_NQN_NVME, "10.0.0.1", "nqn.x");
	s->changes = 3; /* two rounds are in vain: one read at each end, and one at the beginning */
	assert_int_equal(discover(f), 0);
	assert_int_equal(f->found->genctr, 44);
	assert_int_equal(f->found->n, 1);
	assert_int_equal(s->headers, 6);
	s->changes = UINT32_MAX;
	s->headers = 0;
	assert_int_equal(discover(f), -EAGAIN);
	assert_string_equal(nvmux_error_text(f->nvmux),
			    "10.0.0.1: discovery log page: it changed while it was read, 8 times");
	assert_int_equal(s->headers, 16);
}

static void test_headers_that_lie(void **state)
{
	struct fixture *f = *state;
	struct service *s = new_service("10.0.0.1");

	add(s, NVME_NQN_NVME, "10.0.0.1", "nqn.x");
	/* more records than there are: the rest is zeroes, and left out */
	s->numrec = 7;
	assert_int_equal(discover(f), 0);
	assert_int_equal(f->found->n, 1);
	assert_string_equal(f->log, "10.0.0.1: 6 of 7 records are left out: record 1: its subtype "
				    "is unknown\n");
	s->numrec = 4096;
	assert_int_equal(discover(f), 0);
	assert_int_equal(f->found->n, 1);
	s->numrec = UINT64_MAX;
	s->commands = 0;
	assert_int_equal(discover(f), -EPROTO);
	assert_string_equal(nvmux_error_text(f->nvmux),
			    "10.0.0.1: discovery log page: NUMREC is 18446744073709551615; at "
			    "most 4096 records are taken");
	assert_int_equal(s->commands, 1);
	s->numrec = 1;
	s->recfmt = 2;
	assert_int_equal(discover(f), -EOPNOTSUPP);
	assert_non_null(strstr(nvmux_error_text(f->nvmux), "RECFMT is 2"));
	/* fewer than there are */
	s->recfmt = 0;
	s->numrec = 0;
	assert_int_equal(discover(f), 0);
	assert_int_equal(f->found->n, 0);
}

/* Each command fails in turn: an error that names it, nothing left. */
static void test_every_command_fails(void **state)
{
	struct fixture *f = *state;
	struct service *s = new_service("10.0.0.1");

	for (int i = 0; i < 5; i++)
		add(s, NVME_NQN_NVME, "10.0.0.1", "nqn.x");
	for (s->fail_at = 1; s->fail_at <= 4; s->fail_at++) {
		s->commands = 0;
		assert_int_equal(discover(f), -EIO);
		assert_non_null(strstr(nvmux_error_text(f->nvmux), "10.0.0.1: Get Log Page"));
		assert_int_equal(fake.opened, fake.closed);
	}
	s->commands = 0;
	assert_int_equal(discover(f), 0);
	s->open_error = -EHOSTUNREACH;
	assert_int_equal(discover(f), -EHOSTUNREACH);
	assert_string_equal(nvmux_error_text(f->nvmux), "fake failure to open");
}

static void test_referrals(void **state)
{
	struct fixture *f = *state;
	struct service *a = new_service("10.0.0.1"), *b = new_service("10.0.0.2");
	struct service *c = new_service("fe80::3");

	add(a, NVME_NQN_CURR, "10.0.0.1", NVMUX_DISCOVERY_NQN);
	refer(a, "10.0.0.2");
	refer(a, "10.0.0.1"); /* to itself */
	add(a, NVME_NQN_NVME, "10.0.0.1", "nqn.a");
	refer(b, "10.0.0.1"); /* back */
	refer(b, "fe80::3");
	add(b, NVME_NQN_NVME, "10.0.0.2", "nqn.b");
	add(b, NVME_NQN_NVME, "10.0.0.1", "nqn.a"); /* known already */
	refer(c, "fe80:0::0:3");                    /* itself, written otherwise */
	refer(c, "10.0.0.2");
	add(c, NVME_NQN_NVME, "fe80::3", "nqn.c");
	assert_int_equal(discover(f), 0);
	assert_int_equal(a->opened, 1);
	assert_int_equal(b->opened, 1);
	assert_int_equal(c->opened, 1);
	assert_int_equal(f->found->genctr, 41);
	/* a: current, b, a, nqn.a; b: c, nqn.b; c: nqn.c */
	assert_int_equal(f->found->n, 7);
	assert_string_equal(f->found->entries[3].trid.subnqn, "nqn.a");
	assert_int_equal(f->found->entries[3].depth, 0);
	assert_string_equal(f->found->entries[5].trid.subnqn, "nqn.b");
	assert_int_equal(f->found->entries[5].depth, 1);
	assert_string_equal(f->found->entries[6].trid.subnqn, "nqn.c");
	assert_int_equal(f->found->entries[6].depth, 2);
	assert_string_equal(f->log, "");
}

/* A service that can't be reached, or answers nonsense, is left out; the others stay. */
static void test_referrals_that_fail(void **state)
{
	struct fixture *f = *state;
	struct service *a = new_service("10.0.0.1"), *b = new_service("10.0.0.2");
	struct service *c = new_service("10.0.0.3"), *d = new_service("10.0.0.4");

	refer(a, "10.0.0.2");
	refer(a, "10.0.0.3");
	refer(a, "10.0.0.4");
	b->open_error = -ECONNREFUSED;
	c->numrec = 1 << 20;
	add(d, NVME_NQN_NVME, "10.0.0.4", "nqn.d");
	for (int inline_answers = 0; inline_answers < 2; inline_answers++) {
		fake.inline_answers = inline_answers;
		f->log[0] = '\0';
		assert_int_equal(discover(f), 0);
		assert_int_equal(f->found->n, 4);
		assert_string_equal(f->found->entries[3].trid.subnqn, "nqn.d");
		assert_non_null(strstr(f->log, "the discovery service at 10.0.0.2 is left out: "
					       "fake failure to open"));
		assert_non_null(strstr(f->log, "the discovery service at 10.0.0.3 is left out: "
					       "10.0.0.3: discovery log page: NUMREC"));
		assert_null(strstr(f->log, "10.0.0.4"));
	}
	/* another transport */
	a->records[0].trtype = NVMF_TRTYPE_TCP;
	assert_int_equal(discover(f), 0);
	assert_int_equal(b->opened, 2);
	assert_non_null(strstr(f->log, "this build doesn't have its transport"));
}

static void test_long_chains_and_many_services(void **state)
{
	struct fixture *f = *state;
	char traddr[32];

	for (int i = 1; i <= 12; i++) {
		snprintf(traddr, sizeof(traddr), "10.0.0.%d", i);
		new_service(traddr);
		snprintf(traddr, sizeof(traddr), "10.0.0.%d", i + 1);
		refer(&services[i - 1], traddr);
	}
	assert_int_equal(discover(f), 0);
	for (int i = 0; i < 12; i++)
		assert_int_equal(services[i].opened, i <= 8);
	assert_int_equal(f->found->n, 9);
	assert_int_equal(f->found->entries[8].depth, 8);
	assert_non_null(strstr(f->log, "10.0.0.10 is left out: it is more than 8 referrals"));
	for (int i = 1; i <= 68; i++) {
		snprintf(traddr, sizeof(traddr), "10.0.1.%d", i);
		new_service(traddr);
		refer(&services[0], traddr);
	}
	assert_int_equal(discover(f), 0);
	assert_int_equal(services[12 + 61].opened, 1);
	assert_int_equal(services[12 + 62].opened, 0);
	assert_non_null(strstr(f->log, "there are more than 64 services"));
}

static void test_no_more_records_than_are_good(void **state)
{
	struct fixture *f = *state;
	char nqn[32], traddr[32];

	for (int i = 1; i <= 3; i++) {
		struct service *s;

		snprintf(traddr, sizeof(traddr), "10.0.0.%d", i);
		s = new_service(traddr);
		snprintf(traddr, sizeof(traddr), "10.0.0.%d", i + 1);
		if (i < 3)
			refer(s, traddr);
		while (s->n < 4096) {
			snprintf(nqn, sizeof(nqn), "nqn.%d.%u", i, 4096 - s->n);
			add(s, NVME_NQN_NVME, "10.0.0.1", nqn);
		}
	}
	assert_int_equal(discover(f), 0);
	assert_int_equal(f->found->n, 8192);
	assert_string_equal(f->log, "more than 8192 records: the others are left out\n");
}

static void test_addresses_that_are_refused(void **state)
{
	struct fixture *f = *state;
	struct nvmux_ctrlr_opts opts;

	strcpy(f->trid.traddr, "");
	assert_int_equal(discover(f), -EINVAL);
	assert_non_null(strstr(nvmux_error_text(f->nvmux), "traddr is missing"));
	strcpy(f->trid.traddr, "target");
	assert_int_equal(discover(f), -EINVAL);
	assert_non_null(strstr(nvmux_error_text(f->nvmux), "'target'"));
	f->trid.trtype = NVMUX_TRTYPE_PCIE;
	assert_int_equal(discover(f), -EINVAL);
	assert_string_equal(nvmux_error_text(f->nvmux),
			    "trtype is PCIE; discovery services are reached by RDMA");
	f->trid.trtype = NVMUX_TRTYPE_RDMA;
	strcpy(f->trid.traddr, "10.0.0.1");
	opts.size = 1;
	assert_int_equal(nvmux_discover(f->nvmux, &f->trid, &opts, &f->found), -EINVAL);
	f->nvmux->transports[NVMUX_TRTYPE_RDMA] = NULL;
	assert_int_equal(discover(f), -EPROTONOSUPPORT);
}

static void attached_log(void *arg, const struct nvmux_discovery_log *log, int err)
{
	struct fixture *f = arg;

	f->calls++;
	f->err = err;
	assert_int_equal(!err, log != NULL);
	if (log)
		assert_int_equal(log->n, 2);
}

/* A controller that stays attached; only one of a discovery service has a log. */
static void test_an_attached_controller(void **state)
{
	struct fixture *f = *state;
	struct service *a = new_service("10.0.0.1");
	struct nvmux_ctrlr_opts opts;
	struct nvmux_ctrlr *ctrlr;

	refer(a, "10.0.0.2"); /* nobody is there, and nobody asks */
	add(a, NVME_NQN_NVME, "10.0.0.1", "nqn.x");
	strcpy(f->trid.subnqn, NVMUX_DISCOVERY_NQN);
	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	opts.keep_alive_timeout_ms = 0;
	assert_int_equal(nvmux_connect(f->nvmux, &f->trid, &opts, &ctrlr), 0);
	assert_int_equal(nvmux_ctrlr_get_discovery_log_async(ctrlr, attached_log, f), 0);
	assert_int_equal(f->calls, 0);
	while (!f->calls)
		nvmux_process(f->nvmux);
	assert_int_equal(f->err, 0);
	/* lost while it is being read */
	assert_int_equal(nvmux_ctrlr_get_discovery_log_async(ctrlr, attached_log, f), 0);
	nvmux_ctrlr_fail(ctrlr);
	assert_int_equal(f->calls, 2);
	assert_int_equal(f->err, -EIO);
	assert_int_equal(nvmux_ctrlr_get_discovery_log_async(ctrlr, attached_log, f), -ENXIO);
	assert_int_equal(nvmux_detach(ctrlr), 0);
	/* detached while it is being read */
	assert_int_equal(nvmux_connect(f->nvmux, &f->trid, &opts, &ctrlr), 0);
	assert_int_equal(nvmux_ctrlr_get_discovery_log_async(ctrlr, attached_log, f), 0);
	assert_int_equal(nvmux_detach(ctrlr), 0);
	assert_int_equal(f->calls, 3);
	/* not one of discovery */
	fake.open_error = NULL;
	strcpy(f->trid.subnqn, "nqn.x");
	assert_int_equal(nvmux_connect(f->nvmux, &f->trid, &opts, &ctrlr), 0);
	assert_int_equal(nvmux_ctrlr_get_discovery_log_async(ctrlr, attached_log, f), -EINVAL);
	assert_string_equal(nvmux_error_text(f->nvmux),
			    "10.0.0.1: nqn.x isn't a discovery service");
	assert_int_equal(nvmux_detach(ctrlr), 0);
}

static void ended(void *arg, const struct nvmux_discovery_log *log, int err)
{
	struct fixture *f = arg;

	f->calls++;
	f->err = err;
	assert_int_equal(!err, log != NULL);
}

static const struct service *hangs; /* whose operation number fault_at isn't answered */

static int hang_one(struct nvmux_ctrlr *ctrlr)
{
	fake.fault = service(ctrlr->trid.traddr) == hangs ? FAKE_HANG : FAKE_OK;
	return 0;
}

/* The context ends while an operation of one of two services is waited for: told once, nothing
 * left. Return: whether it was. */
static bool end_at(void **state, int which, uint32_t at)
{
	struct service *a, *b;
	struct fixture *f;

	setup(state);
	f = *state;
	a = new_service("10.0.0.1");
	b = new_service("10.0.0.2");
	refer(a, "10.0.0.2");
	add(b, NVME_NQN_NVME, "10.0.0.2", "nqn.b");
	hangs = which ? b : a;
	fake.open_error = hang_one;
	fake.fault_at = at;
	assert_int_equal(nvmux_discover_async(f->nvmux, &f->trid, NULL, ended, f), 0);
	for (int i = 0; i < 100 && !f->calls; i++)
		nvmux_process(f->nvmux);
	a = f->calls ? NULL : a;
	nvmux_destroy(f->nvmux);
	f->nvmux = NULL;
	assert_int_equal(f->calls, 1);
	assert_int_equal(f->err, a ? -ECANCELED : 0);
	teardown(state);
	return a;
}

static void test_the_context_ends_at_every_step(void **state)
{
	/* Up to the shutdown, for which a controller has 10 s; the second is creation of a queue,
	 * which always answers here. */
	for (int which = 0; which < 2; which++) {
		for (uint32_t at = 0; at < STEPS; at++)
			assert_int_equal(end_at(state, which, at), at != 1);
	}
}

/* Every operation of the first service fails or isn't answered. */
static void test_fault_at_every_step(void **state)
{
	struct fixture *f = *state;
	struct service *a = new_service("10.0.0.1");
	struct nvmux_ctrlr_opts opts;

	add(a, NVME_NQN_NVME, "10.0.0.1", "nqn.x");
	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	opts.admin_timeout_ms = 20;
	for (int hang = 0; hang < 2; hang++) {
		for (uint32_t at = 0; at < STEPS; at++) {
			if (hang && at == 1)
				continue;
			fake.fault = hang ? FAKE_HANG : FAKE_ERROR;
			fake.fault_at = at;
			assert_true(nvmux_discover(f->nvmux, &f->trid, &opts, &f->found) < 0);
			assert_null(f->found);
			assert_string_not_equal(nvmux_error_text(f->nvmux), "");
			assert_int_equal(fake.opened, fake.closed);
		}
	}
	/* how it parts from the service is of no interest */
	fake.fault = FAKE_ERROR;
	fake.fault_at = STEPS;
	assert_int_equal(discover(f), 0);
	assert_int_equal(f->found->n, 1);
}

struct probed {
	unsigned n, ends;
	int err;
	struct nvmux_trid trids[8];
};

static void found(void *arg, const struct nvmux_trid *trid)
{
	struct probed *p = arg;

	assert_int_equal(p->ends, 0);
	p->trids[p->n++] = *trid;
}

static void probe_end(void *arg, int err, uint64_t value)
{
	struct probed *p = arg;

	p->ends++;
	p->err = err;
}

static void test_enumeration(void **state)
{
	struct fixture *f = *state;
	struct service *a = new_service("10.0.0.1"), *b = new_service("10.0.0.2");
	struct probed p = {0};

	add(a, NVME_NQN_CURR, "10.0.0.1", NVMUX_DISCOVERY_NQN);
	add(a, NVME_NQN_NVME, "10.0.0.1", "nqn.a");
	add(a, NVME_NQN_NVME, "10.0.0.1", "nqn.tcp");
	a->records[2].trtype = NVMF_TRTYPE_TCP;
	refer(a, "10.0.0.2");
	add(b, NVME_NQN_NVME, "fe80::2", "nqn.b");
	strcpy(f->trid.host_traddr, "10.0.0.77");
	strcpy(f->trid.host_iface, "eth7");
	nvmux_discovery_enumerate(f->nvmux, &f->trid, found, probe_end, &p);
	while (!p.ends)
		nvmux_process(f->nvmux);
	assert_int_equal(p.err, 0);
	assert_int_equal(p.n, 2);
	assert_string_equal(p.trids[0].subnqn, "nqn.a");
	assert_string_equal(p.trids[0].host_traddr, "10.0.0.77");
	assert_string_equal(p.trids[0].host_iface, "eth7");
	assert_string_equal(p.trids[1].subnqn, "nqn.b");
	assert_string_equal(p.trids[1].host_traddr, ""); /* of another family */
	assert_string_equal(p.trids[1].host_iface, "eth7");
	/* a subsystem is itself */
	strcpy(f->trid.subnqn, "nqn.z");
	p = (struct probed){0};
	nvmux_discovery_enumerate(f->nvmux, &f->trid, found, probe_end, &p);
	assert_int_equal(p.ends, 1);
	assert_int_equal(p.n, 1);
	assert_memory_equal(&p.trids[0], &f->trid, sizeof(f->trid));
	/* failures, at once and later */
	strcpy(f->trid.subnqn, "");
	a->open_error = -ECONNREFUSED;
	p = (struct probed){0};
	nvmux_discovery_enumerate(f->nvmux, &f->trid, found, probe_end, &p);
	while (!p.ends)
		nvmux_process(f->nvmux);
	assert_int_equal(p.err, -ECONNREFUSED);
	strcpy(f->trid.traddr, "");
	p = (struct probed){0};
	nvmux_discovery_enumerate(f->nvmux, &f->trid, found, probe_end, &p);
	assert_int_equal(p.ends, 1);
	assert_int_equal(p.err, -EINVAL);
	assert_int_equal(p.n, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_service),
		TEST(test_an_empty_log),
		TEST(test_changes_while_it_is_read),
		TEST(test_headers_that_lie),
		TEST(test_every_command_fails),
		TEST(test_referrals),
		TEST(test_referrals_that_fail),
		TEST(test_long_chains_and_many_services),
		TEST(test_no_more_records_than_are_good),
		TEST(test_addresses_that_are_refused),
		TEST(test_an_attached_controller),
		cmocka_unit_test(test_the_context_ends_at_every_step),
		TEST(test_fault_at_every_step),
		TEST(test_enumeration),
	};

	return cmocka_run_group_tests_name("discovery", tests, NULL, NULL);
}
