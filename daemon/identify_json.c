// SPDX-License-Identifier: BSD-3-Clause
/* Identify data as JSON, by tables of its fields in nvme-cli's order. Pure functions. */
#include <string.h>
#include "daemon/identify_json.h"
#include "libcore/util.h"

enum field_type {
	FIELD_UINT, /* little-endian, 1 to 8 bytes */
	FIELD_U128, /* a decimal string */
	FIELD_TEXT, /* up to the first NUL */
	FIELD_NQN,  /* the same, left out when empty */
	FIELD_UUID, /* 8-4-4-4-12 */
	FIELD_HEX,
	FIELD_OPTPERF, /* FIELD_UINT, only with bit 4 of NSFEAT */
};

struct field {
	const char *key; /* NULL ends a table */
	enum field_type type;
	uint16_t offset;
	uint16_t size;
};

#define FIELD(s, t, member)                                                                        \
	{                                                                                          \
		#member, t, offsetof(struct s, member), sizeof(((struct s *)0)->member)            \
	}
#define C(member) FIELD(nvme_id_ctrl, FIELD_UINT, member)
#define N(member) FIELD(nvme_id_ns, FIELD_UINT, member)
#define P(member) FIELD(nvme_id_ns, FIELD_OPTPERF, member)

static const struct field ctrl_fields[] = {
	C(vid), C(ssvid),
	FIELD(nvme_id_ctrl, FIELD_TEXT, sn), FIELD(nvme_id_ctrl, FIELD_TEXT, mn),
	FIELD(nvme_id_ctrl, FIELD_TEXT, fr),
	C(rab), C(ieee), C(cmic), C(mdts), C(cntlid), C(ver), C(rtd3r), C(rtd3e), C(oaes),
	C(ctratt), C(rrls), C(cntrltype),
	FIELD(nvme_id_ctrl, FIELD_UUID, fguid),
	C(crdt1), C(crdt2), C(crdt3), C(nvmsr), C(vwci), C(mec), C(oacs), C(acl), C(aerl), C(frmw),
	C(lpa), C(elpe), C(npss), C(avscc), C(apsta), C(wctemp), C(cctemp), C(mtfa), C(hmpre),
	C(hmmin),
	FIELD(nvme_id_ctrl, FIELD_U128, tnvmcap), FIELD(nvme_id_ctrl, FIELD_U128, unvmcap),
	C(rpmbs), C(edstt), C(dsto), C(fwug), C(kas), C(hctma), C(mntmt), C(mxtmt), C(sanicap),
	C(hmminds), C(hmmaxd), C(nsetidmax), C(endgidmax), C(anatt), C(anacap), C(anagrpmax),
	C(nanagrpid), C(pels), C(domainid),
	FIELD(nvme_id_ctrl, FIELD_U128, megcap),
	C(sqes), C(cqes), C(maxcmd), C(nn), C(oncs), C(fuses), C(fna), C(vwc), C(awun), C(awupf),
	C(icsvscc), C(nwpc), C(acwu), C(ocfs), C(sgls), C(mnan),
	FIELD(nvme_id_ctrl, FIELD_U128, maxdna),
	C(maxcna),
	FIELD(nvme_id_ctrl, FIELD_NQN, subnqn),
	C(ioccsz), C(iorcsz), C(icdoff), C(fcatt), C(msdbd), C(ofcs),
	{NULL, 0, 0, 0},
};

static const struct field ns_fields[] = {
	N(nsze), N(ncap), N(nuse), N(nsfeat), N(nlbaf), N(flbas), N(mc), N(dpc), N(dps), N(nmic),
	N(rescap), N(fpi), N(dlfeat), N(nawun), N(nawupf), N(nacwu), N(nabsn), N(nabo), N(nabspf),
	N(noiob),
	FIELD(nvme_id_ns, FIELD_U128, nvmcap),
	N(nsattr), N(nvmsetid),
	P(npwg), P(npwa), P(npdg), P(npda), P(nows),
	N(mssrl), N(mcl), N(msrc), N(nulbaf), N(anagrpid), N(endgid),
	FIELD(nvme_id_ns, FIELD_HEX, eui64), FIELD(nvme_id_ns, FIELD_HEX, nguid),
	{NULL, 0, 0, 0},
};

static const struct field lbaf_fields[] = {
	FIELD(nvme_lbaf, FIELD_UINT, ms), FIELD(nvme_lbaf, FIELD_UINT, ds),
	FIELD(nvme_lbaf, FIELD_UINT, rp),
	{NULL, 0, 0, 0},
};

static uint64_t get_uint(const uint8_t *data, size_t size)
{
	uint64_t value = 0;

	while (size--)
		value = value << 8 | data[size];
	return value;
}

static json_t *u128_json(const uint8_t *data)
{
	unsigned __int128 value = (unsigned __int128)get_uint(data + 8, 8) << 64 |
				  get_uint(data, 8);
	char text[48], *p = text + sizeof(text) - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + (unsigned)(value % 10));
		value /= 10;
	} while (value);
	return json_string(p);
}

json_t *identify_uuid_json(const uint8_t *uuid)
{
	char text[37], *p = text;

	for (unsigned i = 0; i < 16; i++)
		p += sprintf(p, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			     uuid[i]);
	return json_string(text);
}

json_t *identify_hex_json(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	char *text = malloc(2 * size + 1);
	json_t *value;

	if (!text)
		return NULL;
	for (size_t i = 0; i < size; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	value = json_stringn(text, 2 * size);
	free(text);
	return value;
}

json_t *identify_text_json(const char *text, size_t size, bool trim)
{
	char copy[256];
	size_t len = strnlen(text, MIN(size, sizeof(copy)));

	for (size_t i = 0; i < len; i++)
		copy[i] = (char)(text[i] < ' ' || text[i] > '~' ? '?' : text[i]);
	while (trim && len && copy[len - 1] == ' ')
		len--;
	return json_stringn(copy, len);
}

static void put_fields(json_t *object, const struct field *fields, const void *data, bool optperf)
{
	for (const struct field *f = fields; f->key; f++) {
		const uint8_t *at = (const uint8_t *)data + f->offset;
		json_t *value = NULL;

		switch (f->type) {
		case FIELD_OPTPERF:
			if (!optperf)
				continue;
			value = json_integer((json_int_t)get_uint(at, f->size));
			break;
		case FIELD_UINT: value = json_integer((json_int_t)get_uint(at, f->size)); break;
		case FIELD_U128: value = u128_json(at); break;
		case FIELD_UUID: value = identify_uuid_json(at); break;
		case FIELD_HEX: value = identify_hex_json(at, f->size); break;
		case FIELD_NQN:
			if (!*at)
				continue;
			value = identify_text_json((const char *)at, f->size, false);
			break;
		case FIELD_TEXT:
			value = identify_text_json((const char *)at, f->size, false);
			break;
		}
		json_object_set_new(object, f->key, value);
	}
}

static json_t *psd_json(const struct nvme_id_psd *psd)
{
	return json_pack("{s:i,s:i,s:I,s:I,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:i}",
			 "max_power", le16_to_cpu(psd->mp), "flags", psd->flags,
			 "entry_lat", (json_int_t)le32_to_cpu(psd->enlat),
			 "exit_lat", (json_int_t)le32_to_cpu(psd->exlat),
			 "read_tput", psd->rrt, "read_lat", psd->rrl, "write_tput", psd->rwt,
			 "write_lat", psd->rwl, "idle_power", le16_to_cpu(psd->idlp),
			 "idle_scale", psd->ips >> 6, "active_power", le16_to_cpu(psd->actp),
			 "active_power_work", psd->apws & 7, "active_scale", psd->apws >> 6);
}

json_t *identify_ctrl_json(const struct nvme_id_ctrl *id)
{
	json_t *object = json_object(), *psds = json_array();

	put_fields(object, ctrl_fields, id, false);
	for (unsigned i = 0; i <= MIN(id->npss, ARRAY_SIZE(id->psd) - 1); i++)
		json_array_append_new(psds, psd_json(&id->psd[i]));
	json_object_set_new(object, "psds", psds);
	return object;
}

json_t *identify_ns_json(const struct nvme_id_ns *id)
{
	json_t *object = json_object(), *lbafs = json_array(), *lbaf;

	put_fields(object, ns_fields, id, (id->nsfeat & 0x10) != 0);
	for (unsigned i = 0; i <= MIN(id->nlbaf, ARRAY_SIZE(id->lbaf) - 1); i++) {
		lbaf = json_object();
		put_fields(lbaf, lbaf_fields, &id->lbaf[i], false);
		json_array_append_new(lbafs, lbaf);
	}
	json_object_set_new(object, "lbafs", lbafs);
	return object;
}
