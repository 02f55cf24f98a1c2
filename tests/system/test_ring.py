#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Rings by hand: right commands work, every wrong one gets its own status and touches nothing."""

import ctypes
import os
import random
import struct
import sys
import threading

from nvmux_test import Counts, Run, Session, Suite, attach, fd_count, wait_until
from test_faults import Control

READ, WRITE, FLUSH, COMPARE, WRITE_ZEROES, DSM = 0x02, 0x01, 0x00, 0x05, 0x08, 0x09
INVALID_OPCODE, INVALID_FIELD, INVALID_NS, LBA_RANGE = 0x01, 0x02, 0x0b, 0x80
REGION_UNKNOWN, REGION_RANGE, REGION_ALIGN = 0x700, 0x701, 0x702
LENGTH_MISMATCH, LENGTH_LIMIT, ACCESS_DENIED, LIST_INVALID = 0x703, 0x704, 0x705, 0x706
OPCODE_REFUSED = 0x70a
FUSED_FAIL, FUSED_MISSING = 0x09, 0x0a
BLOCK = 512
REGION_BYTES = 1 << 20

suite = Suite()
RUN = Run()
DAEMON = None
EMULATOR = None
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
    global DAEMON, EMULATOR, CLIENT, OTHER
    EMULATOR = RUN.emulator("mem,size=64M,bs=512", "mem,size=16M,bs=4096")
    DAEMON = RUN.daemon()
    attach(DAEMON, EMULATOR, "nvme0")
    CLIENT = Client()
    OTHER = Client()


@suite.test("the ring's header is as ring.h says")
def header():
    ring = CLIENT.ring
    assert ring.magic == 0x31676e7278756d6e, hex(ring.magic)
    assert (ring.major, ring.minor) == (1, 1)
    assert ring.depth == 32
    for entries in (ring.sq_entries, ring.cq_entries):
        assert entries >= ring.depth and entries & (entries - 1) == 0, entries
    assert ring.header_size == ring.size
    assert ring.sq_offset >= 4096 and ring.sq_offset + 64 * ring.sq_entries <= ring.size
    assert ring.cq_offset >= 4096 and ring.cq_offset + 16 * ring.cq_entries <= ring.size
    assert ring.list_entries == 32 * ring.depth
    assert ring.list_offset >= 4096 and ring.list_offset + 16 * ring.list_entries <= ring.size
    max_segs, features = struct.unpack_from("<II", ring.map, 76)
    assert max_segs == CLIENT.info["max_segs"] and bool(features & 1) == CLIENT.info["sgl"]
    assert CLIENT.admin.list_entries == 0


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


def submit_list(opc, count, pieces, index=0, n=None, **kwargs):
    """A command of that many blocks at 3000, its data in pieces (region, offset, length)."""
    ring = CLIENT.ring
    for i, piece in enumerate(pieces):
        ring.put_segment(index + i, *piece)
    return ring.submit(opc, flags=ring.F_LIST, data=index, data_len=len(pieces) if n is None else n,
                       cdw=blocks(3000, count), **kwargs)


@suite.test("scatter lists: data in pieces of several regions, anywhere in the list area")
def lists():
    region, other = CLIENT.region, CLIENT.memory(65536)
    if CLIENT.info["max_segs"] < 3:
        return
    data = os.urandom(8192 + 1024)
    CLIENT.mem[4096 - 512:4096] = data[:512]
    CLIENT.maps[other][8192:8192 + 8192] = data[512:8704]
    CLIENT.mem[40960:40960 + 512] = data[8704:]
    pieces = [(region, 4096 - 512, 512), (other, 8192, 8192), (region, 40960, 512)]
    for index in (0, 5, CLIENT.ring.list_entries - 3):
        assert submit_list(WRITE, 18, pieces, index) == 0
        assert CLIENT.read(3000, 18, 65536) == data
    CLIENT.mem[4096 - 512:4096] = bytes(512)
    CLIENT.maps[other][8192:8192 + 8192] = bytes(8192)
    # The same memory twice, and more than the command moves.
    assert submit_list(READ, 18, pieces + [(region, 0, 4)] if CLIENT.info["sgl"] else pieces) == 0
    assert CLIENT.mem[4096 - 512:4096] + CLIENT.maps[other][8192:16384] == data[:8704]
    assert submit_list(READ, 16, [(region, 0, 4096), (region, 0, 4096)]) == 0
    assert CLIENT.mem[0:4096] == data[4096:8192]
    CLIENT.rpc.call("free_memory", region=other)
    assert submit_list(WRITE, 18, pieces) == REGION_UNKNOWN


@suite.test("scatter lists that are wrong are refused, each with its status")
def lists_wrong():
    ring, region = CLIENT.ring, CLIENT.region
    page = [(region, 0, 4096)]
    for i in range(ring.list_entries):
        ring.put_segment(i, region, 0, 4096)
    for index, count in [(ring.list_entries, 1), (ring.list_entries - 1, 2), (0, 33),
                         (0, ring.list_entries + 1), (1 << 63, 1), ((1 << 64) - 1, 2),
                         (0xffffffff, 0xffffffff), (0, 0), (0, 0x10000000)]:
        status = ring.submit(READ, flags=ring.F_LIST, data=index, data_len=count,
                             cdw=blocks(0, 1))
        assert status == LIST_INVALID, (index, count, hex(status))
    for pieces, expected in [
            (page, LENGTH_MISMATCH),
            (page + [(region, 4096, 0)], LIST_INVALID),
            ([(region, 0, 0)] + page, LIST_INVALID),
            ([(region, 0, 4094), (region, 8192, 4098)], LIST_INVALID),
            (page + [(region, REGION_BYTES, 4096)], REGION_RANGE),
            (page + [(region, REGION_BYTES - 4096, 8192)], REGION_RANGE),
            (page + [(0xffff, 0, 4096)], REGION_UNKNOWN),
            (page + [(region + 1, 0, 4096)], REGION_UNKNOWN),
            ([(region, 2, 8192)], REGION_ALIGN),
            ([(region, 0, 0xfffff000), (region, 0, 8192)], REGION_RANGE)]:
        for opc in (READ, WRITE):
            status = submit_list(opc, 16, pieces)
            if len(pieces) > CLIENT.info["max_segs"]:
                assert status == LIST_INVALID, (pieces, hex(status))
            else:
                assert status == expected, (pieces, hex(status))
    # Lists on the admin ring, which has no area for them.
    status = CLIENT.admin.submit(0x06, nsid=0, flags=ring.F_LIST, data=0, data_len=1, cdw=(1,))
    assert status == LIST_INVALID, hex(status)


@suite.test("a list that changes while it is read moves nothing but what was checked")
def lists_changing():
    ring, region = CLIENT.ring, CLIENT.region
    theirs = os.urandom(256 * BLOCK)
    OTHER.mem[0:len(theirs)] = theirs
    stop = threading.Event()

    def scribble():
        generator = random.Random(99)
        while not stop.is_set():
            ring.put_segment(generator.randrange(4), generator.choice([region, region, 0, 77]),
                             generator.randrange(0, 512) * 4096, generator.choice([4096, 8192, 0]))

    thread = threading.Thread(target=scribble)
    thread.start()
    try:
        for i in range(2000):
            ring.submit(READ, flags=ring.F_LIST, data=i % 4, data_len=4 - i % 4,
                        cdw=blocks(0, 8 * (1 + i % 3)))
    finally:
        stop.set()
        thread.join()
    assert OTHER.mem[0:len(theirs)] == theirs
    assert OTHER.read(5000, 1) is not None


@suite.test("reserved flags are refused")
def flags():
    ring = CLIENT.ring
    for value in range(0x40):
        if value & 3 in (1, 2):
            continue
        status = ring.submit(READ, flags=value, data=place(CLIENT.region), data_len=BLOCK,
                             cdw=blocks(0, 1))
        assert status == (INVALID_FIELD if value else 0), (hex(value), hex(status))


@suite.test("halves of fused commands, and pairs that are none, reach nobody")
def fused():
    ring = CLIENT.ring
    count = [0]

    def half(opc, fuse, lba=6000, nsid=1):
        count[0] += 1
        ring.push(ring.command(opc, cid=count[0], flags=fuse, nsid=nsid, data=place(CLIENT.region),
                               data_len=4096, cdw=blocks(lba, 1)))

    def wait(*statuses):
        ring.kick()
        done = [ring.completion() for _ in statuses]
        found = [status & 0x7ff for _, status, _ in sorted(done)]
        assert found == list(statuses), [hex(status) for status in found]

    data = os.urandom(BLOCK)
    assert CLIENT.write(6000, data) == 0
    CLIENT.mem[0:BLOCK] = bytes(BLOCK)
    half(WRITE, 2)
    wait(FUSED_MISSING)
    half(COMPARE, 1)
    half(COMPARE, 1)
    wait(FUSED_MISSING)
    half(FLUSH, 0)
    wait(FUSED_MISSING, 0)
    half(WRITE, 1)
    half(WRITE, 2)
    wait(INVALID_FIELD, INVALID_FIELD)
    half(COMPARE, 1)
    half(WRITE, 2, lba=6001)
    wait(INVALID_FIELD, INVALID_FIELD)
    half(COMPARE, 1, lba=6)
    half(WRITE, 2, lba=6, nsid=2)
    wait(INVALID_FIELD, INVALID_FIELD)
    half(COMPARE, 1)
    half(WRITE, 2, nsid=99)
    wait(FUSED_FAIL, INVALID_NS)
    assert CLIENT.read(6000, 1) == data
    # A half that nothing follows, over the end of its client.
    bad = Client()
    bad.ring.push(bad.ring.command(COMPARE, flags=1, data=place(bad.region), data_len=BLOCK,
                                   cdw=blocks(0, 1)))
    bad.ring.kick()
    assert OTHER.read(5000, 1) is not None
    bad.close()
    assert OTHER.read(5000, 1) is not None


@suite.test("compare and write, fused: the write happens where the comparison succeeds")
def compare_and_write():
    ring, region = CLIENT.ring, CLIENT.region
    CLIENT.admin.submit(0x06, nsid=0, data=place(region), data_len=4096, cdw=(1,))
    if not CLIENT.mem[522] & 1:  # FUSES
        return
    old, new = os.urandom(BLOCK), os.urandom(BLOCK)
    assert CLIENT.write(6100, old) == 0
    for after, expected in [(new, 0), (new, 0x285)]:
        CLIENT.mem[0:2 * BLOCK] = old + (new if not expected else os.urandom(BLOCK))
        ring.push(ring.command(COMPARE, cid=1, flags=1, data=place(region), data_len=BLOCK,
                               cdw=blocks(6100, 1)))
        ring.push(ring.command(WRITE, cid=2, flags=2, data=place(region, BLOCK), data_len=BLOCK,
                               cdw=blocks(6100, 1)))
        ring.kick()
        done = sorted(ring.completion() for _ in range(2))
        assert done[0][1] & 0x7ff == expected, hex(done[0][1])
        assert bool(done[1][1] & 0x7ff) == bool(expected), hex(done[1][1])
        assert CLIENT.read(6100, 1, 65536) == after


def push_pair(client, compare=None, write=None):
    """Compare block 6200 with what the region begins with, and write the block behind that."""
    for cid, opc, fuse, changes in (1, COMPARE, 1, compare), (2, WRITE, 2, write):
        command = {"cid": cid, "flags": fuse, "data": place(client.region, (cid - 1) * BLOCK),
                   "data_len": BLOCK, "cdw": blocks(6200, 1), **(changes or {})}
        client.ring.push(client.ring.command(opc, **command))


@suite.test("compare and write of which one half is refused: neither is sent, and the ring goes on")
def half_refused():
    ring, last = CLIENT.ring, (64 << 20) // BLOCK
    old, new = os.urandom(BLOCK), os.urandom(BLOCK)
    assert CLIENT.write(6200, old) == 0
    CLIENT.mem[0:2 * BLOCK] = old + new

    def counted():
        (qpair,) = [q for q in CLIENT.rpc.call("get_qpairs", controller="nvme0")
                    if q["qpair"] == ring.number and q["client"] == me]
        return qpair["commands"] == ring.tail and qpair

    def sent():
        """The counts come after the completions, at the end of the reactor's turn."""
        qpair = wait_until(counted, what="each command is counted")
        return qpair["commands"] - qpair["refused"], qpair["refused"]
    me = min(c["client"] for c in CLIENT.rpc.call("get_clients") if c["pid"] == os.getpid())
    for wrong, status in [({"cdw": blocks(last, 1)}, LBA_RANGE),
                          ({"cdw": blocks(last - 1, 2), "data_len": 2 * BLOCK}, LBA_RANGE),
                          ({"data": place(CLIENT.region + 1)}, REGION_UNKNOWN),
                          ({"data": place(CLIENT.region, REGION_BYTES - 4)}, REGION_RANGE),
                          ({"data": place(CLIENT.region, 2)}, REGION_ALIGN),
                          ({"data_len": BLOCK - 4}, LENGTH_MISMATCH),
                          ({"nsid": 99}, INVALID_NS)]:
        for half in (0, 1):
            before = sent()
            push_pair(CLIENT, **{("compare", "write")[half]: wrong})
            ring.push(ring.command(FLUSH, cid=3))
            ring.kick()
            done = [code & 0x7ff for _, code, _ in sorted(ring.completion() for _ in range(3))]
            expected = [FUSED_FAIL, FUSED_FAIL, 0]
            expected[half] = status
            assert done == expected, (wrong, half, done)
            wait_until(lambda: sent() == (before[0] + 1, before[1] + 2),
                       what="the flush alone has been sent")
            assert CLIENT.read(6200, 1, 65536) == old, (wrong, half)
    push_pair(CLIENT)
    ring.kick()
    assert [ring.completion()[1] & 0x7ff for _ in range(2)] == [0, 0]
    assert CLIENT.read(6200, 1, 65536) == new


@suite.test("compare and write of which the controller refuses the comparison: nothing is written")
def comparison_refused():
    ring = CLIENT.ring
    old, new = os.urandom(BLOCK), os.urandom(BLOCK)
    assert CLIENT.write(6200, old) == 0
    CLIENT.mem[0:2 * BLOCK] = old + new
    with Control(EMULATOR) as control:
        for status in (0x06, 0x281):  # Internal Error, Unrecovered Read Error
            control.set(f"status={status | 0x4000:x}:opc=05")  # Do Not Retry
            push_pair(CLIENT)
            ring.kick()
            done = dict(ring.completion()[:2] for _ in range(2))
            assert done[1] & 0x7ff == status and done[2] & 0x7ff, done
            assert control.ask("list") == ["ok"], "the fault has been met"
            assert CLIENT.read(6200, 1, 65536) == old
    push_pair(CLIENT)
    ring.kick()
    assert [ring.completion()[1] & 0x7ff for _ in range(2)] == [0, 0]
    assert CLIENT.read(6200, 1, 65536) == new


HALF_CLIENT = """
import sys, time
from nvmux_test import Rpc, Session
class Daemon:
    rpc = staticmethod(lambda: Rpc(sys.argv[1]))
client = Session(Daemon, "nvme0")
region = client.memory(1 << 20)
ring = client.qpair(32)
for i in range(int(sys.argv[2])):
    ring.push(ring.command(2, cid=i, data=region << 48, data_len=512, cdw=(0, 0, 0)))
ring.push(ring.command(5, cid=99, flags=1, data=region << 48, data_len=512, cdw=(6200, 0, 0)))
ring.kick()
for i in range(int(sys.argv[2])):
    ring.completion()
print("half", flush=True)
time.sleep(600)
"""


@suite.test("clients that are killed between two halves: others are served, nothing is left")
def killed_between():
    before = Counts(DAEMON, 3)
    data = os.urandom(BLOCK)
    assert CLIENT.write(6200, data) == 0
    os.environ["PYTHONPATH"] = os.path.dirname(os.path.abspath(__file__))
    for turn in range(12):
        child = RUN.process(f"half{turn}", [sys.executable, "-c", HALF_CLIENT, DAEMON.socket,
                                            str(turn % 4 * 5)], wrap=False)
        wait_until(lambda child=child: "half" in child.out() or not child.alive(),
                   what="half of a pair has been sent")
        assert child.alive(), child.err()
        assert OTHER.read(5000, 8) is not None
        child.kill()
        assert OTHER.read(5000, 8) is not None
        # the next one's pair isn't made of that half
        CLIENT.ring.push(CLIENT.ring.command(WRITE, flags=2, data=place(CLIENT.region),
                                             data_len=BLOCK, cdw=blocks(6200, 1)))
        CLIENT.ring.kick()
        assert CLIENT.ring.completion()[1] & 0x7ff == FUSED_MISSING
    before.same()
    assert CLIENT.read(6200, 1, 65536) == data


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
        raw[1] &= 0xfc  # halves of fused commands wait for the next one
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
