// SPDX-License-Identifier: BSD-3-Clause
/* Who this host is: options, files, what is made up. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "libcore/host.h"

#define UUID_A "6c170cd6-9598-49ed-8210-b7f1c0cc7867"
#define UUID_B "de88624a-628e-453a-a480-b3a347eee9d3"
#define PREFIX "nqn.2014-08.org.nvmexpress:uuid:"

static const uint8_t bytes_a[16] = {0x6c, 0x17, 0x0c, 0xd6, 0x95, 0x98, 0x49, 0xed,
				    0x82, 0x10, 0xb7, 0xf1, 0xc0, 0xcc, 0x78, 0x67};

struct fixture {
	char dir[64];
	char nqn_path[96];
	char id_path[96];
	char log[4096];
	unsigned log_lines;
	struct nvmux *nvmux;
	struct nvmux_ctrlr_opts opts;
};

static void log_line(void *arg, enum nvmux_log_level level, const char *module, const char *text)
{
	struct fixture *f = arg;
	size_t n = strlen(f->log);

	f->log_lines++;
	snprintf(f->log + n, sizeof(f->log) - n, "%s\n", text);
}

static int create(struct fixture *f, const char *hostnqn, const char *hostid)
{
	struct nvmux_opts opts;

	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = 2 << 20;
	opts.log = log_line;
	opts.log_arg = f;
	opts.hostnqn = hostnqn;
	opts.hostid = hostid;
	nvmux_destroy(f->nvmux);
	f->nvmux = NULL;
	f->log[0] = '\0';
	f->log_lines = 0;
	nvmux_ctrlr_opts_init(&f->opts, sizeof(f->opts));
	return nvmux_create(&opts, &f->nvmux);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/nvmux-host-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->nqn_path, sizeof(f->nqn_path), "%s/hostnqn", f->dir);
	snprintf(f->id_path, sizeof(f->id_path), "%s/hostid", f->dir);
	assert_int_equal(create(f, NULL, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	nvmux_destroy(f->nvmux);
	unlink(f->nqn_path);
	unlink(f->id_path);
	rmdir(f->dir);
	free(f);
	return 0;
}

static void put(const char *path, const char *text, size_t n)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
}

static int identity(struct fixture *f)
{
	return nvmux_host_identity_from(f->nvmux, f->nqn_path, f->id_path, &f->opts);
}

static void id_is(const struct fixture *f, const char *uuid)
{
	char text[NVMUX_UUID_TEXT];

	nvmux_uuid_format(f->opts.hostid, text);
	assert_string_equal(text, uuid);
}

static void test_uuids(void **state)
{
	static const char *const bad[] = {
		"",
		"6c170cd6",
		"6c170cd6-9598-49ed-8210-b7f1c0cc786",
		"6c170cd6-9598-49ed-8210-b7f1c0cc78677",
		"6c170cd6-9598-49ed-8210-b7f1c0cc786g",
		"6c170cd6a9598-49ed-8210-b7f1c0cc7867",
		"6c170cd69598-49ed-8210-b7f1-c0cc7867",
		"6c170cd6-9598-49ed-8210-b7f1c0cc78-7",
		"+c170cd6-9598-49ed-8210-b7f1c0cc7867",
		"6c170cd6959849ed8210b7f1c0cc7867",
	};
	uint8_t uuid[16] = {1};
	char text[NVMUX_UUID_TEXT];

	assert_int_equal(nvmux_uuid_parse("6C170cd6-9598-49ED-8210-b7f1c0cc7867", uuid), 0);
	assert_memory_equal(uuid, bytes_a, 16);
	nvmux_uuid_format(uuid, text);
	assert_string_equal(text, UUID_A);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(nvmux_uuid_parse(bad[i], uuid), -EINVAL);
	assert_memory_equal(uuid, bytes_a, 16);
	assert_int_equal(nvmux_hostid_parse("00000000-0000-0000-0000-000000000000", uuid), -EINVAL);
	assert_memory_equal(uuid, bytes_a, 16);
}

static void test_nqns(void **state)
{
	char nqn[300];

	assert_null(nvmux_nqn_check("nqn.x"));
	assert_null(nvmux_nqn_check(PREFIX UUID_A));
	assert_non_null(nvmux_nqn_check(""));
	assert_non_null(nvmux_nqn_check("nqn."));
	assert_non_null(nvmux_nqn_check("iqn.2014-08.org:x"));
	assert_non_null(nvmux_nqn_check("nqn.a b"));
	assert_non_null(nvmux_nqn_check("nqn.a\x1b[2J"));
	assert_non_null(nvmux_nqn_check("nqn.\xc3\xa4"));
	memset(nqn, 'a', sizeof(nqn));
	memcpy(nqn, "nqn.", 4);
	nqn[223] = '\0';
	assert_null(nvmux_nqn_check(nqn));
	nqn[223] = 'a';
	nqn[224] = '\0';
	assert_non_null(nvmux_nqn_check(nqn));
}

static void test_files(void **state)
{
	struct fixture *f = *state;

	put(f->nqn_path, " " PREFIX UUID_B "\r\n", sizeof(" " PREFIX UUID_B "\r\n") - 1);
	put(f->id_path, UUID_A "\n", sizeof(UUID_A "\n") - 1);
	assert_int_equal(identity(f), 0);
	assert_string_equal(f->opts.hostnqn, PREFIX UUID_B);
	assert_memory_equal(f->opts.hostid, bytes_a, 16);
	assert_int_equal(f->log_lines, 0);
	/* read once per context */
	unlink(f->nqn_path);
	unlink(f->id_path);
	nvmux_ctrlr_opts_init(&f->opts, sizeof(f->opts));
	assert_int_equal(identity(f), 0);
	assert_string_equal(f->opts.hostnqn, PREFIX UUID_B);
	id_is(f, UUID_A);
}

static void test_no_file_for_the_id(void **state)
{
	struct fixture *f = *state;
	uint8_t id[16];

	/* the UUID in the NQN */
	put(f->nqn_path, PREFIX UUID_B "\n", strlen(PREFIX UUID_B "\n"));
	assert_int_equal(identity(f), 0);
	id_is(f, UUID_B);
	assert_int_equal(f->log_lines, 0);
	/* there is none in it: made up, the same again, and said once */
	assert_int_equal(create(f, "nqn.2014-08.org:mine", NULL), 0);
	assert_int_equal(identity(f), 0);
	assert_string_equal(f->opts.hostnqn, "nqn.2014-08.org:mine");
	assert_int_equal(f->log_lines, 1);
	assert_non_null(strstr(f->log, f->id_path));
	memcpy(id, f->opts.hostid, 16);
	assert_int_equal(id[6] >> 4, 4);
	assert_int_equal(id[8] >> 6, 2);
	nvmux_ctrlr_opts_init(&f->opts, sizeof(f->opts));
	assert_int_equal(identity(f), 0);
	assert_memory_equal(id, f->opts.hostid, 16);
	assert_int_equal(f->log_lines, 1);
	/* another context is another host */
	assert_int_equal(create(f, "nqn.2014-08.org:mine", NULL), 0);
	assert_int_equal(identity(f), 0);
	assert_memory_not_equal(id, f->opts.hostid, 16);
}

static void test_no_files(void **state)
{
	struct fixture *f = *state;
	char nqn[NVMUX_NQN_MAX], uuid[NVMUX_UUID_TEXT];

	assert_int_equal(identity(f), 0);
	nvmux_uuid_format(f->opts.hostid, uuid);
	snprintf(nqn, sizeof(nqn), PREFIX "%s", uuid);
	assert_string_equal(f->opts.hostnqn, nqn);
	assert_int_equal(f->log_lines, 1);
	assert_non_null(strstr(f->log, f->nqn_path));
	assert_non_null(strstr(f->log, nqn));
	nvmux_ctrlr_opts_init(&f->opts, sizeof(f->opts));
	assert_int_equal(identity(f), 0);
	assert_string_equal(f->opts.hostnqn, nqn);
	id_is(f, uuid);
	assert_int_equal(f->log_lines, 1);
}

static void test_options(void **state)
{
	struct fixture *f = *state;

	put(f->nqn_path, "nqn.of.the.file", 15);
	put(f->id_path, UUID_A, 36);
	/* the context's */
	assert_int_equal(create(f, "nqn.of.the.context", UUID_B), 0);
	assert_int_equal(identity(f), 0);
	assert_string_equal(f->opts.hostnqn, "nqn.of.the.context");
	id_is(f, UUID_B);
	/* the controller's NQN, with the context's identifier */
	nvmux_ctrlr_opts_init(&f->opts, sizeof(f->opts));
	strcpy(f->opts.hostnqn, "nqn.of.the.controller");
	assert_int_equal(identity(f), 0);
	assert_string_equal(f->opts.hostnqn, "nqn.of.the.controller");
	id_is(f, UUID_B);
	/* both: no file is looked at */
	assert_int_equal(create(f, NULL, NULL), 0);
	put(f->nqn_path, "rubbish", 7);
	put(f->id_path, "rubbish", 7);
	strcpy(f->opts.hostnqn, "nqn.of.the.controller");
	memcpy(f->opts.hostid, bytes_a, 16);
	assert_int_equal(identity(f), 0);
	id_is(f, UUID_A);
	/* the context's NQN, and the file for the identifier */
	put(f->id_path, UUID_A, 36);
	assert_int_equal(create(f, PREFIX UUID_B, NULL), 0);
	assert_int_equal(identity(f), 0);
	id_is(f, UUID_A);
}

static void refused(struct fixture *f, const char *path, const char *text, size_t n,
		    const char *part)
{
	put(path, text, n);
	assert_int_equal(create(f, NULL, NULL), 0);
	assert_int_equal(identity(f), -EINVAL);
	assert_non_null(strstr(nvmux_error_text(f->nvmux), path));
	if (!strstr(nvmux_error_text(f->nvmux), part))
		fail_msg("'%s' doesn't say '%s'", nvmux_error_text(f->nvmux), part);
	assert_string_equal(f->opts.hostnqn, "");
}

static void test_files_that_are_refused(void **state)
{
	struct fixture *f = *state;
	char lengthy[600];

	memset(lengthy, 'a', sizeof(lengthy));
	memcpy(lengthy, "nqn.", 4);
	refused(f, f->nqn_path, "", 0, "is empty");
	refused(f, f->nqn_path, "\n \n", 3, "is empty");
	refused(f, f->nqn_path, "host", 4, "begins with 'nqn.'");
	refused(f, f->nqn_path, "nqn.a\nnqn.b\n", 12, "no spaces");
	refused(f, f->nqn_path, "nqn.a\0b", 7, "one line");
	refused(f, f->nqn_path, lengthy, sizeof(lengthy), "at most 223");
	refused(f, f->nqn_path, lengthy, 224, "at most 223");
	put(f->nqn_path, lengthy, 223);
	assert_int_equal(create(f, NULL, NULL), 0);
	assert_int_equal(identity(f), 0);
	refused(f, f->id_path, "", 0, "is empty");
	refused(f, f->id_path, "6c170cd6", 8, "'6c170cd6' is not a UUID");
	refused(f, f->id_path, "00000000-0000-0000-0000-000000000000", 36, "all zero");
	/* a directory can't be read */
	unlink(f->id_path);
	assert_int_equal(mkdir(f->id_path, 0700), 0);
	assert_int_equal(create(f, NULL, NULL), 0);
	assert_int_equal(identity(f), -EISDIR);
	assert_non_null(strstr(nvmux_error_text(f->nvmux), "can't be read"));
	rmdir(f->id_path);
}

static void test_options_that_are_refused(void **state)
{
	struct fixture *f = *state;
	char lengthy[400];

	memset(lengthy, 'a', sizeof(lengthy) - 1);
	lengthy[sizeof(lengthy) - 1] = '\0';
	memcpy(lengthy, "nqn.", 4);
	assert_int_equal(create(f, "host", NULL), -EINVAL);
	assert_string_equal(f->log, "hostnqn is 'host': an NQN begins with 'nqn.' and says more\n");
	assert_int_equal(create(f, lengthy, NULL), -EINVAL);
	assert_non_null(strstr(f->log, "at most 223"));
	assert_int_equal(create(f, NULL, "6c170cd6"), -EINVAL);
	assert_string_equal(f->log, "hostid is '6c170cd6'; it must be a UUID, not all zero\n");
	assert_int_equal(create(f, NULL, "00000000-0000-0000-0000-000000000000"), -EINVAL);
	assert_int_equal(create(f, NULL, NULL), 0);
	strcpy(f->opts.hostnqn, "host");
	assert_int_equal(identity(f), -EINVAL);
	assert_string_equal(nvmux_error_text(f->nvmux),
			    "hostnqn is 'host': an NQN begins with 'nqn.' and says more");
	memset(f->opts.hostnqn, 'n', sizeof(f->opts.hostnqn)); /* without an end */
	assert_int_equal(identity(f), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_uuids),
		cmocka_unit_test(test_nqns),
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_file_for_the_id, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_options, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_that_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_options_that_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
