#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""nvmux-emulator by hand: each vfio-user message right and wrong, and clients that misbehave."""

import array
import errno
import json
import mmap
import os
import random
import re
import select
import socket
import stat
import struct
import subprocess
import time

from nvmux_test import CALL_SECONDS, SLOWNESS, WRAP, Run, Suite, fd_count, program, wait_until

VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, REGION_INFO, IO_FDS, IRQ_INFO = 1, 2, 3, 4, 5, 6, 7
SET_IRQS, REGION_READ, REGION_WRITE, DMA_READ, DMA_WRITE, RESET = 8, 9, 10, 11, 12, 13
NO_REPLY = 0x10
BAR, CONFIG = 0, 7
MSIX, REQUEST = 2, 4
CAP, VS, CC, CSTS, AQA, ASQ, ACQ = 0x00, 0x08, 0x14, 0x1c, 0x24, 0x28, 0x30
CC_ON = 4 << 20 | 6 << 16 | 1
DOORBELLS = 0x1000
PAGE = 4096
IOVA = 1 << 32
TRIGGER, DATA_NONE, DATA_BOOL, DATA_EVENTFD = 1 << 5, 1, 2, 4

suite = Suite()
RUN = Run()
EMULATOR = None


class Gone(Exception):
    """The server closed the connection."""


class Client:
    """A connection that sends what it is told to."""

    def __init__(self, emulator=None, version=True):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(os.path.join((emulator or EMULATOR).dir, "cntrl"))
        self.socket.settimeout(CALL_SECONDS)
        self.id = 100
        self.fds = []
        if version:
            err, _ = self.ask(VERSION, struct.pack("HH", 0, 1) + b'{"capabilities":{}}\0')
            assert err == 0, os.strerror(err)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def send(self, command, body=b"", fds=(), flags=0, size=None, error=0):
        self.id = (self.id + 1) & 0xffff
        header = struct.pack("HHIII", self.id, command, 16 + len(body) if size is None else size,
                             flags, error)
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.socket.sendmsg([header + body], control)
        except (BrokenPipeError, ConnectionResetError):
            raise Gone from None

    def read(self, size):
        data = b""
        while len(data) < size:
            try:
                part, control, _, _ = self.socket.recvmsg(size - len(data), socket.CMSG_SPACE(64))
            except ConnectionResetError:
                raise Gone from None
            for _, _, payload in control:
                fds = array.array("i")
                fds.frombytes(payload)
                self.fds += fds
            if not part:
                raise Gone
            data += part
        return data

    def reply(self, command):
        """The reply to the last message: errno and payload."""
        ident, got, size, flags, error = struct.unpack("HHIII", self.read(16))
        body = self.read(size - 16)
        assert ident == self.id and got == command and flags & 0xf == 1, (ident, got, flags)
        assert bool(flags & 0x20) == bool(error), (flags, error)
        assert not error or not body
        return error, body

    def ask(self, command, body=b"", fds=(), flags=0, error=0):
        self.send(command, body, fds, flags, error=error)
        return self.reply(command)

    def refused(self, err, command, body=b"", fds=(), **more):
        got, _ = self.ask(command, body, fds, **more)
        assert got == err, f"command {command}: {os.strerror(got)}, not {os.strerror(err)}"

    def done(self, command, body=b"", fds=()):
        err, reply = self.ask(command, body, fds)
        assert err == 0, f"command {command}: {os.strerror(err)}"
        return reply

    def gone(self):
        """Whether the server has closed the connection."""
        try:
            self.read(1)
        except Gone:
            return True
        return False

    # regions

    def region_read(self, region, offset, count):
        reply = self.done(REGION_READ, struct.pack("QII", offset, region, count))
        assert struct.unpack("QII", reply[:16]) == (offset, region, count)
        return reply[16:]

    def region_write(self, region, offset, data):
        reply = self.done(REGION_WRITE, struct.pack("QII", offset, region, len(data)) + data)
        assert struct.unpack("QII", reply) == (offset, region, len(data))

    def reg(self, offset, size=4):
        return int.from_bytes(self.region_read(BAR, offset, size), "little")

    def set_reg(self, offset, value, size=4):
        self.region_write(BAR, offset, value.to_bytes(size, "little"))

    def bar_info(self, argsz=64):
        reply = self.done(REGION_INFO, struct.pack("IIIIQQ", argsz, 0, BAR, 0, 0, 0))
        return struct.unpack("IIIIQQ", reply[:32]), reply

    def map_doorbells(self):
        self.bar_info()
        return mmap.mmap(self.fds[-1], PAGE, offset=DOORBELLS)

    # memory

    def map(self, fd, size, iova=IOVA, offset=0, flags=3):
        self.done(DMA_MAP, struct.pack("IIQQQ", 32, flags, offset, iova, size),
                  [fd] if fd is not None else [])


def memory(size):
    fd = os.memfd_create("test", os.MFD_CLOEXEC)
    os.ftruncate(fd, size)
    return fd


class Nvme:
    """Just enough of a driver: an admin queue in a client's memory."""

    ENTRIES = 16

    def __init__(self, client, mapped=True):
        self.client = client
        self.fd = memory(64 * PAGE)
        self.mem = mmap.mmap(self.fd, 64 * PAGE)
        client.map(self.fd, 64 * PAGE)
        self.doorbells = client.map_doorbells() if mapped else None
        self.tail = self.head = 0
        self.phase = 1

    def close(self):
        self.mem.close()
        os.close(self.fd)
        if self.doorbells:
            self.doorbells.close()

    def enable(self):
        c = self.client
        c.set_reg(AQA, (self.ENTRIES - 1) << 16 | (self.ENTRIES - 1))
        c.set_reg(ASQ, IOVA, 8)
        c.set_reg(ACQ, IOVA + PAGE, 8)
        c.set_reg(CC, CC_ON)
        assert c.reg(CSTS) == 1, hex(c.reg(CSTS))

    def ring(self, number, value):
        if self.doorbells:
            self.doorbells[4 * number:4 * number + 4] = struct.pack("I", value)
        else:
            self.client.set_reg(DOORBELLS + 4 * number, value)

    def put(self, opc, nsid=0, prp1=0, cdw10=0, cdw11=0):
        command = struct.pack("<BBHIIIQQQIIIIII", opc, 0, self.tail, nsid, 0, 0, 0, prp1, 0, cdw10,
                              cdw11, 0, 0, 0, 0)
        self.mem[64 * self.tail:64 * self.tail + 64] = command
        self.tail = (self.tail + 1) % self.ENTRIES
        self.ring(0, self.tail)

    def completion(self):
        """The next completion's status, or None."""
        at = PAGE + 16 * self.head
        _, _, _, _, _, status = struct.unpack("<IIHHHH", self.mem[at:at + 16])
        if status & 1 != self.phase:
            return None
        self.head = (self.head + 1) % self.ENTRIES
        self.phase ^= self.head == 0
        self.ring(1, self.head)
        return (status >> 1) + 1

    def admin(self, *args, **kwargs):
        self.put(*args, **kwargs)
        return wait_until(self.completion, what="a completion") - 1 & 0x7ff

    def identify(self):
        self.mem[2 * PAGE:3 * PAGE] = bytes(PAGE)
        assert self.admin(6, prp1=IOVA + 2 * PAGE, cdw10=1) == 0
        return self.mem[2 * PAGE + 4:2 * PAGE + 24].decode().strip()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def still_serves():
    with Client() as client:
        assert client.reg(VS) == 0x20000


@suite.test("an emulator, its socket for its owner only", essential=True)
def start():
    global EMULATOR
    EMULATOR = RUN.emulator("mem,size=16M,serial=PROTO1", "null,size=1T,bs=4096")
    path = os.path.join(EMULATOR.dir, "cntrl")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    still_serves()


@suite.test("VERSION: the version, the limits, and what is no version")
def version():
    with Client(version=False) as c:
        err, body = c.ask(VERSION, struct.pack("HH", 0, 9))
        assert err == 0 and struct.unpack("HH", body[:4]) == (0, 1)
        assert body[-1] == 0
        caps = json.loads(body[4:-1])["capabilities"]
        assert caps["max_dma_maps"] == 65535 and caps["max_msg_fds"] > 0, caps
        c.refused(errno.EINVAL, VERSION, struct.pack("HH", 0, 0))  # once is enough
    bad = [(errno.ENOTSUP, struct.pack("HH", 1, 0)), (errno.EINVAL, b"\0\0"), (errno.EINVAL, b""),
           (errno.EINVAL, struct.pack("HH", 0, 0) + b'{"capabilities":{}}'),
           (errno.EINVAL, struct.pack("HH", 0, 0) + b"{\0"),
           (errno.EINVAL, struct.pack("HH", 0, 0) + b"[]\0"),
           (errno.EINVAL, struct.pack("HH", 0, 0) + b'{"capabilities":3}\0'),
           (errno.EINVAL, struct.pack("HH", 0, 0) + b"[" * 60000 + b"\0")]
    for err, body in bad:
        with Client(version=False) as c:
            c.refused(err, VERSION, body)
            assert c.gone()
    for command in (GET_INFO, DMA_MAP, RESET, 77):
        with Client(version=False) as c:
            c.refused(errno.EINVAL, command, bytes(16))
            assert c.gone()


@suite.test("headers: sizes, types, flags")
def headers():
    for size in (0, 15, 65537, 0xffffffff):
        with Client() as c:
            c.send(GET_INFO, size=size)
            assert c.gone()
    for flags in (1, 2, 0xf):
        with Client() as c:
            c.send(GET_INFO, flags=flags)
            assert c.gone()
    with Client() as c:
        c.refused(errno.EINVAL, RESET, flags=0x40)
        c.refused(errno.EINVAL, RESET, flags=0x80000000)
        c.refused(errno.EINVAL, RESET, error=5)
        c.send(RESET, flags=NO_REPLY)
        c.send(99, b"x" * 100, flags=NO_REPLY)
        assert c.reg(VS) == 0x20000
        for command in (0, IO_FDS, DMA_READ, DMA_WRITE, 14, 15, 16, 0xffff):
            c.refused(errno.ENOTSUP, command, bytes(16))
    still_serves()


@suite.test("information: device, regions, interrupts")
def information():
    with Client() as c:
        assert struct.unpack("IIII", c.done(GET_INFO, struct.pack("IIII", 99, 0, 0, 0))) == \
            (16, 3, 9, 5)
        for body in (b"", bytes(16), struct.pack("III", 16, 0, 0),
                     struct.pack("IIII", 15, 0, 0, 0), struct.pack("IIII", 16, 1, 0, 0),
                     struct.pack("IIIII", 20, 0, 0, 0, 0)):
            c.refused(errno.EINVAL, GET_INFO, body)
        for index in range(9):
            reply = c.done(REGION_INFO, struct.pack("IIIIQQ", 256, 0, index, 0, 0, 0))
            size = struct.unpack("IIIIQQ", reply[:32])[4]
            assert size == {BAR: 0x10000, CONFIG: 4096}.get(index, 0)
        for body in (struct.pack("IIIIQQ", 31, 0, 0, 0, 0, 0), bytes(31),
                     struct.pack("IIIIQQ", 32, 0, 9, 0, 0, 0),
                     struct.pack("IIIIQQ", 32, 1, 0, 0, 0, 0),
                     struct.pack("IIIIQQ", 32, 0, 0, 0, 5, 0)):
            c.refused(errno.EINVAL, REGION_INFO, body)
        for index in range(5):
            reply = struct.unpack("IIII", c.done(IRQ_INFO, struct.pack("IIII", 16, 0, index, 0)))
            count = {MSIX: 65, REQUEST: 1}.get(index, 0)
            assert reply == (16, 1 if count else reply[1], index, count)
        for body in (struct.pack("IIII", 15, 0, 2, 0), struct.pack("IIII", 16, 0, 5, 0), b""):
            c.refused(errno.EINVAL, IRQ_INFO, body)


@suite.test("the doorbells' page: where, how large, and whose")
def doorbell_page():
    with Client() as c:
        info, reply = c.bar_info()
        assert info[0] == 64 and info[1] == 0xf and info[3] == 32, info
        ident, ver, nxt, areas, _, offset, size = struct.unpack("HHIIIQQ", reply[32:])
        assert (ident, ver, nxt, areas, offset, size) == (1, 1, 0, 1, DOORBELLS, PAGE)
        assert len(c.fds) == 1
        # With less room the capability is left out, and the size that it needs is told.
        info, reply = c.bar_info(63)
        assert len(reply) == 32 and info[0] == 64 and info[3] == 0
        try:
            os.ftruncate(c.fds[0], 1 << 20)
            raise AssertionError("the file can be made larger")
        except PermissionError:
            pass
        # Who takes the page away harms himself only: the next client has another one.
        os.ftruncate(c.fds[0], 0)
    with Client() as c:
        assert c.bar_info()[0][1] == 0xf


@suite.test("memory: what can be mapped and unmapped, and what can't")
def dma():
    fd = memory(16 * PAGE)
    pipe = os.pipe()
    with Client() as c:
        def entry(iova, size, offset=0, flags=3, argsz=32):
            return struct.pack("IIQQQ", argsz, flags, offset, iova, size)

        def unmap(iova, size, flags=0, argsz=24):
            return struct.pack("IIQQ", argsz, flags, iova, size)

        c.map(fd, 4 * PAGE)
        for iova, size in ((IOVA, 4 * PAGE), (IOVA + 3 * PAGE, PAGE), (IOVA - PAGE, 2 * PAGE),
                           (IOVA - PAGE, 9 * PAGE), (0, 1 << 40)):
            c.refused(errno.EEXIST, DMA_MAP, entry(iova, size), [fd] if size < 1 << 20 else [])
        at = IOVA << 1
        for body in (entry(at, 0), entry(at, 100), entry(at + 8, PAGE), entry(at, PAGE, 100),
                     entry(at, 17 * PAGE), entry(at, PAGE, 16 * PAGE), entry(at, 1 << 62, 1 << 63),
                     entry(0 - PAGE & (1 << 64) - 1, 2 * PAGE), entry(at, PAGE, flags=4),
                     entry(at, PAGE, argsz=31), entry(at, PAGE)[:31], entry(at, PAGE) + b"x"):
            c.refused(errno.EINVAL, DMA_MAP, body, [fd])
        c.refused(errno.EINVAL, DMA_MAP, entry(at, PAGE), [fd, fd])
        c.refused(errno.EINVAL, DMA_MAP, entry(at, PAGE), [pipe[0]])
        c.refused(errno.EINVAL, GET_INFO, struct.pack("IIII", 16, 0, 0, 0), [fd])
        c.map(fd, PAGE, IOVA + 4 * PAGE, 15 * PAGE)
        c.map(fd, PAGE, IOVA - PAGE)
        c.map(None, PAGE, IOVA + 5 * PAGE)  # without a descriptor: known, not reachable
        for body in (unmap(IOVA, PAGE), unmap(IOVA + PAGE, PAGE), unmap(IOVA - PAGE, 5 * PAGE),
                     unmap(IOVA, 5 * PAGE), unmap(0, 0), unmap(IOVA * 2, PAGE)):
            c.refused(errno.ENOENT, DMA_UNMAP, body)
        for body in (unmap(IOVA, 4 * PAGE, flags=1), unmap(IOVA, 4 * PAGE, argsz=23),
                     unmap(IOVA, 4 * PAGE)[:23], unmap(IOVA, PAGE, flags=2)):
            c.refused(errno.EINVAL, DMA_UNMAP, body)
        assert c.done(DMA_UNMAP, unmap(IOVA, 4 * PAGE)) == unmap(IOVA, 4 * PAGE)
        c.refused(errno.ENOENT, DMA_UNMAP, unmap(IOVA, 4 * PAGE))
        c.done(DMA_UNMAP, unmap(IOVA + 5 * PAGE, PAGE))
        c.done(DMA_UNMAP, unmap(0, 0, flags=2))
        c.refused(errno.ENOENT, DMA_UNMAP, unmap(IOVA - PAGE, PAGE))
        c.map(fd, 16 * PAGE)
    for f in (fd, *pipe):
        os.close(f)


@suite.test("memory: 65535 mappings and not one more")
def many_maps():
    with Client() as c:
        for i in range(65535):
            c.send(DMA_MAP, struct.pack("IIQQQ", 32, 3, 0, i * 2 * PAGE, PAGE), flags=NO_REPLY)
        c.refused(errno.ENOSPC, DMA_MAP, struct.pack("IIQQQ", 32, 3, 0, 1 << 40, PAGE))
        c.done(DMA_UNMAP, struct.pack("IIQQ", 24, 0, 70000 * PAGE, PAGE))
        c.done(DMA_MAP, struct.pack("IIQQQ", 32, 3, 0, 1 << 40, PAGE))


@suite.test("regions: registers, doorbells, configuration space")
def regions():
    with Client() as c:
        cap = c.reg(CAP, 8)
        assert cap & 0xffff == 1023 and c.reg(CAP) == cap & 0xffffffff
        for offset, region, count in ((0, BAR, 1), (0, BAR, 2), (2, BAR, 4), (4, BAR, 8),
                                      (0, BAR, 0), (0, BAR, 16), (0x10000, BAR, 4),
                                      (0xfffc, BAR, 8), ((1 << 64) - 4, BAR, 8), (0, 1, 4),
                                      (0, 9, 4), (0, 0xffffffff, 4), (4095, CONFIG, 2),
                                      (0, CONFIG, 4097), (0, CONFIG, 0xffffffff)):
            c.refused(errno.EINVAL, REGION_READ, struct.pack("QII", offset, region, count))
            data = bytes(min(count, 8192))
            c.refused(errno.EINVAL, REGION_WRITE,
                      struct.pack("QII", offset, region, count) + data)
        c.refused(errno.EINVAL, REGION_READ, bytes(15))
        c.refused(errno.EINVAL, REGION_READ, bytes(17))
        c.refused(errno.EINVAL, REGION_WRITE, struct.pack("QII", CC, BAR, 4) + bytes(5))
        c.refused(errno.EINVAL, REGION_WRITE, struct.pack("QII", CC, BAR, 4) + bytes(3))
        c.refused(errno.EINVAL, REGION_WRITE, struct.pack("QII", DOORBELLS, BAR, 8) + bytes(8))
        c.set_reg(0x4010, 0x12345678)  # the MSI-X table keeps what is written
        assert c.reg(0x4010) == 0x12345678
        assert c.reg(0xfff8, 8) == 0
        # configuration space
        config = c.region_read(CONFIG, 0, 4096)
        assert config[9:12] == b"\x02\x08\x01", config[9:12]  # class 010802h
        caps, at = [], config[0x34]
        while at:
            caps.append(config[at])
            at = config[at + 1]
        assert sorted(caps) == [0x01, 0x10, 0x11]
        c.region_write(CONFIG, 0x10, b"\xff" * 8)
        assert c.region_read(CONFIG, 0x10, 8) == b"\x04\x00\xff\xff\xff\xff\xff\xff"  # 64 KiB
        c.region_write(CONFIG, 4, b"\xff\xff")
        assert c.region_read(CONFIG, 4, 2) == b"\x06\x04"
        c.region_write(CONFIG, 0, b"\0" * 4096)
        assert c.region_read(CONFIG, 0, 4) == config[:4]
        c.region_write(CONFIG, 0x200, b"\xff" * 1000)
        assert c.region_read(CONFIG, 0x200, 1000) == bytes(1000)


@suite.test("interrupts: eventfds connected, triggered, disconnected")
def interrupts():
    fds = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(3)]
    with Client() as c:
        def irq_set(flags, start, count, data=b"", index=MSIX, argsz=None):
            return struct.pack("IIIII", 20 + len(data) if argsz is None else argsz, flags, index,
                               start, count) + data

        def fired():
            return [bool(select.select([fd], [], [], 0)[0]) and os.eventfd_read(fd) for fd in fds]

        event, none, boolean = (TRIGGER | kind for kind in (DATA_EVENTFD, DATA_NONE, DATA_BOOL))
        c.done(SET_IRQS, irq_set(event, 2, 3), fds)
        c.done(SET_IRQS, irq_set(none, 2, 1))
        assert fired() == [1, False, False]
        c.done(SET_IRQS, irq_set(boolean, 1, 4, b"\1\0\1\1"))
        assert fired() == [False, 1, 1]
        c.done(SET_IRQS, irq_set(event, 3, 1))  # no descriptor: disconnected
        c.done(SET_IRQS, irq_set(none, 0, 65))
        assert fired() == [1, False, 1]
        c.done(SET_IRQS, irq_set(none, 0, 0))
        c.done(SET_IRQS, irq_set(none, 2, 3))
        assert fired() == [False, False, False]
        for body, with_fds in (
                (irq_set(event, 0, 3), 2), (irq_set(event, 0, 2), 3), (irq_set(event, 63, 3), 3),
                (irq_set(event, 0xffffffff, 3), 3), (irq_set(event, 0, 0xffffffff), 0),
                (irq_set(event, 65, 0), 0), (irq_set(event, 0, 1, index=0), 1),
                (irq_set(none, 0, 1, index=5), 0), (irq_set(none, 0, 1, b"x"), 0),
                (irq_set(boolean, 0, 2, b"\1"), 0), (irq_set(none, 0, 66), 0),
                (irq_set(none, 0, 1, argsz=19), 0), (irq_set(none, 0, 1)[:19], 0),
                (irq_set(TRIGGER, 0, 1), 0), (irq_set(TRIGGER | 3, 0, 1), 0),
                (irq_set(DATA_NONE | 8, 0, 1), 0), (irq_set(DATA_NONE | 24, 0, 1), 0),
                (irq_set(none | 64, 0, 1), 0), (irq_set(none, 0, 1), 1)):
            c.refused(errno.EINVAL, SET_IRQS, body, fds[:with_fds])
        pipe = os.pipe()
        c.refused(errno.EINVAL, SET_IRQS, irq_set(event, 0, 1), [pipe[1]])
        for fd in pipe:
            os.close(fd)
    for fd in fds:
        os.close(fd)


@suite.test("a controller driven by hand: start, identify, interrupt, reset")
def by_hand():
    event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    for mapped in (True, False):
        with Client() as c:
            c.done(SET_IRQS, struct.pack("IIIII", 20, TRIGGER | DATA_EVENTFD, MSIX, 0, 1), [event])
            nvme = Nvme(c, mapped)
            nvme.enable()
            for _ in range(40):  # around the queue's end
                assert nvme.identify() == "PROTO1"
            wait_until(lambda: select.select([event], [], [], 0)[0], what="an interrupt")
            os.eventfd_read(event)
            # memory that isn't there
            assert nvme.admin(6, prp1=1, cdw10=1) == 0x13
            assert nvme.admin(6, prp1=IOVA * 2, cdw10=1) == 0x04
            c.done(RESET)
            assert c.reg(CC) == 0 and c.reg(CSTS) == 0 and c.reg(ASQ, 8) == 0
            nvme.tail = nvme.head = 0
            nvme.phase = 1
            nvme.mem[PAGE:2 * PAGE] = bytes(PAGE)
            nvme.enable()
            assert nvme.identify() == "PROTO1"
            # the same by configuration space
            c.region_write(CONFIG, 0x60 + 8, b"\x00\x80")
            assert c.reg(CSTS) == 0
            nvme.close()
    os.close(event)


@suite.test("unmapping a live queue's memory fails the controller, not the process")
def queue_memory_goes():
    with Client() as c:
        nvme = Nvme(c)
        nvme.enable()
        c.done(DMA_UNMAP, struct.pack("IIQQ", 24, 0, IOVA, 64 * PAGE))
        assert c.reg(CSTS) & 2
        nvme.put(6, prp1=IOVA, cdw10=1)
        time.sleep(0.05)
        c.set_reg(CC, 0)
        assert c.reg(CSTS) == 0
        nvme.close()


@suite.test("a client that goes leaves nothing: state, memory, doorbells")
def client_goes():
    old = Client()
    nvme = Nvme(old)
    nvme.enable()
    assert nvme.identify() == "PROTO1"
    page = nvme.doorbells
    old.close()
    with Client() as c:
        assert c.reg(CC) == 0 and c.reg(CSTS) == 0 and c.reg(AQA) == 0
        fresh = Nvme(c)
        fresh.enable()
        for i in range(0, PAGE, 4):  # the old page rings nothing any more
            page[i:i + 4] = struct.pack("I", 7)
        assert fresh.identify() == "PROTO1"
        assert c.reg(CSTS) == 1
        fresh.close()
    nvme.close()


@suite.test("a second client is told EBUSY; the next one comes at once")
def second_client():
    with Client() as first:
        for _ in range(10):
            with Client(version=False) as second:
                second.refused(errno.EBUSY, VERSION, struct.pack("HH", 0, 0) + b"{}\0")
                assert second.gone()
        silent = [Client(version=False) for _ in range(20)]  # say nothing
        assert first.reg(VS) == 0x20000
        for c in silent:
            c.close()
        assert first.reg(VS) == 0x20000
    for _ in range(50):
        Client().close()


@suite.test("a message in single bytes, half a message, many replies not read")
def slow_clients():
    with Client() as c:
        message = struct.pack("HHIII", 5, REGION_READ, 32, 0, 0) + struct.pack("QII", VS, BAR, 4)
        for i in range(len(message)):
            c.socket.sendall(message[i:i + 1])
        c.id = 5
        err, body = c.reply(REGION_READ)
        assert err == 0 and body[16:] == b"\0\0\2\0"
        c.socket.sendall(message[:20])
    with Client() as c:
        # Replies of 4 KiB that nobody reads: the server stops listening, and goes on later.
        c.socket.setblocking(False)
        message = struct.pack("HHIII", 5, REGION_READ, 32, 0, 0) + struct.pack("QII", 0, CONFIG,
                                                                               4096)
        sent = 0
        for _ in range(100000):
            try:
                sent += c.socket.send(message * 16)
            except BlockingIOError:
                break
        else:
            raise AssertionError("the server takes commands without end")
        with Client(version=False) as other:  # meanwhile it listens to others
            other.refused(errno.EBUSY, VERSION, struct.pack("HH", 0, 0))
        c.socket.settimeout(CALL_SECONDS)
        for _ in range(sent // len(message)):
            c.id = 5
            err, body = c.reply(REGION_READ)
            assert err == 0 and len(body) == 16 + 4096
    still_serves()


@suite.test("a client that shrinks its memory is dropped, and only it")
def shrinking_memory():
    with Client() as c:
        nvme = Nvme(c)
        nvme.enable()
        assert nvme.identify() == "PROTO1"
        nvme.mem.close()
        os.ftruncate(nvme.fd, 0)
        nvme.doorbells[0:4] = struct.pack("I", (nvme.tail + 1) % 16)
        assert c.gone()
    wait_until(lambda: "shrank" in EMULATOR.err(), what="a line about it")
    still_serves()


@suite.test("a client that makes its eventfd block is dropped")
def blocking_eventfd():
    event = os.eventfd(0, os.EFD_CLOEXEC)  # blocking, and full
    os.eventfd_write(event, (1 << 64) - 2)
    with Client() as c:
        c.done(SET_IRQS, struct.pack("IIIII", 20, TRIGGER | DATA_EVENTFD, MSIX, 0, 1), [event])
        c.send(SET_IRQS, struct.pack("IIIII", 20, TRIGGER | DATA_NONE, MSIX, 0, 1))
        try:
            c.reply(SET_IRQS)
        except Gone:
            pass
        assert c.gone()
    os.close(event)
    assert "block" in EMULATOR.err()
    still_serves()


@suite.test("10000 messages of noise")
def noise():
    rng = random.Random(20)
    fd = memory(4 * PAGE)
    event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    interesting = (0, 1, 2, 4, 8, 16, 20, 32, 64, PAGE, DOORBELLS, CC, 0xffff, 1 << 31, 1 << 32,
                   (1 << 32) - 1, (1 << 63), (1 << 64) - PAGE, (1 << 64) - 1)
    c = Client()
    for _ in range(10000):
        words = [rng.choice(interesting) if rng.random() < 0.8 else rng.getrandbits(64)
                 for _ in range(rng.randrange(6))]
        body = b"".join(rng.choice((struct.pack("Q", w), struct.pack("I", w & 0xffffffff)))
                        for w in words)
        fds = [rng.choice((fd, event)) for _ in range(rng.choice((0, 0, 1, 2)))]
        try:
            c.send(rng.randrange(17), body, fds, flags=NO_REPLY if rng.random() < 0.99 else 1)
        except Gone:
            c.close()
            c = Client()
    c.close()
    os.close(fd)
    os.close(event)
    still_serves()


@suite.test("no descriptor and no mapping is left over")
def leaks():
    still_serves()
    time.sleep(0.1)
    before = fd_count(EMULATOR.pid)
    event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    for _ in range(20):
        with Client() as c:
            nvme = Nvme(c)
            nvme.enable()
            c.done(SET_IRQS, struct.pack("IIIII", 20, TRIGGER | DATA_EVENTFD, MSIX, 0, 3),
                   [event] * 3)
            c.refused(errno.EINVAL, GET_INFO, b"", [event] * 200)
            c.send(SET_IRQS, b"half", [event] * 5, size=100)
            nvme.close()
    os.close(event)
    still_serves()
    wait_until(lambda: fd_count(EMULATOR.pid) <= before, what="descriptors are closed")


@suite.test("idle costs next to nothing: adaptive with an enabled controller, event nothing at all")
def idle():
    other = RUN.emulator("mem,size=1M", name="event", options=["--mode", "event"])
    for emulator, limit in ((EMULATOR, 0.15), (other, 0.02)):
        with Client(emulator) as c:
            nvme = Nvme(c, emulator is EMULATOR)
            nvme.enable()
            nvme.identify()
            time.sleep(0.2)
            start_cpu, start_time = cpu_seconds(emulator.pid), time.monotonic()
            time.sleep(2)
            used = (cpu_seconds(emulator.pid) - start_cpu) / (time.monotonic() - start_time)
            assert used <= limit * SLOWNESS, f"{used * 100:.0f} % of a processor"
            nvme.close()
    with Client(other) as c:
        info, reply = c.bar_info()
        assert info[1] == 3 and len(reply) == 32 and not c.fds  # no doorbells to map
    other.stop()


def fails(argv, code, text):
    done = subprocess.run([*WRAP, program("nvmux-emulator"), *argv], capture_output=True, text=True,
                          timeout=20 * SLOWNESS, check=False)
    assert done.returncode == code, (argv, done.returncode, done.stderr)
    assert text in done.stderr, (argv, done.stderr)


@suite.test("the socket: in use, stale, not a socket, gone at the end")
def sockets():
    spec = ["--ns", "null,size=1M"]
    fails(["-d", EMULATOR.dir, *spec], 1, "address in use")
    place = os.path.join(RUN.dir, "sockets")
    path = os.path.join(place, "cntrl")
    os.mkdir(place)
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(path)
        live.listen()
        fails(["-d", place, *spec], 1, "address in use")
    os.unlink(path)
    with open(path, "w", encoding="ascii") as file:
        file.write("precious")
    fails(["-d", place, *spec], 1, "not a socket")
    assert os.path.getsize(path) == 8
    fails(["-d", os.path.join(RUN.dir, "x" * 120), *spec], 1, "too long")
    fails(["-d", "/nonexistent/a/b", *spec], 1, "/nonexistent/a/b")
    victim = RUN.emulator("null,size=1M", name="victim")
    victim.kill()
    path = os.path.join(victim.dir, "cntrl")
    assert os.path.exists(path)
    again = subprocess.Popen([*WRAP, program("nvmux-emulator"), "-d", victim.dir, *spec],
                             stdout=subprocess.PIPE, text=True)
    with again:
        assert again.stdout.readline() == "ready\n"
        again.terminate()
    assert again.returncode == 0
    assert not os.path.exists(path)


def closed(name, redirections, *argv):
    """A program whose caller has closed some standard descriptors."""
    return RUN.process(name, ["sh", "-c", f'exec "$@" {redirections}', "sh", *WRAP, *argv],
                       wrap=False)


def standard_fds(pid):
    return [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)]


@suite.test("a standard descriptor that the caller closed is never a disk or a socket")
def closed_fds():
    disk, place = RUN.path("disk"), RUN.path("closed")
    emulator = closed("closed-emu", "<&- >&-", program("nvmux-emulator"), "-d", place, "--ns",
                      f"file,path={disk},size=1M")
    wait_until(lambda: os.path.exists(os.path.join(place, "cntrl")), what="its socket")
    assert standard_fds(emulator.pid)[:2] == ["/dev/null"] * 2
    path = RUN.path("closed.sock")
    daemon = closed("closed-nvmuxd", "<&- >&- 2>&-", program("nvmuxd"), "-s", path, "-c",
                    "/dev/null")
    wait_until(lambda: os.path.exists(path), what="its socket")
    assert standard_fds(daemon.pid) == ["/dev/null"] * 3
    target = ["-t", "vfiouser", "-a", place, "-n", "1"]
    writer = closed("closed-nvmux", "<&-", program("nvmux"), "write", *target, "--length", "4096")
    assert writer.wait() > 0
    assert "Bad file descriptor" in writer.err(), writer.err()
    daemon.stop()
    emulator.stop()
    with open(disk, "rb") as file:
        assert file.read() == bytes(1 << 20)


@suite.test("a namespace's file that shrinks ends its process, with a word and without the socket")
def file_shrinks():
    disk = RUN.path("shrinks")
    emulator = RUN.emulator(f"file,path={disk},size=1M", name="shrinks-emu")
    os.truncate(disk, 0)
    RUN.cli(None, "write", "-t", "vfiouser", "-a", emulator.dir, "-n", "1", "-", data=b"x" * 4096,
            code=None)
    assert emulator.wait() != 0
    assert "file shrank" in emulator.err(), emulator.err()
    assert not os.path.exists(os.path.join(emulator.dir, "cntrl"))
    daemon = RUN.daemon(config="[controller own]\ntrtype = LOOPBACK\n"
                               f"traddr = file,path={disk},size=1M\n")
    wait_until(lambda: re.search(rb"(?m)^own +ready", RUN.cli(daemon, "list")),
               what="its controller")
    os.truncate(disk, 0)
    RUN.cli(daemon, "write", "own/1", "-", data=b"x" * 4096, code=None)
    assert daemon.wait() != 0
    assert "a mapped file has shrunk or its disk is full" in daemon.err(), daemon.err()


@suite.test("the default serial number: another for each directory, the same at each start")
def default_serial():
    serials = []
    for name in ("serial-a", "serial-b", "serial-a"):
        emulator = RUN.emulator("null,size=1M", name=name)
        with Client(emulator) as c:
            nvme = Nvme(c)
            nvme.enable()
            serials.append(nvme.identify())
            nvme.close()
        emulator.stop()
        os.unlink(emulator.out_path)  # its "ready" isn't the next one's
    assert serials[0] == serials[2] != serials[1] and len(serials[0]) == 20, serials


@suite.test("a doorbell of no queue is reported in the modes that poll, also when busy polling")
def stray_doorbell():
    for mode in ("poll", "adaptive"):
        emulator = RUN.emulator("null,size=1M", name="stray-" + mode, options=["--mode", mode])
        with Client(emulator) as c:
            nvme = Nvme(c)
            nvme.enable()
            nvme.put(0x0c)  # asks for an event
            assert nvme.identify()
            time.sleep(0.05 * SLOWNESS)
            nvme.ring(2 * 5, 1)
            wait_until(nvme.completion, what="the event")
            nvme.close()
        emulator.stop()


@suite.test("the command line: help, and errors that name option, value and rule")
def command_line():
    done = subprocess.run([*WRAP, program("nvmux-emulator"), "--help"], capture_output=True,
                          text=True, check=True)
    for word in ("--socket-dir", "--ns", "--mode", "--mdts", "--noiob", "--queues", "--entries",
                 "--vectors", "--serial", "--help", "--version"):
        assert word in done.stdout, word
    fails([], 2, "--socket-dir: is needed")
    fails(["-d", RUN.dir], 2, "--ns: is needed")
    fails(["-d", RUN.dir, "--ns", "mem,size=12Z"], 2, "--ns: size=12Z: must be digits")
    fails(["-d", RUN.dir, "--ns", "mem"], 2, "--ns: mem: needs size=")
    fails(["--mode", "fast"], 2, "--mode: fast: must be poll, adaptive or event")
    fails(["--mdts", "99"], 2, "--mdts: mdts=99: must be a number from 0 to 16")
    fails(["--queues", "4,mem"], 2, "--queues: queues=4,mem: must be a number")
    fails(["--serial", "x" * 21], 2, "1 to 20 characters")
    fails(["--nonsense"], 2, "nonsense")
    fails(["-d", RUN.dir, "--ns", "null,size=1M", "extra"], 2, "extra: unexpected argument")
    fails(["-d", os.path.join(RUN.dir, "f"), "--ns", "file,path=/nonexistent/x"], 1,
          "/nonexistent/x")


@suite.test("everything ends cleanly")
def stop():
    RUN.stop()
    assert not os.path.exists(os.path.join(EMULATOR.dir, "cntrl"))


try:
    suite.main()
finally:
    RUN.clean_up()
