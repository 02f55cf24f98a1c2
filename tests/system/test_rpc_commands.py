#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The RPC methods of single commands, beyond reads and writes: what they send, and refusals."""

import os
import struct
import time

from nvmux_test import Counts, Run, RpcError, Session, Skip, Suite, attach, expect_error
from test_faults import Control

INVALID_PARAMS, ERRNO, NVME_STATUS = -32602, -32000, -32003
INVALID_OPCODE, INVALID_FIELD, COMMAND_SEQUENCE, LBA_RANGE = 0x01, 0x02, 0x0c, 0x80
COMPARE_FAILURE, REGION_UNKNOWN, REGION_RANGE = 0x285, 0x700, 0x701
LENGTH_MISMATCH, LENGTH_LIMIT, LIST_INVALID, OPCODE_REFUSED = 0x703, 0x704, 0x706, 0x70a
GET_LBA_STATUS = 0x86
REGION_BYTES = 1 << 20
BLOCK = 512

suite = Suite()
RUN = Run()
DAEMON = None
SESSION = None
REGION = None
COUNTS = []


def call(method, **params):
    return SESSION.rpc.call(method, controller="nvme0", **params)


def here(offset=0):
    return {"region": REGION, "offset": offset}


def write(lba, data, nsid=1):
    put(REGION_BYTES // 2, data)
    call("write", nsid=nsid, lba=lba, lba_count=len(data) // BLOCK, **here(REGION_BYTES // 2))


def read(lba, count, nsid=1):
    put(REGION_BYTES // 2, b"\xee" * (count * BLOCK))
    call("read", nsid=nsid, lba=lba, lba_count=count, **here(REGION_BYTES // 2))
    return get(REGION_BYTES // 2, count * BLOCK)


def ends_with(statuses, method, **params):
    """The call is answered with one of these NVMe statuses."""
    statuses = (statuses,) if isinstance(statuses, int) else statuses
    error = expect_error(call, method, code=NVME_STATUS, errno_name="EIO", **params)
    assert error.data["nvme_status"] in statuses, f"{statuses} expected: {error}"
    return error


def offered(method, refused=(INVALID_OPCODE,), **params):
    """Whether the controller knows the command; a status that isn't such a refusal is wrong."""
    try:
        return call(method, **params)
    except RpcError as error:
        assert error.code == NVME_STATUS and error.data["nvme_status"] in refused, str(error)
        return None


def put(offset, data):
    SESSION.maps[REGION][offset:offset + len(data)] = data


def get(offset, size):
    return SESSION.maps[REGION][offset:offset + size]


@suite.test("a session with an open controller and a region", essential=True)
def start():
    global DAEMON, SESSION, REGION
    emulator = RUN.emulator("mem,size=64M,bs=512")
    DAEMON = RUN.daemon()
    attach(DAEMON, emulator, "nvme0")
    COUNTS.append(Counts(DAEMON))
    SESSION = Session(DAEMON, "nvme0")
    REGION = SESSION.memory(REGION_BYTES)


@suite.test("compare: equal data, other data, a range beyond the end")
def compare():
    data = os.urandom(4 * BLOCK)
    write(10, data)
    put(0, data)
    place = {"nsid": 1, "lba": 10, "lba_count": 4, **here()}
    assert call("compare", **place) == {"dw0": 0, "dw1": 0}
    put(4 * BLOCK - 1, bytes([data[-1] ^ 1]))
    ends_with(COMPARE_FAILURE, "compare", **place)
    ends_with(LBA_RANGE, "compare", **{**place, "lba": (64 << 20) // BLOCK - 3})
    ends_with(REGION_UNKNOWN, "compare", **{**place, "region": REGION + 1})


@suite.test("write_zeroes, with and without deallocation, and verify")
def write_zeroes():
    write(100, b"\xff" * (8 * BLOCK))
    call("write_zeroes", nsid=1, lba=101, lba_count=2)
    call("write_zeroes", nsid=1, lba=104, lba_count=3, deallocate=True, fua=True)
    assert read(100, 8) == b"\xff" * BLOCK + bytes(2 * BLOCK) + b"\xff" * BLOCK + \
        bytes(3 * BLOCK) + b"\xff" * BLOCK
    call("verify", nsid=1, lba=100, lba_count=8)
    for method in ("write_zeroes", "verify", "write_uncorrectable"):
        ends_with(LBA_RANGE, method, nsid=1, lba=(64 << 20) // BLOCK, lba_count=1)
        expect_error(call, method, nsid=1, lba=0, lba_count=65537, code=INVALID_PARAMS,
                     says="lba_count")


@suite.test("dataset_management: 256 ranges are deallocated, and nothing between them")
def dataset_management():
    write(200, b"\x55" * (512 * BLOCK))
    ranges = [{"lba": 200 + 2 * i, "lba_count": 1} for i in range(256)]
    call("dataset_management", nsid=1, ranges=ranges, deallocate=True)
    assert read(200, 512) == (bytes(BLOCK) + b"\x55" * BLOCK) * 256
    call("dataset_management", nsid=1, ranges=[{"lba": 200, "lba_count": 8, "attributes": 3}],
         integral_read=True, integral_write=True)
    ends_with(LBA_RANGE, "dataset_management", nsid=1, deallocate=True,
              ranges=[{"lba": (64 << 20) // BLOCK, "lba_count": 1}])


@suite.test("entries of lists are checked: type, range, names")
def list_entries():
    for ranges, says in [([], "ranges"), ([{"lba": 0, "lba_count": 1}] * 257, "ranges"),
                         ([3], "isn't an object"), ([{"lba": 0}], "lba_count"),
                         ([{"lba": -1, "lba_count": 1}], "lba"),
                         ([{"lba": "0", "lba_count": 1}], "lba"),
                         ([{"lba": 0, "lba_count": 1 << 32}], "lba_count"),
                         ([{"lba": 0, "lba_count": 1, "lbas": 1}], "lbas")]:
        expect_error(call, "dataset_management", nsid=1, ranges=ranges, code=INVALID_PARAMS,
                     says=says)
    expect_error(call, "copy", nsid=1, dest_lba=0, ranges=[{"lba": 0, "lba_count": 0}],
                 code=INVALID_PARAMS, says="lba_count")
    expect_error(call, "read", nsid=1, lba=0, lba_count=1, pieces=[{"region": REGION}],
                 code=INVALID_PARAMS, says="length")


@suite.test("copy: ranges in their order, or Invalid Opcode")
def copy():
    data = os.urandom(8 * BLOCK)
    write(1000, data)
    write(2000, bytes(8 * BLOCK))
    ranges = [{"lba": 1004, "lba_count": 2}, {"lba": 1000, "lba_count": 3}]
    if offered("copy", nsid=1, dest_lba=2000, ranges=ranges):
        assert read(2000, 8) == data[4 * BLOCK:6 * BLOCK] + data[:3 * BLOCK] + bytes(3 * BLOCK)


@suite.test("compare_and_write, or EOPNOTSUPP: nothing is written after a failed comparison")
def compare_and_write():
    old, new = os.urandom(BLOCK), os.urandom(BLOCK)
    write(50, old)
    put(0, old + new)
    params = {"nsid": 1, "lba": 50, "lba_count": 1, **here(), "write_region": REGION,
              "write_offset": BLOCK}
    try:
        call("compare_and_write", **params)
    except RpcError as error:
        assert error.data["errno"] == "EOPNOTSUPP", str(error)
        assert read(50, 1) == old
        return
    assert read(50, 1) == new
    ends_with(COMPARE_FAILURE, "compare_and_write", **params)
    assert read(50, 1) == new
    ends_with(REGION_RANGE, "compare_and_write", **{**params, "write_offset": REGION_BYTES})
    assert read(50, 1) == new


@suite.test("data in pieces: read and write, from and to several regions")
def pieces():
    (ctrl,) = SESSION.rpc.call("get_controllers", name="nvme0")
    if ctrl["max_segments"] < 2:
        raise Skip("this transport takes one piece of memory")
    other = SESSION.memory(65536)
    data = os.urandom(16384)
    SESSION.maps[other][8192:16384] = data[:8192]
    put(4096, data[8192:])
    pieces_ = [{"region": other, "offset": 8192, "length": 8192},
               {"region": REGION, "offset": 4096, "length": 8192}]
    call("write", nsid=1, lba=3000, lba_count=32, pieces=pieces_)
    assert read(3000, 32) == data
    SESSION.maps[other][8192:16384] = bytes(8192)
    put(4096, bytes(8192))
    call("read", nsid=1, lba=3000, lba_count=32, pieces=pieces_)
    assert SESSION.maps[other][8192:16384] + get(4096, 8192) == data
    call("io_raw", opc=5, nsid=1, cdw10=3000, cdw12=31, pieces=pieces_)
    ends_with((LENGTH_MISMATCH, LIST_INVALID), "read", nsid=1, lba=3000, lba_count=33,
              pieces=pieces_)
    ends_with((REGION_UNKNOWN, LIST_INVALID), "read", nsid=1, lba=3000, lba_count=32,
              pieces=[{"region": 60, "length": 16384}])
    expect_error(call, "read", nsid=1, lba=0, lba_count=1, region=REGION, pieces=pieces_,
                 code=INVALID_PARAMS, says="pieces")
    expect_error(call, "read", nsid=1, lba=0, lba_count=1, code=INVALID_PARAMS, says="region")
    expect_error(call, "read", nsid=1, lba=0, lba_count=1, **here(), md_region=REGION,
                 code=INVALID_PARAMS, says="metadata")
    SESSION.rpc.call("free_memory", region=other)


@suite.test("pieces of commands without data are refused, whatever regions they name")
def pieces_of_nothing():
    ring = SESSION.qpair()
    if not ring.list_entries:
        raise Skip("rings without lists")
    for region in (5, 63, 64, 65535):
        for opc, dwords in ((0x00, ()), (0x08, (0, 0, 0)), (0x0c, (0, 0, 0)), (0x1d, (0,))):
            names = {f"cdw{10 + i}": value for i, value in enumerate(dwords)}
            ends_with((LIST_INVALID, INVALID_OPCODE), "io_raw", opc=opc, nsid=1, **names,
                      pieces=[{"region": region, "length": 4096}])
            struct.pack_into("<QII", ring.map, ring.list_offset, region << 48, 4096, 0)
            status = ring.submit(opc, flags=ring.F_LIST, data=0, data_len=1, cdw=dwords)
            assert status in (LIST_INVALID, INVALID_OPCODE), hex(status)
        ends_with((REGION_UNKNOWN, LIST_INVALID), "io_raw", opc=2, nsid=1,
                  pieces=[{"region": region, "length": 4096}])
    assert DAEMON.alive(), DAEMON.err()
    SESSION.rpc.call("free_io_qpair", qpair=ring.number)
    ring.close()
    del SESSION.rings[ring.number]


@suite.test("the daemon's own staging memory can't be named by a client")
def staging_is_private():
    for region in range(REGION + 1, 64 + 4):
        ends_with(REGION_UNKNOWN, "io_raw", opc=9, nsid=1, region=region, length=16)


@suite.test("reservations: keys are checked; the commands pass, or are Invalid Opcode")
def reservations():
    key = {"nsid": 1, "current_key": "0xfedcba9876543210"}
    # Command Sequence Error: the host has no identifier
    if offered("reservation_register", (INVALID_OPCODE, COMMAND_SEQUENCE), nsid=1,
               new_key=key["current_key"]):
        call("reservation_acquire", rtype="write_exclusive", **key)
        call("reservation_report", nsid=1, length=4096, extended=True, **here())
        assert get(4, 1) == b"\x01"
        call("reservation_release", rtype="write_exclusive", **key)
        call("reservation_register", action="unregister", **key)
    for text in ("", "12x", "-1", "0x1ffffffffffffffff"):
        expect_error(call, "reservation_register", nsid=1, new_key=text, code=INVALID_PARAMS,
                     says="new_key")
    expect_error(call, "reservation_acquire", nsid=1, rtype="none", code=INVALID_PARAMS,
                 says="write_exclusive_all_regs")


@suite.test("zone commands on a namespace that isn't zoned, I/O management: refused")
def not_offered():
    refused = (INVALID_OPCODE, INVALID_FIELD, OPCODE_REFUSED)
    ends_with(refused, "zns_append", nsid=1, zslba=0, lba_count=1, **here())
    ends_with(refused, "zns_mgmt_send", nsid=1, action="reset", select_all=True)
    ends_with(refused, "zns_report_zones", nsid=1, length=4096, **here())
    offered("io_mgmt_recv", nsid=1, mo=1, length=4096, **here())
    expect_error(call, "zns_mgmt_send", nsid=1, action="explode", code=INVALID_PARAMS,
                 says="set_zone_desc_ext")


@suite.test("get_log_page, get_feature, set_feature")
def logs_and_features():
    put(0, b"\xee" * 512)
    call("get_log_page", lid=2, length=512, **here())
    temperature = struct.unpack("<H", get(1, 2))[0]
    assert 200 < temperature < 400, temperature
    put(512, b"\xee" * 512)
    call("get_log_page", lid=2, length=8, log_offset=0, **here(512))
    assert get(512, 8) == get(0, 8) and get(520, 4) == b"\xee" * 4
    expect_error(call, "get_log_page", lid=2, length=510, code=INVALID_PARAMS, says="multiple",
                 **here())
    threshold = call("get_feature", fid=4)["dw0"]
    call("set_feature", fid=4, cdw11=threshold - 1)
    assert call("get_feature", fid=4)["dw0"] == threshold - 1
    call("set_feature", fid=4, cdw11=threshold)
    for fid in (7, 0x0b, 0x0d):
        ends_with(OPCODE_REFUSED, "set_feature", fid=fid, cdw11=0)


@suite.test("admin commands pass, or the controller's refusal does")
def admin():
    size = {"length": 4096, **here()}
    for method, params in [("self_test", {"stc": 1}),
                           ("sanitize", {"action": "exit_failure"}),
                           ("security_receive", {"secp": 0, **size}),
                           ("security_send", {"secp": 0xea, **size}),
                           ("directive_receive", {"nsid": 1, "doper": 1, "dtype": 0, **size}),
                           ("fw_download", {"image_offset": 0, **size}),
                           ("fw_commit", {"slot": 7, "action": 1})]:
        try:
            call(method, **params)
        except RpcError as error:
            assert error.code == NVME_STATUS, f"{method}: {error}"
            assert error.data["nvme_status"] < 0x700, f"{method}: {error}"
    expect_error(call, "sanitize", action="wash", code=INVALID_PARAMS, says="crypto_erase")
    expect_error(call, "attach_ns", nsid=1, cntids=[70000], code=INVALID_PARAMS, says="cntids")


@suite.test("get LBA status may take long: no deadline, no reset, and others are served meanwhile")
def lba_status():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        attach(daemon, emulator, "slow")
        with Session(daemon, "slow") as client, daemon.rpc() as rpc:
            region = client.memory(8192)

            def lba_status_params(mndw=1023, **place):
                return {"controller": "slow", "opc": GET_LBA_STATUS, "nsid": 1, "cdw12": mndw,
                        "cdw13": 0x11 << 24, **place}
            here_ = {"region": region, "offset": 0, "length": 4096}
            for wrong, status in [({}, LENGTH_MISMATCH), ({**here_, "length": 4092},
                                                          LENGTH_MISMATCH),
                                  ({**here_, "mndw": 1024}, LENGTH_MISMATCH),
                                  ({**here_, "region": region + 1}, REGION_UNKNOWN),
                                  ({**here_, "offset": 4100}, REGION_RANGE),
                                  ({**here_, "length": 1 << 31, "mndw": (1 << 29) - 1},
                                   LENGTH_LIMIT)]:
                error = expect_error(client.rpc.call, "admin_raw", code=NVME_STATUS,
                                     **lba_status_params(**wrong))
                assert error.data["nvme_status"] == status, (wrong, str(error))
            with Control(emulator) as control:
                control.set(f"delay:opc={GET_LBA_STATUS:x}:qid=0:ms=10600")  # 10 s for others
                began = time.monotonic()
                ident = client.rpc.request("admin_raw", lba_status_params(**here_))
                served = 0
                while time.monotonic() - began < 10.3:
                    with Session(daemon, "slow") as other:
                        other.rpc.call("identify", controller="slow", cns=1)
                        assert other.qpair().submit(0) == 0
                    served += 1
                    time.sleep(0.1)
                assert control.ask("list") == ["ok"], "it has been delayed"
            error = expect_error(client.rpc.answer, ident, code=NVME_STATUS)
            # the emulator doesn't know the command, and says so after its time
            assert error.data["nvme_status"] == INVALID_OPCODE, str(error)
            assert time.monotonic() - began > 10.5 and served > 5, served
            (ctrl,) = rpc.call("get_controllers", name="slow")
            assert ctrl["resets"] == 0 and ctrl["state"] == "ready", ctrl


@suite.test("reset_subsystem: done, or EOPNOTSUPP; the controller works afterwards")
def reset_subsystem():
    data = os.urandom(BLOCK)
    write(70, data)
    try:
        SESSION.rpc.call("reset_subsystem", name="nvme0")
    except RpcError as error:
        assert error.data["errno"] == "EOPNOTSUPP", str(error)
    assert read(70, 1) == data


@suite.test("format: subscribers are told, and the new format holds at once")
def format_namespace():
    if not SESSION.rpc.call("identify", controller="nvme0", cns=1)["oacs"] & 2:
        raise Skip("the controller can't format")
    with DAEMON.rpc() as events:
        events.call("subscribe_events")
        formats = SESSION.rpc.call("identify", controller="nvme0", cns=0, nsid=1)["lbafs"]
        lbaf = next((i for i, f in enumerate(formats) if f["ds"] == 12 and f["ms"] == 0), None)
        if lbaf is None:
            raise Skip("the namespace has no format of 4096 bytes")
        call("format", nsid=1, lbaf=lbaf)
        assert SESSION.rpc.call("get_namespaces")[0]["block_size"] == 4096
        events.call("get_version")
        told = [n["params"] for n in events.notifications]
        assert {"type": "namespace_formatted", "name": "nvme0", "nsid": 1, "blocks": 16384,
                "block_size": 4096, "metadata_size": 0} in told, told


@suite.test("get_effects: reads are harmless, format isn't, and what isn't there isn't listed")
def effects():
    table = SESSION.rpc.call("get_effects", controller="nvme0")
    io = {e["opc"]: e for e in table["io"]}
    admin_ = {e["opc"]: e for e in table["admin"]}
    assert not any(io[2][k] for k in ("lbcc", "ncc", "nic", "ccc", "cse")), io[2]
    assert 6 in admin_ and 0x7f not in admin_, admin_
    if 0x80 in admin_:
        assert admin_[0x80]["ncc"] or admin_[0x80]["lbcc"], admin_[0x80]
    expect_error(SESSION.rpc.call, "get_effects", controller="nvme7", code=ERRNO,
                 errno_name="ENODEV")


@suite.test("injected errors: so many commands end with them, and not the daemon's own")
def injection():
    inject = {"opc": 0x0a, "nvme_status": 0x1c3, "dnr": True}
    call("add_error_injection", count=2, do_not_submit=True, delay_us=2000, **inject)
    for _ in range(2):
        error = ends_with(0x1c3, "get_feature", fid=4)
        assert error.data["dnr"] is True, error.data
    call("get_feature", fid=4)
    call("add_error_injection", count=0xffffffff, **inject)
    ends_with(0x1c3, "get_feature", fid=4)
    assert call("remove_error_injection", opc=0x0a) is True
    assert call("remove_error_injection", opc=0x0a) is False
    call("get_feature", fid=4)
    for opc in (0x01, 0x0c, 0x18, 0x7f):
        expect_error(call, "add_error_injection", opc=opc, nvme_status=1, code=INVALID_PARAMS,
                     says="opc")


@suite.test("get_controllers shows the options in effect")
def options():
    (ctrl,) = SESSION.rpc.call("get_controllers", name="nvme0")
    shown = ctrl["options"]
    assert shown["io_timeout_ms"] == 30000 and shown["retry_count"] == 4, shown
    assert shown["arbitration"] == 0 and shown["arbitration_burst"] == 7, shown
    assert "reconnect_delay_sec" not in shown, shown


@suite.test("everything is given back")
def end():
    SESSION.close()
    COUNTS[0].same()
    RUN.stop()


try:
    suite.main()
finally:
    RUN.clean_up()
