/* SPDX-License-Identifier: BSD-3-Clause */
/* Discovery log pages for tests. */
#ifndef TEST_DISCOVERY_PAGE_H
#define TEST_DISCOVERY_PAGE_H

#include <string.h>
#include <nvme/types.h>

#include "libcore/util.h"

static inline void page_text(char *field, size_t size, const char *text, char pad)
{
	size_t n = strlen(text);

	memset(field, pad, size);
	memcpy(field, text, MIN(n, size));
}

/* A record as the Linux target writes them. */
static inline struct nvmf_disc_log_entry page_record(uint8_t subtype, const char *traddr,
						     const char *trsvcid, const char *nqn)
{
	struct nvmf_disc_log_entry r = {
		.trtype = NVMF_TRTYPE_RDMA,
		.adrfam = strchr(traddr, ':') ? NVMF_ADDR_FAMILY_IP6 : NVMF_ADDR_FAMILY_IP4,
		.subtype = subtype,
		.treq = NVMF_TREQ_DISABLE_SQFLOW,
		.portid = cpu_to_le16(1),
		.cntlid = cpu_to_le16(0xffff),
		.asqsz = cpu_to_le16(32),
		.tsas.rdma = {.qptype = 1, .prtype = 1, .cms = 1},
	};

	page_text(r.traddr, sizeof(r.traddr), traddr, '\0');
	page_text(r.trsvcid, sizeof(r.trsvcid), trsvcid, '\0');
	page_text(r.subnqn, sizeof(r.subnqn), nqn, '\0');
	return r;
}

static inline void page_header(uint8_t *buf, uint64_t genctr, uint64_t numrec, uint16_t recfmt)
{
	struct nvmf_discovery_log *log = (void *)buf;

	memset(log, 0, sizeof(*log));
	log->genctr = cpu_to_le64(genctr);
	log->numrec = cpu_to_le64(numrec);
	log->recfmt = cpu_to_le16(recfmt);
}

#endif
