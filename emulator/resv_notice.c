// SPDX-License-Identifier: BSD-3-Clause
/*
 * Notices of reservations: the Reservation Notification log. Base specification 2.0, section
 * 5.16.1.
 *
 * Happy path: a host changes a reservation → a notice for each other registrant → an event when
 * that host is there → each read of the log takes the oldest notice away.
 *
 * There is one controller, so the host that a notice is for is never the one that is connected: it
 * waits until the host sets its identifier again, whatever resets of the controller are between.
 * Failure modes: no room; the notice is lost, and counted in the host's last one.
 */
#include <string.h>
#include "emulator/internal.h"

#define TYPE_COMMAND_SET 6u /* event type */
#define INFO_AVAILABLE   0u

static bool is_for(const struct emu_resv_notice *notice, const uint64_t host[2])
{
	return notice->host[0] == host[0] && notice->host[1] == host[1];
}

/* Under the lock. The number of them; @ret: the first one. */
static uint32_t find(struct emu_reports *r, const uint64_t host[2], struct emu_resv_notice **ret)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->n_notices; i++) {
		if (is_for(&r->notices[i], host) && n++ == 0)
			*ret = &r->notices[i];
	}
	return n;
}

void emu_resv_notice_add(struct emu_ctrlr *ctrlr, const uint64_t host[2], uint8_t type,
			 uint32_t nsid)
{
	struct emu_reports *r = &ctrlr->reports;
	struct emu_resv_notice *last = NULL;

	pthread_mutex_lock(&r->lock);
	if (r->n_notices < EMU_RESV_NOTICES) {
		r->notices[r->n_notices++] =
			(struct emu_resv_notice){{host[0], host[1]}, nsid, type, 0};
	} else {
		for (uint32_t i = 0; i < r->n_notices; i++)
			last = is_for(&r->notices[i], host) ? &r->notices[i] : last;
		if (last)
			last->lost++;
	}
	pthread_mutex_unlock(&r->lock);
}

void emu_resv_notice_host(struct emu_ctrlr *ctrlr)
{
	struct emu_resv_notice *first = NULL;
	uint64_t host[2];
	uint32_t n;

	emu_host_id(ctrlr, host);
	pthread_mutex_lock(&ctrlr->reports.lock);
	n = find(&ctrlr->reports, host, &first);
	pthread_mutex_unlock(&ctrlr->reports.lock);
	if (n)
		emu_event_raise(ctrlr, TYPE_COMMAND_SET, INFO_AVAILABLE, NVME_LOG_LID_RESERVATION);
}

uint32_t emu_resv_log(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	struct nvme_resv_notification_log *log = (struct nvme_resv_notification_log *)(void *)buf;
	struct emu_reports *r = &ctrlr->reports;
	struct emu_resv_notice *first = NULL;
	uint64_t host[2];
	uint32_t n;

	emu_host_id(ctrlr, host);
	pthread_mutex_lock(&r->lock);
	n = find(r, host, &first);
	if (n) {
		log->lpc = cpu_to_le64(r->notice_count + 1 + first->lost);
		log->rnlpt = first->type;
		log->nalp = (uint8_t)(n - 1);
		log->nsid = cpu_to_le32(first->nsid);
	}
	pthread_mutex_unlock(&r->lock);
	return sizeof(*log);
}

void emu_resv_log_taken(struct emu_ctrlr *ctrlr)
{
	struct emu_reports *r = &ctrlr->reports;
	struct emu_resv_notice *first = NULL;
	uint64_t host[2];
	uint32_t i;

	emu_host_id(ctrlr, host);
	pthread_mutex_lock(&r->lock);
	if (find(r, host, &first)) {
		r->notice_count += 1 + first->lost;
		i = (uint32_t)(first - r->notices);
		r->n_notices--;
		memmove(first, first + 1, (r->n_notices - i) * sizeof(*first));
	}
	pthread_mutex_unlock(&r->lock);
}
