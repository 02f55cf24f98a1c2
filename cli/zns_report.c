// SPDX-License-Identifier: BSD-3-Clause
/* Reports of zones. Zoned namespace command set 1.1, section 3.4.2. */
#include <nvme/types.h>

#include "cli/zns_report.h"
#include "decode/fields.h"

/* nvme-cli's words. */
static const char *state_name(unsigned state)
{
	switch (state) {
	case NVME_ZNS_ZS_EMPTY: return "EMPTY";
	case NVME_ZNS_ZS_IMPL_OPEN: return "IMP_OPENED";
	case NVME_ZNS_ZS_EXPL_OPEN: return "EXP_OPENED";
	case NVME_ZNS_ZS_CLOSED: return "CLOSED";
	case NVME_ZNS_ZS_READ_ONLY: return "READONLY";
	case NVME_ZNS_ZS_FULL: return "FULL";
	case NVME_ZNS_ZS_OFFLINE: return "OFFLINE";
	default: return "Unknown State";
	}
}

static const char *type_name(unsigned type)
{
	return (type & 0xf) == NVME_ZONE_TYPE_SEQWRITE_REQ ? "SEQWRITE_REQ" : "Unknown";
}

static const struct nvme_zns_desc *desc_at(const uint8_t *descs, uint64_t i, size_t ext)
{
	return (const void *)(descs + i * (sizeof(struct nvme_zns_desc) + ext));
}

static void print_attributes(const struct nvme_zns_desc *d)
{
	printf("  attributes:%s%s%s%s%s\n",
	       d->za & NVME_ZNS_ZA_ZFC ? " finished by controller;" : "",
	       d->za & NVME_ZNS_ZA_FZR ? " finish recommended;" : "",
	       d->za & NVME_ZNS_ZA_RZR ? " reset recommended;" : "",
	       d->za & NVME_ZNS_ZA_ZRWAV ? " random write area;" : "",
	       d->za & NVME_ZNS_ZA_ZDEV ? " descriptor extension valid;" : "");
}

void cli_zones_print(const uint8_t *descs, uint64_t count, size_t ext, bool verbose)
{
	for (uint64_t i = 0; i < count; i++) {
		const struct nvme_zns_desc *d = desc_at(descs, i, ext);

		printf("SLBA: %#-10llx WP: %#-10llx Cap: %#-10llx State: %-12s Type: %-14s "
		       "Attrs: %#-4x\n",
		       (unsigned long long)le64toh(d->zslba), (unsigned long long)le64toh(d->wp),
		       (unsigned long long)le64toh(d->zcap), state_name(d->zs >> 4),
		       type_name(d->zt), d->za);
		if (verbose)
			print_attributes(d);
		if (!ext)
			continue;
		if (d->za & NVME_ZNS_ZA_ZDEV)
			cli_data_show(d + 1, ext);
		else
			puts("Extension Data:  Not valid");
	}
}

void cli_zones_json(const uint8_t *descs, uint64_t count, size_t ext, json_t *list)
{
	for (uint64_t i = 0; i < count; i++) {
		const struct nvme_zns_desc *d = desc_at(descs, i, ext);
		json_t *zone = json_pack(
			"{s:o, s:o, s:o, s:s, s:s, s:i}", "slba",
			decode_uint_json(le64toh(d->zslba)), "wp", decode_uint_json(le64toh(d->wp)),
			"cap", decode_uint_json(le64toh(d->zcap)), "state", state_name(d->zs >> 4),
			"type", type_name(d->zt), "attrs", (int)d->za);

		if (ext && d->za & NVME_ZNS_ZA_ZDEV)
			json_object_set_new(zone, "ext_data", decode_hex_json(d + 1, ext));
		else if (ext)
			json_object_set_new(zone, "ext_data", json_string("Not valid"));
		json_array_append_new(list, zone);
	}
}

void cli_zones_print_head(uint64_t n_zones)
{
	printf("nr_zones: %llu\n", (unsigned long long)n_zones);
}

int cli_zones_print_json(const struct cli *cli, uint64_t n_zones, json_t *list)
{
	CLI_JSON *root = json_pack("{s:o, s:O}", "nr_zones", decode_uint_json(n_zones), "zone_list",
				   list);

	return cli_print_json(cli, root);
}
