// SPDX-License-Identifier: BSD-3-Clause
/*
 * Events of the kernel about devices.
 *
 * A message is "ACTION@PATH" and then "KEY=VALUE" texts, each with its NUL. Anybody with the right
 * to can send to the group as well: what doesn't come from the kernel itself (netlink port 0,
 * process 0, user 0) is dropped, and nothing of a message is believed before it has been checked.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "daemon/uevent.h"
#include "libcore/util.h"

#define GROUP_KERNEL 1
#define MESSAGE_MAX  8192 /* the kernel's own limit is 2 KiB of variables */
#define BUFFER_BYTES (1 << 20)

int uevent_open(int *ret)
{
	struct sockaddr_nl addr = {.nl_family = AF_NETLINK, .nl_groups = GROUP_KERNEL};
	const int yes = 1, bytes = BUFFER_BYTES;
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);
	int err;

	if (fd < 0)
		return -errno;
	/* less will do: lost events are noticed */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	if (!setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) &&
	    !bind(fd, (const struct sockaddr *)&addr, sizeof(addr))) {
		*ret = fd;
		return 0;
	}
	err = -errno;
	close(fd);
	return err;
}

static void take_text(char *to, size_t size, const char *value)
{
	if (strlen(value) < size)
		strcpy(to, value);
}

static void take_variable(struct uevent *event, const char *name, size_t name_len,
			  const char *value)
{
	static const struct {
		const char *name;
		size_t offset, size;
	} texts[] = {
		{"ACTION", offsetof(struct uevent, action), sizeof(event->action)},
		{"SUBSYSTEM", offsetof(struct uevent, subsystem), sizeof(event->subsystem)},
		{"DRIVER", offsetof(struct uevent, driver), sizeof(event->driver)},
		{"PCI_SLOT_NAME", offsetof(struct uevent, slot), sizeof(event->slot)},
	};
	unsigned long class;
	char *end;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strlen(texts[i].name) == name_len && !memcmp(texts[i].name, name, name_len))
			take_text((char *)event + texts[i].offset, texts[i].size, value);
	}
	if (name_len != strlen("PCI_CLASS") || memcmp(name, "PCI_CLASS", name_len))
		return;
	class = strtoul(value, &end, 16);
	if (end != value && !*end && class <= 0xffffff)
		event->class = (uint32_t)class;
}

int uevent_parse(const char *bytes, size_t len, struct uevent *ret)
{
	struct uevent event = {0};
	const char *end = bytes + len, *text = bytes, *equals;

	/* udev's own messages begin otherwise */
	if (!len || end[-1] || !memchr(bytes, '@', strlen(bytes)))
		return -EBADMSG;
	for (text += strlen(text) + 1; text < end; text += strlen(text) + 1) {
		equals = strchr(text, '=');
		if (equals)
			take_variable(&event, text, (size_t)(equals - text), equals + 1);
	}
	if (!event.action[0])
		return -EBADMSG;
	*ret = event;
	return 0;
}

static bool of_kernel(const struct msghdr *hdr, const struct sockaddr_nl *from)
{
	const struct cmsghdr *cmsg = CMSG_FIRSTHDR(hdr);
	struct ucred cred;

	if (hdr->msg_namelen != sizeof(*from) || from->nl_family != AF_NETLINK || from->nl_pid ||
	    !cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_CREDENTIALS ||
	    cmsg->cmsg_len != CMSG_LEN(sizeof(cred)))
		return false;
	memcpy(&cred, CMSG_DATA(cmsg), sizeof(cred));
	return cred.pid == 0 && cred.uid == 0;
}

int uevent_receive(int fd, struct uevent *ret)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	char bytes[MESSAGE_MAX];
	struct sockaddr_nl from = {0};
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof(bytes)};
	struct msghdr hdr = {.msg_name = &from,
			     .msg_namelen = sizeof(from),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EINTR ? -EBADMSG : -errno;
	if (hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || !of_kernel(&hdr, &from))
		return -EBADMSG;
	return uevent_parse(bytes, (size_t)n, ret);
}
