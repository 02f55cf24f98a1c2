/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The conformance suite: what its parts share. Public headers only.
 *
 * A test is one function of the interface, or one family of them, on one namespace of one
 * controller: it does what the function is for, checks the effect in another way where there is
 * one, then its errors. It ends at the first check that fails. What the peer doesn't offer is said
 * so, by what Identify says and by what the controller does with the command: where the two
 * disagree that is part of the result.
 */
#ifndef CONFORM_H
#define CONFORM_H

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <nvme/types.h>
#include <nvmux/nvmux.h>

#define CONFORM_PAGE 4096u
#define CONFORM_MEM  (12u << 20)
#define CONFORM_PART (4u << 20) /* of one of the two data buffers */
#define CONFORM_MD   (1u << 20) /* of one of the two metadata buffers */

#define CONFORM_COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum conform_result { CONFORM_PASSED, CONFORM_FAILED, CONFORM_NOT_OFFERED };

/* What a completed command said; a test waits for one at a time, or counts several. */
struct conform_wait {
	uint32_t submitted;
	uint32_t calls;
	uint16_t status; /* the last, status code type and status code */
	bool dnr;
	uint32_t dw0;
	uint32_t dw1;
};

/*
 * @base, @other: two areas of the namespace, area blocks each, which the suite may overwrite;
 * starts of zones on a zoned one.
 * @a, @b: buffers of data; @md_a, @md_b of metadata; @small: a page for structures.
 */
struct conform {
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_ns *ns;
	struct nvmux_qpair *qpair;
	struct nvmux_mem *mem;
	const struct nvme_id_ctrl *id;
	uint32_t nsid;
	bool daemon;
	bool fabrics; /* in-process, over one */
	bool destructive;
	bool zoned;
	uint32_t block;     /* bytes of data */
	uint32_t block_buf; /* with interleaved metadata */
	uint32_t md_size;
	bool md_separate;
	enum nvmux_pi_type pi;
	bool pi_first;
	uint64_t base;
	uint64_t other;
	uint32_t area;
	uint8_t *a;
	uint8_t *b;
	uint8_t *md_a;
	uint8_t *md_b;
	uint8_t *small;
	struct conform_wait wait;
	/* the test that runs */
	enum conform_result result;
	uint32_t checks;
	bool hung;
	size_t differs; /* the first byte that did, of what conform_holds() read last */
	char note[512];
	char disagrees[512];
};

struct conform_test {
	const char *name; /* as in the table of the documentation */
	void (*run)(struct conform *c);
	bool destructive;
	bool any_format; /* makes sense without a namespace that is read and written as it comes */
};

extern const struct conform_test conform_tests_data[];
extern const struct conform_test conform_tests_vector[];
extern const struct conform_test conform_tests_blocks[];
extern const struct conform_test conform_tests_pi[];
extern const struct conform_test conform_tests_resv[];
extern const struct conform_test conform_tests_zns[];
extern const struct conform_test conform_tests_raw[];
extern const struct conform_test conform_tests_admin[];
extern const struct conform_test conform_tests_fault[];

/* ---- results ---- */

__attribute__((format(printf, 2, 3))) void conform_fail(struct conform *c, const char *text, ...);
__attribute__((format(printf, 2, 3))) void conform_absent(struct conform *c, const char *text, ...);
__attribute__((format(printf, 2, 3))) void conform_disagrees(struct conform *c, const char *text,
							     ...);
bool conform_expect(struct conform *c, int got, int want, const char *what);

#define CHECK(c, condition, ...)                      \
	do {                                          \
		(c)->checks++;                        \
		if (!(condition)) {                   \
			conform_fail(c, __VA_ARGS__); \
			return;                       \
		}                                     \
	} while (0)
/* Results are a negative errno value of the call, else the status of its completion. */
#define EXPECT(c, got, want, what)                       \
	do {                                             \
		if (!conform_expect(c, got, want, what)) \
			return;                          \
	} while (0)
#define OK(c, got, what) EXPECT(c, got, 0, what)
#define ABSENT(c, ...)                          \
	do {                                    \
		conform_absent(c, __VA_ARGS__); \
		return;                         \
	} while (0)

/*
 * Whether the test goes on: @got is the result of the function's happy path; @claimed whether
 * Identify offers the command; @raw that of the same command sent raw where the library refused
 * it, INT_MIN: not tried.
 */
bool conform_offered(struct conform *c, bool claimed, int got, int raw);

/* ---- commands ---- */

void conform_done(void *arg, const struct nvmux_cpl *cpl);
struct conform_wait *conform_begin(struct conform *c);
/* Wait for what @rc, the return value of a submission, says was sent. */
int conform_io(struct conform *c, int rc);
int conform_admin(struct conform *c, int rc);
/* Both take the call without its last two arguments. */
#define IO(c, function, ...) \
	conform_io(c, function((c)->ns, (c)->qpair, ##__VA_ARGS__, conform_done, conform_begin(c)))
#define ADMIN(c, function, ...) \
	conform_admin(c, function((c)->ctrlr, ##__VA_ARGS__, conform_done, conform_begin(c)))
int conform_raw(struct conform *c, uint8_t opc, const uint32_t cdw[6], void *buf, uint32_t len);
int conform_admin_raw(struct conform *c, uint8_t opc, uint32_t nsid, const uint32_t cdw[6],
		      void *buf, uint32_t len);
void conform_poll(struct conform *c, uint32_t ms);

/* ---- data ---- */

/* Whatever was written to the two areas is gone from a zoned namespace. */
int conform_clean(struct conform *c);
void conform_pattern(struct conform *c, uint8_t *buf, uint64_t lba, uint32_t n, uint32_t seed);
/* Write and read in the way that the format asks for, with plain functions. */
int conform_write(struct conform *c, const void *buf, uint64_t lba, uint32_t n);
int conform_read(struct conform *c, void *buf, uint64_t lba, uint32_t n);
/* Pattern in @a, written at @lba. */
int conform_put(struct conform *c, uint64_t lba, uint32_t n, uint32_t seed);
/* Read at @lba into @b and compare with what @seed would be there. */
int conform_holds(struct conform *c, uint64_t lba, uint32_t n, uint64_t of_lba, uint32_t seed);

static inline uint16_t oncs(const struct conform *c)
{
	return le16toh(c->id->oncs);
}

static inline uint16_t oacs(const struct conform *c)
{
	return le16toh(c->id->oacs);
}

#endif
