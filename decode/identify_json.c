// SPDX-License-Identifier: BSD-3-Clause
/* Identify data as JSON, by tables of its fields in nvme-cli's order. Pure functions. */
#include <string.h>
#include "decode/fields.h"
#include "decode/identify_json.h"
#include "libcore/util.h"

#define NVME_NIDT_UUID_LEN 16

#define C(member) DECODE_FIELD(nvme_id_ctrl, DECODE_UINT, member)
#define N(member) DECODE_FIELD(nvme_id_ns, DECODE_UINT, member)
#define P(member) DECODE_FIELD(nvme_id_ns, DECODE_OPTIONAL, member)

static const struct decode_field ctrl_fields[] = {
	C(vid), C(ssvid),
	DECODE_FIELD(nvme_id_ctrl, DECODE_TEXT, sn), DECODE_FIELD(nvme_id_ctrl, DECODE_TEXT, mn),
	DECODE_FIELD(nvme_id_ctrl, DECODE_TEXT, fr),
	C(rab), C(ieee), C(cmic), C(mdts), C(cntlid), C(ver), C(rtd3r), C(rtd3e), C(oaes),
	C(ctratt), C(rrls), C(cntrltype),
	DECODE_FIELD(nvme_id_ctrl, DECODE_UUID, fguid),
	C(crdt1), C(crdt2), C(crdt3), C(nvmsr), C(vwci), C(mec), C(oacs), C(acl), C(aerl), C(frmw),
	C(lpa), C(elpe), C(npss), C(avscc), C(apsta), C(wctemp), C(cctemp), C(mtfa), C(hmpre),
	C(hmmin),
	DECODE_FIELD(nvme_id_ctrl, DECODE_U128, tnvmcap),
	DECODE_FIELD(nvme_id_ctrl, DECODE_U128, unvmcap),
	C(rpmbs), C(edstt), C(dsto), C(fwug), C(kas), C(hctma), C(mntmt), C(mxtmt), C(sanicap),
	C(hmminds), C(hmmaxd), C(nsetidmax), C(endgidmax), C(anatt), C(anacap), C(anagrpmax),
	C(nanagrpid), C(pels), C(domainid),
	DECODE_FIELD(nvme_id_ctrl, DECODE_U128, megcap),
	C(sqes), C(cqes), C(maxcmd), C(nn), C(oncs), C(fuses), C(fna), C(vwc), C(awun), C(awupf),
	C(icsvscc), C(nwpc), C(acwu), C(ocfs), C(sgls), C(mnan),
	DECODE_FIELD(nvme_id_ctrl, DECODE_U128, maxdna),
	C(maxcna),
	DECODE_FIELD(nvme_id_ctrl, DECODE_NQN, subnqn),
	C(ioccsz), C(iorcsz), C(icdoff), C(fcatt), C(msdbd), C(ofcs),
	DECODE_END,
};

static const struct decode_field ns_fields[] = {
	N(nsze), N(ncap), N(nuse), N(nsfeat), N(nlbaf), N(flbas), N(mc), N(dpc), N(dps), N(nmic),
	N(rescap), N(fpi), N(dlfeat), N(nawun), N(nawupf), N(nacwu), N(nabsn), N(nabo), N(nabspf),
	N(noiob),
	DECODE_FIELD(nvme_id_ns, DECODE_U128, nvmcap),
	N(nsattr), N(nvmsetid),
	P(npwg), P(npwa), P(npdg), P(npda), P(nows),
	N(mssrl), N(mcl), N(msrc), N(nulbaf), N(anagrpid), N(endgid),
	DECODE_FIELD(nvme_id_ns, DECODE_HEX, eui64), DECODE_FIELD(nvme_id_ns, DECODE_HEX, nguid),
	DECODE_END,
};

static const struct decode_field lbaf_fields[] = {
	DECODE_FIELD(nvme_lbaf, DECODE_UINT, ms), DECODE_FIELD(nvme_lbaf, DECODE_UINT, ds),
	DECODE_FIELD(nvme_lbaf, DECODE_UINT, rp),
	DECODE_END,
};

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

	decode_put(object, ctrl_fields, id, false);
	for (unsigned i = 0; i <= MIN(id->npss, ARRAY_SIZE(id->psd) - 1); i++)
		json_array_append_new(psds, psd_json(&id->psd[i]));
	json_object_set_new(object, "psds", psds);
	return object;
}

json_t *identify_ns_json(const struct nvme_id_ns *id)
{
	json_t *object = json_object(), *lbafs = json_array(), *lbaf;

	decode_put(object, ns_fields, id, (id->nsfeat & 0x10) != 0);
	for (unsigned i = 0; i <= MIN(id->nlbaf, ARRAY_SIZE(id->lbaf) - 1); i++) {
		lbaf = json_object();
		decode_put(lbaf, lbaf_fields, &id->lbaf[i], false);
		json_array_append_new(lbafs, lbaf);
	}
	json_object_set_new(object, "lbafs", lbafs);
	return object;
}

#define I(member) DECODE_FIELD(nvme_id_independent_id_ns, DECODE_UINT, member)

json_t *identify_independent_ns_json(const struct nvme_id_independent_id_ns *id)
{
	static const struct decode_field fields[] = {
		I(nsfeat), I(nmic),     I(rescap), I(fpi),   I(anagrpid),
		I(nsattr), I(nvmsetid), I(endgid), I(nstat), DECODE_END,
	};
	json_t *object = json_object();

	decode_put(object, fields, id, false);
	return object;
}

#define V(member) DECODE_FIELD(nvme_id_ctrl_nvm, DECODE_UINT, member)

json_t *identify_nvm_ctrl_json(const struct nvme_id_ctrl_nvm *id)
{
	static const struct decode_field fields[] = {
		V(vsl), V(wzsl), V(wusl), V(dmrl), V(dmrsl), V(dmsl), DECODE_END,
	};
	json_t *object = json_object();

	decode_put(object, fields, id, false);
	return object;
}

json_t *identify_nvm_ns_json(const struct nvme_nvm_id_ns *id, const struct nvme_id_ns *plain)
{
	json_t *object = json_object(), *formats = json_array();

	json_object_set_new(object, "lbstm", decode_uint_json(le64_to_cpu(id->lbstm)));
	json_object_set_new(object, "pic", json_integer(id->pic));
	for (unsigned i = 0; i <= MIN(plain->nlbaf, ARRAY_SIZE(id->elbaf) - 1); i++) {
		uint32_t elbaf = le32_to_cpu(id->elbaf[i]);

		json_array_append_new(formats, json_pack("{s:i,s:i}", "sts", elbaf & 0x7f, "pif",
							 elbaf >> 7 & 3));
	}
	json_object_set_new(object, "elbafs", formats);
	return object;
}

/* A descriptor: type, length of what follows, two reserved bytes. It may lie at odd places. */
#define DESC_HEAD 4

/* NULL: of a type that isn't known, or of a length that isn't its type's. */
static json_t *desc_json(const uint8_t *data, size_t at)
{
	const uint8_t *nid = data + at + DESC_HEAD;
	uint8_t nidt = data[at], nidl = data[at + 1];
	json_t *value, *object;
	const char *type;
	char csi[8];

	if (nidt == NVME_NIDT_EUI64 && nidl == NVME_NIDT_EUI64_LEN) {
		type = "eui64";
		value = decode_hex_json(nid, nidl);
	} else if (nidt == NVME_NIDT_NGUID && nidl == NVME_NIDT_NGUID_LEN) {
		type = "nguid";
		value = decode_hex_json(nid, nidl);
	} else if (nidt == NVME_NIDT_UUID && nidl == NVME_NIDT_UUID_LEN) {
		type = "uuid";
		value = decode_uuid_json(nid);
	} else if (nidt == NVME_NIDT_CSI && nidl == NVME_NIDT_CSI_LEN) {
		snprintf(csi, sizeof(csi), "%#x", nid[0]);
		type = "csi";
		value = json_string(csi);
	} else {
		return NULL;
	}
	object = json_pack("{s:i,s:i,s:i,s:s}", "loc", (int)at, "nidt", nidt, "nidl", nidl, "type",
			   type);
	json_object_set_new(object, type, value);
	return object;
}

json_t *identify_descs_json(const void *data)
{
	json_t *object = json_object(), *descs = json_array(), *one;
	const uint8_t *bytes = data;

	for (size_t at = 0; at + DESC_HEAD < IDENTIFY_BYTES; at += DESC_HEAD + bytes[at + 1]) {
		if (!bytes[at + 1] || bytes[at + 1] > IDENTIFY_BYTES - at - DESC_HEAD)
			break;
		one = desc_json(bytes, at);
		if (one)
			json_array_append_new(descs, one);
	}
	if (json_array_size(descs))
		json_object_set(object, "ns-descs", descs);
	json_decref(descs);
	return object;
}

json_t *identify_ns_list_json(const void *data)
{
	json_t *list = json_array();

	for (size_t at = 0; at < IDENTIFY_BYTES; at += 4) {
		uint64_t nsid = decode_uint((const uint8_t *)data + at, 4);

		if (nsid)
			json_array_append_new(list, json_pack("{s:I}", "nsid", (json_int_t)nsid));
	}
	return json_pack("{s:o}", "nsid_list", list);
}

json_t *identify_ctrl_list_json(const void *data)
{
	unsigned num = (unsigned)decode_uint(data, 2);
	json_t *list = json_array();

	for (size_t i = 1; i <= MIN(num, IDENTIFY_BYTES / 2 - 1); i++)
		json_array_append_new(
			list, json_pack("{s:I}", "ctrl_id",
					(json_int_t)decode_uint((const uint8_t *)data + 2 * i, 2)));
	return json_pack("{s:i,s:o}", "num_ctrl", (int)num, "ctrl_list", list);
}
