#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Devices that aren't what they should be: each attach fails with its own error, in time."""

import array
import json
import os
import socket
import struct
import threading

from nvmux_test import SLOWNESS, Run, Session, Suite, attach, expect_error, fd_count, wait_until

VERSION, DMA_MAP, DMA_UNMAP, GET_INFO, GET_REGION_INFO, GET_REGION_IO_FDS, GET_IRQ_INFO, SET_IRQS, \
    REGION_READ, REGION_WRITE, DMA_READ, DMA_WRITE, DEVICE_RESET = range(1, 14)
CONFIG_REGION = 7
BAR0 = 0
# CAP of an ordinary controller: 64 entries, contiguous queues, 500 ms, NVM command set.
CAP = 63 | 1 << 16 | 1 << 24 | 1 << 37
ANSWER_SECONDS = 60 * SLOWNESS

suite = Suite()


class FakeDevice:
    """A vfio-user server with one connection at a time, and what is wrong with it.

    The methods named after messages return (payload, fds), or None to stay silent.
    """

    class_code = 0x010802
    cap = CAP
    csts = 0

    def __init__(self, run, name):
        self.dir = run.path(name)
        os.mkdir(self.dir)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(os.path.join(self.dir, "cntrl"))
        self.listener.listen(4)
        self.connections = []
        self.cc = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        for connection in [self.listener, *self.connections]:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            try:
                self.serve(connection)
            except OSError:
                pass
            connection.close()

    def receive(self, connection, size):
        data = b""
        while len(data) < size:
            more, control, _, _ = connection.recvmsg(size - len(data), 4096)
            for _, _, payload in control:
                fds = array.array("i")
                fds.frombytes(payload[:len(payload) // 4 * 4])
                for fd in fds:
                    os.close(fd)
            if not more:
                raise OSError("closed")
            data += more
        return data

    def serve(self, connection):
        while True:
            ident, command, size, _, _ = struct.unpack("<HHIII", self.receive(connection, 16))
            payload = self.receive(connection, size - 16)
            reply = self.answer(command, payload)
            if reply is None:
                continue
            data, error = reply if isinstance(reply, tuple) else (reply, 0)
            connection.sendall(self.frame(ident, command, data, error))

    def frame(self, ident, command, data, error):
        return struct.pack("<HHIII", ident, command, 16 + len(data), 1 | (error and 0x20),
                           error) + data

    def answer(self, command, payload):
        name = {VERSION: "version", GET_INFO: "info", GET_REGION_INFO: "region_info",
                GET_IRQ_INFO: "irq_info", REGION_READ: "region_read",
                REGION_WRITE: "region_write"}.get(command)
        return getattr(self, name)(payload) if name else b""

    def version(self, payload):
        return payload[:4] + json.dumps({"capabilities": {"max_msg_fds": 8}}).encode() + b"\0"

    def info(self, _payload):
        return struct.pack("<IIII", 16, 1 << 1 | 1, 9, 5)

    def region_info(self, payload):
        index = struct.unpack_from("<I", payload, 8)[0]
        size = {BAR0: 0x4000, CONFIG_REGION: 4096}.get(index, 0)
        return struct.pack("<IIIIQQ", 32, 3 if size else 0, index, 0, size, 0)

    def irq_info(self, payload):
        index = struct.unpack_from("<I", payload, 8)[0]
        return struct.pack("<IIII", 16, 1, index, 4 if index == 2 else 0)

    def config_space(self):
        space = bytearray(256)
        struct.pack_into("<HH", space, 0, 0x1b36, 0x0010)
        struct.pack_into("<I", space, 8, self.class_code << 8)
        return space

    def registers(self):
        space = bytearray(0x1000)
        struct.pack_into("<QI", space, 0, self.cap, 0x00010400)
        struct.pack_into("<I", space, 0x14, self.cc)
        struct.pack_into("<I", space, 0x1c, self.csts)
        return space

    def region_read(self, payload):
        offset, region, count = struct.unpack_from("<QII", payload)
        space = self.config_space() if region == CONFIG_REGION else self.registers()
        return payload[:16] + bytes(space[offset:offset + count]).ljust(count, b"\0")

    def region_write(self, payload):
        offset, region, count = struct.unpack_from("<QII", payload)
        if region == BAR0 and offset == 0x14:
            self.cc = struct.unpack_from("<I", payload, 16)[0]
            self.enabled(self.cc & 1)
        return payload[:12] + struct.pack("<I", count)

    def enabled(self, on):
        self.csts = 0 if not on else self.csts


class NotNvme(FakeDevice):
    class_code = 0x020000


class Ahci(FakeDevice):
    class_code = 0x010601


class NeverReady(FakeDevice):
    pass


class Fatal(FakeDevice):
    def enabled(self, on):
        self.csts = 2 if on else 0


class AllOnes(FakeDevice):
    def registers(self):
        return b"\xff" * 0x1000


class BadCap(FakeDevice):
    cap = 0


class NoNvmCommandSet(FakeDevice):
    cap = CAP & ~(1 << 37)


class BigPages(FakeDevice):
    # MPSMIN: 64 KiB
    cap = CAP | 4 << 48


class SmallBar(FakeDevice):
    def region_info(self, payload):
        index = struct.unpack_from("<I", payload, 8)[0]
        return struct.pack("<IIIIQQ", 32, 3, index, 0, 16, 0)


class OtherVersion(FakeDevice):
    def version(self, payload):
        return struct.pack("<HH", 9, 0) + b"{}\0"


class BadVersionJson(FakeDevice):
    def version(self, payload):
        return payload[:4] + b"{" * 3000


class Refuses(FakeDevice):
    def answer(self, command, payload):
        return (b"", 13) if command != VERSION else self.version(payload)


class RefusesDma(FakeDevice):
    def answer(self, command, payload):
        return (b"", 12) if command == DMA_MAP else super().answer(command, payload)


class ShortReplies(FakeDevice):
    def answer(self, command, payload):
        reply = super().answer(command, payload)
        return reply[:len(reply) // 2] if command != VERSION else reply


class LongReplies(FakeDevice):
    def answer(self, command, payload):
        reply = super().answer(command, payload)
        return reply + b"x" * 4000 if command != VERSION else reply


class Silent(FakeDevice):
    def answer(self, command, payload):
        return None


class SilentLater(FakeDevice):
    def answer(self, command, payload):
        return None if command == REGION_READ else super().answer(command, payload)


class WrongIds(FakeDevice):
    def frame(self, ident, command, data, error):
        return super().frame(ident + 7 & 0xffff, command, data, error)


class WrongCommands(FakeDevice):
    def frame(self, ident, command, data, error):
        return super().frame(ident, command + 1, data, error)


class HugeSizes(FakeDevice):
    def frame(self, ident, command, data, error):
        return struct.pack("<HHIII", ident, command, 0xfffffff0, 1, 0) + data


class TinySizes(FakeDevice):
    def frame(self, ident, command, data, error):
        return struct.pack("<HHIII", ident, command, 3, 1, 0)


class Garbage(FakeDevice):
    def frame(self, ident, command, data, error):
        return os.urandom(500)


class HangsUp(FakeDevice):
    def answer(self, command, payload):
        if command == GET_REGION_INFO:
            raise OSError("enough")
        return super().answer(command, payload)


class Floods(FakeDevice):
    """Messages that nobody asked for."""

    def serve(self, connection):
        for i in range(20000):
            connection.sendall(struct.pack("<HHIII", i & 0xffff, DMA_WRITE, 16, 0, 0))
        super().serve(connection)


KINDS = [
    (NotNvme, "class", "a network card"), (Ahci, "class", "an AHCI controller"),
    (NeverReady, None, "a controller that never becomes ready"),
    (Fatal, None, "a controller with a fatal status"),
    (AllOnes, None, "registers of all ones"),
    (BadCap, None, "a CAP register of zero"),
    (NoNvmCommandSet, None, "a controller without the NVM command set"),
    (BigPages, None, "a controller that needs larger pages"),
    (SmallBar, None, "a BAR that is too small"),
    (OtherVersion, None, "a server of another version"),
    (BadVersionJson, None, "a server whose capabilities aren't JSON"),
    (Refuses, None, "a server that refuses everything"),
    (RefusesDma, None, "a server that refuses memory"),
    (ShortReplies, None, "replies that are too short"),
    (LongReplies, None, "replies that are too long"),
    (Silent, None, "a server that never answers"),
    (SilentLater, None, "a server that stops answering"),
    (WrongIds, None, "replies to messages that weren't sent"),
    (WrongCommands, None, "replies of another type"),
    (HugeSizes, None, "a size of 4 GiB"),
    (TinySizes, None, "a size smaller than the header"),
    (Garbage, None, "random bytes"),
    (HangsUp, None, "a server that hangs up"),
    (Floods, None, "a flood of unasked messages"),
]

RUN = Run()
DAEMON = None
CLIENT = None


@suite.test("a daemon with one good controller", essential=True)
def start():
    global DAEMON, CLIENT
    emulator = RUN.emulator()
    DAEMON = RUN.daemon()
    attach(DAEMON, emulator, "good")
    CLIENT = Session(DAEMON, "good")
    CLIENT.region = CLIENT.memory(4096)
    CLIENT.ring = CLIENT.qpair()


def good_client():
    assert CLIENT.ring.submit(2, data=CLIENT.region << 48, data_len=512, cdw=(0, 0, 0)) == 0


def make_test(kind, word, what):
    @suite.test(f"{what} is refused, and others go on")
    def refused():
        device = kind(RUN, kind.__name__)
        fds = fd_count(DAEMON.pid)
        with DAEMON.rpc() as rpc:
            rpc.socket.settimeout(ANSWER_SECONDS)
            ident = rpc.request("attach_controller", {"trtype": "VFIOUSER", "traddr": device.dir,
                                                      "name": "bad"})
            good_client()  # nothing waits for it
            error = expect_error(rpc.answer, ident)
            print(f"#   {what}: {error.message}")
            assert word is None or word in error.message.lower(), str(error)
            assert [c["name"] for c in rpc.call("get_controllers")] == ["good"]
        good_client()
        device.close()
        wait_until(lambda: fd_count(DAEMON.pid) <= fds, what="its descriptors are closed")


for entry in KINDS:
    make_test(*entry)


@suite.test("a place without a device is named: no directory, a file, a socket without a server")
def nowhere():
    with open(RUN.path("plain"), "w", encoding="ascii"):
        pass
    os.mkdir(RUN.path("dead"))
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(RUN.path("dead/cntrl"))
    dead.close()
    with DAEMON.rpc() as rpc:
        for place in ("nothing", "plain", "dead"):
            error = expect_error(rpc.call, "attach_controller", trtype="VFIOUSER",
                                 traddr=RUN.path(place))
            assert place in error.message, str(error)
        for trtype, traddr in [("PCIE", "0000:ff:1f.7"), ("PCIE", "nonsense"),
                               ("LOOPBACK", "mem,size=banana")]:
            error = expect_error(rpc.call, "attach_controller", trtype=trtype, traddr=traddr)
            assert traddr in error.message or "banana" in error.message, str(error)
    good_client()


@suite.test("all of them at once")
def together():
    kinds = (Silent, NeverReady, NotNvme, SilentLater)
    devices = [kind(RUN, kind.__name__ + "2") for kind in kinds]
    rpcs = [DAEMON.rpc() for _ in devices]
    for rpc, device in zip(rpcs, devices):
        rpc.socket.settimeout(ANSWER_SECONDS)
        rpc.ident = rpc.request("attach_controller", {"trtype": "VFIOUSER", "traddr": device.dir})
    good_client()
    for rpc, device in zip(rpcs, devices):
        expect_error(rpc.answer, rpc.ident)
        rpc.close()
        device.close()
    good_client()


@suite.test("the daemon can end while an attach is under way")
def end():
    device = Silent(RUN, "last")
    with DAEMON.rpc() as rpc:
        rpc.request("attach_controller", {"trtype": "VFIOUSER", "traddr": device.dir})
        CLIENT.close()
        RUN.stop()
    device.close()


try:
    suite.main()
finally:
    RUN.clean_up()
