#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Rings by hand: right commands work, every wrong one gets its own status and touches nothing."""

import ctypes
import os
import random
import struct

from nvmux_test import Counts, Run, Session, Suite, attach, fd_count, wait_until

READ, WRITE, FLUSH, COMPARE, WRITE_ZEROES, DSM = 0x02, 0x01, 0x00, 0x05, 0x08, 0x09
INVALID_OPCODE, INVALID_FIELD, INVALID_NS, LBA_RANGE = 0x01, 0x02, 0x0b, 0x80
REGION_UNKNOWN, REGION_RANGE, REGION_ALIGN = 0x700, 0x701, 0x702
LENGTH_MISMATCH, LENGTH_LIMIT, ACCESS_DENIED, LIST_INVALID = 0x703, 0x704, 0x705, 0x706
OPCODE_REFUSED = 0x70a
BLOCK = 512
REGION_BYTES = 1 << 20

suite = Suite()
RUN = Run()
DAEMON = None
CLIENT = None
OTHER = None


def blocks(lba, count):
    """Command dwords 10 to 12 of a read or write."""
    return (lba & 0xffffffff, lba >> 32, count - 1)


def place(region, offset=0):
    return region << 48 | offset


class Client(Session):
    """A session with one region and one queue pair."""

    def __init__(self):
        super().__init__(DAEMON, "nvme0")
        self.region = self.memory(REGION_BYTES)
        self.ring = self.qpair(32)
        self.mem = self.maps[self.region]

    def write(self, lba, data, offset=0):
        self.mem[offset:offset + len(data)] = data
        return self.ring.submit(WRITE, data=place(self.region, offset), data_len=len(data),
                                cdw=blocks(lba, len(data) // BLOCK))

    def read(self, lba, count, offset=0):
        status = self.ring.submit(READ, data=place(self.region, offset), data_len=count * BLOCK,
                                  cdw=blocks(lba, count))
        assert status == 0, f"{status:#x}"
        return self.mem[offset:offset + count * BLOCK]


@suite.test("two clients, each with a region and a queue pair", essential=True)
def start():
    global DAEMON, CLIENT, OTHER
    emulator = RUN.emulator("mem,size=64M,bs=512", "mem,size=16M,bs=4096")
    DAEMON = RUN.daemon()
    attach(DAEMON, emulator, "nvme0")
    CLIENT = Client()
    OTHER = Client()


@suite.test("the ring's header is as ring.h says")
def header():
    ring = CLIENT.ring
    assert ring.magic == 0x31676e7278756d6e, hex(ring.magic)
    assert (ring.major, ring.minor) == (1, 0)
    assert ring.depth == 32
    for entries in (ring.sq_entries, ring.cq_entries):
        assert entries >= ring.depth and entries & (entries - 1) == 0, entries
    assert ring.header_size == ring.size
    assert ring.sq_offset >= 4096 and ring.sq_offset + 64 * ring.sq_entries <= ring.size
    assert ring.cq_offset >= 4096 and ring.cq_offset + 16 * ring.cq_entries <= ring.size


@suite.test("what is written is read back, at any multiple of 4 within a page")
def round_trip():
    for offset in (0, 4, 508, 2048, 4092, 5000, 70004):
        for count in (1, 8, 9, 256):
            data = os.urandom(count * BLOCK)
            assert CLIENT.write(1000, data, offset) == 0
            CLIENT.mem[offset:offset + len(data)] = bytes(len(data))
            assert CLIENT.read(1000, count, offset) == data, (offset, count)


@suite.test("many more commands than the ring has entries, up to its depth in flight")
def wrap():
    ring = CLIENT.ring
    data = os.urandom(32 * BLOCK)
    CLIENT.mem[0:len(data)] = data
    for _ in range(40):
        for i in range(ring.depth):
            ring.push(ring.command(WRITE, cid=1000 + i, data=place(CLIENT.region, i * BLOCK),
                                   data_len=BLOCK, cdw=blocks(2000 + i, 1)))
        ring.kick()
        done = sorted(ring.completion()[:2] for _ in range(ring.depth))
        assert done == [(1000 + i, 0) for i in range(ring.depth)], done
    assert CLIENT.read(2000, 32, 65536) == data


@suite.test("a client's own command identifiers come back, also equal ones")
def identifiers():
    ring = CLIENT.ring
    for cid in (0, 7, 7, 0xffff, 0xffff):
        ring.push(ring.command(READ, cid=cid, data=place(CLIENT.region), data_len=BLOCK,
                               cdw=blocks(0, 1)))
    ring.kick()
    assert sorted(ring.completion()[0] for _ in range(5)) == [0, 7, 7, 0xffff, 0xffff]


@suite.test("a range outside the region is refused")
def region_range():
    submit = CLIENT.ring.submit
    region = CLIENT.region
    for offset, length, count in [
            (REGION_BYTES, BLOCK, 1), (REGION_BYTES - BLOCK + 4, BLOCK, 1),
            (REGION_BYTES - BLOCK, 2 * BLOCK, 2), ((1 << 48) - 4, BLOCK, 1),
            ((1 << 48) - BLOCK, BLOCK, 1), (0, REGION_BYTES + BLOCK, 8)]:
        for opc in (READ, WRITE):
            status = submit(opc, data=place(region, offset), data_len=length, cdw=blocks(0, count))
            assert status in (REGION_RANGE, LENGTH_LIMIT), (offset, length, hex(status))
    assert submit(READ, data=place(region, REGION_BYTES - BLOCK), data_len=BLOCK,
                  cdw=blocks(0, 1)) == 0


@suite.test("a region that isn't there, or is another client's, is refused")
def region_unknown():
    for region in [CLIENT.region + 1, 0xffff, 0x8000, 64, 63]:
        if region in CLIENT.maps:
            continue
        status = CLIENT.ring.submit(WRITE, data=place(region), data_len=BLOCK, cdw=blocks(0, 1))
        assert status == REGION_UNKNOWN, (region, hex(status))


@suite.test("an offset that isn't a multiple of 4 is refused")
def region_align():
    for offset in (1, 2, 3, 4097):
        status = CLIENT.ring.submit(READ, data=place(CLIENT.region, offset), data_len=BLOCK,
                                    cdw=blocks(0, 1))
        assert status == REGION_ALIGN, (offset, hex(status))


@suite.test("a buffer shorter than what the command moves is refused")
def length_mismatch():
    for opc, count, length in [(READ, 2, BLOCK), (WRITE, 2, BLOCK), (READ, 256, 4096),
                               (READ, 1, 0), (READ, 1, BLOCK - 4), (WRITE, 65536, BLOCK)]:
        status = CLIENT.ring.submit(opc, data=place(CLIENT.region), data_len=length,
                                    cdw=blocks(0, count))
        assert status in (LENGTH_MISMATCH, LENGTH_LIMIT), (opc, count, length, hex(status))
    # With 4096-byte blocks the same count needs more.
    status = CLIENT.ring.submit(READ, nsid=2, data=place(CLIENT.region), data_len=BLOCK,
                                cdw=blocks(0, 1))
    assert status == LENGTH_MISMATCH, hex(status)


@suite.test("more than the transfer limit is refused, never split")
def length_limit():
    limit = CLIENT.info["max_transfer"]
    region = CLIENT.memory(4 * limit)
    count = limit // BLOCK
    assert CLIENT.ring.submit(READ, data=place(region), data_len=limit,
                              cdw=blocks(0, count)) == 0
    status = CLIENT.ring.submit(READ, data=place(region), data_len=limit + BLOCK,
                                cdw=blocks(0, count + 1))
    assert status == LENGTH_LIMIT, hex(status)
    assert CLIENT.rpc.call("free_memory", region=region) is not None


@suite.test("a namespace that isn't there is refused")
def foreign_namespace():
    for nsid in (0, 3, 99, 0xfffffffe, 0xffffffff):
        for opc in (READ, WRITE):
            status = CLIENT.ring.submit(opc, nsid=nsid, data=place(CLIENT.region), data_len=BLOCK,
                                        cdw=blocks(0, 1))
            assert status in (INVALID_NS, ACCESS_DENIED), (nsid, hex(status))


@suite.test("blocks beyond the namespace are refused")
def lba_range():
    last = (64 << 20) // BLOCK
    for lba, count in [(last, 1), (last - 1, 2), ((1 << 64) - 1, 1), ((1 << 64) - 1, 2),
                       (1 << 63, 8), ((1 << 64) - 8, 16)]:
        for opc in (READ, WRITE):
            status = CLIENT.ring.submit(opc, data=place(CLIENT.region), data_len=count * BLOCK,
                                        cdw=blocks(lba, count))
            assert status == LBA_RANGE, (lba, count, hex(status))


@suite.test("unknown opcodes don't hurt: an administrator's reach the controller, which refuses")
def unknown_opcode():
    # The two lowest bits of 20h and c0h say that no data is moved, but there is some.
    for opc, expected in [(0x03, INVALID_OPCODE), (0x20, INVALID_FIELD), (0x7d, INVALID_OPCODE),
                          (0x83, INVALID_OPCODE), (0xc0, INVALID_FIELD), (0xc1, INVALID_OPCODE),
                          (0xff, INVALID_OPCODE), (0x18, OPCODE_REFUSED), (0x7f, OPCODE_REFUSED)]:
        status = CLIENT.ring.submit(opc, data=place(CLIENT.region), data_len=BLOCK,
                                    cdw=blocks(0, 1))
        assert status == expected, (hex(opc), hex(status))
    assert CLIENT.ring.submit(0x20) == INVALID_OPCODE


@suite.test("scatter lists are refused: rings have no room for any")
def lists():
    ring = CLIENT.ring
    assert ring.list_entries == 0
    for index, count in [(ring.list_entries, 1), (0, ring.list_entries + 1), (1 << 63, 1),
                         (0xffffffff, 0xffffffff), (0, 0), (0, 0x10000000)]:
        status = ring.submit(READ, flags=ring.F_LIST, data=index, data_len=count,
                             cdw=blocks(0, 1))
        assert status == LIST_INVALID, (index, count, hex(status))


@suite.test("reserved flags and fused commands are refused")
def flags():
    ring = CLIENT.ring
    for value in range(0x80):
        status = ring.submit(READ, flags=value, data=place(CLIENT.region), data_len=BLOCK,
                             cdw=blocks(0, 1))
        expected = LIST_INVALID if value & ring.F_LIST else INVALID_FIELD if value else 0
        assert status == expected, (hex(value), hex(status))


@suite.test("admin commands that only the daemon may send are refused on the admin ring")
def admin_refused():
    # Delete and create queues, abort, asynchronous event request, keep alive, doorbell buffer,
    # Fabrics.
    for opc in (0x00, 0x01, 0x04, 0x05, 0x08, 0x0c, 0x18, 0x7c, 0x7f):
        status = CLIENT.admin.submit(opc, nsid=0, data=place(CLIENT.region), data_len=4096,
                                     cdw=(1, 1, 0))
        assert status in (OPCODE_REFUSED, ACCESS_DENIED), (opc, hex(status))
    # Set Features, Number of Queues.
    status = CLIENT.admin.submit(0x09, nsid=0, cdw=(0x07, 0x00010001))
    assert status in (OPCODE_REFUSED, ACCESS_DENIED), hex(status)


@suite.test("Identify works on the admin ring, into the client's own region only")
def admin_identify():
    status = CLIENT.admin.submit(0x06, nsid=0, data=place(CLIENT.region), data_len=4096, cdw=(1,))
    assert status == 0, hex(status)
    assert struct.unpack_from("<H", CLIENT.mem, 0)[0] != 0 or CLIENT.mem[24:64].strip(b"\0 "), \
        "Identify Controller data is empty"
    for data, length in [(place(0xffff), 4096), (place(CLIENT.region, REGION_BYTES), 4096),
                         (place(CLIENT.region, REGION_BYTES - 512), 4096),
                         (place(CLIENT.region), 64)]:
        status = CLIENT.admin.submit(0x06, nsid=0, data=data, data_len=length, cdw=(1,))
        assert status >= 0x700, (hex(data), length, hex(status))


@suite.test("a freed region is forgotten at once")
def freed_region():
    region = CLIENT.memory(65536)
    assert CLIENT.ring.submit(READ, data=place(region), data_len=BLOCK, cdw=blocks(0, 1)) == 0
    CLIENT.rpc.call("free_memory", region=region)
    status = CLIENT.ring.submit(READ, data=place(region), data_len=BLOCK, cdw=blocks(0, 1))
    assert status == REGION_UNKNOWN, hex(status)


@suite.test("random bytes as commands end with a status each, and hurt nobody")
def fuzz():
    generator = random.Random(4711)
    victim = os.urandom(64 * BLOCK)
    assert OTHER.write(5000, victim) == 0
    ring = CLIENT.ring
    for _ in range(3000):
        raw = bytearray(generator.randbytes(64))
        # Keep them away from the blocks that the other client looks at: they may be valid.
        if generator.random() < 0.7:
            raw[0] = generator.choice([READ, COMPARE, FLUSH, DSM + 0x40, 0x13, 0x17])
            struct.pack_into("<I", raw, 4, generator.choice([0, 1, 2, 3, 0xffffffff]))
        else:
            raw[0] |= 0x80
        if generator.random() < 0.5:
            struct.pack_into("<QQII", raw, 16, place(CLIENT.region, generator.randrange(0, 8192)),
                             0, generator.choice([512, 4096, 0, 1 << 31]), 0)
        ring.push(bytes(raw))
        ring.kick()
        cid, _, _ = ring.completion()
        assert cid == struct.unpack_from("<H", raw, 2)[0]
    assert OTHER.read(5000, 64) == victim
    assert CLIENT.read(0, 1) is not None


@suite.test("a client that scribbles over the header and the indices harms only itself")
def scribble():
    before = Counts(DAEMON, 3)
    bad = Client()
    ring = bad.ring
    size, sq = ring.size, ring.sq_offset
    for value in (b"\xff", b"\0", b"\x5a"):
        ring.map[0:4096] = value * 4096
        assert OTHER.read(5000, 1) is not None
        ring.push(ring.command(READ, data=place(bad.region), data_len=BLOCK, cdw=blocks(0, 1)))
        ring.kick()
        assert OTHER.read(5000, 1) is not None
    ring.map[sq:size] = b"\xff" * (size - sq)
    ring.kick()
    for _ in range(50):
        ring.map[sq:size] = os.urandom(size - sq)
        ring.kick()
        assert OTHER.read(5000, 1) is not None
    bad.close()
    before.same()


@suite.test("a client that floods the wake-up socket harms only itself")
def flood():
    bad = Client()
    try:
        bad.ring.wake.setblocking(False)
        while True:
            bad.ring.wake.send(b"x" * 4096)
    except BlockingIOError:
        pass
    assert OTHER.read(5000, 8) is not None
    assert bad.ring.submit(READ, data=place(bad.region), data_len=BLOCK, cdw=blocks(0, 1)) == 0
    bad.close()
    assert OTHER.read(5000, 8) is not None


@suite.test("a client that closes its wake-up socket is still served or ended, nothing else")
def half_closed():
    bad = Client()
    bad.ring.wake.close()
    bad.ring.push(bad.ring.command(READ, data=place(bad.region), data_len=BLOCK, cdw=blocks(0, 1)))
    assert OTHER.read(5000, 8) is not None
    bad.close()
    assert OTHER.read(5000, 8) is not None


@suite.test("rings and regions can't be resized by a client")
def sealed():
    result = CLIENT.rpc.call("alloc_memory", size=1 << 16)
    (fd,) = CLIENT.rpc.take_fds()
    for size in (0, 4096, 1 << 20):
        try:
            os.ftruncate(fd, size)
        except PermissionError:
            continue
        raise AssertionError("the region could be resized")
    os.close(fd)
    CLIENT.rpc.call("free_memory", region=result["region"])
    result = CLIENT.rpc.call("alloc_io_qpair", controller="nvme0")
    ring_fd, wake_fd = CLIENT.rpc.take_fds()
    try:
        os.ftruncate(ring_fd, 0)
        raise AssertionError("the ring could be resized")
    except PermissionError:
        pass
    os.close(ring_fd)
    os.close(wake_fd)
    CLIENT.rpc.call("free_io_qpair", qpair=result["qpair"])


@suite.test("holes punched into a region in use harm only its owner")
def holes():
    libc = ctypes.CDLL(None, use_errno=True)
    theirs = os.urandom(256 * BLOCK)
    assert OTHER.write(19900, theirs[:100 * BLOCK]) == 0
    assert OTHER.write(20128, theirs[100 * BLOCK:]) == 0
    OTHER.mem[0:len(theirs)] = theirs
    result = CLIENT.rpc.call("alloc_memory", size=1 << 20)
    (fd,) = CLIENT.rpc.take_fds()
    for i in range(64):
        CLIENT.ring.push(CLIENT.ring.command(
            WRITE if i % 2 else READ, data=place(result["region"], i % 8 * 65536),
            data_len=65536, cdw=blocks(20000, 128)))
        # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
        assert libc.fallocate(fd, 3, ctypes.c_long(0), ctypes.c_long(1 << 20)) == 0
        CLIENT.ring.kick()
        status = CLIENT.ring.completion()[1]
        assert status == 0, hex(status)
    os.close(fd)
    # Neither in the other's memory nor in the blocks on both sides of those written.
    assert OTHER.mem[0:len(theirs)] == theirs
    assert OTHER.read(19900, 100) == theirs[:100 * BLOCK]
    assert OTHER.read(20128, 156) == theirs[100 * BLOCK:]
    CLIENT.rpc.call("free_memory", region=result["region"])


@suite.test("after all that the daemon ends cleanly, and nothing was left open")
def end():
    idle = fd_count(DAEMON.pid)
    CLIENT.close()
    OTHER.close()
    wait_until(lambda: DAEMON.stats()["regions"] == 0 and DAEMON.stats()["qpairs"] == 0,
               what="regions and queue pairs are gone")
    assert fd_count(DAEMON.pid) < idle
    RUN.stop()


try:
    suite.main()
finally:
    RUN.clean_up()
