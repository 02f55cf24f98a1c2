// SPDX-License-Identifier: BSD-3-Clause
/*
 * Asymmetric namespace access: the log page (0Ch) becomes the states of the namespaces. Base
 * specification 2.0, sections 5.16.1.13 and 8.1.
 *
 * The whole page is checked before anything of it is taken: descriptors and lists lie within it,
 * groups have an id that the controller said it uses, states are known ones. A page that isn't so
 * leaves everything as it was.
 */
#include <errno.h>
#include <string.h>

#include "core.h"

#define LOG_SIZE_MAX (64u << 10)
#define HEADER_SIZE  16u
#define DESC_SIZE    32u
#define CMIC_ANA     (1u << 3)
#define STATE_MASK   0xf
NVMUX_STATIC_ASSERT(offsetof(struct nvme_ana_log, descs) == HEADER_SIZE, "16 bytes of header");
NVMUX_STATIC_ASSERT(sizeof(struct nvme_ana_group_desc) == DESC_SIZE, "32 bytes of descriptor");

struct group {
	uint32_t id;
	enum nvmux_ana_state state;
	uint32_t n_nsids;
	const uint8_t *nsids; /* little endian, not aligned */
};

bool nvmux_ana_supported(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->id.cmic & CMIC_ANA;
}

uint32_t nvmux_ana_log_size(const struct nvmux_ctrlr *ctrlr)
{
	uint32_t limit = MIN(LOG_SIZE_MAX, ctrlr->max_transfer & ~3u);
	uint64_t size = HEADER_SIZE + (uint64_t)le32_to_cpu(ctrlr->id.nanagrpid) * DESC_SIZE;

	return (uint32_t)MIN(size, (uint64_t)limit);
}

static bool is_known_state(uint8_t state)
{
	return (state >= NVMUX_ANA_OPTIMIZED && state <= NVMUX_ANA_PERSISTENT_LOSS) ||
	       state == NVMUX_ANA_CHANGE;
}

/* The descriptor at @at; returns where the next one begins, 0: it can't be, and @why says so. */
static size_t parse_group(const uint8_t *log, size_t size, size_t at, uint32_t max_id,
			  struct group *ret, const char **why)
{
	struct nvme_ana_group_desc desc;

	if (size - at < DESC_SIZE) {
		*why = "a group's descriptor ends beyond it";
		return 0;
	}
	memcpy(&desc, log + at, DESC_SIZE);
	*ret = (struct group){
		.id = le32_to_cpu(desc.grpid),
		.state = (enum nvmux_ana_state)(desc.state & STATE_MASK),
		.n_nsids = le32_to_cpu(desc.nnsids),
		.nsids = log + at + DESC_SIZE,
	};
	at += DESC_SIZE;
	if (!ret->id || (max_id && ret->id > max_id))
		*why = "a group's id is 0 or beyond ANAGRPMAX";
	else if (!is_known_state(desc.state & STATE_MASK))
		*why = "a group's state is unknown";
	else if (ret->n_nsids > (size - at) / sizeof(uint32_t))
		*why = "a group's list of namespaces ends beyond it";
	else
		return at + ret->n_nsids * sizeof(uint32_t);
	return 0;
}

/* A list says which namespaces; without one it is those that named the group themselves. */
static void take_group(struct nvmux_ctrlr *ctrlr, const struct group *group)
{
	for (uint32_t i = 0; i < group->n_nsids; i++) {
		struct nvmux_ns *ns;
		__le32 nsid;

		memcpy(&nsid, group->nsids + i * sizeof(nsid), sizeof(nsid));
		ns = nvmux_ctrlr_get_ns(ctrlr, le32_to_cpu(nsid));
		if (ns) {
			ns->ana_group = group->id;
			ns->ana_state = group->state;
		}
	}
	for (uint32_t i = 0; !group->n_nsids && i < ctrlr->n_ns; i++) {
		if (ctrlr->ns[i]->active && ctrlr->ns[i]->ana_group == group->id)
			ctrlr->ns[i]->ana_state = group->state;
	}
}

int nvmux_ana_take_log(struct nvmux_ctrlr *ctrlr, const uint8_t *log, size_t size)
{
	uint32_t max_id = le32_to_cpu(ctrlr->id.anagrpmax), n_groups;
	struct nvme_ana_log header;
	struct group group;
	const char *why = "it is shorter than its header";
	size_t at = size < HEADER_SIZE ? 0 : HEADER_SIZE;

	if (at)
		memcpy(&header, log, HEADER_SIZE);
	n_groups = at ? le16_to_cpu(header.ngrps) : 0;
	for (uint32_t i = 0; at && i < n_groups; i++)
		at = parse_group(log, size, at, max_id, &group, &why);
	if (!at)
		return nvmux_error(ctrlr->nvmux, -EPROTO,
				   "%s: asymmetric namespace access log of %zu bytes: %s",
				   ctrlr->trid.traddr, size, why);
	/* What no group has is in no state that is known. */
	for (uint32_t i = 0; i < ctrlr->n_ns; i++)
		ctrlr->ns[i]->ana_state = NVMUX_ANA_NONE;
	at = HEADER_SIZE;
	for (uint32_t i = 0; i < n_groups; i++) {
		at = parse_group(log, size, at, max_id, &group, &why);
		take_group(ctrlr, &group);
	}
	return 0;
}

/* ---- the public view ---- */

const char *nvmux_ana_state_string(enum nvmux_ana_state state)
{
	switch (state) {
	case NVMUX_ANA_NONE: return "none";
	case NVMUX_ANA_OPTIMIZED: return "optimized";
	case NVMUX_ANA_NON_OPTIMIZED: return "non-optimized";
	case NVMUX_ANA_INACCESSIBLE: return "inaccessible";
	case NVMUX_ANA_PERSISTENT_LOSS: return "persistent-loss";
	case NVMUX_ANA_CHANGE: return "change";
	}
	return "none";
}

uint32_t nvmux_ns_get_ana_group_id(const struct nvmux_ns *ns)
{
	return ns->ana_group;
}

enum nvmux_ana_state nvmux_ns_get_ana_state(const struct nvmux_ns *ns)
{
	return ns->ana_state;
}
