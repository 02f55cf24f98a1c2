// SPDX-License-Identifier: BSD-3-Clause
/* Events of the kernel about devices: what is taken of them, and who is believed. */
#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/uevent.h"
#include "libcore/core.h"
#include <nvmux/sigbus.h>
#include <sys/mman.h>

#define MSG(text) text, sizeof(text) /* with the NUL at its end */

static void bind_event(void **state)
{
	struct uevent event;

	(void)state;
	assert_int_equal(uevent_parse(MSG("bind@/devices/pci0000:00/0000:01:00.0\0ACTION=bind\0"
					  "DEVPATH=/devices/pci0000:00/0000:01:00.0\0"
					  "SUBSYSTEM=pci\0DRIVER=vfio-pci\0PCI_CLASS=10802\0"
					  "PCI_ID=1B36:0010\0PCI_SLOT_NAME=0000:01:00.0\0SEQNUM=9"),
				      &event),
			 0);
	assert_string_equal(event.action, "bind");
	assert_string_equal(event.subsystem, "pci");
	assert_string_equal(event.driver, "vfio-pci");
	assert_string_equal(event.slot, "0000:01:00.0");
	assert_int_equal(event.class, 0x010802);
}

static void odd_events(void **state)
{
	struct uevent event = {.class = 7};
	char text[] = "add@/x\0ACTION=add\0PCI_CLASS=1000000\0DRIVER="
		      "a-name-that-is-longer-than-any-driver-has\0=\0\0PCI_SLOT_NAME\0ACTIO=x\0"
		      "SUBSYSTEMS=y";

	(void)state;
	assert_int_equal(uevent_parse("", 0, &event), -EBADMSG);
	assert_int_equal(uevent_parse(MSG(""), &event), -EBADMSG);
	assert_int_equal(uevent_parse(MSG("libudev\0ACTION=add"), &event), -EBADMSG);
	assert_int_equal(uevent_parse(MSG("add@/x"), &event), -EBADMSG);
	assert_int_equal(uevent_parse("add@/x\0ACTION=add", 17, &event), -EBADMSG);
	assert_int_equal(event.class, 7);
	assert_int_equal(uevent_parse(text, sizeof(text), &event), 0);
	assert_string_equal(event.action, "add");
	assert_int_equal(event.class, 0);
	assert_string_equal(event.driver, "");
	assert_string_equal(event.subsystem, "");
	for (size_t n = 0; n < sizeof(text); n++)
		(void)uevent_parse(text, n, &event);
}

/* Another process sends to the group: it isn't believed. */
static void others_events(void **state)
{
	static const char text[] = "bind@/x\0ACTION=bind\0SUBSYSTEM=pci";
	const struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = 1};
	struct uevent event = {0};
	struct pollfd pfd = {.events = POLLIN};
	int from;

	(void)state;
	if (uevent_open(&pfd.fd))
		skip();
	from = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	assert_true(from >= 0);
	while (!uevent_receive(pfd.fd, &event))
		;
	if (sendto(from, text, sizeof(text), 0, (const struct sockaddr *)&to, sizeof(to)) < 0 ||
	    poll(&pfd, 1, 1000) != 1) {
		close(from);
		close(pfd.fd);
		skip();
	}
	assert_int_equal(uevent_receive(pfd.fd, &event), -EBADMSG);
	close(from);
	close(pfd.fd);
}

/* ---- SIGBUS ---- */

static unsigned n_before; /* what a handler can reach */
static sigjmp_buf back;

static void handler_before(int signo)
{
	(void)signo;
	n_before++;
	siglongjmp(back, 1);
}

static void told(void *arg)
{
	++*(unsigned *)arg;
}

/* Two pages of a file that then has none. */
static volatile uint32_t *make_hole(int *ret_fd)
{
	void *p;

	*ret_fd = memfd_create("hole", MFD_CLOEXEC);
	assert_int_equal(ftruncate(*ret_fd, 8192), 0);
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, *ret_fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(ftruncate(*ret_fd, 0), 0);
	return p;
}

/* A device's memory reads as ones and its owner is told once per page; any other fault goes to the
 * handler that the program had. */
static void chained(void **state)
{
	const struct sigaction mine = {.sa_handler = handler_before};
	struct nvmux_ctrlr ctrlr = {.index = 5};
	volatile uint32_t *device, *other;
	unsigned n_told = 0;
	int fds[2];

	(void)state;
	assert_int_equal(nvmux_create(NULL, &ctrlr.nvmux), 0);
	device = make_hole(&fds[0]);
	other = make_hole(&fds[1]);
	sigaction(SIGBUS, &mine, NULL);
	assert_int_equal(nvmux_sigbus_install(ctrlr.nvmux, NULL), 0);
	nvmux_guard_add(&ctrlr, (void *)(uintptr_t)device, 8192, told, &n_told);
	assert_int_equal(device[3], UINT32_MAX);
	device[4] = 1;
	assert_int_equal(device[4], 1);
	assert_int_equal(n_told, 1);
	assert_int_equal(device[1024], UINT32_MAX);
	assert_int_equal(n_told, 2);
	if (!sigsetjmp(back, 1))
		assert_int_equal(other[0], 0); /* doesn't come back */
	assert_int_equal(n_before, 1);
	assert_int_equal(n_told, 2);
	nvmux_guard_del(&ctrlr);
	nvmux_sigbus_install(NULL, NULL);
	if (!sigsetjmp(back, 1))
		other[1] = 7;
	assert_int_equal(n_before, 2);
	signal(SIGBUS, SIG_DFL);
	for (unsigned i = 0; i < 2; i++)
		close(fds[i]);
	munmap((void *)(uintptr_t)device, 8192);
	munmap((void *)(uintptr_t)other, 8192);
	nvmux_destroy(ctrlr.nvmux);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bind_event),
		cmocka_unit_test(odd_events),
		cmocka_unit_test(others_events),
		cmocka_unit_test(chained),
	};

	return cmocka_run_group_tests_name("hotplug", tests, NULL, NULL);
}
