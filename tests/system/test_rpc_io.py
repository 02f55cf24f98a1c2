#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The RPC methods that send commands: data, ranges, statuses, and the controller's closing."""

import os

from nvmux_test import Counts, Run, RpcError, Session, Suite, attach, expect_error, wait_until

INVALID_PARAMS, ERRNO, NVME_STATUS = -32602, -32000, -32003
INVALID_OPCODE, INVALID_FIELD, INVALID_NS, LBA_RANGE = 0x01, 0x02, 0x0b, 0x80
INVALID_LOG_PAGE, COMPARE_FAILURE = 0x109, 0x285
REGION_UNKNOWN, REGION_RANGE, REGION_ALIGN = 0x700, 0x701, 0x702
LENGTH_MISMATCH, LENGTH_LIMIT, OPCODE_REFUSED = 0x703, 0x704, 0x70a
FLUSH, COMPARE, WRITE_ZEROES = 0x00, 0x05, 0x08
IDENTIFY, GET_FEATURES, GET_LOG_PAGE = 0x06, 0x0a, 0x02
NAMESPACES = {1: (512, 64 << 20), 2: (4096, 16 << 20)}
REGION_BYTES = 1 << 20

suite = Suite()
RUN = Run()
DAEMON = None
SESSION = None
REGION = None
COUNTS = []


def call(method, **params):
    return SESSION.rpc.call(method, controller="nvme0", **params)


def transfer(method, lba, lba_count, nsid=1, offset=0, **params):
    return call(method, nsid=nsid, lba=lba, lba_count=lba_count, offset=offset,
                **{"region": REGION, **params})


def ends_with(status, method, **params):
    """The call is answered with this NVMe status, in numbers and words."""
    error = expect_error(call, method, code=NVME_STATUS, errno_name="EIO", **params)
    assert error.data["nvme_status"] == status, f"{status:#x} expected: {error}"
    text = error.data["nvme_status_text"]
    assert len(text) > 4 and text in error.message, str(error)


def put(offset, data):
    SESSION.maps[REGION][offset:offset + len(data)] = data


def get(offset, size):
    return SESSION.maps[REGION][offset:offset + size]


@suite.test("a session with an open controller and a region", essential=True)
def start():
    global DAEMON, SESSION, REGION
    emulator = RUN.emulator("mem,size=64M,bs=512", "mem,size=16M,bs=4096")
    DAEMON = RUN.daemon()
    attach(DAEMON, emulator, "nvme0")
    COUNTS.append(Counts(DAEMON))
    SESSION = Session(DAEMON, "nvme0")
    REGION = SESSION.memory(REGION_BYTES)


@suite.test("what write has written read finds, at both block sizes, and nothing beside it changes")
def round_trip():
    for nsid, (block, _) in NAMESPACES.items():
        for lba, count, source, target in [(0, 1, 0, 4096), (1000, 8, 4, 65536),
                                           (77, 32, 4096, 262148)]:
            size = count * block
            around = os.urandom(size + 2 * block)
            put(0, around)
            first = max(lba - 1, 0)
            transfer("write", first, count + 2, nsid=nsid)
            data = os.urandom(size)
            put(source, data)
            assert transfer("write", lba, count, nsid=nsid, offset=source, fua=True) == \
                {"dw0": 0, "dw1": 0}
            put(target, b"\xee" * (size + 2 * block))
            transfer("read", first, count + 2, nsid=nsid, offset=target)
            before = (lba - first) * block
            expected = around[:before] + data + around[before + size:]
            assert get(target, size + 2 * block) == expected, (nsid, lba, count)


@suite.test("a read fills its part of the region and nothing else")
def only_its_part():
    put(0, b"\x11" * 512)
    transfer("write", 5, 1)
    put(0, b"\xee" * 8192)
    transfer("read", 5, 1, offset=4096 + 508)
    assert get(0, 8192) == b"\xee" * 4604 + b"\x11" * 512 + b"\xee" * (8192 - 5116)


@suite.test("flush, of a namespace that is there")
def flush():
    assert call("flush", nsid=1) == {"dw0": 0, "dw1": 0}
    assert call("flush", nsid=2) == {"dw0": 0, "dw1": 0}
    for nsid in (3, 0xffffffff):
        ends_with(INVALID_NS, "flush", nsid=nsid)
    expect_error(call, "flush", nsid=0, code=INVALID_PARAMS, says="nsid")


@suite.test("blocks beyond the namespace: LBA out of range, and the last block can be had")
def lba_range():
    for nsid, (block, size) in NAMESPACES.items():
        blocks = size // block
        place = {"nsid": nsid, "region": REGION, "offset": 0}
        put(0, b"\x77" * block)
        transfer("write", blocks - 1, 1, nsid=nsid)
        put(0, bytes(block))
        transfer("read", blocks - 1, 1, nsid=nsid)
        assert get(0, block) == b"\x77" * block
        for method in ("read", "write"):
            for lba, count in [(blocks, 1), (blocks - 1, 2), ((1 << 63) - 1, 8)]:
                ends_with(LBA_RANGE, method, lba=lba, lba_count=count, **place)
    expect_error(transfer, "read", 0, 0, code=INVALID_PARAMS, says="lba_count")
    expect_error(transfer, "read", -1, 1, code=INVALID_PARAMS, says="lba")
    expect_error(transfer, "read", 0, 1, nsid=9, code=ERRNO, errno_name="ENOENT", says="9")


@suite.test("data outside the region, unaligned, in no region or too much is refused")
def region_use():
    for method in ("read", "write"):
        common = {"method": method, "nsid": 1, "lba": 0}
        ends_with(REGION_RANGE, lba_count=1, region=REGION, offset=REGION_BYTES - 508, **common)
        ends_with(REGION_RANGE, lba_count=1, region=REGION, offset=REGION_BYTES, **common)
        ends_with(REGION_RANGE, lba_count=1, region=REGION, offset=(1 << 48) - 4, **common)
        ends_with(REGION_ALIGN, lba_count=1, region=REGION, offset=2, **common)
        ends_with(REGION_UNKNOWN, lba_count=1, region=REGION + 1, offset=0, **common)
        count = SESSION.info["max_transfer"] // 512
        ends_with(LENGTH_LIMIT, lba_count=count + 1, region=REGION, offset=0, **common)
        transfer(method, 0, count)


@suite.test("another session's region is none of ours")
def foreign_region():
    with Session(DAEMON, "nvme0") as other:
        own = other.memory(4096)
        number = other.memory(4096)
        assert number != REGION and own != number
        ends_with(REGION_UNKNOWN, "read", nsid=1, lba=0, lba_count=1, region=number, offset=0)


@suite.test("io_raw: compare succeeds on equal data and ends with Compare Failure otherwise")
def compare():
    data = os.urandom(1024)
    put(0, data)
    transfer("write", 40, 2)
    params = {"opc": COMPARE, "nsid": 1, "cdw10": 40, "cdw12": 1, "region": REGION, "length": 1024}
    assert call("io_raw", **params) == {"dw0": 0, "dw1": 0}
    put(1023, bytes([data[1023] ^ 1]))
    ends_with(COMPARE_FAILURE, "io_raw", **params)
    ends_with(LENGTH_MISMATCH, "io_raw", **{**params, "length": 512})
    put(0, data)
    transfer("read", 40, 2)
    assert get(0, 1024) == data, "a compare has changed the data"


@suite.test("io_raw: commands without data, and opcodes that there aren't")
def io_raw():
    put(0, b"\xff" * 4096)
    transfer("write", 100, 8)
    assert call("io_raw", opc=WRITE_ZEROES, nsid=1, cdw10=101, cdw12=5) == {"dw0": 0, "dw1": 0}
    transfer("read", 100, 8)
    assert get(0, 4096) == b"\xff" * 512 + bytes(6 * 512) + b"\xff" * 512
    assert call("io_raw", opc=FLUSH, nsid=1) == {"dw0": 0, "dw1": 0}
    ends_with(INVALID_OPCODE, "io_raw", opc=0x7d, nsid=1)
    ends_with(INVALID_NS, "io_raw", opc=FLUSH, nsid=9)
    expect_error(call, "io_raw", opc=256, nsid=1, code=INVALID_PARAMS, says="opc")


@suite.test("admin_raw: Identify, Get Features and Get Log Page; the daemon's own are refused")
def admin_raw():
    put(0, b"\xee" * 8192)
    call("admin_raw", opc=IDENTIFY, cdw10=1, region=REGION, offset=4, length=4096)
    assert get(0, 4) == b"\xee" * 4 and get(4100, 4) == b"\xee" * 4
    (ctrl,) = SESSION.rpc.call("get_controllers", name="nvme0")
    assert get(4 + 4, 20).decode().strip() == ctrl["serial"], get(8, 20)
    call("admin_raw", opc=IDENTIFY, nsid=2, cdw10=0, region=REGION, length=4096)
    assert int.from_bytes(get(0, 8), "little") == 4096, "NSZE of namespace 2"
    queues = call("admin_raw", opc=GET_FEATURES, cdw10=7)["dw0"]
    assert queues & 0xffff and queues >> 16, hex(queues)
    put(0, b"\xee" * 512)
    call("admin_raw", opc=GET_LOG_PAGE, cdw10=127 << 16 | 2, nsid=0xffffffff, region=REGION,
         length=512)
    assert get(0, 512) != b"\xee" * 512
    ends_with(INVALID_LOG_PAGE, "admin_raw", opc=GET_LOG_PAGE, cdw10=127 << 16 | 0xff,
              region=REGION, length=512)
    ends_with(INVALID_FIELD, "admin_raw", opc=IDENTIFY, cdw10=0xfe, region=REGION, length=4096)
    for opc in (0x00, 0x01, 0x04, 0x05, 0x0c):
        ends_with(OPCODE_REFUSED, "admin_raw", opc=opc, cdw10=1)


@suite.test("get_reactors counts what rings send")
def reactors():
    def total(key):
        return sum(r[key] for r in SESSION.rpc.call("get_reactors"))
    first = SESSION.rpc.call("get_reactors")
    assert [r["reactor"] for r in first] == list(range(len(first))) and first, first
    for reactor in first:
        assert reactor["mode"] in ("adaptive", "busy"), reactor
        assert isinstance(reactor["asleep"], bool), reactor
    channels, commands, completions = (total(k) for k in ("channels", "commands", "completions"))
    ring = SESSION.qpair()
    assert total("channels") == channels + 1
    for _ in range(100):
        assert ring.submit(0x02, data=REGION << 48, data_len=512) == 0
    wait_until(lambda: total("commands") >= commands + 100, what="the commands are counted")
    wait_until(lambda: total("completions") >= completions + 100, what="and their completions")
    SESSION.rpc.call("free_io_qpair", qpair=ring.number)
    SESSION.rings.pop(ring.number).close()
    assert total("channels") == channels


@suite.test("a closed controller takes no commands: ENOTCONN; opened again it does")
def close_controller():
    ring = SESSION.qpair()
    put(0, b"\x42" * 512)
    transfer("write", 9, 1)
    assert SESSION.rpc.call("close_controller", name="nvme0") is True
    assert SESSION.rpc.call("get_qpairs") == [], "its queue pairs are still there"
    for method, params in [("read", {"nsid": 1, "lba": 9, "lba_count": 1, "region": REGION,
                                     "offset": 0}),
                           ("write", {"nsid": 1, "lba": 9, "lba_count": 1, "region": REGION,
                                      "offset": 0}),
                           ("flush", {"nsid": 1}), ("io_raw", {"opc": FLUSH, "nsid": 1}),
                           ("admin_raw", {"opc": GET_FEATURES, "cdw10": 7}),
                           ("alloc_io_qpair", {})]:
        expect_error(call, method, code=ERRNO, errno_name="ENOTCONN", says="nvme0", **params)
    for name in ("nvme0", "nvme7"):
        expect_error(SESSION.rpc.call, "close_controller", name=name, code=ERRNO,
                     errno_name="ENOTCONN", says=name)
    SESSION.rings.pop(ring.number).close()
    SESSION.admin.close()
    SESSION.rpc.call("open_controller", name="nvme0")
    for fd in SESSION.rpc.take_fds():
        os.close(fd)
    put(0, bytes(512))
    transfer("read", 9, 1)
    assert get(0, 512) == b"\x42" * 512


@suite.test("commands on a controller that isn't there: ENODEV; parameters are checked first")
def no_controller():
    expect_error(SESSION.rpc.call, "flush", controller="nvme7", nsid=1, code=ERRNO,
                 errno_name="ENODEV", says="nvme7")
    try:
        SESSION.rpc.call("flush", nsid=1)
        raise AssertionError("a flush of no controller")
    except RpcError as error:
        assert error.code == INVALID_PARAMS and "controller" in error.message, str(error)


@suite.test("everything is given back")
def end():
    SESSION.close()
    COUNTS[0].same()
    RUN.stop()


try:
    suite.main()
finally:
    RUN.clean_up()
