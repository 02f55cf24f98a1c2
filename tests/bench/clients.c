// SPDX-License-Identifier: BSD-3-Clause
/*
 * Clients of nvmuxd for benchmarks: many idle queue pairs, and how long a client takes to start.
 *
 *	nvmux-bench-clients hold --socket S --controller NAME --qpairs N [--depth D]
 *	nvmux-bench-clients start --socket S --controller NAME [--count N]
 *	nvmux-bench-clients read --socket S --controller NAME [--depth D]
 *
 * With --memory-window B each of them sets aside B bytes of address space for I/O memory.
 *
 * hold makes N queue pairs, prints "ready", and keeps them until the end of its standard input.
 * None of them ever carries a command. start begins with a new context each time, connects, makes a
 * region of 2 MiB and a queue pair, and takes it all down; what that took, without the taking down,
 * is printed in microseconds: {"us": [...], "connect_us": [...], "region_us": [...],
 * "qpair_us": [...]}, the last three being the parts of the first. read makes a queue pair, prints
 * "ready", and for each number that it reads from its standard input makes so many random reads of
 * one block at that depth and prints "done".
 */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <nvmux/nvmux.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QPAIRS_MAX   65536ul
#define COUNT_MAX    1000000ul
#define REGION_BYTES (2ul << 20)

struct options {
	const char *socket;
	const char *controller;
	unsigned long qpairs;
	unsigned long depth; /* 0: the default */
	unsigned long count;
	unsigned long window; /* of the context; 0: the default */
};

/* Points in time of one start, and so its parts. */
enum { BEGIN, CONNECTED, REGION, QPAIR, POINTS };

struct start {
	double us[POINTS];
};

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int failed(const struct nvmux *nvmux, const char *what, int err)
{
	const char *why = nvmux ? nvmux_error_text(nvmux) : "";

	fprintf(stderr, "nvmux-bench-clients: %s: %s\n", what, *why ? why : strerror(-err));
	return err;
}

static int create(const struct options *opts, struct nvmux **ret)
{
	struct nvmux_opts context;

	nvmux_opts_init(&context, sizeof(context));
	if (opts->window)
		context.mem_window = opts->window;
	return nvmux_create(&context, ret);
}

static int connect_to(struct nvmux *nvmux, const struct options *opts, struct nvmux_ctrlr **ret)
{
	struct nvmux_trid trid = {.trtype = NVMUX_TRTYPE_DAEMON};

	snprintf(trid.traddr, sizeof(trid.traddr), "%s", opts->socket);
	snprintf(trid.trsvcid, sizeof(trid.trsvcid), "%s", opts->controller);
	return nvmux_connect(nvmux, &trid, NULL, ret);
}

static int alloc_qpair(struct nvmux_ctrlr *ctrlr, const struct options *opts, bool no_staging,
		       struct nvmux_qpair **ret)
{
	struct nvmux_io_qpair_opts qpair;

	nvmux_io_qpair_opts_init(ctrlr, &qpair, sizeof(qpair));
	if (opts->depth)
		qpair.io_queue_depth = (uint32_t)opts->depth;
	qpair.no_staging = no_staging;
	return nvmux_ctrlr_alloc_io_qpair(ctrlr, &qpair, ret);
}

/* ---- hold ---- */

static int hold_all(struct nvmux *nvmux, const struct options *opts)
{
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_qpair *qpair;
	char rest[256];
	int rc;

	rc = connect_to(nvmux, opts, &ctrlr);
	if (rc < 0)
		return failed(nvmux, "connect", rc);
	for (unsigned long i = 0; i < opts->qpairs; i++) {
		rc = alloc_qpair(ctrlr, opts, true, &qpair);
		if (rc < 0)
			return failed(nvmux, "queue pair", rc);
	}
	puts("ready");
	fflush(stdout);
	while (read(STDIN_FILENO, rest, sizeof(rest)) > 0)
		;
	return 0;
}

/* ---- start ---- */

static int start_once(const struct options *opts, struct start *ret)
{
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_qpair *qpair;
	struct nvmux_mem *mem;
	struct nvmux *nvmux;
	int rc;

	ret->us[BEGIN] = now_us();
	rc = create(opts, &nvmux);
	if (rc < 0)
		return failed(NULL, "context", rc);
	rc = connect_to(nvmux, opts, &ctrlr);
	if (rc < 0) {
		failed(nvmux, "connect", rc);
		goto destroy;
	}
	ret->us[CONNECTED] = now_us();
	rc = nvmux_mem_alloc(ctrlr, REGION_BYTES, 0, &mem);
	if (rc < 0) {
		failed(nvmux, "region", rc);
		goto destroy;
	}
	ret->us[REGION] = now_us();
	rc = alloc_qpair(ctrlr, opts, false, &qpair);
	if (rc < 0)
		failed(nvmux, "queue pair", rc);
	ret->us[QPAIR] = now_us();
destroy:
	nvmux_destroy(nvmux);
	return rc;
}

static void print_times(const char *name, const struct start *starts, unsigned long count,
			unsigned from, unsigned to)
{
	printf("\"%s\": [", name);
	for (unsigned long i = 0; i < count; i++)
		printf("%s%.1f", i ? ", " : "", starts[i].us[to] - starts[i].us[from]);
	putchar(']');
}

static void print_starts(const struct start *starts, unsigned long count)
{
	putchar('{');
	print_times("us", starts, count, BEGIN, QPAIR);
	fputs(", ", stdout);
	print_times("connect_us", starts, count, BEGIN, CONNECTED);
	fputs(", ", stdout);
	print_times("region_us", starts, count, CONNECTED, REGION);
	fputs(", ", stdout);
	print_times("qpair_us", starts, count, REGION, QPAIR);
	puts("}");
}

static int start(const struct options *opts)
{
	struct start *starts = calloc(opts->count, sizeof(*starts));
	int rc = 0;

	if (!starts)
		return failed(NULL, "start", -ENOMEM);
	for (unsigned long i = 0; i < opts->count && rc == 0; i++)
		rc = start_once(opts, &starts[i]);
	if (rc == 0)
		print_starts(starts, opts->count);
	free(starts);
	return rc;
}

/* ---- read ---- */

#define LOOK_POLLS 100000 /* in a row without completions: perhaps there is no daemon any more */

struct reader {
	struct nvmux *nvmux;
	struct nvmux_ns *ns;
	struct nvmux_qpair *qpair;
	uint8_t *buf;
	uint32_t block; /* bytes */
	uint64_t random;
	unsigned long submitted, completed;
	int err;
};

static void read_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct reader *r = arg;

	r->completed++;
	if (nvmux_cpl_is_error(cpl))
		r->err = -EIO;
}

static int read_some(struct reader *r, unsigned long count, uint32_t depth)
{
	uint64_t blocks = nvmux_ns_get_num_sectors(r->ns);
	uint32_t polls = 0;
	int rc = 0;

	r->submitted = r->completed = 0;
	while (r->completed < count && rc >= 0 && !r->err) {
		while (r->submitted < count && r->submitted - r->completed < depth && rc >= 0) {
			r->random = r->random * 6364136223846793005u + 1442695040888963407u;
			rc = nvmux_ns_cmd_read(r->ns, r->qpair,
					       r->buf + r->submitted % depth * r->block,
					       (r->random >> 20) % blocks, 1, 0, read_done, r);
			r->submitted += rc == 0;
		}
		if (rc >= 0)
			rc = nvmux_qpair_process_completions(r->qpair, 0);
		polls = rc == 0 ? polls + 1 : 0;
		if (polls % LOOK_POLLS == LOOK_POLLS - 1)
			rc = nvmux_process(r->nvmux);
	}
	return rc < 0 ? rc : r->err;
}

static int read_all(struct nvmux *nvmux, const struct options *opts)
{
	struct reader reader = {.nvmux = nvmux, .random = 1};
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_mem *mem;
	unsigned long count;
	uint32_t depth;
	int rc;

	rc = connect_to(nvmux, opts, &ctrlr);
	if (rc < 0)
		return failed(nvmux, "connect", rc);
	reader.ns = nvmux_ctrlr_get_ns(ctrlr, nvmux_ctrlr_get_first_active_ns(ctrlr));
	if (!reader.ns)
		return failed(NULL, "namespace", -ENODEV);
	reader.block = nvmux_ns_get_sector_size(reader.ns);
	rc = alloc_qpair(ctrlr, opts, true, &reader.qpair);
	if (rc < 0)
		return failed(nvmux, "queue pair", rc);
	depth = nvmux_qpair_get_depth(reader.qpair);
	rc = nvmux_mem_alloc(ctrlr, (size_t)depth * reader.block, 0, &mem);
	if (rc < 0)
		return failed(nvmux, "region", rc);
	reader.buf = nvmux_mem_addr(mem);
	puts("ready");
	fflush(stdout);
	while (scanf("%lu", &count) == 1) {
		rc = read_some(&reader, count, depth);
		if (rc < 0)
			return failed(NULL, "read", rc);
		puts("done");
		fflush(stdout);
	}
	return 0;
}

/* A function with its own context, which takes everything along at its end. */
static int within_context(const struct options *opts,
			  int (*fn)(struct nvmux *nvmux, const struct options *opts))
{
	struct nvmux *nvmux;
	int rc = create(opts, &nvmux);

	if (rc < 0)
		return failed(NULL, "context", rc);
	rc = fn(nvmux, opts);
	nvmux_destroy(nvmux);
	return rc;
}

/* ---- the command line ---- */

static const char usage[] =
	"usage: nvmux-bench-clients hold --socket S --controller NAME --qpairs N [--depth D]\n"
	"       nvmux-bench-clients start --socket S --controller NAME [--count N]\n"
	"       nvmux-bench-clients read --socket S --controller NAME [--depth D]\n"
	"\n"
	"  --socket S         of nvmuxd\n"
	"  --controller NAME  as nvmuxd calls it\n"
	"  --qpairs N         hold: idle queue pairs to keep until the end of standard input\n"
	"  --depth D          of a queue pair; default: the library's\n"
	"  --count N          start: how often (default 200)\n"
	"  --memory-window B  bytes of address space for I/O memory; default: the library's\n";

static int parse_number(const char *text, unsigned long max, unsigned long *ret)
{
	char *end;

	errno = 0;
	*ret = strtoul(text, &end, 10);
	return errno || *end || *text < '0' || *text > '9' || *ret < 1 || *ret > max ? -EINVAL : 0;
}

static int parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option names[] = {
		{"socket", required_argument, NULL, 's'},
		{"controller", required_argument, NULL, 'c'},
		{"qpairs", required_argument, NULL, 'q'},
		{"depth", required_argument, NULL, 'd'},
		{"count", required_argument, NULL, 'n'},
		{"memory-window", required_argument, NULL, 'w'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c, rc = 0;

	while (rc == 0 && (c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		switch (c) {
		case 's': ret->socket = optarg; break;
		case 'c': ret->controller = optarg; break;
		case 'q': rc = parse_number(optarg, QPAIRS_MAX, &ret->qpairs); break;
		case 'd': rc = parse_number(optarg, UINT16_MAX, &ret->depth); break;
		case 'n': rc = parse_number(optarg, COUNT_MAX, &ret->count); break;
		case 'w': rc = parse_number(optarg, LONG_MAX, &ret->window); break;
		case 'h': fputs(usage, stdout); exit(EXIT_SUCCESS);
		default: rc = -EINVAL;
		}
	}
	return rc || !ret->socket || !ret->controller ? -EINVAL : 0;
}

int main(int argc, char **argv)
{
	struct options opts = {.count = 200};
	int rc = parse_options(argc, argv, &opts);
	const char *what = rc == 0 && optind == argc - 1 ? argv[optind] : "";

	if (strcmp(what, "hold") == 0 && opts.qpairs)
		rc = within_context(&opts, hold_all);
	else if (strcmp(what, "read") == 0)
		rc = within_context(&opts, read_all);
	else if (strcmp(what, "start") == 0)
		rc = start(&opts);
	else {
		fputs(usage, stderr);
		return 2;
	}
	return rc ? EXIT_FAILURE : EXIT_SUCCESS;
}
