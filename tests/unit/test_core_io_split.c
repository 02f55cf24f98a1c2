// SPDX-License-Identifier: BSD-3-Clause
/*
 * I/O that becomes several commands, against a simple model: byte by byte, the children's pieces
 * are the caller's bytes in their order, each child keeps the rules, and none could have been
 * joined with the next.
 */
#include "io_fixture.h"

#define PIECES_MAX 200

struct shape {
	struct iovec iov[PIECES_MAX];
	uint32_t n;
	uint32_t block_len; /* in the buffer */
	uint32_t count;
	uint64_t lba;
	uint32_t md_offset; /* 0: none */
	/* for the callbacks */
	uint32_t at;
	uint32_t skip;
	uint32_t resets;
	uint32_t fail_after; /* of that many resets the pieces can't be told any more; 0: never */
};

static void reset_sgl(void *arg, uint32_t offset)
{
	struct shape *s = arg;

	s->resets++;
	for (s->at = 0; s->at < s->n && offset >= s->iov[s->at].iov_len; s->at++)
		offset -= (uint32_t)s->iov[s->at].iov_len;
	s->skip = offset;
}

static int next_sge(void *arg, void **ret_address, uint32_t *ret_length)
{
	struct shape *s = arg;

	if (s->at == s->n || (s->fail_after && s->resets > s->fail_after))
		return -1;
	*ret_address = (uint8_t *)s->iov[s->at].iov_base + s->skip;
	*ret_length = (uint32_t)s->iov[s->at].iov_len - s->skip;
	s->skip = 0;
	s->at++;
	return 0;
}

static uint32_t rnd(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 8) % below;
}

/* Where each byte of the payload is. */
static uint8_t **flatten(const struct shape *s)
{
	uint32_t len = s->block_len * s->count, n = 0;
	uint8_t **bytes = calloc(len, sizeof(*bytes));

	for (uint32_t i = 0; i < s->n; i++) {
		for (uint32_t k = 0; k < s->iov[i].iov_len && n < len; k++)
			bytes[n++] = (uint8_t *)s->iov[i].iov_base + k;
	}
	assert_int_equal(n, len);
	return bytes;
}

/* Whether bytes [from, to) may be one command, by the rules and not by the code's way. */
static bool is_expressible(const struct nvmux_ctrlr *ctrlr, uint8_t *const *bytes, uint32_t from,
			   uint32_t to)
{
	uint32_t pieces = 1;

	for (uint32_t i = from + 1; i < to; i++) {
		if (bytes[i] == bytes[i - 1] + 1)
			continue;
		pieces++;
		if (!ctrlr->sgl &&
		    (((uintptr_t)bytes[i - 1] + 1) % 4096 || (uintptr_t)bytes[i] % 4096))
			return false;
	}
	return pieces <= ctrlr->max_segs;
}

/* Blocks of the longest command at @done of @s, 0: not even one. */
static uint32_t model_next(const struct fixture *f, const struct shape *s, uint8_t *const *bytes,
			   uint32_t at)
{
	uint32_t limit = MIN(s->count - at, f->ns->max_lbas), n = 0;
	uint32_t boundary = f->ns->boundary_lbas;

	if (boundary)
		limit = MIN(limit, boundary - (uint32_t)((s->lba + at) % boundary));
	while (n < limit &&
	       is_expressible(f->ctrlr, bytes, at * s->block_len, (at + n + 1) * s->block_len))
		n++;
	return n;
}

static void check_child(const struct fixture *f, const struct shape *s, uint8_t *const *bytes,
			uint32_t at, uint32_t blocks, uint32_t i)
{
	const struct nvmux_cmd *cmd = &f->q->cmds[i];
	const struct fake_payload *p = &f->q->payloads[i];
	uint64_t lba = s->lba + at;
	uint32_t n = at * s->block_len;

	assert_int_equal(le32_to_cpu(cmd->cdw10), (uint32_t)lba);
	assert_int_equal(le32_to_cpu(cmd->cdw11), lba >> 32);
	assert_int_equal(le32_to_cpu(cmd->cdw12), 0x14000000 | (blocks - 1));
	assert_int_equal(le32_to_cpu(cmd->cdw14), f->ns->pi_type == 3   ? 0x77
						  : f->ns->pi_type != 0 ? (uint32_t)lba
									: 0);
	assert_int_equal(le32_to_cpu(cmd->cdw15), 0xff00ab);
	assert_int_equal(p->len, blocks * s->block_len);
	assert_true(p->n <= f->ctrlr->max_segs);
	for (uint32_t k = 0; k < p->n; k++) {
		for (uint32_t b = 0; b < p->segs[k].len; b++)
			assert_ptr_equal(p->segs[k].mem->addr + p->segs[k].offset + b, bytes[n++]);
	}
	assert_int_equal(n, (at + blocks) * s->block_len);
	assert_int_equal(p->md.len, s->md_offset ? blocks * f->ns->md_size : 0);
	if (s->md_offset)
		assert_int_equal(p->md.offset, s->md_offset + at * f->ns->md_size);
}

/* Random pieces of at least the payload's length; rarely overlapping, that does no harm. */
static void make_pieces(const struct fixture *f, struct shape *s, uint32_t *seed)
{
	uint32_t left = s->block_len * s->count, style = rnd(seed, 4);
	uint32_t at = rnd(seed, 2) ? 0 : 4 * rnd(seed, 1024);

	for (s->n = 0; left && s->n < PIECES_MAX; s->n++) {
		uint32_t len = style == 0   ? 4096 * (1 + rnd(seed, 4))
			       : style == 1 ? 4 * (1 + rnd(seed, 2048))
			       : style == 2 ? s->block_len * (1 + rnd(seed, 8))
					    : left;

		if (style == 0 && s->n == 0)
			len -= at % 4096;
		if (s->n == PIECES_MAX - 1 || len > left)
			len = left;
		s->iov[s->n] = (struct iovec){f->buf + at, len};
		left -= len;
		at += len;
		if (style == 0)
			at = (at + 4095) / 4096 * 4096 + 4096 * rnd(seed, 3);
		else if (rnd(seed, 3))
			at += 4 * rnd(seed, 64);
		if (at > (4u << 20))
			at = style == 0 ? 0 : at % 4096 / 4 * 4;
	}
}

static void make_case(struct fixture *f, struct shape *s, uint32_t *seed)
{
	static const uint16_t mds[] = {0, 0, 8, 16, 64};
	static const uint32_t boundaries[] = {0, 0, 16, 100};
	static const uint32_t segs[] = {1, 2, 5, 32, 64};

	memset(s, 0, sizeof(*s));
	f->ns->md_size = mds[rnd(seed, 5)];
	f->ns->md_interleaved = f->ns->md_size && rnd(seed, 2);
	f->ns->pi_type = f->ns->md_size ? (uint8_t)rnd(seed, 4) : 0;
	f->ns->boundary_lbas = boundaries[rnd(seed, 4)];
	f->ns->max_lbas = 1 + rnd(seed, 64);
	f->ctrlr->max_segs = segs[rnd(seed, 5)];
	f->ctrlr->sgl = rnd(seed, 2);
	s->block_len = 512 + (f->ns->md_interleaved ? f->ns->md_size : 0);
	s->count = 1 + rnd(seed, 150);
	s->lba = rnd(seed, 1000) + (rnd(seed, 2) ? 0xffffff80u : 0);
	if (f->ns->md_size && !f->ns->md_interleaved)
		s->md_offset = (6 << 20) + 4 * rnd(seed, 100);
	make_pieces(f, s, seed);
}

static int start(struct fixture *f, struct shape *s, bool calls, struct outcome *o)
{
	const struct nvmux_io_ext ext = {
		.size = sizeof(ext),
		.flags = (uint32_t)NVMUX_IO_PRCHK_GUARD | NVMUX_IO_PRCHK_REFTAG,
		.md = s->md_offset ? f->buf + s->md_offset : NULL,
		.apptag_mask = 0xff,
		.apptag = 0xab,
		.reftag = 0x77,
	};

	if (calls)
		return nvmux_ns_cmd_readv(f->ns, f->qpair, s->lba, s->count, &ext, reset_sgl,
					  next_sge, s, done, o);
	return nvmux_ns_cmd_readv_iov(f->ns, f->qpair, s->iov, s->n, s->lba, s->count, &ext, done,
				      o);
}

static void test_children_are_those_of_the_model(void **state)
{
	uint32_t seed = 1, refused = 0, split = 0, whole = 0;
	struct fixture f;

	begin(&f, 5);
	for (int round = 0; round < 3000; round++) {
		struct outcome o = {0};
		struct shape s;
		uint8_t **bytes;
		uint32_t at = 0, n = 0, next = 1;
		int err;

		make_case(&f, &s, &seed);
		bytes = flatten(&s);
		f.q->n_cmds = 0;
		err = start(&f, &s, round & 1, &o);
		if (!err)
			drain(&f);
		for (; at < s.count && next; at += next) {
			next = model_next(&f, &s, bytes, at);
			if (next && !err)
				check_child(&f, &s, bytes, at, next, n++);
		}
		assert_int_equal(err, next ? 0 : -EINVAL);
		assert_int_equal(f.q->n_cmds, n);
		assert_int_equal(o.calls, err ? 0 : 1);
		assert_int_equal(o.status, 0);
		assert_int_equal(f.qpair->slow, 0);
		refused += err != 0;
		split += n > 1;
		whole += n == 1;
		free(bytes);
	}
	/* all of them have been there */
	assert_true(refused > 100 && split > 500 && whole > 50);
	end(&f);
}

/* An error at any child: told once, nothing is sent after it was seen, the queue pair goes on. */
static void test_errors_in_the_middle(void **state)
{
	for (uint32_t fail_at = 0; fail_at < 10; fail_at++) {
		struct outcome o = {0};
		struct fixture f;
		struct shape s = {.n = 1, .block_len = 528, .count = 100, .lba = 5};

		begin(&f, 3);
		f.ns->md_size = 16;
		f.ns->md_interleaved = true;
		f.ns->max_lbas = 10;
		s.iov[0] = (struct iovec){f.buf, 528 * 100};
		f.q->io_fail_at = fail_at;
		f.q->io_status = 0x281;
		assert_int_equal(start(&f, &s, fail_at & 1, &o), 0);
		assert_int_equal(nvmux_ns_cmd_flush(f.ns, f.qpair, done, &o), -EAGAIN);
		drain(&f);
		assert_int_equal(o.calls, 1);
		assert_int_equal(o.status, 0x281);
		assert_true(f.q->n_cmds <= fail_at + 3);
		assert_int_equal(f.qpair->slow, 0);
		assert_int_equal(nvmux_ns_cmd_flush(f.ns, f.qpair, done, &o), 0);
		drain(&f);
		assert_int_equal(o.calls, 2);
		end(&f);
	}
}

/* The caller's functions fail at a look that comes after the first parts have been sent. */
static void test_pieces_that_vanish(void **state)
{
	struct outcome o = {0};
	struct fixture f;
	struct shape s = {.n = 1, .block_len = 512, .count = 100};

	begin(&f, 2);
	f.ns->max_lbas = 10;
	s.iov[0] = (struct iovec){f.buf, 512 * 100};
	s.fail_after = 14; /* ten looks ahead, the first of them twice; then four are described */
	assert_int_equal(start(&f, &s, true, &o), 0);
	drain(&f);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, NVME_SC_INVALID_FIELD);
	assert_true(f.q->n_cmds > 2 && f.q->n_cmds < 10);
	s.fail_after = 5;
	s.resets = f.q->n_cmds = 0;
	assert_int_equal(start(&f, &s, true, &o), -EINVAL);
	assert_int_equal(f.q->n_cmds, 0);
	end(&f);
}

static void test_refusals_send_nothing(void **state)
{
	struct outcome o = {0};
	struct iovec iov[2];
	uint8_t *outside = calloc(1, 8192);
	struct fixture f;

	begin(&f, 8);
	f.ctrlr->max_segs = 8;
	f.ctrlr->sgl = true;
	iov[0] = (struct iovec){f.buf, 512};
	iov[1] = (struct iovec){f.buf + 1024, 512 * 255};
#define READV(n, count) nvmux_ns_cmd_readv_iov(f.ns, f.qpair, iov, n, 0, count, NULL, done, &o)
	assert_int_equal(READV(2, 257), -EINVAL); /* too short */
	assert_int_equal(READV(0, 1), -EINVAL);
	iov[1].iov_base = outside;
	assert_int_equal(READV(2, 2), -EFAULT);
	iov[1].iov_base = f.buf + FIXTURE_MEM - 512;
	assert_int_equal(READV(2, 3), -EFAULT);
	iov[1].iov_base = f.buf + 1026;
	assert_int_equal(READV(2, 2), -EINVAL);
	iov[0].iov_len = 510;
	assert_int_equal(READV(2, 2), -EINVAL);
	assert_int_equal(
		nvmux_ns_cmd_readv(f.ns, f.qpair, 0, 1, NULL, NULL, next_sge, NULL, done, &o),
		-EINVAL);
	assert_int_equal(f.q->n_cmds, 0);
	assert_int_equal(nvmux_qpair_outstanding(f.qpair), 0);
	/* empty pieces of an array are passed over; what is longer than needed is left alone */
	iov[0].iov_len = 0;
	iov[1].iov_base = f.buf;
	assert_int_equal(READV(2, 2), 0);
	assert_int_equal(f.q->payloads[0].len, 1024);
	drain(&f);
	assert_int_equal(o.calls, 1);
	free(outside);
	end(&f);
}

/* Zones are written in their order: one part after the other; reads needn't be. */
static void test_zoned_writes_go_in_turn(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	begin(&f, 8);
	f.ns->zone_lbas = 0x1000;
	f.ns->max_lbas = 8;
	f.q->hold = true;
	assert_int_equal(nvmux_ns_cmd_write(f.ns, f.qpair, f.buf, 0, 32, 0, done, &o), 0);
	for (uint32_t i = 1; i <= 4; i++) {
		nvmux_qpair_process_completions(f.qpair, 0);
		assert_int_equal(f.q->n_cmds, i);
		assert_int_equal(o.calls, 0);
		f.q->hold = false;
		nvmux_qpair_process_completions(f.qpair, 0);
		f.q->hold = true;
	}
	assert_int_equal(o.calls, 1);
	f.q->n_cmds = 0;
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 0, 32, 0, done, &o), 0);
	assert_int_equal(f.q->n_cmds, 4);
	f.q->hold = false;
	drain(&f);
	assert_int_equal(o.calls, 2);
	end(&f);
}

/* A format that changes while parts wait ends it. */
static void test_other_format_meanwhile(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	begin(&f, 2);
	f.ns->max_lbas = 8;
	assert_int_equal(nvmux_ns_cmd_read(f.ns, f.qpair, f.buf, 0, 64, 0, done, &o), 0);
	f.ns->md_size = 8;
	drain(&f);
	assert_int_equal(o.calls, 1);
	assert_int_equal(o.status, NVME_SC_INTERNAL);
	assert_int_equal(f.q->n_cmds, 2);
	end(&f);
}

/* Commands without data are cut by the limit and don't know the boundary. */
static void test_verify_in_parts(void **state)
{
	struct outcome o = {0};
	struct fixture f;

	begin(&f, 8);
	f.ns->boundary_lbas = 8;
	assert_int_equal(nvmux_ns_cmd_verify(f.ns, f.qpair, 3, 600, 0, done, &o), 0);
	drain(&f);
	assert_int_equal(o.calls, 1);
	assert_int_equal(f.q->n_cmds, 3);
	assert_int_equal(le32_to_cpu(f.q->cmds[2].cdw10), 3 + 512);
	assert_int_equal(le32_to_cpu(f.q->cmds[2].cdw12), 600 - 512 - 1);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_children_are_those_of_the_model),
		cmocka_unit_test(test_errors_in_the_middle),
		cmocka_unit_test(test_pieces_that_vanish),
		cmocka_unit_test(test_refusals_send_nothing),
		cmocka_unit_test(test_zoned_writes_go_in_turn),
		cmocka_unit_test(test_other_format_meanwhile),
		cmocka_unit_test(test_verify_in_parts),
	};

	return cmocka_run_group_tests_name("core_io_split", tests, NULL, NULL);
}
