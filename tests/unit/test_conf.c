// SPDX-License-Identifier: BSD-3-Clause
/* The configuration loader, and the sample file against its table of keys. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "conf/conf.h"
#include "libcore/util.h"

struct fixture {
	char dir[64];
	char file[96];
	char report[4096]; /* "line: text\n" of each problem */
	unsigned n_ok;
	struct nvmuxd_config config;
};

static void report(void *arg, const char *file, int line, const char *text)
{
	struct fixture *f = arg;
	const char *base = strrchr(file, '/');
	size_t len = strlen(f->report);

	if (!text) {
		f->n_ok++;
		return;
	}
	snprintf(f->report + len, sizeof(f->report) - len, "%s:%d: %s\n", base ? base + 1 : file,
		 line, text);
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static void write_drop_in(struct fixture *f, const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s.d", f->file);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s.d/%s", f->file, name);
	write_text(path, text);
}

static int load(struct fixture *f, const char *text)
{
	f->report[0] = '\0';
	f->n_ok = 0;
	if (text)
		write_text(f->file, text);
	return conf_load(&f->config, f->file, true, report, f);
}

/* Loading must fail with exactly this report. */
static void assert_refused(struct fixture *f, const char *text, const char *expected)
{
	assert_int_equal(load(f, text), -EINVAL);
	assert_string_equal(f->report, expected);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/test_conf.XXXXXX");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->file, sizeof(f->file), "%s/n.conf", f->dir);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -r %s", f->dir);
	free(f);
	return system(cmd);
}

static void test_defaults(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, "# nothing\n"), 0);
	assert_int_equal(f->n_ok, 1);
	assert_string_equal(f->config.socket, NVMUX_DEFAULT_SOCKET);
	assert_int_equal(f->config.socket_mode, 0660);
	assert_int_equal(f->config.log_level, NVMUX_LOG_INFO);
	assert_int_equal(f->config.memory_window, 64ull << 30);
	assert_int_equal(f->config.n_cores, 0);
	assert_false(f->config.busy);
	assert_int_equal(f->config.limits.max_memory, 1ull << 30);
	assert_int_equal(f->config.limits.max_regions, 64);
	assert_int_equal(f->config.limits.drain_timeout_ms, 5000);
	assert_int_equal(f->config.n_controllers, 0);
}

static void test_missing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(conf_load(&f->config, f->file, true, report, f), -ENOENT);
	assert_string_equal(f->report, "n.conf:0: can't be read: No such file or directory\n");
	f->report[0] = '\0';
	assert_int_equal(conf_load(&f->config, f->file, false, report, f), 0);
	assert_string_equal(f->report, "");
	assert_int_equal(f->config.limits.max_clients, 64);
}

static void test_values(void **state)
{
	struct fixture *f = *state;
	const struct conf_controller *c;

	assert_int_equal(load(f, "[daemon]\n"
				 "socket = /tmp/s\n"
				 "socket_mode = 0600\n"
				 "  socket_group = disk   ; indented, with a comment\n"
				 "log_level = warning rpc:debug pcie:error\n"
				 "memory_window = 6m\n"
				 "[reactor]\n"
				 "cores = 0, 4-6,2\n"
				 "mode = BUSY\n"
				 "[limits]\n"
				 "max_memory = 2g\n"
				 "max_qpairs = 1K\n"
				 "[controller a.b-c_1]\n"
				 "trtype = rdma\n"
				 "traddr = 10.0.0.1\n"
				 "adrfam = ipv4\n"
				 "trsvcid = 4420\n"
				 "subnqn = nqn.x\n"
				 "num_io_queues = 3\n"
				 "[controller two]\n"
				 "trid = transport=pcie;traddr=0000:01:00.0\n"),
			 0);
	assert_string_equal(f->report, "");
	assert_string_equal(f->config.socket, "/tmp/s");
	assert_int_equal(f->config.socket_mode, 0600);
	assert_string_equal(f->config.socket_group, "disk");
	assert_int_equal(f->config.log_level, NVMUX_LOG_WARNING);
	assert_int_equal(f->config.n_module_levels, 2);
	assert_string_equal(f->config.module_levels[0].module, "rpc");
	assert_int_equal(f->config.module_levels[1].level, NVMUX_LOG_ERROR);
	assert_int_equal(f->config.n_cores, 5);
	assert_int_equal(f->config.cores[1], 4);
	assert_int_equal(f->config.cores[4], 2);
	assert_true(f->config.busy);
	assert_int_equal(f->config.memory_window, 6 << 20);
	assert_int_equal(f->config.limits.max_memory, 2ull << 30);
	assert_int_equal(f->config.limits.max_qpairs, 1024);
	assert_int_equal(f->config.n_controllers, 2);
	c = &f->config.controllers[0];
	assert_string_equal(c->name, "a.b-c_1");
	assert_int_equal(c->trid.trtype, NVMUX_TRTYPE_RDMA);
	assert_int_equal(c->trid.adrfam, NVMUX_ADRFAM_IPV4);
	assert_string_equal(c->trid.trsvcid, "4420");
	assert_string_equal(c->trid.subnqn, "nqn.x");
	assert_int_equal(c->opts.num_io_queues, 3);
	assert_int_equal(c->opts.io_queue_depth, 256);
	c = &f->config.controllers[1];
	assert_int_equal(c->trid.trtype, NVMUX_TRTYPE_PCIE);
	assert_string_equal(c->trid.traddr, "0000:01:00.0");
}

static void test_unknown(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, "[daemon]\nsokcet = /x\n",
		       "n.conf:2: unknown key 'sokcet' in [daemon]; did you mean 'socket'?\n");
	assert_refused(f, "[daemon]\nmax_memory = 1\n",
		       "n.conf:2: unknown key 'max_memory' in [daemon]; it belongs to [limits]\n");
	assert_refused(f, "[daemon]\nflavour = 1\n",
		       "n.conf:2: unknown key 'flavour' in [daemon]\n");
	assert_refused(f, "\n[limit]\nmax_memory = 1G\nmore = 2\n",
		       "n.conf:2: unknown section [limit]; did you mean [limits]?\n");
	assert_refused(f, "[controller]\n",
		       "n.conf:1: section [controller] lacks a name; write [controller NAME]\n");
	assert_refused(f, "socket = /x\n",
		       "n.conf:1: 'socket' stands before the first section, such as [daemon]\n");
	assert_refused(f, "[daemon]\nwhat is this\n",
		       "n.conf:2: neither a [section] nor KEY = VALUE nor a # comment\n");
	assert_refused(
		f, "[controller a/b]\ntrtype = pcie\n",
		"n.conf:1: section [controller a/b]: a controller's name has 1 to 32 letters, "
		"digits, '-', '_' or '.', as in [controller nvme0]\n");
}

static void test_bad_values(void **state)
{
	struct fixture *f = *state;

	/* all of them, each with its line */
	assert_refused(
		f,
		"[daemon]\n"
		"socket = relative\n"
		"socket_mode = 0999\n"
		"log_level = loud\n"
		"[reactor]\n"
		"cores = 1,1\n"
		"mode = lazy\n"
		"[limits]\n"
		"max_memory = 1X\n"
		"max_regions = 0\n"
		"max_qpairs = -1\n"
		"drain_timeout_ms = 18446744073709551616\n",
		"n.conf:2: socket = relative: must be an absolute path\n"
		"n.conf:3: socket_mode = 0999: must be an octal file mode such as 0660\n"
		"n.conf:4: log_level = loud: must be error, warning, info or debug, which may be "
		"followed by MODULE:LEVEL words\n"
		"n.conf:6: cores = 1,1: names a CPU twice\n"
		"n.conf:7: mode = lazy: must be adaptive or busy\n"
		"n.conf:9: max_memory = 1X: must be a number from 4096 to 1099511627776, perhaps "
		"with one of the suffixes K, M, G, T\n"
		"n.conf:10: max_regions = 0: must be a number from 1 to 4096\n"
		"n.conf:11: max_qpairs = -1: must be a number from 1 to 1024\n"
		"n.conf:12: drain_timeout_ms = 18446744073709551616: must be a number from 0 to "
		"600000\n");
}

static void test_duplicates(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, "[daemon]\nsocket = /a\n\n[reactor]\n[daemon]\nsocket = /b\n",
		       "n.conf:6: 'socket' of [daemon] is given twice, first in line 2\n");
	assert_refused(f,
		       "[controller a]\ntrtype = pcie\ntraddr = 01:00.0\n"
		       "[controller a]\ntraddr = 02:00.0\n",
		       "n.conf:5: 'traddr' of [controller a] is given twice, first in line 3\n");
}

static void test_controllers(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, "[controller a]\ntraddr = 01:00.0\n",
		       "n.conf:1: [controller a] has neither 'trtype' nor 'trid'\n");
	assert_refused(f, "[controller a]\ntrtype = pcie\n",
		       "n.conf:1: [controller a]: traddr is missing: it names the controller\n");
	assert_refused(f, "[controller a]\ntrtype = daemon\ntraddr = /s\n",
		       "n.conf:1: [controller a]: trtype DAEMON is for clients of nvmuxd\n");
	assert_refused(f, "[controller a]\ntrtype = tcp\n",
		       "n.conf:2: trtype = tcp: must be PCIE, VFIOUSER, RDMA or LOOPBACK\n"
		       "n.conf:1: [controller a] has neither 'trtype' nor 'trid'\n");
}

#define RDMA "[controller a]\ntrtype = rdma\ntraddr = 10.0.0.1\nsubnqn = nqn.x\n"

static void test_connection(void **state)
{
	static const uint8_t id[16] = {0x4f, 0x6f, 0x0a, 0x5e, 0x5d, 0x2c, 0x4c, 0x8e,
				       0x9d, 0x3b, 0x7a, 0x6c, 0x1e, 0x2f, 0x3b, 0x40};
	struct fixture *f = *state;
	const struct conf_controller *c;

	assert_int_equal(load(f, RDMA "host_traddr = 10.0.0.2\n"
				      "host_iface = eth0\n"
				      "hostnqn = nqn.2014-08.org.example:h\n"
				      "hostid = 4F6F0A5E-5d2c-4c8e-9d3b-7a6c1e2f3b40\n"
				      "admin_queue_depth = 16\n"
				      "reconnect_delay_sec = 3\n"
				      "fast_io_fail_timeout_sec = -1\n"
				      "ctrlr_loss_timeout_sec = -1\n"
				      "keep_alive_timeout_ms = 0\n"
				      "command_quiesce_time_ms = 5\n"
				      "path_retry_timeout_ms = 7\n"
				      "transport_ack_timeout = 20\n"),
			 0);
	assert_string_equal(f->report, "");
	c = &f->config.controllers[0];
	assert_int_equal(c->trid.adrfam, NVMUX_ADRFAM_IPV4);
	assert_string_equal(c->trid.host_traddr, "10.0.0.2");
	assert_string_equal(c->trid.host_iface, "eth0");
	assert_string_equal(c->opts.hostnqn, "nqn.2014-08.org.example:h");
	assert_memory_equal(c->opts.hostid, id, 16);
	assert_int_equal(c->opts.admin_queue_depth, 16);
	assert_int_equal(c->opts.reconnect_delay_sec, 3);
	assert_int_equal(c->opts.fast_io_fail_timeout_sec, -1);
	assert_int_equal(c->opts.ctrlr_loss_timeout_sec, -1);
	assert_int_equal(c->opts.keep_alive_timeout_ms, 0);
	assert_int_equal(c->opts.command_quiesce_time_ms, 5);
	assert_int_equal(c->opts.path_retry_timeout_ms, 7);
	assert_int_equal(c->opts.transport_ack_timeout, 20);
	/* what isn't given is what the library says */
	assert_int_equal(c->opts.num_io_queues, 64);
	assert_true(conf_option_given(c, "ctrlr_loss_timeout_sec"));
	assert_false(conf_option_given(c, "num_io_queues"));
}

static void test_connection_refused(void **state)
{
	struct fixture *f = *state;

	assert_refused(f,
		       RDMA "reconnect_delay_sec = 0\n"
			    "ctrlr_loss_timeout_sec = -2\n"
			    "fast_io_fail_timeout_sec = 5s\n"
			    "keep_alive_timeout_ms = 99999999999999999999\n"
			    "transport_ack_timeout = 32\n"
			    "hostnqn = host\n"
			    "hostid = 00000000-0000-0000-0000-000000000000\n"
			    "reconect_delay_sec = 3\n",
		       "n.conf:5: reconnect_delay_sec = 0: must be a number from 1 to 3600\n"
		       "n.conf:6: ctrlr_loss_timeout_sec = -2: must be a number from -1 to "
		       "2592000\n"
		       "n.conf:7: fast_io_fail_timeout_sec = 5s: must be a number from -1 to "
		       "2592000\n"
		       "n.conf:8: keep_alive_timeout_ms = 99999999999999999999: must be a number "
		       "from 0 to 3600000\n"
		       "n.conf:9: transport_ack_timeout = 32: must be a number from 0 to 31\n"
		       "n.conf:10: hostnqn = host: an NQN begins with 'nqn.' and says more\n"
		       "n.conf:11: hostid = 00000000-0000-0000-0000-000000000000: a host "
		       "identifier is a UUID such as 4f6f0a5e-5d2c-4c8e-9d3b-7a6c1e2f3b40, and not "
		       "all zero\n"
		       "n.conf:12: unknown key 'reconect_delay_sec' in [controller a]; did you "
		       "mean 'reconnect_delay_sec'?\n");
	assert_refused(f, "[controller a]\ntrtype = rdma\ntraddr = 10.0.0.1\n",
		       "n.conf:1: [controller a]: subnqn is missing: it names the subsystem; a "
		       "discovery service reports those that there are\n");
	assert_refused(f, RDMA "fast_io_fail_timeout_sec = 4\nreconnect_delay_sec = 5\n",
		       "n.conf:1: [controller a]: fast_io_fail_timeout_sec is 4; it must be at "
		       "least reconnect_delay_sec, which is 5\n");
	assert_refused(f, RDMA "ctrlr_loss_timeout_sec = 4\nreconnect_delay_sec = 5\n",
		       "n.conf:1: [controller a]: ctrlr_loss_timeout_sec is 4; it must be at "
		       "least reconnect_delay_sec, which is 5\n");
	assert_refused(f, RDMA "ctrlr_loss_timeout_sec = 9\nfast_io_fail_timeout_sec = 10\n",
		       "n.conf:1: [controller a]: ctrlr_loss_timeout_sec is 9; it must be at "
		       "least fast_io_fail_timeout_sec, which is 10\n");
	assert_refused(f, RDMA "adrfam = ipv6\n",
		       "n.conf:1: [controller a]: traddr is '10.0.0.1': not an IPv6 address, which "
		       "adrfam says\n");
	assert_refused(f, RDMA "adrfam = ib\n",
		       "n.conf:1: [controller a]: adrfam is IB, which isn't supported; known: "
		       "IPv4, IPv6\n");
	assert_refused(f, "[controller a]\ntrtype = rdma\ntraddr = 10.0.0.1\nsubnqn = sub\n",
		       "n.conf:1: [controller a]: subnqn is 'sub': an NQN begins with 'nqn.' and "
		       "says more\n");
	/* those of fabrics alone, by name */
	assert_refused(f,
		       "[controller a]\ntrtype = pcie\ntraddr = 01:00.0\nhost_iface = eth0\n"
		       "[controller b]\ntrtype = vfiouser\ntraddr = /x\nhostnqn = nqn.x\n"
		       "[controller c]\ntrtype = loopback\ntraddr = x\nadmin_queue_depth = 16\n"
		       "keep_alive_timeout_ms = 1\n",
		       "n.conf:1: [controller a]: host_iface makes sense for fabrics (RDMA) only; "
		       "trtype is PCIE\n"
		       "n.conf:5: [controller b]: hostnqn makes sense for fabrics (RDMA) only; "
		       "trtype is VFIOUSER\n"
		       "n.conf:9: [controller c]: keep_alive_timeout_ms makes sense for fabrics "
		       "(RDMA) only; trtype is LOOPBACK\n");
}

static void test_discovery(void **state)
{
	struct fixture *f = *state;
	const struct conf_controller *c;

	assert_int_equal(load(f, "[discovery d]\n"
				 "trtype = rdma\n"
				 "traddr = fe80::1%eth0\n"
				 "attach = Yes\n"
				 "reconnect_delay_sec = 9\n"
				 "[discovery e]\n"
				 "trid = trtype:RDMA traddr:10.0.0.1 trsvcid:8009 subnqn:nqn.d\n"),
			 0);
	assert_string_equal(f->report, "");
	assert_int_equal(f->config.n_controllers, 0);
	assert_int_equal(f->config.n_discoveries, 2);
	c = &f->config.discoveries[0];
	assert_string_equal(c->name, "d");
	assert_true(c->attach);
	assert_int_equal(c->trid.adrfam, NVMUX_ADRFAM_IPV6);
	assert_string_equal(c->trid.subnqn, NVMUX_DISCOVERY_NQN);
	assert_int_equal(c->opts.reconnect_delay_sec, 9);
	c = &f->config.discoveries[1];
	assert_false(c->attach);
	assert_string_equal(c->trid.subnqn, "nqn.d");
	assert_refused(f, "[discovery]\n",
		       "n.conf:1: section [discovery] lacks a name; write [discovery NAME]\n");
	assert_refused(f, "[discovery aaaaaaaaaaaaaaaaaaaaaaaaaaaa]\n",
		       "n.conf:1: section [discovery aaaaaaaaaaaaaaaaaaaaaaaaaaaa]: a discovery "
		       "service's name has 1 to 27 letters, digits, '-', '_' or '.', as in "
		       "[discovery storage]\n");
	assert_refused(f, "[discovery a]\ntrtype = pcie\ntraddr = 01:00.0\n",
		       "n.conf:1: [discovery a]: trtype is PCIE; a discovery service is reached "
		       "by RDMA\n");
	assert_refused(f, "[discovery a]\ntrtype = rdma\n",
		       "n.conf:1: [discovery a]: traddr is missing: it names the discovery "
		       "service\n");
	assert_refused(f, "[discovery a]\ntrtype = rdma\ntraddr = ::1\nattach = maybe\natach = 1\n",
		       "n.conf:4: attach = maybe: must be yes or no\n"
		       "n.conf:5: unknown key 'atach' in [discovery a]; did you mean 'attach'?\n");
	/* the service isn't given up by default, but what it reports is */
#define SLOW "[discovery a]\ntrtype = rdma\ntraddr = ::1\nreconnect_delay_sec = 700\n"
	assert_int_equal(load(f, SLOW), 0);
	assert_refused(f, SLOW "attach = yes\n",
		       "n.conf:1: [discovery a]: ctrlr_loss_timeout_sec is 600; it must be at "
		       "least reconnect_delay_sec, which is 700\n");
	assert_refused(f, RDMA "attach = yes\n",
		       "n.conf:5: unknown key 'attach' in [controller a]; it belongs to "
		       "[discovery]\n");
}

static void test_memory_window(void **state)
{
	static const char *const refused[] = {"0", "1M", "3M", "2097153", "257G", "256G2M", "x"};
	struct fixture *f = *state;
	char text[128], expected[256];

	assert_int_equal(load(f, "[daemon]\nmemory_window = 2M\n"), 0);
	assert_int_equal(f->config.memory_window, 2 << 20);
	assert_int_equal(load(f, "[daemon]\nmemory_window = 256G\n"), 0);
	assert_int_equal(f->config.memory_window, 256ull << 30);
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
		snprintf(text, sizeof(text), "[daemon]\nmemory_window = %s\n", refused[i]);
		snprintf(expected, sizeof(expected),
			 "n.conf:2: memory_window = %s: must be a multiple of 2M, at most 256G\n",
			 refused[i]);
		assert_refused(f, text, expected);
	}
}

static void test_host(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, "[host]\nhostnqn = nqn.2014-08.org.example:h\n"
				 "hostid = 4F6F0A5E5d2c4c8e9d3b7a6c1e2f3b40\n"),
			 0);
	assert_string_equal(f->config.hostnqn, "nqn.2014-08.org.example:h");
	assert_string_equal(f->config.hostid, "4f6f0a5e-5d2c-4c8e-9d3b-7a6c1e2f3b40");
	assert_refused(f, "[host]\nhostnqn = nqn.two words\nhostid = 1234\n",
		       "n.conf:2: hostnqn = nqn.two words: an NQN has no spaces and no characters "
		       "other than printable ASCII\n"
		       "n.conf:3: hostid = 1234: a host identifier is a UUID such as "
		       "4f6f0a5e-5d2c-4c8e-9d3b-7a6c1e2f3b40, and not all zero\n");
}

/* The defaults that people read are those of the library. */
static void test_option_defaults(void **state)
{
	struct conf_controller controller;
	const struct conf_option *option;
	unsigned n = 0;

	conf_controller_init(&controller);
	for (const struct conf_key *key = conf_keys; key->section; key++) {
		option = strcmp(key->section, "controller") == 0 ? conf_option_find(key->name)
								 : NULL;
		if (!option)
			continue;
		n++;
		assert_int_equal(conf_controller_get_option(&controller, option),
				 strtoll(key->def, NULL, 10));
	}
	for (option = conf_options; option->name; option++)
		n--;
	assert_int_equal(n, 0);
}

static void test_drop_ins(void **state)
{
	struct fixture *f = *state;

	write_drop_in(f, "20-b.conf",
		      "[limits]\nmax_regions = 20\n[controller n]\n"
		      "traddr = 02:00.0\n");
	write_drop_in(f, "10-a.conf", "[limits]\nmax_regions = 10\nmax_qpairs = 10\n");
	write_drop_in(f, "ignored.txt", "nonsense\n");
	write_drop_in(f, ".hidden.conf", "nonsense\n");
	assert_int_equal(load(f, "[limits]\nmax_regions = 5\n[controller n]\ntrtype = pcie\n"), 0);
	assert_int_equal(f->n_ok, 3);
	assert_int_equal(f->config.limits.max_regions, 20); /* the last one wins */
	assert_int_equal(f->config.limits.max_qpairs, 10);
	assert_int_equal(f->config.n_controllers, 1);
	assert_string_equal(f->config.controllers[0].trid.traddr, "02:00.0");
	write_drop_in(f, "30-c.conf", "[limits]\n\nmax_region = 1\n");
	assert_int_equal(load(f, NULL), -EINVAL);
	assert_string_equal(f->report,
			    "30-c.conf:3: unknown key 'max_region' in [limits]; did you mean "
			    "'max_regions'?\n");
}

static void test_untouched(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, "[limits]\nmax_regions = 5\n"), 0);
	assert_int_equal(load(f, "[limits]\nmax_regions = 6\nmax_qpairs = x\n"), -EINVAL);
	assert_int_equal(f->config.limits.max_regions, 5);
}

static void test_long_lines(void **state)
{
	struct fixture *f = *state;
	char text[4096], expected[256];

	/* an NQN may have 223 bytes */
	memset(text, 0, sizeof(text));
	strcpy(text, "[controller a]\ntrtype = rdma\ntraddr = 1.2.3.4\nsubnqn = nqn.");
	memset(text + strlen(text), 'q', 219);
	assert_int_equal(load(f, text), 0);
	assert_int_equal(strlen(f->config.controllers[0].trid.subnqn), 223);

	memset(text, 0, sizeof(text));
	strcpy(text, "[daemon]\n# ");
	memset(text + strlen(text), 'x', 3000);
	strcat(text, "\nsokcet = /x\n");
	assert_int_equal(load(f, text), -EINVAL);
	snprintf(expected, sizeof(expected),
		 "n.conf:2: the line is longer than 1022 bytes\n"
		 "n.conf:3: unknown key 'sokcet' in [daemon]; did you mean 'socket'?\n");
	assert_string_equal(f->report, expected);
}

static void test_size(void **state)
{
	uint64_t value = 7;

	assert_int_equal(conf_parse_size("0", &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(conf_parse_size("3k", &value), 0);
	assert_int_equal(value, 3072);
	assert_int_equal(conf_parse_size("1T", &value), 0);
	assert_int_equal(value, 1ull << 40);
	value = 7;
	assert_int_equal(conf_parse_size("16777216T", &value), -ERANGE);
	assert_int_equal(conf_parse_size("99999999999999999999", &value), -ERANGE);
	assert_int_equal(conf_parse_size("", &value), -EINVAL);
	assert_int_equal(conf_parse_size(" 1", &value), -EINVAL);
	assert_int_equal(conf_parse_size("+1", &value), -EINVAL);
	assert_int_equal(conf_parse_size("1KB", &value), -EINVAL);
	assert_int_equal(value, 7);
}

static void test_cores(void **state)
{
	uint16_t cores[4];

	assert_int_equal(conf_parse_cores("3", cores, 4), 1);
	assert_int_equal(conf_parse_cores("0-3", cores, 4), 4);
	assert_int_equal(cores[3], 3);
	assert_int_equal(conf_parse_cores("0-4", cores, 4), -E2BIG);
	assert_int_equal(conf_parse_cores("3-1", cores, 4), -EINVAL);
	assert_int_equal(conf_parse_cores("1,", cores, 4), -EINVAL);
	assert_int_equal(conf_parse_cores(",1", cores, 4), -EINVAL);
	assert_int_equal(conf_parse_cores("1-", cores, 4), -EINVAL);
	assert_int_equal(conf_parse_cores("1;2", cores, 4), -EINVAL);
	assert_int_equal(conf_parse_cores("1024", cores, 4), -ERANGE);
	assert_int_equal(conf_parse_cores("0-99999999999999999999", cores, 4), -ERANGE);
}

/* ---- the sample file ---- */

#define KEYS_MAX 96

struct sample {
	char text[32768]; /* with every key uncommented */
	unsigned n_keys;
	char keys[KEYS_MAX][2][64]; /* section, name */
	char values[KEYS_MAX][128];
};

static FILE *open_sample(void)
{
	char path[1024];
	const char *end = strstr(__FILE__, "tests/unit/");
	FILE *file;

	/* the build system names sources relative to the build directory, where it runs the tests
	 */
	snprintf(path, sizeof(path), "%.*sconf/nvmuxd.conf", (int)(end - __FILE__), __FILE__);
	file = fopen(path, "r");
	return file ? file : fopen("conf/nvmuxd.conf", "r");
}

/* Take the '#' from keys and from the example's section; other comments have a blank after it. */
static void read_sample(struct sample *sample)
{
	char line[256], section[64] = "", value[128];
	FILE *file = open_sample();
	const char *start;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		start = line[0] == '#' && line[1] != ' ' && line[1] != '\n' ? line + 1 : line;
		strcat(sample->text, start);
		if (sscanf(start, "[%63[a-z]", section) == 1 || *start == '#' || *start == '\n')
			continue;
		assert_true(sample->n_keys < KEYS_MAX);
		value[0] = '\0';
		assert_true(sscanf(start, "%63[a-z_] = %127[^\n]", sample->keys[sample->n_keys][1],
				   value) >= 1);
		strcpy(sample->keys[sample->n_keys][0], section);
		strcpy(sample->values[sample->n_keys++], value);
	}
	fclose(file);
}

static int find_in_sample(const struct sample *sample, const struct conf_key *key)
{
	for (unsigned i = 0; i < sample->n_keys; i++) {
		if (strcmp(sample->keys[i][0], key->section) == 0 &&
		    strcmp(sample->keys[i][1], key->name) == 0)
			return (int)i;
	}
	return -1;
}

static void test_sample(void **state)
{
	struct fixture *f = *state;
	struct sample *sample = calloc(1, sizeof(*sample));
	unsigned n = 0;
	int i;

	read_sample(sample);
	assert_int_equal(load(f, sample->text), 0);
	assert_string_equal(f->report, "");
	for (const struct conf_key *key = conf_keys; key->section; key++, n++) {
		i = find_in_sample(sample, key);
		if (i < 0)
			fail_msg("the sample lacks '%s' of [%s]", key->name, key->section);
		/* what it shows is the default, except for what has none */
		if (strcmp(key->section, "controller") != 0 || key->def[0])
			assert_string_equal(sample->values[i], key->def);
	}
	/* and the two that a discovery service can't do without */
	assert_int_equal(sample->n_keys, n + 2);
	free(sample);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_duplicates, setup, teardown),
		cmocka_unit_test_setup_teardown(test_controllers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_connection_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_discovery, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_window, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host, setup, teardown),
		cmocka_unit_test(test_option_defaults),
		cmocka_unit_test_setup_teardown(test_drop_ins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_untouched, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_lines, setup, teardown),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_cores),
		cmocka_unit_test_setup_teardown(test_sample, setup, teardown),
	};

	return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
