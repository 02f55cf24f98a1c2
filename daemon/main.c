// SPDX-License-Identifier: BSD-3-Clause
/* nvmuxd: command line, configuration, limits of the process, exit codes. */
#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <nvmux/sigbus.h>
#include "daemon/daemon.h"
#include "libcore/util.h"

enum exit_code {
	EXIT_OK = 0,
	EXIT_FAILED = 1, /* it couldn't start, or its loop failed */
	EXIT_USAGE = 2,
	EXIT_CONFIG = 3,
	EXIT_IN_USE = 4,
};

static const char help_text[] =
	"Usage: nvmuxd [OPTION]...\n"
	"Share NVMe controllers among many user-space programs. Runs in the foreground.\n"
	"\n"
	"  -c, --config FILE  configuration; default " CONF_DEFAULT_FILE ".\n"
	"                     FILE.d/*.conf is read after it.\n"
	"  -s, --socket PATH  socket to listen on, whatever the configuration says\n"
	"      --check        say what is wrong with the configuration, and end\n"
	"  -v, --verbose      log everything\n"
	"  -V, --version      print the version, and end\n"
	"  -h, --help         print this, and end\n"
	"\n"
	"Signals: SIGTERM and SIGINT end it in an orderly way, a second one without waiting for\n"
	"commands in flight; SIGHUP reads the configuration again.\n"
	"\n"
	"Exit codes: 0 ended as asked; 1 failed; 2 wrong command line; 3 wrong configuration;\n"
	"4 another process uses the socket.\n";

/* The manual page for scdoc. */
static const char man_head[] =
	"nvmuxd(8) \"\" \"nvmux " NVMUX_VERSION "\"\n\n"
	"# NAME\n\nnvmuxd - share NVMe controllers among many user-space programs\n\n"
	"# SYNOPSIS\n\n*nvmuxd* [OPTION]...\n\n"
	"# DESCRIPTION\n\n```\n";
static const char man_tail[] = "```\n\n"
			       "# FILES\n\n_" CONF_DEFAULT_FILE
			       "_: the configuration; the installed one explains every "
			       "key.\n\n"
			       "# SEE ALSO\n\n*nvmux*(1)\n";

struct options {
	const char *config_file;
	bool config_given;
	const char *socket;
	bool check;
	bool say_ok; /* of each file that is right */
	bool verbose;
};

/* A SIGBUS that no device that went away is the reason of: a real fault. */
static void explain_sigbus(void)
{
	static const char text[] = "nvmuxd: memory access failed (SIGBUS): a mapped file has "
				   "shrunk or its disk is full\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(EXIT_FAILED);
}

static void report_problem(void *arg, const char *file, int line, const char *text)
{
	const struct options *options = arg;

	if (!text && options->say_ok)
		printf("%s: ok\n", file);
	else if (text && line)
		fprintf(stderr, "nvmuxd: %s:%d: %s\n", file, line, text);
	else if (text)
		fprintf(stderr, "nvmuxd: %s: %s\n", file, text);
}

/* Return an exit code; -1: go on. */
static int parse_args(int argc, char **argv, struct options *options)
{
	enum { OPT_CHECK = 256, OPT_MAN };
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'}, {"socket", required_argument, NULL, 's'},
		{"check", no_argument, NULL, OPT_CHECK},  {"verbose", no_argument, NULL, 'v'},
		{"version", no_argument, NULL, 'V'},      {"help", no_argument, NULL, 'h'},
		{"man", no_argument, NULL, OPT_MAN},      {NULL, 0, NULL, 0},
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "c:s:vVh", longs, NULL)) != -1) {
		switch (opt) {
		case 'c':
			options->config_file = optarg;
			options->config_given = true;
			break;
		case 's': options->socket = optarg; break;
		case OPT_CHECK: options->check = true; break;
		case 'v': options->verbose = true; break;
		case 'V': printf("nvmuxd %s\n", nvmux_version()); return EXIT_OK;
		case 'h': fputs(help_text, stdout); return EXIT_OK;
		case OPT_MAN: printf("%s%s%s", man_head, help_text, man_tail); return EXIT_OK;
		default: fputs("Try 'nvmuxd --help'.\n", stderr); return EXIT_USAGE;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "nvmuxd: unexpected argument '%s'; try 'nvmuxd --help'\n",
			argv[optind]);
		return EXIT_USAGE;
	}
	if (options->socket &&
	    (options->socket[0] != '/' || strlen(options->socket) >= CONF_SOCKET_MAX)) {
		fprintf(stderr,
			"nvmuxd: --socket '%s': an absolute path of at most %d bytes is needed\n",
			options->socket, CONF_SOCKET_MAX - 1);
		return EXIT_USAGE;
	}
	return -1;
}

/* The CPUs of the configuration must be among those that we may use. */
static bool cores_usable(const struct nvmuxd_config *config)
{
	cpu_set_t cpus;
	bool good = true;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return true; /* more CPUs than a set has: starting the reactors tells */
	for (uint32_t i = 0; i < config->n_cores; i++) {
		if (CPU_ISSET(config->cores[i], &cpus))
			continue;
		fprintf(stderr,
			"nvmuxd: %s:%d: CPU %u of 'cores' in [reactor] can't be used: it is not "
			"there, or not allowed to this process\n",
			config->cores_file, config->cores_line, config->cores[i]);
		good = false;
	}
	return good;
}

/*
 * The directory of the socket must be there; only that of the default socket is made, because
 * another one may be misspelt. A socket that systemd passes has a place already.
 */
static bool directory_usable(const char *socket)
{
	char dir[CONF_SOCKET_MAX];
	bool is_default;
	char *slash;

	snprintf(dir, sizeof(dir), "%s", NVMUX_DEFAULT_SOCKET);
	slash = strrchr(dir, '/');
	is_default = strncmp(socket, dir, (size_t)(slash - dir) + 1) == 0 &&
		     !strchr(socket + (slash - dir) + 1, '/');
	snprintf(dir, sizeof(dir), "%s", socket);
	slash = strrchr(dir, '/');
	if (slash == dir || getenv("LISTEN_FDS"))
		return true;
	*slash = '\0';
	if (access(dir, F_OK) == 0 || errno != ENOENT) /* if not: the socket tells */
		return true;
	if (!is_default) {
		fprintf(stderr, "nvmuxd: %s: no such directory, for the socket %s\n", dir, socket);
		return false;
	}
	if (mkdir(dir, 0755) == 0 || errno == EEXIST)
		return true;
	fprintf(stderr,
		"nvmuxd: %s: the directory of the socket can't be made: %s; choose another socket "
		"with --socket\n",
		dir, strerror(errno));
	return false;
}

/* A descriptor for each ring, region and socket: as many as we may have. */
static void raise_limit(int resource)
{
	struct rlimit limit;

	if (getrlimit((__rlimit_resource_t)resource, &limit))
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit((__rlimit_resource_t)resource, &limit);
}

static int run(struct nvmuxd *d)
{
	char why[512] = "";
	int err = daemon_create(d, why, sizeof(why));

	if (err) {
		fprintf(stderr, "nvmuxd: %s\n", why);
		daemon_destroy(d);
		return err == -EADDRINUSE ? EXIT_IN_USE : EXIT_FAILED;
	}
	nvmux_sigbus_install(d->nvmux, explain_sigbus);
	err = daemon_run(d);
	nvmux_sigbus_install(NULL, NULL);
	if (err) {
		fprintf(stderr, "nvmuxd: the event loop failed\n");
		return EXIT_FAILED; /* nothing is in a state to be taken down */
	}
	daemon_destroy(d);
	return EXIT_OK;
}

int main(int argc, char **argv)
{
	struct options options = {.config_file = CONF_DEFAULT_FILE};
	struct nvmuxd *d;
	int code;

	keep_standard_fds();
	code = parse_args(argc, argv, &options);
	if (code >= 0)
		return code;
	d = calloc(1, sizeof(*d));
	if (!d) {
		fputs("nvmuxd: out of memory\n", stderr);
		return EXIT_FAILED;
	}
	d->config_file = options.config_file;
	d->config_must_exist = options.config_given;
	d->verbose = options.verbose;
	if (conf_load(&d->config, d->config_file, d->config_must_exist, report_problem, &options) ||
	    !cores_usable(&d->config)) {
		free(d);
		return EXIT_CONFIG;
	}
	if (options.check) {
		options.say_ok = true; /* now that all is known to be */
		conf_load(&d->config, d->config_file, d->config_must_exist, report_problem,
			  &options);
		if (!options.config_given && access(options.config_file, F_OK))
			printf("%s: not there; the defaults hold\n", options.config_file);
		free(d);
		return EXIT_OK;
	}
	if (options.socket)
		snprintf(d->config.socket, sizeof(d->config.socket), "%s", options.socket);
	if (!directory_usable(d->config.socket)) {
		free(d);
		return EXIT_FAILED;
	}
	log_init(&d->log);
	log_configure(&d->log, &d->config, d->verbose);
	raise_limit(RLIMIT_NOFILE);
	raise_limit(RLIMIT_MEMLOCK);
	signal(SIGPIPE, SIG_IGN);
	code = run(d);
	libevent_global_shutdown();
	free(d);
	return code;
}
