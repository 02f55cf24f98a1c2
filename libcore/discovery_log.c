// SPDX-License-Identifier: BSD-3-Clause
/* See discovery_log.h. */
#include <errno.h>
#include <string.h>
#include <nvme/types.h>

#include "discovery_log.h"
#include "util.h"

NVMUX_STATIC_ASSERT(sizeof(struct nvmf_disc_log_entry) == DISCOVERY_RECORD_SIZE,
		    "a record has 1024 bytes");
NVMUX_STATIC_ASSERT(offsetof(struct nvmf_discovery_log, entries) == DISCOVERY_HEADER_SIZE,
		    "records begin at byte 1024");

int discovery_header_parse(const uint8_t *buf, size_t len, struct discovery_header *ret, char *why,
			   size_t why_size)
{
	struct nvmf_discovery_log header;
	uint64_t numrec;

	if (len < DISCOVERY_HEADER_SIZE) {
		snprintf(why, why_size, "the header has %zu bytes; it must have %u", len,
			 DISCOVERY_HEADER_SIZE);
		return -EPROTO;
	}
	memcpy(&header, buf, DISCOVERY_HEADER_SIZE);
	if (le16_to_cpu(header.recfmt) != 0) {
		snprintf(why, why_size, "RECFMT is %u; only format 0 is known",
			 le16_to_cpu(header.recfmt));
		return -EOPNOTSUPP;
	}
	numrec = le64_to_cpu(header.numrec);
	if (numrec > DISCOVERY_RECORDS_MAX) {
		snprintf(why, why_size, "NUMREC is %llu; at most %u records are taken",
			 (unsigned long long)numrec, DISCOVERY_RECORDS_MAX);
		return -EPROTO;
	}
	ret->genctr = le64_to_cpu(header.genctr);
	ret->numrec = (uint32_t)numrec;
	return 0;
}

/*
 * A text field, which a NUL or the field's end terminates and spaces may pad. False: it has other
 * characters than printable ASCII, or doesn't fit.
 */
static bool take_text(char *ret, size_t size, const char *field, size_t field_size)
{
	size_t n = strnlen(field, field_size);

	while (n && field[n - 1] == ' ')
		n--;
	if (n >= size)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (field[i] <= ' ' || field[i] > '~')
			return false;
	}
	memcpy(ret, field, n);
	ret[n] = '\0';
	return true;
}

static enum nvmux_adrfam adrfam_of(uint8_t adrfam)
{
	switch (adrfam) {
	case NVMF_ADDR_FAMILY_IP4: return NVMUX_ADRFAM_IPV4;
	case NVMF_ADDR_FAMILY_IP6: return NVMUX_ADRFAM_IPV6;
	case NVMF_ADDR_FAMILY_IB: return NVMUX_ADRFAM_IB;
	default: return NVMUX_ADRFAM_NONE;
	}
}

static bool is_known_subtype(uint8_t subtype)
{
	return subtype == NVMUX_DISCOVERY_REFERRAL || subtype == NVMUX_DISCOVERY_NVME ||
	       subtype == NVMUX_DISCOVERY_CURRENT;
}

const char *discovery_record_parse(const uint8_t bytes[DISCOVERY_RECORD_SIZE],
				   struct nvmux_discovery_entry *ret)
{
	struct nvmf_disc_log_entry record;
	struct nvmux_discovery_entry entry = {0};
	struct nvmux_trid *trid = &entry.trid;

	memcpy(&record, bytes, sizeof(record));
	if (!is_known_subtype(record.subtype))
		return "its subtype is unknown";
	if (!take_text(trid->traddr, sizeof(trid->traddr), record.traddr, sizeof(record.traddr)))
		return "TRADDR is too long or not printable";
	if (!take_text(trid->trsvcid, sizeof(trid->trsvcid), record.trsvcid,
		       sizeof(record.trsvcid)))
		return "TRSVCID is too long or not printable";
	if (!take_text(trid->subnqn, sizeof(trid->subnqn), record.subnqn, sizeof(record.subnqn)))
		return "SUBNQN is too long or not printable";
	if (!trid->subnqn[0])
		return "SUBNQN is empty";
	trid->trtype = record.trtype == NVMF_TRTYPE_RDMA ? NVMUX_TRTYPE_RDMA : NVMUX_TRTYPE_COUNT;
	trid->adrfam = adrfam_of(record.adrfam);
	entry.subtype = (enum nvmux_discovery_subtype)record.subtype;
	entry.trtype = record.trtype;
	entry.adrfam = record.adrfam;
	entry.treq = record.treq;
	entry.portid = le16_to_cpu(record.portid);
	entry.cntlid = le16_to_cpu(record.cntlid);
	entry.asqsz = le16_to_cpu(record.asqsz);
	entry.eflags = le16_to_cpu(record.eflags);
	if (trid->trtype == NVMUX_TRTYPE_RDMA) {
		if (nvmux_trid_check(trid, NULL, 0))
			return "TRADDR, ADRFAM and TRSVCID aren't an address";
		entry.rdma_qptype = record.tsas.rdma.qptype;
		entry.rdma_prtype = record.tsas.rdma.prtype;
		entry.rdma_cms = record.tsas.rdma.cms;
		entry.rdma_pkey = le16_to_cpu(record.tsas.rdma.pkey);
	}
	*ret = entry;
	return NULL;
}

int discovery_log_parse(const uint8_t *buf, size_t len, struct nvmux_discovery_log **ret,
			uint32_t *ret_left_out, char *why, size_t why_size)
{
	struct discovery_header header;
	struct nvmux_discovery_log *log;
	uint32_t left_out = 0;
	int err = discovery_header_parse(buf, len, &header, why, why_size);

	if (err)
		return err;
	if ((len - DISCOVERY_HEADER_SIZE) / DISCOVERY_RECORD_SIZE < header.numrec) {
		snprintf(why, why_size, "NUMREC is %u, but the log has %zu bytes", header.numrec,
			 len);
		return -EPROTO;
	}
	log = calloc(1, sizeof(*log) + header.numrec * sizeof(log->entries[0]));
	if (!log)
		return -ENOMEM;
	log->genctr = header.genctr;
	for (uint32_t i = 0; i < header.numrec; i++) {
		const char *bad = discovery_record_parse(buf + DISCOVERY_HEADER_SIZE +
								 (size_t)i * DISCOVERY_RECORD_SIZE,
							 &log->entries[log->n]);

		if (!bad)
			log->n++;
		else if (!left_out++)
			snprintf(why, why_size, "record %u: %s", i, bad);
	}
	*ret = log;
	*ret_left_out = left_out;
	return 0;
}
