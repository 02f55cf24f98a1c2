/* SPDX-License-Identifier: BSD-3-Clause */
/* Events of the kernel about devices (NETLINK_KOBJECT_UEVENT): a socket, and what it says. */
#ifndef NVMUXD_UEVENT_H
#define NVMUXD_UEVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is looked at of one event; texts that aren't there are empty. */
struct uevent {
	char action[16]; /* add, bind, unbind, remove, … */
	char subsystem[16];
	char driver[32];
	char slot[32];  /* PCI address */
	uint32_t class; /* PCI class code, 24 bits; 0: not a PCI function */
};

/* 0 with the socket in @ret, or a negative errno value. */
int uevent_open(int *ret);
/*
 * The next event. -EAGAIN: none is there; -ENOBUFS: some have been lost; -EBADMSG: not of the
 * kernel, or malformed: dropped; else the socket is of no use any more.
 */
int uevent_receive(int fd, struct uevent *ret);
/* The same for the bytes of one message. -EBADMSG. */
int uevent_parse(const char *bytes, size_t len, struct uevent *ret);

#endif
