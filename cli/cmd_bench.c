// SPDX-License-Identifier: BSD-3-Clause
/*
 * bench: how fast a namespace is.
 *
 * Happy path: options → attach → a queue pair and memory for each job → for each depth: start the
 * threads, warm up, measure, stop, add up → report. With a number of I/Os instead of a time there
 * is no warm-up, and jobs end by themselves. This thread serves the context meanwhile and otherwise
 * sleeps.
 * Failures: what a job notes ends the run, and is reported once; SIGINT ends it likewise.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/bench.h"
#include "cli/ctrlr_opts.h"

#define LOOK_MS       100 /* how often to see whether a job has ended early */
#define LOOK_COUNT_MS 5   /* the same when jobs end by themselves */
#define WINDOW_UNIT   (2ull << 20)
#define WINDOW_MAX    (256ull << 30)

struct bench {
	struct cli *cli;
	struct cli_nsio io;
	struct bench_config config;
	struct bench_job *jobs;
	uint64_t count; /* I/Os that the range has room for */
	int phase;      /* enum bench_phase, read by the jobs */
	json_t *runs;
};

static const struct {
	const char *name;
	bool random, reads, writes;
} patterns[] = {
	{"randread", true, true, false}, {"randwrite", true, false, true},
	{"read", false, true, false},    {"write", false, false, true},
	{"randrw", true, true, true},
};

static int parse_pattern(struct bench *b, const struct cli_args *args)
{
	const char *names[sizeof(patterns) / sizeof(patterns[0]) + 1] = {0};
	const char *text = cli_args_get(args, "pattern");
	struct bench_config *c = &b->config;
	const char *meant;

	if (!text)
		text = "randread";
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		names[i] = patterns[i].name;
		if (strcmp(patterns[i].name, text))
			continue;
		c->pattern = patterns[i].name;
		c->random = patterns[i].random;
		c->reads = patterns[i].reads;
		c->writes = patterns[i].writes;
	}
	meant = cli_suggest(text, names);
	if (!c->pattern)
		return cli_usage_error(b->cli, "--pattern: unknown pattern \"%s\"%s%s%s", text,
				       meant ? "; did you mean " : "", meant ? meant : "",
				       meant ? "?" : "");
	if ((c->writes || cli_args_get(args, "verify")) && !cli_args_get(args, "allow-write"))
		return cli_usage_error(b->cli, "this overwrites data on the namespace; say "
					       "--allow-write if that is meant");
	return CLI_OK;
}

/* Cores that this process may use, before there is anything to take back. */
static int check_cores(struct bench *b)
{
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return CLI_OK; /* the threads will find out */
	for (unsigned i = 0; i < b->config.n_cores; i++) {
		if (!CPU_ISSET(b->config.cores[i], &cpus))
			return cli_usage_error(b->cli, "--core %u: this process may not use it",
					       b->config.cores[i]);
	}
	return CLI_OK;
}

/* A number of seconds, with fractions. */
static int parse_seconds(struct bench *b, const struct cli_args *args, const char *name,
			 double min, uint64_t *ms)
{
	const char *text = cli_args_get(args, name);
	double v;
	char *end;

	if (!text)
		return CLI_OK;
	v = strtod(text, &end);
	if (end == text || *end || !(v >= min && v <= 1e6))
		return cli_usage_error(b->cli, "--%s: \"%s\" isn't a number of seconds from %g",
				       name, text, min);
	*ms = (uint64_t)(v * 1000);
	return CLI_OK;
}

static int parse_numbers(struct bench *b, const struct cli_args *args)
{
	struct bench_config *c = &b->config;
	uint64_t io_size = 4096, jobs = 1, rwmix = 70;
	char why[256];

	c->depths[0] = 32;
	c->n_depths = 1;
	if (cli_args_size(args, "bs", 512, 16u << 20, &io_size, why, sizeof(why)) ||
	    cli_args_number(args, "jobs", 1, BENCH_JOBS_MAX, &jobs, why, sizeof(why)) ||
	    cli_args_number(args, "rwmix", 1, 99, &rwmix, why, sizeof(why)) ||
	    cli_args_size(args, "size", 1, UINT64_MAX, &c->size, why, sizeof(why)) ||
	    cli_args_number(args, "count", 1, UINT64_MAX - 1, &c->n_ios, why, sizeof(why)) ||
	    cli_args_list(args, "depth", 1, BENCH_DEPTH_MAX, c->depths, BENCH_DEPTHS_MAX,
			  &c->n_depths, why, sizeof(why)) ||
	    cli_args_list(args, "core", 0, CPU_SETSIZE - 1, c->cores, BENCH_JOBS_MAX, &c->n_cores,
			  why, sizeof(why)))
		return cli_usage_error(b->cli, "%s", why);
	if (cli_args_get(args, "rwmix") && strcmp(c->pattern, "randrw"))
		return cli_usage_error(b->cli, "--rwmix: only with --pattern randrw");
	if (c->n_ios && (cli_args_get(args, "time") || cli_args_get(args, "warmup")))
		return cli_usage_error(b->cli, "--count: instead of --time, and without a warm-up");
	c->io_size = (uint32_t)io_size;
	c->jobs = (uint32_t)jobs;
	c->rwmix = (uint32_t)rwmix;
	c->read_share = (uint32_t)((rwmix << 32) / 100);
	if (!c->reads)
		c->read_share = 0;
	for (unsigned i = 0; i < c->n_depths; i++)
		c->depth_max = c->depths[i] > c->depth_max ? c->depths[i] : c->depth_max;
	return check_cores(b);
}

static int parse_window(struct bench *b, const struct cli_args *args, uint64_t *window)
{
	char why[256];

	if (cli_args_size(args, "memory-window", WINDOW_UNIT, WINDOW_MAX, window, why, sizeof(why)))
		return cli_usage_error(b->cli, "%s", why);
	if (*window % WINDOW_UNIT)
		return cli_usage_error(b->cli, "--memory-window: \"%s\" isn't a multiple of 2M",
				       cli_args_get(args, "memory-window"));
	return CLI_OK;
}

static int parse(struct bench *b, const struct cli_args *args, struct cli_target *target)
{
	struct bench_config *c = &b->config;
	uint64_t window = 0;
	char why[512];
	int place, code;

	c->time_ms = 5000;
	c->warmup_ms = 500;
	code = parse_pattern(b, args);
	if (!code)
		code = parse_numbers(b, args);
	if (!code)
		code = parse_seconds(b, args, "time", 0.1, &c->time_ms);
	if (!code)
		code = parse_seconds(b, args, "warmup", 0, &c->warmup_ms);
	if (!code)
		code = parse_window(b, args, &window);
	if (code)
		return code;
	c->verify = cli_args_get(args, "verify");
	c->adaptive = cli_args_get(args, "adaptive");
	c->live = cli_args_get(args, "live") || isatty(STDERR_FILENO);
	if (cli_target_from_args(args, b->cli->socket, target, &place, why, sizeof(why)))
		return cli_usage_error(b->cli, "%s", why);
	target->memory_window = window;
	if (place < args->n_positional)
		return cli_usage_error(b->cli, "unexpected argument \"%s\"",
				       args->positional[place]);
	return CLI_OK;
}

/* Does the I/O size fit the namespace, and how many I/Os does the range hold? */
static int fit(struct bench *b)
{
	struct bench_config *c = &b->config;
	uint64_t size = b->io.blocks * b->io.block_size;

	if (c->io_size % b->io.block_size)
		return cli_usage_error(b->cli, "--bs: %u isn't a multiple of %s's block size, %u",
				       c->io_size, b->io.label, b->io.block_size);
	if (c->size > size)
		return cli_usage_error(b->cli, "--size: %s has only %llu bytes", b->io.label,
				       (unsigned long long)size);
	b->count = (c->size ? c->size : size) / c->io_size;
	if (b->count < c->jobs)
		return cli_usage_error(b->cli, "--size: no room for %u jobs with I/Os of %u bytes",
				       c->jobs, c->io_size);
	return CLI_OK;
}

static int open_qpair(struct bench *b, struct nvmux_qpair **ret)
{
	uint32_t max = nvmux_ns_get_max_io_xfer_size(b->io.ns);
	struct nvmux_io_qpair_opts opts;
	uint64_t pieces, depth;
	int err;

	/* What the library may make of one I/O: pieces of the largest transfer, and one more where
	 * a boundary is in the way. */
	pieces = max ? (b->config.io_size + max - 1) / max : 1;
	pieces += nvmux_ns_get_optimal_io_boundary(b->io.ns) != 0;
	depth = pieces * b->config.depth_max;
	nvmux_io_qpair_opts_init(b->io.ctrlr, &opts, sizeof(opts));
	opts.io_queue_depth = depth < 65535 ? (uint32_t)depth : 65535;
	err = nvmux_ctrlr_alloc_io_qpair(b->io.ctrlr, &opts, ret);
	if (err)
		return cli_nsio_error(&b->io, "queue pair", err);
	if (nvmux_qpair_get_depth(*ret) < b->config.depth_max) {
		cli_error(b->cli, "%s: a queue pair takes %u commands in flight, --depth %u is too "
				  "many",
			  b->io.label, nvmux_qpair_get_depth(*ret), b->config.depth_max);
		return CLI_FAILED;
	}
	return CLI_OK;
}

static int open_job(struct bench *b, uint32_t number)
{
	struct bench_config *c = &b->config;
	struct bench_job *job = &b->jobs[number];
	uint8_t *buf = nvmux_mem_addr(b->io.mem);
	uint64_t share = b->count / c->jobs;
	uint32_t n = c->depth_max;

	job->config = c;
	job->ns = b->io.ns;
	job->phase = &b->phase;
	job->block_size = b->io.block_size;
	job->io_blocks = c->io_size / b->io.block_size;
	job->first = c->random ? 0 : share * number;
	job->count = c->random ? b->count : share;
	job->random = 0x9e3779b97f4a7c15ull * (number + 1);
	job->ios = calloc(n, sizeof(*job->ios));
	job->finished = calloc(n, sizeof(*job->finished));
	job->stalled = calloc(n, sizeof(*job->stalled));
	if (!job->ios || !job->finished || !job->stalled)
		return cli_nsio_error(&b->io, "memory", -ENOMEM);
	buf += (size_t)number * n * c->io_size;
	for (uint32_t i = 0; i < n; i++)
		job->ios[i] = (struct bench_io){.job = job, .buf = buf + (size_t)i * c->io_size};
	return open_qpair(b, &job->qpair);
}

static int open_jobs(struct bench *b)
{
	struct bench_config *c = &b->config;
	size_t size = sizeof(*b->jobs) * c->jobs;
	int err, code = CLI_OK;

	err = nvmux_mem_alloc(b->io.ctrlr, (size_t)c->jobs * c->depth_max * c->io_size, 0,
			      &b->io.mem);
	if (err)
		return cli_nsio_error(&b->io, "I/O memory", err);
	b->jobs = aligned_alloc(64, size);
	if (!b->jobs)
		return cli_nsio_error(&b->io, "memory", -ENOMEM);
	memset(b->jobs, 0, size);
	for (uint32_t i = 0; !code && i < c->jobs; i++)
		code = open_job(b, i);
	return code;
}

static void close_jobs(struct bench *b)
{
	for (uint32_t i = 0; b->jobs && i < b->config.jobs; i++) {
		nvmux_qpair_free(b->jobs[i].qpair);
		free(b->jobs[i].ios);
		free(b->jobs[i].finished);
		free(b->jobs[i].stalled);
	}
	free(b->jobs);
	cli_nsio_close(&b->io);
	json_decref(b->runs);
}

static int report_job(const struct bench *b, const struct bench_failure *f)
{
	if (f->miscompare) {
		cli_error(b->cli, "%s: block %llu doesn't hold what was written", b->io.label,
			  (unsigned long long)f->lba);
		return CLI_MISCOMPARE;
	}
	if (f->status)
		return cli_nsio_status_error(&b->io, f->write ? "write" : "read", f->lba,
					     b->config.io_size / b->io.block_size, f->status);
	if (f->err == -ENOSPC) {
		cli_error(b->cli, "%s: the queue pair has no room for even one I/O of %u bytes",
			  b->io.label, b->config.io_size);
		return CLI_FAILED;
	}
	return cli_nsio_error(&b->io, "I/O", f->err);
}

static bool has_failed(const struct bench_failure *f)
{
	return f->err || f->status || f->miscompare;
}

/* A job has ended that shouldn't have. */
static bool job_ended(const struct bench *b)
{
	for (uint32_t i = 0; i < b->config.jobs; i++) {
		if (__atomic_load_n(&b->jobs[i].ended, __ATOMIC_ACQUIRE) &&
		    (!b->config.n_ios || has_failed(&b->jobs[i].failure)))
			return true;
	}
	return false;
}

static bool all_ended(const struct bench *b)
{
	for (uint32_t i = 0; i < b->config.jobs; i++) {
		if (!__atomic_load_n(&b->jobs[i].ended, __ATOMIC_ACQUIRE))
			return false;
	}
	return true;
}

static void show_live(const struct bench *b, uint32_t depth, uint64_t *last, double sec)
{
	bool tty = isatty(STDERR_FILENO);
	uint64_t sum = 0;
	double iops;

	for (uint32_t i = 0; i < b->config.jobs; i++)
		sum += __atomic_load_n(&b->jobs[i].completed, __ATOMIC_RELAXED);
	/* The counters start again when the measuring begins. */
	iops = sum >= *last ? (double)(sum - *last) / sec : (double)sum / sec;
	*last = sum;
	fprintf(stderr, "%sdepth %u: %.0f IOPS, %.1f MB/s%s", tty ? "\r" : "", depth, iops,
		iops * b->config.io_size / 1e6, tty ? "\033[K" : "\n");
	fflush(stderr);
}

static void set_phase(struct bench *b, int phase)
{
	__atomic_store_n(&b->phase, phase, __ATOMIC_RELAXED);
}

/* Serve the context for a while, or until a number of I/Os are done. False when the run is to end
 * now. */
static bool serve(struct bench *b, uint32_t depth, uint64_t ms, bool live)
{
	struct pollfd fd = {.fd = nvmux_get_fd(b->io.nvmux), .events = POLLIN};
	uint64_t now = cli_now_ns(), shown = now, last = 0;
	uint64_t look = b->config.n_ios ? LOOK_COUNT_MS : LOOK_MS;
	uint64_t until = b->config.n_ios ? UINT64_MAX : now + ms * 1000000;

	while ((now = cli_now_ns()) < until && !(b->config.n_ios && all_ended(b))) {
		int timeout = nvmux_get_timeout_ms(b->io.nvmux);
		uint64_t left = (until - now) / 1000000 + 1;

		left = left < look ? left : look;
		if (timeout < 0 || (uint64_t)timeout > left)
			timeout = (int)left;
		poll(&fd, 1, timeout);
		nvmux_process(b->io.nvmux);
		if (cli_interrupted() || job_ended(b))
			return false;
		now = cli_now_ns();
		if (live && now - shown >= 1000000000ull) {
			show_live(b, depth, &last, (double)(now - shown) / 1e9);
			shown = now;
		}
	}
	return true;
}

static int start_jobs(struct bench *b, uint32_t depth)
{
	const struct bench_config *c = &b->config;
	sigset_t all, before;
	int err = 0;

	/* Signals are this thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (uint32_t i = 0; !err && i < c->jobs; i++) {
		int core = c->n_cores ? (int)c->cores[i % c->n_cores] : -1;

		b->jobs[i].depth = depth;
		err = bench_job_start(&b->jobs[i], core);
		if (err == -EINVAL && core >= 0)
			cli_error(b->cli, "--core %d: this process may not use it", core);
		else if (err)
			cli_error(b->cli, "thread of job %u: %s", i, strerror(-err));
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err ? CLI_FAILED : CLI_OK;
}

static int stop_jobs(struct bench *b)
{
	int code = CLI_OK;

	set_phase(b, BENCH_STOP);
	for (uint32_t i = 0; i < b->config.jobs; i++)
		bench_job_join(&b->jobs[i]);
	for (uint32_t i = 0; i < b->config.jobs && !code; i++) {
		if (has_failed(&b->jobs[i].failure))
			code = report_job(b, &b->jobs[i].failure);
	}
	return code;
}

static void add_up(const struct bench *b, struct bench_result *r)
{
	histogram_init(&r->histogram);
	r->iops = 0;
	r->seconds = 0;
	r->empty_polls = 0;
	for (uint32_t i = 0; i < b->config.jobs; i++) {
		const struct bench_job *job = &b->jobs[i];
		double seconds = (double)(job->end - job->begin) * r->ns_per_tick / 1e9;

		histogram_merge(&r->histogram, &job->histogram);
		if (seconds > 0)
			r->iops += (double)job->histogram.count / seconds;
		r->seconds = seconds > r->seconds ? seconds : r->seconds;
		r->empty_polls += job->empty_polls;
	}
	r->commands = r->histogram.count;
}

static int run_depth(struct bench *b, uint32_t depth)
{
	const struct bench_config *c = &b->config;
	struct bench_result result = {.depth = depth};
	uint64_t ticks, ns;
	int code, job_code;
	bool whole;

	set_phase(b, c->n_ios ? BENCH_MEASURE : BENCH_WARMUP);
	code = start_jobs(b, depth);
	whole = !code && (c->n_ios || serve(b, depth, c->warmup_ms, false));
	ticks = bench_ticks();
	ns = cli_now_ns();
	set_phase(b, BENCH_MEASURE);
	whole = whole && serve(b, depth, c->time_ms, c->live);
	result.ns_per_tick = (double)(cli_now_ns() - ns) / (double)(bench_ticks() - ticks);
	job_code = stop_jobs(b);
	if (c->live && isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	if (code || job_code)
		return code ? code : job_code;
	if (!whole)
		return CLI_INTERRUPTED;
	add_up(b, &result);
	if (b->cli->json)
		json_array_append_new(b->runs, bench_result_json(c, &result));
	else
		bench_result_text(c, &result);
	return b->cli->json ? CLI_OK : cli_flush(b->cli);
}

/* For --verify: write all of the range, or read all of it and compare. */
static int pass(struct bench *b, bool write)
{
	struct bench_job *job = &b->jobs[0];
	int err;

	job->depth = b->config.depth_max;
	err = bench_job_pass(job, b->io.nvmux, b->count, write);
	if (err == -EINTR)
		return CLI_INTERRUPTED;
	return err ? report_job(b, &job->failure) : CLI_OK;
}

static int print_header(const struct bench *b)
{
	const struct bench_config *c = &b->config;
	char size[32], mix[32] = "", length[64];

	if (b->cli->json)
		return CLI_OK;
	if (c->reads && c->writes)
		snprintf(mix, sizeof(mix), " (%u %% reads)", c->rwmix);
	if (c->n_ios)
		snprintf(length, sizeof(length), "%llu I/Os per job and depth",
			 (unsigned long long)c->n_ios);
	else
		snprintf(length, sizeof(length), "%g s per depth", (double)c->time_ms / 1000);
	printf("%s: %s%s, %s each, %u job%s, %s\n", b->io.label, c->pattern, mix,
	       cli_format_size(c->io_size, size, sizeof(size)), c->jobs, c->jobs > 1 ? "s" : "",
	       length);
	return cli_flush(b->cli);
}

static int print_json(struct bench *b)
{
	const struct bench_config *c = &b->config;
	uint32_t reads = c->reads && c->writes ? c->rwmix : c->reads ? 100 : 0;
	CLI_JSON *value = NULL;

	value = json_pack("{s:s, s:s, s:I, s:I, s:I, s:b, s:b, s:O}", "target", b->io.label,
			  "pattern", c->pattern, "rwmix", (json_int_t)reads, "io_size",
			  (json_int_t)c->io_size, "jobs", (json_int_t)c->jobs, "verified",
			  c->verify, "adaptive", c->adaptive, "runs", b->runs);
	return cli_print_json(b->cli, value);
}

static int run(struct bench *b, const struct cli_args *args)
{
	struct cli_target target;
	int code;

	code = parse(b, args, &target);
	if (code)
		return code;
	cli_interrupt_catch();
	code = cli_nsio_open(b->cli, &target, &b->io);
	if (!code)
		code = fit(b);
	if (!code)
		code = open_jobs(b);
	if (!code)
		code = print_header(b);
	if (!code && b->config.verify)
		code = pass(b, true);
	for (unsigned i = 0; !code && i < b->config.n_depths; i++)
		code = run_depth(b, b->config.depths[i]);
	if (!code && b->config.verify)
		code = pass(b, false);
	if (!code && b->cli->json)
		code = print_json(b);
	return code;
}

static int run_bench(struct cli *cli, const struct cli_args *args)
{
	struct bench b = {.cli = cli, .io = {.cli = cli}, .runs = json_array()};
	int code;

	code = run(&b, args);
	close_jobs(&b);
	if (code == CLI_INTERRUPTED)
		cli_error(cli, "interrupted");
	return code;
}

static const struct cli_option bench_options[] = {
	{"namespace-id", 'n', "NSID", "the namespace, instead of CTRL/NSID"},
	{"pattern", 'p', "PATTERN", "randread (default), randwrite, read, write, randrw"},
	{"rwmix", 0, "PERCENT", "share of reads of randrw (default 70)"},
	{"bs", 'b', "BYTES", "size of one I/O (default 4K)"},
	{"depth", 'd', "LIST", "I/Os in flight per job; one run for each value, such as 1,4,32,128 "
			       "(default 32)"},
	{"jobs", 'j', "COUNT", "threads, each with its own queue pair (default 1)"},
	{"core", 'c', "LIST", "cores to pin the threads to, in turn (default: not pinned)"},
	{"time", 0, "SEC", "duration of each run (default 5)"},
	{"warmup", 0, "SEC", "time before it that doesn't count (default 0.5)"},
	{"count", 0, "COUNT",
	 "instead of a time: so many I/Os of each job in each run, all of which count"},
	{"size", 0, "BYTES", "use only this much from the start of the namespace"},
	{"allow-write", 0, NULL, "needed for everything that overwrites data"},
	{"adaptive", 0, NULL,
	 "sleep when nothing completes, where the queue pair can be waited for (through the "
	 "daemon, RDMA), instead of polling all the time"},
	{"verify", 0, NULL,
	 "first write all of the range, then compare everything that is read, and at the end all "
	 "of the range; costs speed"},
	{"memory-window", 0, "SIZE",
	 "address space to set aside for I/O memory, a multiple of 2M up to 256G (default 64G); "
	 "less is for tools that leave a program little of it, such as valgrind"},
	{"live", 0, NULL, "a line per second on standard error, also if that is no terminal"},
	CLI_TRID_OPTIONS(0),
	CLI_CTRLR_OPTIONS_BRIEF,
	{0},
};

static const char *const bench_examples[] = {
	"nvmux bench nvme0/1 --depth 1,4,32,128",
	"nvmux bench nvme0/1 --pattern randrw --rwmix 50 --allow-write -o json",
	"nvmux bench -t loopback -a null,size=1T --core 0",
	"nvmux bench -t pcie -a 0000:01:00.0 -n 1 --bs 128K --jobs 2",
#ifdef NVMUX_HAVE_RDMA
	"nvmux bench -t rdma -a 192.168.77.1 --nqn nqn.2024-01.org.example:disk --depth 1,32",
#endif
	NULL,
};

const struct cli_command cli_cmd_bench = {
	.name = "bench",
	.group = CLI_GROUP_DATA,
	.summary = "measure IOPS and latency of a namespace",
	.usage = "CTRL[/NSID]|-t TYPE -a ADDRESS [-n NSID] [--pattern PATTERN] [--depth LIST] ...",
	.description =
		"Keeps a number of I/Os in flight for a while and reports IOPS, MB/s (10^6) and "
		"the distribution of latencies, through the daemon or, with -t and -a, with the "
		"controller driven in this process. Threads poll: each keeps a core busy.\n\n"
		"Latency is from sending to noticing the completion, to the accuracy of one batch "
		"of completions.",
	.options = bench_options,
	.examples = bench_examples,
	.max_args = 1,
	.run = run_bench,
};
