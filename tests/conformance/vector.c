// SPDX-License-Identifier: BSD-3-Clause
/* Vectored I/O: as an array and by callbacks, in pieces that one command can and can't describe. */
#include "conform.h"

struct pieces {
	struct iovec iov[64];
	uint32_t n;
	uint32_t next;
	uint32_t skip;
	uint32_t fail_at; /* this piece isn't given */
};

static void reset_sgl(void *arg, uint32_t offset)
{
	struct pieces *p = arg;

	p->next = 0;
	while (p->next < p->n && offset >= p->iov[p->next].iov_len)
		offset -= (uint32_t)p->iov[p->next++].iov_len;
	p->skip = offset;
}

static int next_sge(void *arg, void **ret_address, uint32_t *ret_length)
{
	struct pieces *p = arg;

	if (p->next >= p->n || p->next == p->fail_at)
		return -EINVAL;
	*ret_address = (uint8_t *)p->iov[p->next].iov_base + p->skip;
	*ret_length = (uint32_t)p->iov[p->next].iov_len - p->skip;
	p->skip = 0;
	p->next++;
	return 0;
}

/* @len bytes from @buf on, in pieces with a hole of a page behind each. */
static void cut(struct pieces *p, uint8_t *buf, uint32_t len, uint32_t piece)
{
	*p = (struct pieces){.fail_at = UINT32_MAX};
	while (len && p->n < CONFORM_COUNT(p->iov)) {
		uint32_t n = piece < len ? piece : len;

		p->iov[p->n++] = (struct iovec){buf, n};
		buf += (n + 2 * CONFORM_PAGE - 1) / CONFORM_PAGE * CONFORM_PAGE;
		len -= n;
	}
}

static void scatter(const struct pieces *p, const uint8_t *from)
{
	for (uint32_t i = 0; i < p->n; i++) {
		memcpy(p->iov[i].iov_base, from, p->iov[i].iov_len);
		from += p->iov[i].iov_len;
	}
}

static bool gathered(const struct pieces *p, const uint8_t *wanted)
{
	for (uint32_t i = 0; i < p->n; i++) {
		if (memcmp(p->iov[i].iov_base, wanted, p->iov[i].iov_len))
			return false;
		wanted += p->iov[i].iov_len;
	}
	return true;
}

static uint32_t blocks_of(const struct conform *c, uint32_t bytes)
{
	return bytes / c->block_buf ? bytes / c->block_buf : 1;
}

/*
 * What one command can't describe is split between blocks; where no piece ends there it is refused:
 * by the number of pieces, and where the device takes PRPs only by their size.
 */
static bool may_refuse(const struct conform *c, const struct pieces *p, uint32_t piece)
{
	bool sgl = nvmux_ctrlr_get_flags(c->ctrlr) & NVMUX_CTRLR_SGL_SUPPORTED;

	return piece % c->block_buf &&
	       (nvmux_ctrlr_get_max_sges(c->ctrlr) < p->n || (!sgl && piece % CONFORM_PAGE));
}

/* One size of pieces, there and back, by one of the two ways. */
static void round_trip(struct conform *c, uint32_t n, uint32_t piece, bool callbacks, uint32_t seed)
{
	struct nvmux_io_ext ext = {.size = sizeof(ext), .md = c->md_separate ? c->md_a : NULL};
	struct pieces p;
	uint8_t *plain = malloc((size_t)n * c->block_buf);
	int err;

	if (!plain)
		return;
	OK(c, conform_clean(c), "clean");
	conform_pattern(c, plain, c->base, n, seed);
	cut(&p, c->a, n * c->block_buf, piece);
	scatter(&p, plain);
	err = callbacks ? IO(c, nvmux_ns_cmd_writev, c->base, n, &ext, reset_sgl, next_sge, &p)
			: IO(c, nvmux_ns_cmd_writev_iov, p.iov, p.n, c->base, n, &ext);
	if (err == -EINVAL && may_refuse(c, &p, piece)) {
		free(plain);
		c->checks++;
		return;
	}
	if (err < 0)
		conform_fail(c, "write of %u blocks in %u pieces of %u bytes: %s", n, p.n, piece,
			     strerror(-err));
	else if (conform_expect(c, err, 0, "write in pieces") &&
		 conform_expect(c, conform_holds(c, c->base, n, c->base, seed), 0,
				"what was written is read in one piece")) {
		cut(&p, c->b, n * c->block_buf, piece);
		memset(c->b, 0, (size_t)p.n * (piece + 2 * CONFORM_PAGE));
		ext.md = c->md_separate ? c->md_b : NULL;
		err = callbacks
			      ? IO(c, nvmux_ns_cmd_readv, c->base, n, &ext, reset_sgl, next_sge, &p)
			      : IO(c, nvmux_ns_cmd_readv_iov, p.iov, p.n, c->base, n, &ext);
		if (conform_expect(c, err, 0, "read in pieces") && !gathered(&p, plain))
			conform_fail(c, "the data differs, in pieces of %u bytes", piece);
		c->checks++;
	}
	free(plain);
}

static void both_sizes(struct conform *c, bool callbacks)
{
	const uint32_t sizes[] = {CONFORM_PAGE, 2 * CONFORM_PAGE, c->block_buf, 1028, 260};

	for (uint32_t i = 0; i < CONFORM_COUNT(sizes) && c->result == CONFORM_PASSED; i++) {
		uint32_t n = blocks_of(c, 12 * CONFORM_PAGE);

		while (n > 1 && n * c->block_buf > 60 * sizes[i])
			n /= 2;
		if (n * c->block_buf > 60 * sizes[i])
			continue;
		if (c->zoned && n * c->block_buf > nvmux_ns_get_max_io_xfer_size(c->ns))
			n = blocks_of(c, CONFORM_PAGE);
		round_trip(c, n, sizes[i], callbacks, 20 + i);
	}
}

static void test_iov(struct conform *c)
{
	struct iovec iov = {c->b, c->block_buf};

	both_sizes(c, false);
	if (c->result != CONFORM_PASSED || c->md_separate)
		return;
	EXPECT(c, IO(c, nvmux_ns_cmd_readv_iov, &iov, 1, c->base, 2, NULL), -EINVAL,
	       "pieces shorter than the blocks");
	EXPECT(c, IO(c, nvmux_ns_cmd_readv_iov, &iov, 0, c->base, 1, NULL), -EINVAL, "no pieces");
	iov.iov_base = c->b + 2;
	EXPECT(c, IO(c, nvmux_ns_cmd_readv_iov, &iov, 1, c->base, 1, NULL), -EINVAL,
	       "a piece that isn't aligned");
	iov.iov_base = &iov;
	iov.iov_len = c->block_buf;
	CHECK(c, IO(c, nvmux_ns_cmd_readv_iov, &iov, 1, c->base, 1, NULL) < 0,
	      "a piece that isn't I/O memory");
}

static void test_callbacks(struct conform *c)
{
	struct pieces p;
	int err;

	both_sizes(c, true);
	if (c->result != CONFORM_PASSED || c->md_separate)
		return;
	cut(&p, c->b, blocks_of(c, 2 * CONFORM_PAGE) * c->block_buf, CONFORM_PAGE);
	p.fail_at = 0;
	err = IO(c, nvmux_ns_cmd_readv, c->base, blocks_of(c, 2 * CONFORM_PAGE), NULL, reset_sgl,
		 next_sge, &p);
	CHECK(c, err == -EINVAL || err == NVME_SC_INVALID_FIELD, "a callback that fails: %d", err);
}

static void test_comparev(struct conform *c)
{
	uint32_t n = blocks_of(c, 4 * CONFORM_PAGE);
	struct pieces p;
	uint8_t *plain;
	int got;

	if (c->md_separate)
		ABSENT(c, "separate metadata");
	if (n * c->block_buf > nvmux_ns_get_max_io_xfer_size(c->ns))
		n = blocks_of(c, CONFORM_PAGE);
	OK(c, conform_clean(c), "clean");
	OK(c, conform_put(c, c->base, n, 31), "write");
	plain = c->b + (CONFORM_PART / 2);
	conform_pattern(c, plain, c->base, n, 31);
	cut(&p, c->b, n * c->block_buf, CONFORM_PAGE);
	scatter(&p, plain);
	got = IO(c, nvmux_ns_cmd_comparev_iov, p.iov, p.n, c->base, n, NULL);
	if (got == -EINVAL && c->block_buf % CONFORM_PAGE && c->md_size)
		ABSENT(c, "pieces of pages don't end between blocks, and the device takes PRPs");
	if (!conform_offered(c, oncs(c) & NVME_CTRL_ONCS_COMPARE, got, -1))
		return;
	OK(c, IO(c, nvmux_ns_cmd_comparev, c->base, n, NULL, reset_sgl, next_sge, &p),
	   "by callbacks");
	((uint8_t *)p.iov[p.n - 1].iov_base)[3] ^= 0x10;
	EXPECT(c, IO(c, nvmux_ns_cmd_comparev_iov, p.iov, p.n, c->base, n, NULL),
	       NVME_SC_COMPARE_FAILED | 0x200, "the last piece differs");
	EXPECT(c, IO(c, nvmux_ns_cmd_comparev, c->base, n, NULL, reset_sgl, next_sge, &p),
	       NVME_SC_COMPARE_FAILED | 0x200, "by callbacks, the last piece differs");
}

const struct conform_test conform_tests_vector[] = {
	{"readv_iov, writev_iov", test_iov, true, false},
	{"readv, writev", test_callbacks, true, false},
	{"comparev, comparev_iov", test_comparev, true, false},
	{0},
};
