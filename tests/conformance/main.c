// SPDX-License-Identifier: BSD-3-Clause
/*
 * nvmux-conformance: every command of the interface on one namespace of one controller.
 *
 * Happy path: attach what the transport id names, in this process or through the daemon, make a
 * queue pair and a region, run the tests one after the other, print TAP, and with --out write what
 * each one found as JSON, from which scripts/conformance-doc makes the table of
 * docs/conformance.md.
 *
 * Failure modes: a test that fails ends, the next one runs. A command that isn't answered within
 * half a minute, and a controller that has failed, end the run: its queue pair can't be trusted any
 * more, and the tests left count as failed.
 */
#include <getopt.h>
#include <stdio.h>
#include "conform.h"

static const struct conform_test *const groups[] = {
	conform_tests_data, conform_tests_vector, conform_tests_blocks,
	conform_tests_pi,   conform_tests_zns,    conform_tests_resv,
	conform_tests_raw,  conform_tests_admin,  conform_tests_fault,
};

struct options {
	struct nvmux_trid trid;
	const char *peer;
	const char *out;
	const char *only;
	uint32_t nsid;
	uint32_t ack_timeout;
	bool destructive;
	bool verbose;
};

static const char usage[] =
	"usage: nvmux-conformance --peer NAME [OPTION…] TRANSPORT-ID\n"
	"\n"
	"Runs every command of libnvmux on one namespace; TAP on standard output.\n"
	"\n"
	"  --peer NAME      what the results are called\n"
	"  --out FILE       results as JSON\n"
	"  --nsid N         namespace (default: the first active one)\n"
	"  --destructive    also what writes; the namespace's data is lost\n"
	"  --only TEXT      only tests whose name contains it\n"
	"  --ack-timeout N  RDMA: local ACK time-out, 4.096 us * 2^N\n"
	"  --verbose        the library's log on standard error\n"
	"  --help\n";

static void on_log(void *arg, enum nvmux_log_level level, const char *module, const char *text)
{
	(void)arg;
	(void)level;
	fprintf(stderr, "%s: %s\n", module, text);
}

static int parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"peer", required_argument, NULL, 'p'},
		{"out", required_argument, NULL, 'o'},
		{"nsid", required_argument, NULL, 'n'},
		{"destructive", no_argument, NULL, 'd'},
		{"only", required_argument, NULL, 'y'},
		{"verbose", no_argument, NULL, 'v'},
		{"ack-timeout", required_argument, NULL, 'a'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	char why[256];
	int option;

	*o = (struct options){.peer = "unnamed"};
	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (option) {
		case 'p': o->peer = optarg; break;
		case 'o': o->out = optarg; break;
		case 'y': o->only = optarg; break;
		case 'n': o->nsid = (uint32_t)strtoul(optarg, NULL, 0); break;
		case 'a': o->ack_timeout = (uint32_t)strtoul(optarg, NULL, 0); break;
		case 'd': o->destructive = true; break;
		case 'v': o->verbose = true; break;
		case 'h': fputs(usage, stdout); exit(0);
		default: return -EINVAL;
		}
	if (optind + 1 != argc) {
		fputs("nvmux-conformance: one transport id is wanted\n", stderr);
		return -EINVAL;
	}
	if (nvmux_trid_parse(&o->trid, argv[optind], why, sizeof(why))) {
		fprintf(stderr, "nvmux-conformance: %s\n", why);
		return -EINVAL;
	}
	return 0;
}

/* Two areas that don't meet, on a zoned namespace two zones. */
static void choose_areas(struct conform *c)
{
	uint64_t blocks = nvmux_ns_get_num_sectors(c->ns), zone;

	c->zoned = nvmux_ns_get_flags(c->ns) & NVMUX_NS_ZONED;
	zone = nvmux_zns_ns_get_zone_size_sectors(c->ns);
	if (c->zoned && zone) {
		const struct nvme_zns_desc *desc = (void *)(c->small + 64);

		c->base = 0;
		c->other = zone;
		if (!IO(c, nvmux_zns_report_zones, c->small, CONFORM_PAGE, 0, 0, true))
			zone = le64toh(desc->zcap);
		c->area = zone > 1u << 20 ? 1u << 20 : (uint32_t)zone;
		return;
	}
	c->base = blocks / 8;
	c->other = blocks / 2;
	c->area = blocks / 4 > 1u << 20 ? 1u << 20 : (uint32_t)(blocks / 4);
}

static int look_at(struct conform *c)
{
	const struct nvme_id_ns *data;

	c->id = nvmux_ctrlr_get_data(c->ctrlr);
	if (!c->nsid)
		c->nsid = nvmux_ctrlr_get_first_active_ns(c->ctrlr);
	c->ns = nvmux_ctrlr_get_ns(c->ctrlr, c->nsid);
	if (!c->ns) {
		fprintf(stderr, "nvmux-conformance: no namespace %u\n", c->nsid);
		return -ENODEV;
	}
	data = nvmux_ns_get_data(c->ns);
	c->block = nvmux_ns_get_sector_size(c->ns);
	c->block_buf = nvmux_ns_get_extended_sector_size(c->ns);
	c->md_size = nvmux_ns_get_md_size(c->ns);
	c->md_separate = c->md_size && !nvmux_ns_supports_extended_lba(c->ns);
	c->pi = nvmux_ns_get_pi_type(c->ns);
	c->pi_first = data->dps & 1 << 3;
	choose_areas(c);
	if (c->area < 64) {
		fputs("nvmux-conformance: the namespace is too small\n", stderr);
		return -ENOSPC;
	}
	return 0;
}

static int begin(struct conform *c, const struct options *o)
{
	struct nvmux_opts opts;
	struct nvmux_ctrlr_opts ctrlr_opts;
	int err;

	nvmux_opts_init(&opts, sizeof(opts));
	if (o->verbose)
		opts.log = on_log;
	err = nvmux_create(&opts, &c->nvmux);
	if (err)
		return err;
	nvmux_ctrlr_opts_init(&ctrlr_opts, sizeof(ctrlr_opts));
	ctrlr_opts.num_io_queues = 4;
	ctrlr_opts.transport_ack_timeout = o->ack_timeout;
	err = nvmux_connect(c->nvmux, &o->trid, &ctrlr_opts, &c->ctrlr);
	if (!err)
		err = nvmux_ctrlr_alloc_io_qpair(c->ctrlr, NULL, &c->qpair);
	if (!err)
		err = nvmux_mem_alloc(c->ctrlr, CONFORM_MEM, 0, &c->mem);
	if (err) {
		fprintf(stderr, "nvmux-conformance: %s: %s\n", strerror(-err),
			nvmux_error_text(c->nvmux));
		return err;
	}
	c->nsid = o->nsid;
	c->destructive = o->destructive;
	c->daemon = o->trid.trtype == NVMUX_TRTYPE_DAEMON;
	c->fabrics = o->trid.trtype == NVMUX_TRTYPE_RDMA;
	c->a = nvmux_mem_addr(c->mem);
	c->b = c->a + CONFORM_PART;
	c->md_a = c->b + CONFORM_PART;
	c->md_b = c->md_a + CONFORM_MD;
	c->small = c->md_b + CONFORM_MD;
	return look_at(c);
}

static void put_string(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++)
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(out, "\\u%04x", *text);
		else
			fputc(*text, out);
	fputc('"', out);
}

static void put_field(FILE *out, const char *name, const char *text)
{
	fprintf(out, ", \"%s\": ", name);
	put_string(out, text);
}

static void put_head(FILE *out, const struct conform *c, const struct options *o)
{
	char text[64];

	fputs("{\"peer\": ", out);
	put_string(out, o->peer);
	put_field(out, "way", c->daemon ? "daemon" : "in-process");
	put_field(out, "transport", nvmux_trtype_string(o->trid.trtype));
	snprintf(text, sizeof(text), "%.40s", c->id->mn);
	while (*text && text[strlen(text) - 1] == ' ')
		text[strlen(text) - 1] = '\0';
	put_field(out, "model", text);
	fprintf(out,
		", \"nsid\": %u, \"block_size\": %u, \"metadata_size\": %u, \"interleaved\": %s, "
		"\"pi\": %d, \"zoned\": %s,\n \"commands\": [",
		c->nsid, c->block, c->md_size,
		nvmux_ns_supports_extended_lba(c->ns) ? "true" : "false", c->pi,
		c->zoned ? "true" : "false");
}

static const char *const result_names[] = {
	[CONFORM_PASSED] = "passed",
	[CONFORM_FAILED] = "failed",
	[CONFORM_NOT_OFFERED] = "not offered",
};

static void put_result(FILE *out, const struct conform *c, const struct conform_test *test,
		       bool first)
{
	fputs(first ? "\n  {\"command\": " : ",\n  {\"command\": ", out);
	put_string(out, test->name);
	put_field(out, "result", result_names[c->result]);
	fprintf(out, ", \"checks\": %u", c->checks);
	if (*c->note)
		put_field(out, "note", c->note);
	if (*c->disagrees)
		put_field(out, "disagrees", c->disagrees);
	fputc('}', out);
}

static void run_test(struct conform *c, const struct conform_test *test)
{
	c->result = CONFORM_PASSED;
	c->checks = 0;
	c->note[0] = c->disagrees[0] = '\0';
	if (c->hung || nvmux_ctrlr_is_failed(c->ctrlr)) {
		conform_fail(c, "not run: %s",
			     c->hung ? "an earlier command wasn't answered"
				     : "the controller has failed");
		return;
	}
	if (nvmux_qpair_get_num_outstanding(c->qpair))
		conform_fail(c, "an earlier command is still in flight");
	else
		test->run(c);
}

static void print_result(const struct conform *c, const struct conform_test *test, uint32_t number)
{
	if (c->result == CONFORM_FAILED)
		printf("not ok %u - %s: %s\n", number, test->name, c->note);
	else if (c->result == CONFORM_NOT_OFFERED)
		printf("ok %u - %s: not offered: %s\n", number, test->name, c->note);
	else
		printf("ok %u - %s (%u checks)\n", number, test->name, c->checks);
	if (*c->disagrees)
		printf("# %s disagrees: %s\n", test->name, c->disagrees);
	fflush(stdout);
}

static uint32_t run_all(struct conform *c, const struct options *o, FILE *out)
{
	uint32_t number = 0, failed = 0;

	for (uint32_t group = 0; group < CONFORM_COUNT(groups); group++)
		for (const struct conform_test *test = groups[group]; test->name; test++) {
			if ((test->destructive && !o->destructive) ||
			    (o->only && !strstr(test->name, o->only)))
				continue;
			run_test(c, test);
			print_result(c, test, ++number);
			failed += c->result == CONFORM_FAILED;
			if (out)
				put_result(out, c, test, number == 1);
		}
	printf("1..%u\n", number);
	return failed;
}

int main(int argc, char **argv)
{
	struct conform c = {0};
	struct options o;
	FILE *out = NULL;
	uint32_t failed = 1;

	if (parse(argc, argv, &o))
		return 2;
	if (begin(&c, &o)) {
		printf("Bail out! %s: %s\n", o.peer, c.nvmux ? nvmux_error_text(c.nvmux) : "");
		nvmux_destroy(c.nvmux);
		return 2;
	}
	if (o.out) {
		out = fopen(o.out, "w");
		if (!out) {
			perror(o.out);
			nvmux_destroy(c.nvmux);
			return 2;
		}
		put_head(out, &c, &o);
	}
	failed = run_all(&c, &o, out);
	if (out) {
		fputs("\n]}\n", out);
		fclose(out);
	}
	if (!c.hung) {
		nvmux_qpair_free(c.qpair);
		nvmux_mem_free(c.mem);
	}
	nvmux_destroy(c.nvmux);
	return failed ? 1 : 0;
}
