// SPDX-License-Identifier: BSD-3-Clause
/* Descriptions of emulated controllers, and what becomes of them. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "emulator/model.h"

static struct emu_config *parse(const char *text)
{
	struct emu_config *c = malloc(sizeof(*c));
	char why[256] = "";

	assert_non_null(c);
	emu_config_init(c);
	if (emu_config_parse(c, text, why, sizeof(why)))
		fail_msg("%s: %s", text, why);
	return c;
}

static void test_namespaces(void **state)
{
	struct emu_config *c = parse("mem,size=64M,bs=4096+null,size=1T+file,path=/x,size=3k");

	assert_int_equal(c->n_ns, 3);
	assert_int_equal(c->ns[0].backing, EMU_BACKING_MEMORY);
	assert_int_equal(c->ns[0].size, 64ull << 20);
	assert_int_equal(c->ns[0].block_size, 4096);
	assert_int_equal(c->ns[1].backing, EMU_BACKING_NULL);
	assert_int_equal(c->ns[1].size, 1ull << 40);
	assert_int_equal(c->ns[1].block_size, 512);
	assert_int_equal(c->ns[2].backing, EMU_BACKING_FILE);
	assert_string_equal(c->ns[2].path, "/x");
	assert_int_equal(c->ns[2].size, 3072);
	free(c);
}

static void test_size_forms(void **state)
{
	static const char *const forms[] = {"64M",    "64m",      "64MB",     "64MiB",
					    "65536K", "67108864", "67108864B"};
	char text[64];

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct emu_config *c;

		snprintf(text, sizeof(text), "mem,size=%s,bs=4K", forms[i]);
		c = parse(text);
		assert_int_equal(c->ns[0].size, 64ull << 20);
		assert_int_equal(c->ns[0].block_size, 4096);
		free(c);
	}
}

static void test_default_serial(void **state)
{
	struct emu_config *a = parse("mem,size=1M"), *b = parse("mem,size=1M");

	assert_string_equal(a->serial, "");
	emu_config_default_serial(a, "/run/a");
	assert_int_equal(strlen(a->serial), 20);
	emu_config_default_serial(b, "/run/a");
	assert_string_equal(a->serial, b->serial);
	b->serial[0] = '\0';
	emu_config_default_serial(b, "/run/b");
	assert_string_not_equal(a->serial, b->serial);
	assert_int_equal(emu_config_parse(b, "serial=MINE", NULL, 0), 0);
	emu_config_default_serial(b, "/run/a");
	assert_string_equal(b->serial, "MINE");
	free(a);
	free(b);
}

static void test_settings_in_any_part(void **state)
{
	struct emu_config *c = parse("mdts=5,null,size=1G,noiob=256+queues=7,entries=128+mem,"
				     "size=4096,serial=A\\,B\\+C,vectors=3");

	assert_int_equal(c->n_ns, 2);
	assert_int_equal(c->mdts, 5);
	assert_int_equal(c->noiob, 256);
	assert_int_equal(c->max_io_queues, 7);
	assert_int_equal(c->queue_entries, 128);
	assert_int_equal(c->irq_vectors, 3);
	assert_string_equal(c->serial, "A,B+C");
	free(c);
}

static void test_parts_add_up(void **state)
{
	struct emu_config *c = parse("null,size=1M");

	assert_int_equal(emu_config_parse(c, "mem,size=1M", NULL, 0), 0);
	assert_int_equal(c->n_ns, 2);
	free(c);
}

static void check_error(const char *text, const char *part)
{
	struct emu_config *c = malloc(sizeof(*c));
	char why[256] = "";

	assert_non_null(c);
	emu_config_init(c);
	assert_int_equal(emu_config_parse(c, text, why, sizeof(why)), -EINVAL);
	if (!strstr(why, part))
		fail_msg("'%s': '%s' doesn't say '%s'", text, why, part);
	assert_int_equal(c->n_ns, 0);
	assert_int_equal(c->mdts, 7);
	free(c);
}

static void test_errors(void **state)
{
	char lengthy[400];

	check_error("", "empty");
	check_error("mem,size=1M,", "empty");
	check_error("mem,size=1M+", "empty");
	check_error("disk,size=1M", "disk: unknown backing");
	check_error("mem,mdts=3", "mem: needs size");
	check_error("mem,size=0", "size=0");
	check_error("mem,size=1X", "size=1X");
	check_error("mem,size=1MM", "size=1MM");
	check_error("mem,size=1iB", "size=1iB");
	check_error("mem,size=1MiBB", "size=1MiBB");
	check_error("mem,size=1M,bs=4M", "bs=4M: must be 512 or 4096");
	check_error("mem,size=-1", "size=-1");
	check_error("mem,size=M", "size=M");
	check_error("mem,size=99999999P", "size=99999999P");
	check_error("mem,size=99999999999999999999999", "size=9999");
	check_error("mem,size=1000", "multiple of the block size, 512");
	check_error("mem,size=512,bs=4096", "multiple of the block size, 4096");
	check_error("mem,size=1M,bs=1024", "bs=1024");
	check_error("mem,size=1M,path=/x", "only a file has one");
	check_error("file,size=1M", "needs path=");
	check_error("size=1M", "need a backing");
	check_error("mem,null,size=1M", "null: a second backing");
	check_error("mem,size=1M,color=red", "color=: unknown key");
	check_error("mem,size=1M+null,size=1M,mdts=17", "mdts=17: must be a number from 0 to 16");
	check_error("mem,size=1M,fault=", "fault=: is empty");
	check_error("queues=0", "from 1 to 1023");
	check_error("entries=65537", "from 2 to 65536");
	check_error("serial=", "1 to 20 characters");
	check_error("serial=123456789012345678901", "1 to 20 characters");
	check_error("serial=\x01", "printable");
	memset(lengthy, 'x', sizeof(lengthy) - 1);
	lengthy[sizeof(lengthy) - 1] = '\0';
	check_error(lengthy, "too long");
	memcpy(lengthy, "file,path=", 10);
	lengthy[300] = '\0';
	check_error(lengthy, "1 to 255 bytes");
}

static void test_formats_and_zones(void **state)
{
	static const char *const wrong[] = {
		"mem,size=1M,ms=7",
		"mem,size=1M,ms=",
		"mem,size=1M,mset=1",
		"mem,size=1M,pi=1",
		"mem,size=1M,ms=8,pi=4",
		"mem,size=1M,ms=8,pil=1",
		"mem,size=1M,zone=1M",
		"mem,size=1M,zoned",
		"mem,size=1M,zoned,zone=300K",
		"mem,size=1M,zoned,zone=256K,zcap=512K",
		"mem,size=1M,zoned,zone=256K,maxopen=3,maxactive=2",
		"file,path=/x,size=1M,zoned,zone=256K",
		"mem,size=1M,oncs=xyz",
		"mem,size=1M,oncs=10000",
		"mem,size=1M,sgl=2",
	};
	struct emu_config *c = parse("mem,size=1M,ms=64,mset=1,pi=2,pil=1+mem,size=8M,zoned,"
				     "zone=1M,zcap=512K,maxopen=2,maxactive=3+sgl=1,oncs=1fF,"
				     "zasl=3");
	char why[256];

	assert_int_equal(c->ns[0].ms, 64);
	assert_true(c->ns[0].mset && c->ns[0].pil && !c->ns[0].zoned);
	assert_int_equal(c->ns[0].pi, 2);
	assert_int_equal(c->ns[1].ms, 0);
	assert_true(c->ns[1].zoned);
	assert_int_equal(c->ns[1].zone, 1u << 20);
	assert_int_equal(c->ns[1].zcap, 512u << 10);
	assert_int_equal(c->ns[1].maxopen, 2);
	assert_int_equal(c->ns[1].maxactive, 3);
	assert_true(c->sgl);
	assert_int_equal(c->oncs_off, 0x1ff);
	assert_int_equal(c->zasl, 3);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		why[0] = '\0';
		assert_int_equal(emu_config_parse(c, wrong[i], why, sizeof(why)), -EINVAL);
		assert_true(why[0] != '\0');
		assert_int_equal(c->n_ns, 2);
	}
	free(c);
}

static void test_too_many_namespaces(void **state)
{
	struct emu_config *c = parse("null,size=1M");
	char why[256] = "";

	for (int i = 1; i < EMU_NS_MAX; i++)
		assert_int_equal(emu_config_parse(c, "null,size=1M", NULL, 0), 0);
	assert_int_equal(emu_config_parse(c, "null,size=1M", why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "256"));
	free(c);
}

/* ---- files ---- */

static bool no_dma(void *arg, uint64_t iova, struct emu_dma *ret)
{
	return false;
}

static void no_irq(void *arg, uint16_t vector)
{
}

static int create(const char *text, struct emu_ctrlr **ret, char *why, size_t why_size)
{
	const struct emu_carrier carrier = {.dma = no_dma, .irq = no_irq};
	struct emu_config *c = parse(text);
	int err = emu_ctrlr_create(c, &carrier, ret, why, why_size);

	free(c);
	return err;
}

/* The limit of a file's size stands for a disk that has no room. */
static void check_full_disk(const char *path)
{
	struct rlimit limit, small;
	char text[128], why[384] = "";
	struct emu_ctrlr *ctrlr;
	struct stat st;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = 1 << 20;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	snprintf(text, sizeof(text), "file,path=%s,size=2M", path);
	assert_int_equal(create(text, &ctrlr, why, sizeof(why)), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_non_null(strstr(why, "cannot be extended to 2097152 bytes: File too large"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4096);
}

static void test_files(void **state)
{
	char dir[] = "/tmp/emu-config-XXXXXX", path[64], text[128], why[384] = "";
	struct emu_ctrlr *ctrlr, *second;
	struct stat st;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/disk", dir);
	snprintf(text, sizeof(text), "file,path=%s", path);
	assert_int_equal(create(text, &ctrlr, why, sizeof(why)), -ENOENT);
	assert_non_null(strstr(why, path));

	snprintf(text, sizeof(text), "file,path=%s,size=1M", path);
	assert_int_equal(create(text, &ctrlr, why, sizeof(why)), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 1 << 20);
	assert_true(st.st_blocks * 512 >= 1 << 20); /* a full disk won't be found out later */
	/* A second user would see the first one's data change. */
	assert_int_equal(create(text, &second, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, "in use"));
	emu_ctrlr_destroy(ctrlr);

	snprintf(text, sizeof(text), "file,path=%s", path);
	assert_int_equal(create(text, &ctrlr, why, sizeof(why)), 0);
	emu_ctrlr_destroy(ctrlr);
	assert_int_equal(truncate(path, 1000), 0);
	assert_int_equal(create(text, &ctrlr, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "multiple"));
	assert_int_equal(truncate(path, 4096), 0);
	check_full_disk(path);
	snprintf(text, sizeof(text), "file,path=%s", dir);
	assert_int_equal(create(text, &ctrlr, why, sizeof(why)), -EISDIR);
	snprintf(text, sizeof(text), "null,size=1M+file,path=/dev/null,size=1M");
	assert_int_equal(create(text, &ctrlr, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "not an ordinary file"));
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_size_forms),
		cmocka_unit_test(test_default_serial),
		cmocka_unit_test(test_settings_in_any_part),
		cmocka_unit_test(test_parts_add_up),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_formats_and_zones),
		cmocka_unit_test(test_too_many_namespaces),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests_name("emu_config", tests, NULL, NULL);
}
