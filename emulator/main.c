// SPDX-License-Identifier: BSD-3-Clause
/* nvmux-emulator: a software NVMe controller behind a vfio-user socket. Options and exit status. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "emulator/control.h"
#include "emulator/vfio_user_server.h"
#include "libcore/util.h"

#define EXIT_USAGE 2

/* clang-format off */
static const char help[] =
	"Usage: nvmux-emulator --socket-dir DIR --ns SPEC [--ns SPEC]... [OPTION]...\n"
	"\n"
	"Emulate an NVMe 2.0 controller, and serve it over vfio-user to one client at a\n"
	"time, on the socket DIR/" VUS_SOCKET_NAME ". Prints \"ready\" when clients can\n"
	"connect. Runs until SIGTERM or SIGINT.\n"
	"\n"
	"Options:\n"
	"  -d, --socket-dir DIR  directory of the socket; made (mode 0700) if missing\n"
	"  -n, --ns SPEC         add a namespace, see below; may be repeated\n"
	"  -m, --mode MODE       adaptive: poll while there is work, then sleep for up to\n"
	"                        1 ms at a time (default); poll: always; event: never,\n"
	"                        doorbells come as messages, slow, but without any\n"
	"                        processor time when idle\n"
	"      --mdts N          transfer limit of a command: 4 KiB << N; 0: none;\n"
	"                        0 to 16; default 7\n"
	"      --noiob N         optimal I/O boundary of all namespaces in blocks;\n"
	"                        0: none (default)\n"
	"      --queues N        I/O queue pairs granted at most; 1 to 1023; default 64\n"
	"      --entries N       entries of a queue at most; 2 to 65536; default 1024\n"
	"      --vectors N       MSI-X vectors; 1 to 1024; default: one for each queue\n"
	"      --fault SPEC      a fault to begin with, see below; may be repeated\n"
	"      --hmb SIZE        host memory asked for; default 0: none\n"
	"      --sgl 1           offer SGLs for I/O commands\n"
	"      --zasl N          limit of Zone Append: 4 KiB << N; default 0: that of mdts\n"
	"      --oncs HEX        leave out these optional commands: bits of ONCS\n"
	"      --wrr 1           offer weighted round robin arbitration\n"
	"      --fdp N           flexible data placement with N reclaim unit handles\n"
	"      --serial S        serial number, 1 to 20 characters; namespace identifiers\n"
	"                        and the subsystem's name derive from it; default: made\n"
	"                        from the absolute path of DIR, the same at each start\n"
	"  -h, --help            this text\n"
	"  -V, --version         version\n"
	"\n"
	"A namespace SPEC is one of these words, with settings, separated by commas:\n"
	"  mem,size=SIZE         memory, zeroed at the start\n"
	"  file,path=PATH        a file; size=SIZE makes it, or extends a smaller one, and\n"
	"                        takes the room on the disk for what is new; an existing\n"
	"                        sparse file stays sparse: a full disk ends the emulator\n"
	"  null,size=SIZE        nothing: writes are dropped, reads leave the buffer alone\n"
	"and bs=512 (default) or bs=4096 for the block size. Further settings:\n"
	"  ms=0|8|16|64          bytes of metadata of each block (default 0); null keeps\n"
	"                        none; a file has it after the data\n"
	"  mset=0|1              separate (default), or interleaved with the data\n"
	"  pi=0..3, pil=0|1      type of protection information (default 0: none), in the\n"
	"                        last 8 bytes of the metadata (default) or the first\n"
	"  zoned,zone=SIZE       a zoned namespace, of mem or null; zcap=SIZE: of each zone\n"
	"                        this much can be written; maxopen=N, maxactive=N: so many\n"
	"                        zones at a time (default 0: no limit)\n"
	"SIZE is in bytes, or with one of the units K, M, G, T, P (powers of 1024; 64M,\n"
	"64MiB and 64MB are the same).\n"
	"Several namespaces can be joined by '+'; a backslash takes the next character as\n"
	"it is. The settings mdts, noiob, queues, entries, vectors, serial, fault, hmb,\n"
	"sgl, zasl, oncs, wrr and fdp can be part of a SPEC too.\n"
	"\n"
	"A fault SPEC is WHAT[:opc=XX][:qid=N][:nth=N][:times=N][:ms=N]. WHAT is one of\n"
	"  drop, delay, duplicate, reorder, badcid, status=HEX, shortidentify, missirq\n"
	"                        of a command: of opcode XX (hexadecimal), of queue N\n"
	"                        (0: admin), from the nth one on, times (default 1; 0:\n"
	"                        all); delay and reorder last ms; HEX is hexadecimal.\n"
	"                        nvmuxd has a queue for each of its reactors, 1 and up,\n"
	"                        which its clients share; later ones are made on demand\n"
	"  cfs, allones, truncate, remove\n"
	"                        of the controller: at once, or when such a command is\n"
	"                        fetched; allones for ms or until it is cleared\n"
	"  stuckready            CSTS.RDY doesn't follow CC.EN, for ms or until cleared\n"
	"  badlen                a vfio-user reply has a wrong length; XX: its command\n"
	"At run time, faults are set by lines on the socket DIR/" CONTROL_SOCKET_NAME
	": a SPEC, clear, or\n"
	"list, and the health of the SMART log by smart with any of temperature=KELVIN,\n"
	"warning=XX, spare=PERCENT, used=PERCENT. Each is answered with ok, or error: why.\n"
	"\n"
	"Exit status: 0 after a signal, 1 when it cannot run, 2 when the command line is\n"
	"wrong.\n"
	"\n"
	"Examples:\n"
	"  nvmux-emulator -d /tmp/e0 -n mem,size=256M\n"
	"  nvmux-emulator -d /tmp/e1 -n file,path=/tmp/disk,size=1G,bs=4096 -n null,size=8T\n";
/* clang-format on */

enum {
	OPT_SETTING = 256, /* passed on to the description's parser under its own name */
};

static const struct option options[] = {
	{"socket-dir", required_argument, NULL, 'd'},
	{"ns", required_argument, NULL, 'n'},
	{"mode", required_argument, NULL, 'm'},
	{"mdts", required_argument, NULL, OPT_SETTING},
	{"noiob", required_argument, NULL, OPT_SETTING},
	{"queues", required_argument, NULL, OPT_SETTING},
	{"entries", required_argument, NULL, OPT_SETTING},
	{"vectors", required_argument, NULL, OPT_SETTING},
	{"serial", required_argument, NULL, OPT_SETTING},
	{"fault", required_argument, NULL, OPT_SETTING},
	{"hmb", required_argument, NULL, OPT_SETTING},
	{"sgl", required_argument, NULL, OPT_SETTING},
	{"zasl", required_argument, NULL, OPT_SETTING},
	{"oncs", required_argument, NULL, OPT_SETTING},
	{"wrr", required_argument, NULL, OPT_SETTING},
	{"fdp", required_argument, NULL, OPT_SETTING},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{0},
};

static int usage_error(const char *option, const char *why)
{
	fprintf(stderr, "nvmux-emulator: --%s: %s\nTry 'nvmux-emulator --help'.\n", option, why);
	return -EINVAL;
}

static int parse_mode(struct vus_server_opts *opts, const char *value)
{
	static const char *const names[] = {
		[VUS_MODE_ADAPTIVE] = "adaptive",
		[VUS_MODE_POLL] = "poll",
		[VUS_MODE_EVENT] = "event",
	};
	char why[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(value, names[i]) == 0) {
			opts->mode = (enum vus_mode)i;
			return 0;
		}
	}
	snprintf(why, sizeof(why), "%.40s: must be poll, adaptive or event", value);
	return usage_error("mode", why);
}

static int parse_ns(struct vus_server_opts *opts, const char *value)
{
	char why[384];

	if (emu_config_parse(&opts->config, value, why, sizeof(why)))
		return usage_error("ns", why);
	return 0;
}

/* A value is a single one: what separates settings in a description has no meaning here. */
static int parse_setting(struct vus_server_opts *opts, const char *name, const char *value)
{
	char text[384], why[384];
	size_t len = (size_t)snprintf(text, sizeof(text), "%s=", name);

	for (const char *s = value; *s && len < sizeof(text) - 3; s++) {
		if (*s == ',' || *s == '+' || *s == '\\')
			text[len++] = '\\';
		text[len++] = *s;
	}
	text[len] = '\0';
	if (emu_config_parse(&opts->config, text, why, sizeof(why)))
		return usage_error(name, why);
	return 0;
}

/* 0: run; 1: done; -EINVAL: a message has been printed. */
static int parse_options(struct vus_server_opts *opts, int argc, char **argv)
{
	int c, index, err = 0;

	while (!err && (c = getopt_long(argc, argv, "d:n:m:hV", options, &index)) != -1) {
		switch (c) {
		case 'd': opts->socket_dir = optarg; break;
		case 'n': err = parse_ns(opts, optarg); break;
		case 'm': err = parse_mode(opts, optarg); break;
		case OPT_SETTING: err = parse_setting(opts, options[index].name, optarg); break;
		case 'h': fputs(help, stdout); return 1;
		case 'V': printf("nvmux-emulator %s\n", NVMUX_VERSION); return 1;
		default: fprintf(stderr, "Try 'nvmux-emulator --help'.\n"); return -EINVAL;
		}
	}
	if (err)
		return err;
	if (optind < argc) {
		fprintf(stderr,
			"nvmux-emulator: %s: unexpected argument\nTry 'nvmux-emulator --help'.\n",
			argv[optind]);
		return -EINVAL;
	}
	if (!opts->socket_dir || !opts->socket_dir[0])
		return usage_error("socket-dir", "is needed: the directory of the socket");
	if (opts->config.n_ns == 0)
		return usage_error("ns", "is needed at least once");
	return 0;
}

/* The directory is made here already, because what doesn't exist has no absolute path. */
static void default_serial(struct vus_server_opts *opts)
{
	char *path = NULL;

	if (mkdir(opts->socket_dir, 0700) == 0 || errno == EEXIST)
		path = realpath(opts->socket_dir, NULL);
	emu_config_default_serial(&opts->config, path ? path : opts->socket_dir);
	free(path);
}

int main(int argc, char **argv)
{
	struct vus_server_opts *opts;
	char why[512] = "";
	int err;

	keep_standard_fds();
	opts = calloc(1, sizeof(*opts));
	if (!opts)
		return EXIT_FAILURE;
	emu_config_init(&opts->config);
	err = parse_options(opts, argc, argv);
	if (err) {
		free(opts);
		return err < 0 ? EXIT_USAGE : EXIT_SUCCESS;
	}
	default_serial(opts);
	err = vus_server_run(opts, why, sizeof(why));
	if (err)
		fprintf(stderr, "nvmux-emulator: %s\n", why);
	free(opts);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
