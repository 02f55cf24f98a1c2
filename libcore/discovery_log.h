/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The discovery log page (70h) as bytes: base specification 2.0, section 5.16.1.23. Pure functions.
 *
 * It is the word of a stranger. What the header may say is bounded. A record that can't be used is
 * left out, the others stay:
 *  - a subtype other than referral, NVM subsystem and current discovery subsystem;
 *  - text that isn't printable ASCII without spaces (padding by spaces or NULs aside), or is longer
 *    than the specification lets it be;
 *  - RDMA: an address that isn't one of its family, a service id that isn't a port number.
 * A transport that isn't known here stays, as NVMUX_TRTYPE_COUNT. Controller id, queue size and
 * flags are passed on as they are: nothing here depends on them.
 */
#ifndef NVMUX_DISCOVERY_LOG_H
#define NVMUX_DISCOVERY_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <nvmux/discovery.h>

#define DISCOVERY_HEADER_SIZE 1024u
#define DISCOVERY_RECORD_SIZE 1024u
#define DISCOVERY_RECORDS_MAX 4096u

struct discovery_header {
	uint64_t genctr;
	uint32_t numrec; /* at most DISCOVERY_RECORDS_MAX */
};

/* -EPROTO (too short, too many records), -EOPNOTSUPP (format), with the reason in @why. */
int discovery_header_parse(const uint8_t *buf, size_t len, struct discovery_header *ret, char *why,
			   size_t why_size);
/* Why the record is left out, or NULL: it is in *@ret. */
const char *discovery_record_parse(const uint8_t record[DISCOVERY_RECORD_SIZE],
				   struct nvmux_discovery_entry *ret);
/*
 * A whole page. Records that the header promises and @len doesn't hold: -EPROTO. On success *@ret
 * is freed with free(); *@ret_left_out records were left out, for the first of them the reason is
 * in
 * @why.
 */
int discovery_log_parse(const uint8_t *buf, size_t len, struct nvmux_discovery_log **ret,
			uint32_t *ret_left_out, char *why, size_t why_size);

#endif
