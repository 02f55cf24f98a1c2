// SPDX-License-Identifier: BSD-3-Clause
/*
 * nvmuxd with local devices that come, fail, and are replaced by others at the same place, and with
 * memory that isn't there when a controller is reset. The daemon runs in this thread; what the
 * kernel would say of devices comes from the test, which stands between it and the daemon at link
 * time, as between the daemon and calloc() (tests/unit/meson.build).
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "daemon/data.h"
#include "daemon/uevent.h"
#include "daemon_fixture.h"
#include "fake_ctrlr.h"

#define SLOT    "fffe:01:00.0"
#define WAIT_MS 20000

/* ---- instead of the kernel ---- */

static struct {
	int told_fd; /* written to: a byte for each event */
	int err[8];  /* of each, or 0 */
	struct uevent events[8];
	uint32_t n, taken;
	const char *driver; /* of the device, or NULL */
	int open_err;       /* of the device, or 0 */
	uint32_t n_refused; /* that error so many times, then none */
} kernel;

int __wrap_uevent_open(int *ret);
int __wrap_uevent_receive(int fd, struct uevent *ret);
ssize_t __real_readlink(const char *path, char *buf, size_t size);
ssize_t __wrap_readlink(const char *path, char *buf, size_t size);

int __wrap_uevent_open(int *ret)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	*ret = fds[0];
	kernel.told_fd = fds[1];
	return 0;
}

int __wrap_uevent_receive(int fd, struct uevent *ret)
{
	uint32_t i;
	char c;

	if (read(fd, &c, 1) != 1)
		return -EAGAIN;
	i = kernel.taken++;
	*ret = kernel.events[i];
	return kernel.err[i];
}

ssize_t __wrap_readlink(const char *path, char *buf, size_t size)
{
	if (strcmp(path, "/sys/bus/pci/devices/" SLOT "/driver"))
		return __real_readlink(path, buf, size);
	if (!kernel.driver) {
		errno = ENOENT;
		return -1;
	}
	return snprintf(buf, size, "../../../bus/pci/drivers/%s", kernel.driver);
}

static void tell(int err, const char *action, const char *slot)
{
	struct uevent *event = &kernel.events[kernel.n];

	assert_true(kernel.n < ARRAY_SIZE(kernel.err));
	kernel.err[kernel.n++] = err;
	*event = (struct uevent){.subsystem = "pci", .driver = "vfio-pci", .class = 0x010802};
	snprintf(event->action, sizeof(event->action), "%s", action);
	snprintf(event->slot, sizeof(event->slot), "%s", slot);
	assert_int_equal(write(kernel.told_fd, "e", 1), 1);
}

static int open_error(struct nvmux_ctrlr *ctrlr)
{
	int err = kernel.open_err;

	if (kernel.n_refused && !--kernel.n_refused)
		kernel.open_err = 0;
	return err;
}

/* ---- instead of the allocator ---- */

static __thread uint32_t fail_in; /* so many calls of this thread; 0: none */
static __thread size_t fail_size; /* all of this size; 0: none */
static __thread uint32_t n_failed;

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	if (fail_size && size == align_up(fail_size, alignment)) {
		n_failed++;
		return NULL;
	}
	return __real_aligned_alloc(alignment, size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	/* without a message to a reactor the daemon ends at once */
	if (fail_in && size != sizeof(struct message) && !--fail_in)
		return NULL;
	return __real_calloc(n, size);
}

/* ---- instead of clients ---- */

static json_t *events; /* all that were emitted */

void __wrap_events_emit(struct nvmuxd *d, const char *type, json_t *params);

void __wrap_events_emit(struct nvmuxd *d, const char *type, json_t *params)
{
	assert_non_null(params);
	json_object_set_new(params, "type", json_string(type));
	json_array_append_new(events, params);
}

/* The first of this type, or SIZE_MAX. */
static size_t find_event(const char *type)
{
	json_t *event;
	size_t i;

	json_array_foreach(events, i, event)
	{
		if (!strcmp(json_string_value(json_object_get(event, "type")), type))
			return i;
	}
	return SIZE_MAX;
}

/* It is exactly this. */
static void expect_event(const char *type, json_t *expected)
{
	size_t i = find_event(type);

	if (i == SIZE_MAX)
		fail_msg("no event %s", type);
	json_object_set_new(expected, "type", json_string(type));
	if (!json_equal(json_array_get(events, i), expected))
		fail_msg("%s", json_dumps(json_array_get(events, i), 0));
	json_array_remove(events, i);
	json_decref(expected);
}

/* ---- the daemon ---- */

struct td {
	struct nvmuxd *d;
	char dir[64];
};

static struct nvmux_transport transport; /* the fake one, as PCIe */

static void turn(struct td *td)
{
	event_base_loop(td->d->base, EVLOOP_NONBLOCK);
	usleep(500);
}

static uint64_t blocks; /* of each namespace, when it is identified next */

static void identify(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf)
{
	if ((le32_to_cpu(cmd->cdw10) & 0xff) == NVME_IDENTIFY_CNS_NS)
		((struct nvme_id_ns *)buf)->nsze = cpu_to_le64(blocks);
}

static struct controller *controller(const struct td *td)
{
	return TAILQ_FIRST(&td->d->controllers);
}

static bool is_ready(const struct td *td)
{
	return controller(td) && controller(td)->state == CONTROLLER_READY;
}

static bool has_failed(const struct td *td)
{
	return controller(td) && controller(td)->state == CONTROLLER_FAILED &&
	       op_queue_idle(&controller(td)->ops);
}

/* A daemon whose configuration names a device, which is there or not (@open_err). */
static struct td *begin(int open_err)
{
	struct td *td = calloc(1, sizeof(*td));

	memset(&kernel, 0, sizeof(kernel));
	kernel.open_err = open_err;
	blocks = 1 << 20;
	events = json_array();
	fake_reset();
	fake.identify = identify;
	fake.open_error = open_error;
	td->d = daemon_fixture_load(td->dir, "[controller c]\ntrtype = PCIE\ntraddr = " SLOT "\n");
	daemon_fixture_create(td->d);
	transport = fake_keeping_transport;
	transport.trtype = NVMUX_TRTYPE_PCIE;
	td->d->nvmux->transports[NVMUX_TRTYPE_PCIE] = &transport;
	if (open_err)
		UNTIL(td, !controller(td));
	else
		UNTIL(td, is_ready(td));
	return td;
}

static void end(struct td *td)
{
	fail_in = 0;
	fail_size = 0;
	daemon_stop(td->d, "the test is over");
	UNTIL(td, td->d->state == DAEMON_STOPPED);
	daemon_fixture_destroy(td->d, td->dir);
	close(kernel.told_fd);
	json_decref(events);
	assert_int_equal(fake.opened, fake.closed);
	free(td);
}

/* ---- hot plug ---- */

static void device_appears(void **state)
{
	struct td *td = begin(-ENODEV);

	kernel.open_err = 0;
	tell(0, "add", SLOT);            /* nobody has it yet */
	tell(0, "bind", "fffe:02:00.0"); /* which nobody wants */
	for (int i = 0; i < 20; i++)
		turn(td);
	assert_null(controller(td));
	tell(-EBADMSG, "bind", SLOT); /* somebody else says so */
	for (int i = 0; i < 20; i++)
		turn(td);
	assert_null(controller(td));
	tell(0, "bind", SLOT);
	UNTIL(td, is_ready(td));
	assert_string_equal(controller(td)->name, "c");
	expect_event("device_added",
		     json_pack("{s:s,s:s}", "traddr", "fffe:02:00.0", "driver", "vfio-pci"));
	expect_event("device_added",
		     json_pack("{s:s,s:s,s:s}", "traddr", SLOT, "driver", "vfio-pci", "name", "c"));
	/* once more: it is there */
	tell(0, "bind", SLOT);
	for (int i = 0; i < 20; i++)
		turn(td);
	assert_true(is_ready(td));
	assert_int_equal(fake.opened, 2); /* with the attempt at start */
	tell(0, "remove", SLOT);
	UNTIL(td, kernel.taken == kernel.n);
	expect_event("device_removed", json_pack("{s:s}", "traddr", SLOT));
	end(td);
}

/* Whoever gives access to it is slower than the event. */
static void access_comes_later(void **state)
{
	struct td *td = begin(-ENODEV);

	kernel.open_err = -EACCES;
	kernel.n_refused = 2;
	tell(0, "bind", SLOT);
	UNTIL(td, is_ready(td));
	assert_int_equal(fake.opened, 4);
	end(td);
}

/* Events were lost: the places that the configuration names are looked at. */
static void events_are_lost(void **state)
{
	struct td *td = begin(-ENODEV);

	kernel.open_err = 0;
	for (int i = 0; i < 2; i++) {
		kernel.driver = i ? "nvme" : NULL;
		tell(-ENOBUFS, "", "");
		for (int n = 0; n < 20; n++)
			turn(td);
		assert_null(controller(td));
	}
	kernel.driver = "vfio-pci";
	tell(-ENOBUFS, "", "");
	UNTIL(td, is_ready(td));
	/* one that is in use is left alone */
	tell(-ENOBUFS, "", "");
	for (int n = 0; n < 20; n++)
		turn(td);
	assert_true(is_ready(td));
	assert_int_equal(fake.opened, 2);
	/* and the socket is read on */
	nvmux_ctrlr_fail(controller(td)->ctrlr);
	UNTIL(td, has_failed(td));
	tell(0, "bind", SLOT);
	UNTIL(td, is_ready(td));
	end(td);
}

/* What had failed is replaced: the event says so, or it was among those that were lost. */
static void failed_one_is_replaced(void **state)
{
	for (int lost = 0; lost < 2; lost++) {
		struct td *td = begin(0);
		const struct nvmux_ctrlr *before = controller(td)->ctrlr;

		kernel.driver = "vfio-pci";
		nvmux_ctrlr_fail(controller(td)->ctrlr);
		UNTIL(td, has_failed(td));
		assert_ptr_equal(controller(td)->ctrlr, before);
		blocks = 77;
		tell(lost ? -ENOBUFS : 0, "bind", SLOT);
		UNTIL(td, is_ready(td));
		assert_int_equal(td->d->n_controllers, 1);
		assert_int_equal(controller(td)->view->ns[0].n_lbas, 77);
		assert_int_equal(fake.opened, 2);
		end(td);
	}
}

/* It comes back while what was there is still being removed. */
static void comes_back_meanwhile(void **state)
{
	struct td *td = begin(0);

	nvmux_ctrlr_wanted_back(controller(td)->ctrlr);
	tell(0, "bind", SLOT);
	UNTIL(td, fake.closed == 1);
	UNTIL(td, is_ready(td) && fake.opened == 2);
	end(td);
}

/* The socket is of no use any more: that is said once, and nothing else stops. */
static void socket_fails(void **state)
{
	struct td *td = begin(0);

	tell(-EIO, "", "");
	tell(0, "remove", SLOT);
	for (int i = 0; i < 20; i++)
		turn(td);
	assert_int_equal(kernel.taken, 1);
	assert_true(is_ready(td));
	end(td);
}

/* ---- reservations ---- */

static struct nvme_resv_notification_log notice;

static uint16_t log_page(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, uint8_t *buf,
			 uint32_t len)
{
	memset(buf, 0, len);
	if ((le32_to_cpu(cmd->cdw10) & 0xff) == NVME_LOG_LID_RESERVATION) {
		assert_in_range(len, sizeof(notice), 4096);
		memcpy(buf, &notice, sizeof(notice));
		notice = (struct nvme_resv_notification_log){0}; /* it is read once */
	}
	return 0;
}

/* What the notification says is told, whatever it is; an empty one isn't. */
static void reservation_notices(void **state)
{
	static const char *const words[] = {"registration_preempted", "reservation_released",
					    "reservation_preempted", "unknown"};
	const uint32_t dw0 = 6 | NVME_LOG_LID_RESERVATION << 16;
	struct td *td = begin(0);

	fake.log_page = log_page;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		notice = (struct nvme_resv_notification_log){.lpc = cpu_to_le64(i + 5000000000),
							     .rnlpt = (uint8_t)(i + 1),
							     .nalp = 2,
							     .nsid = cpu_to_le32(0xfffffffe)};
		fake_event(controller(td)->ctrlr, dw0);
		UNTIL(td, !notice.rnlpt && fake.aers == i + 2);
		expect_event("reservation_notification",
			     json_pack("{s:s,s:I,s:I,s:i,s:s,s:i}", "name", "c", "nsid",
				       (json_int_t)0xfffffffe, "count", (json_int_t)i + 5000000000,
				       "notification", (int)i + 1, "notification_text", words[i],
				       "available", 2));
	}
	fake_event(controller(td)->ctrlr, dw0);
	UNTIL(td, fake.aers == ARRAY_SIZE(words) + 2);
	for (int i = 0; i < 5; i++)
		turn(td);
	assert_int_equal(find_event("reservation_notification"), SIZE_MAX);
	end(td);
}

/* ---- a reset without memory ---- */

/* Each allocation fails in turn: it is ready, and shows what is there now, or has failed. */
static void reset_without_memory(void **state)
{
	uint32_t failures = 0, n_ready = 0, at;
	bool hit = true;

	for (at = 1; hit; at++) {
		struct td *td = begin(0);
		struct controller *c = controller(td);

		blocks = 77;
		fail_in = at;
		controller_must_reset(c, "the test wants it");
		UNTIL(td, op_queue_idle(&c->ops) &&
				  (c->state == CONTROLLER_READY || c->state == CONTROLLER_FAILED));
		hit = !fail_in;
		fail_in = 0;
		controller_check_lost(c); /* when there is memory again */
		UNTIL(td, op_queue_idle(&c->ops));
		if (c->state == CONTROLLER_READY) {
			assert_int_equal(c->resets, 1);
			assert_int_equal(c->view->ns[0].n_lbas, 77);
			n_ready++;
		} else {
			assert_true(hit);
			assert_true(c->lost);
			failures++;
		}
		end(td);
	}
	/* the last one, without a failure, isn't the only one that goes on */
	assert_true(failures > 1 && n_ready > 1);
}

/* Commands aren't checked by what namespaces were like before a reset. */
static void no_memory_for_the_geometry(void **state)
{
	struct td *td = begin(0);
	struct controller *c = controller(td);

	blocks = 77;
	n_failed = 0;
	fail_size = sizeof(*c->view) + c->ctrlr->n_ns * sizeof(c->view->ns[0]);
	controller_must_reset(c, "the test wants it");
	UNTIL(td, n_failed && has_failed(td));
	end(td);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(device_appears),
		cmocka_unit_test(access_comes_later),
		cmocka_unit_test(events_are_lost),
		cmocka_unit_test(failed_one_is_replaced),
		cmocka_unit_test(comes_back_meanwhile),
		cmocka_unit_test(socket_fails),
		cmocka_unit_test(reservation_notices),
		cmocka_unit_test(reset_without_memory),
		cmocka_unit_test(no_memory_for_the_geometry),
	};

	return cmocka_run_group_tests_name("daemon_devices", tests, NULL, NULL);
}
