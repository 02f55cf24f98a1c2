// SPDX-License-Identifier: BSD-3-Clause
/*
 * Asynchronous events of controllers, in words. Base specification 2.0, section 5.2.
 *
 * Happy path: libnvmux has read the log page that clears the event → subscribers are told → of a
 * health event the critical warnings are read from the log page, and told → namespaces are looked
 * at anew when the event says so.
 *
 * Failure modes. The log page can't be read: the event is told all the same.
 */
#include <stdlib.h>
#include <string.h>
#include "daemon/daemon.h"
#include "decode/fields.h"
#include "libcore/aer.h"

#define TYPE_HEALTH 1u
#define TYPE_NOTICE 2u
#define TYPE_IO     6u
#define NS_CHANGED  0u /* information of a notice */
#define LOG_RAE     (1u << 15)

struct aer_word {
	uint8_t type; /* or nothing */
	uint8_t value;
	const char *text;
};

static const char *const type_words[8] = {
	[0] = "error", [1] = "health", [2] = "notice", [6] = "io", [7] = "vendor"};

static const struct aer_word info_words[] = {
	{0, 0x00, "write to an invalid doorbell"},
	{0, 0x01, "invalid doorbell value"},
	{0, 0x02, "diagnostic failure"},
	{0, 0x03, "persistent internal error"},
	{0, 0x04, "transient internal error"},
	{0, 0x05, "firmware image load error"},
	{1, 0x00, "reliability of the subsystem"},
	{1, 0x01, "temperature threshold"},
	{1, 0x02, "spare below threshold"},
	{2, 0x00, "namespace attribute changed"},
	{2, 0x01, "firmware activation starting"},
	{2, 0x02, "telemetry log changed"},
	{2, 0x03, "asymmetric namespace access change"},
	{2, 0x04, "predictable latency event aggregate log change"},
	{2, 0x05, "LBA status information alert"},
	{2, 0x06, "endurance group event aggregate log change"},
	{2, 0xef, "zone descriptor changed"},
	{2, 0xf0, "discovery log page change"},
	{6, 0x00, "reservation log page available"},
	{6, 0x01, "sanitize operation completed"},
	{6, 0x02, "sanitize operation completed with unexpected deallocation"},
};

static const struct aer_word log_words[] = {
	{0, 0x01, "error information"},
	{0, 0x02, "SMART / health information"},
	{0, 0x03, "firmware slot information"},
	{0, 0x04, "changed namespace list"},
	{0, 0x05, "commands supported and effects"},
	{0, 0x06, "device self-test"},
	{0, 0x08, "telemetry, controller-initiated"},
	{0, 0x0b, "predictable latency event aggregate"},
	{0, 0x0c, "asymmetric namespace access"},
	{0, 0x0d, "persistent event log"},
	{0, 0x0e, "LBA status information"},
	{0, 0x0f, "endurance group event aggregate"},
	{0, 0x70, "discovery"},
	{0, 0x80, "reservation notification"},
	{0, 0x81, "sanitize status"},
	{0, 0xbf, "changed zone list"},
};

static const char *word_of(const struct aer_word *words, size_t n, uint8_t type, uint8_t value)
{
	for (size_t i = 0; i < n; i++) {
		if (words[i].type == type && words[i].value == value)
			return words[i].text;
	}
	return "unknown";
}

/* ---- health ---- */

struct health_job {
	_Alignas(8) struct nvme_smart_log log;
	struct controller *c;
};

static json_t *warnings_json(uint8_t critical)
{
	static const char *const words[] = {
		"available_spare",
		"temperature",
		"reliability",
		"read_only",
		"volatile_memory_backup",
		"persistent_memory_region",
	};
	json_t *list = json_array();

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		if (critical >> i & 1)
			json_array_append_new(list, json_string(words[i]));
	}
	return list;
}

static void health_read(void *arg, const struct nvmux_cpl *cpl)
{
	struct health_job *job = arg;
	struct controller *c = job->c;
	const struct nvme_smart_log *log = &job->log;
	int kelvin = log->temperature[0] | log->temperature[1] << 8;

	c->reading_health = false;
	if (!nvmux_cpl_is_error(cpl)) {
		log_warning(&c->d->log, "ctrlr",
			    "%s: health: critical warnings %#x, %d K, spare %u %%", c->name,
			    log->critical_warning, kelvin, log->avail_spare);
		events_emit(c->d, "controller_health",
			    json_pack("{s:s,s:i,s:o,s:i,s:i,s:i,s:i}", "name", c->name,
				      "critical_warning", (int)log->critical_warning, "warnings",
				      warnings_json(log->critical_warning), "temperature", kelvin,
				      "avail_spare", (int)log->avail_spare, "spare_thresh",
				      (int)log->spare_thresh, "percent_used",
				      (int)log->percent_used));
	}
	free(job);
}

/* One at a time: a later one tells the same. */
static void read_health(struct controller *c)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_get_log_page,
		.nsid = cpu_to_le32(NVME_NSID_ALL),
		.cdw10 = cpu_to_le32((sizeof(struct nvme_smart_log) / 4 - 1) << 16 | LOG_RAE |
				     NVME_LOG_LID_SMART),
	};
	struct health_job *job;

	if (c->reading_health || !c->ctrlr)
		return;
	job = calloc(1, sizeof(*job));
	if (!job)
		return;
	job->c = c;
	c->reading_health = true;
	if (nvmux_ctrlr_admin(c->ctrlr, &cmd, &job->log, sizeof(job->log), health_read, job)) {
		c->reading_health = false;
		free(job);
	}
}

/* ---- reservations ---- */

/* Reading the log page to clear the event has taken this one from it: nobody else sees it. */
static void tell_reservation(struct controller *c, const struct nvme_resv_notification_log *log)
{
	static const char *const words[] = {
		[NVME_RESV_NOTIFY_RNLPT_REGISTRATION_PREEMPTED] = "registration_preempted",
		[NVME_RESV_NOTIFY_RNLPT_RESERVATION_RELEASED] = "reservation_released",
		[NVME_RESV_NOTIFY_RNLPT_RESERVATION_PREEMPTED] = "reservation_preempted",
	};
	const char *word = NULL;

	if (log->rnlpt == NVME_RESV_NOTIFY_RNLPT_EMPTY)
		return;
	if (log->rnlpt < ARRAY_SIZE(words))
		word = words[log->rnlpt];
	events_emit(c->d, "reservation_notification",
		    decode_plain(json_pack("{s:s,s:I,s:o,s:i,s:s,s:i}", "name", c->name, "nsid",
					   (json_int_t)le32_to_cpu(log->nsid), "count",
					   decode_uint_json(le64_to_cpu(log->lpc)), "notification",
					   (int)log->rnlpt, "notification_text", word ?: "unknown",
					   "available", (int)log->nalp)));
}

struct notice_job {
	_Alignas(8) struct nvme_resv_notification_log log;
	struct controller *c;
};

static void notice_read(void *arg, const struct nvmux_cpl *cpl)
{
	struct notice_job *job = arg;

	if (!nvmux_cpl_is_error(cpl))
		tell_reservation(job->c, &job->log);
	free(job);
}

/*
 * An event that came while the controller was being attached, when libnvmux didn't know yet that
 * its log page is ours to read. Until that is read no further event of its type comes.
 */
static void read_notice(struct controller *c)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_get_log_page,
		.nsid = cpu_to_le32(NVME_NSID_ALL),
		.cdw10 = cpu_to_le32((sizeof(struct nvme_resv_notification_log) / 4 - 1) << 16 |
				     NVME_LOG_LID_RESERVATION),
	};
	struct notice_job *job = calloc(1, sizeof(*job));

	if (!job)
		return;
	job->c = c;
	if (nvmux_ctrlr_admin(c->ctrlr, &cmd, &job->log, sizeof(job->log), notice_read, job))
		free(job);
}

static void reservation_event(struct controller *c, const struct nvmux_cpl *event)
{
	const struct nvme_resv_notification_log *log;

	if (!c->ctrlr)
		return; /* it is being detached */
	log = ctrlr_aer_log(c->ctrlr, event);
	if (log)
		tell_reservation(c, log);
	else
		read_notice(c);
}

/* ---- any ---- */

void controller_aer(struct controller *c, const struct nvmux_cpl *event)
{
	uint32_t dw0 = le32_to_cpu(event->dw0);
	uint8_t type = dw0 & 7, info = (uint8_t)(dw0 >> 8), lid = (uint8_t)(dw0 >> 16);
	const char *info_text = word_of(info_words, ARRAY_SIZE(info_words), type, info);
	const char *log_text = word_of(log_words, ARRAY_SIZE(log_words), 0, lid);

	log_info(&c->d->log, "ctrlr",
		 "%s: asynchronous event, type %u, information %#x (%s), log %#x", c->name, type,
		 info, info_text, lid);
	events_emit(c->d, "aer",
		    json_pack("{s:s,s:i,s:i,s:i,s:s,s:s,s:s}", "name", c->name, "event_type",
			      (int)type, "information", (int)info, "log_page", (int)lid,
			      "event_type_text", type_words[type] ?: "unknown", "information_text",
			      info_text, "log_page_text", log_text));
	if (type == TYPE_IO && lid == NVME_LOG_LID_RESERVATION)
		reservation_event(c, event);
	if (type == TYPE_HEALTH)
		read_health(c);
	if (type == TYPE_NOTICE && info == NS_CHANGED)
		controller_namespaces_changed(c);
}

/* ---- namespaces ---- */

static void tell_namespace(const struct controller *c, const char *type, const struct ns_view *ns)
{
	events_emit(c->d, type,
		    json_pack("{s:s,s:I,s:I,s:I,s:i}", "name", c->name, "nsid",
			      (json_int_t)ns->nsid, "blocks", (json_int_t)ns->n_lbas, "block_size",
			      (json_int_t)1 << ns->lba_shift, "metadata_size", (int)ns->md_size));
}

static bool same_format(const struct ns_view *a, const struct ns_view *b)
{
	return a->lba_shift == b->lba_shift && a->md_size == b->md_size &&
	       a->md_interleaved == b->md_interleaved && a->pi == b->pi &&
	       a->zone_lbas == b->zone_lbas;
}

/* Both are in the order of ids. */
void events_namespaces(const struct controller *c, const struct ctrlr_view *before,
		       const struct ctrlr_view *after)
{
	uint32_t i = 0, j = 0;

	while (i < before->n_ns || j < after->n_ns) {
		const struct ns_view *old = i < before->n_ns ? &before->ns[i] : NULL;
		const struct ns_view *new = j < after->n_ns ? &after->ns[j] : NULL;

		if (old && (!new || old->nsid < new->nsid)) {
			tell_namespace(c, "namespace_removed", old);
			i++;
			continue;
		}
		if (!old || new->nsid < old->nsid) {
			tell_namespace(c, "namespace_added", new);
			j++;
			continue;
		}
		if (!same_format(old, new))
			tell_namespace(c, "namespace_formatted", new);
		else if (old->n_lbas != new->n_lbas)
			tell_namespace(c, "namespace_resized", new);
		i++;
		j++;
	}
}
