#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The verbs that act on namespaces and controllers: each through the daemon and in the command's
own process, with what the device holds afterwards."""

import json
import os
import pty
import select
import struct
import subprocess
import time

from nvmux_test import SLOWNESS, WRAP, Counts, Run, Suite, program, wait_until

USAGE, FAILED, IO_ERROR = 1, 3, 4
BLOCK = 512
NAMESPACES = ("mem,size=16M,bs=512", "mem,size=8M,bs=512,zoned,zone=1M",
              "mem,size=4M,bs=512,ms=8,pi=1")

suite = Suite()
RUN = Run()
DAEMON = None
EMULATORS = []


class Target:
    """One controller, as the daemon's or driven by the command."""

    def __init__(self, name, daemon, words):
        self.name, self.daemon, self.words = name, daemon, words

    def where(self, nsid=None):
        """The words of a command line that name it."""
        if self.daemon:
            return [f"nvme0/{nsid}" if nsid else "nvme0"]
        return self.words + (["-n", str(nsid)] if nsid else [])

    def __call__(self, *args, nsid=None, **kwargs):
        """Run a verb: the first words are its name. Its output as text."""
        kwargs.setdefault("timeout", 30 * SLOWNESS)
        n = 2 if args[0] == "zns" else 1
        argv = [*args[:n], *self.where(nsid), *map(str, args[n:])]
        out = RUN.cli(self.daemon, *argv, **kwargs)
        return out.decode(errors="replace")

    def json(self, *args, nsid=None, **kwargs):
        n = 2 if args[0] == "zns" else 1
        argv = ["-o", "json", *args[:n], *self.where(nsid), *map(str, args[n:])]
        return json.loads(RUN.cli(self.daemon, *argv, **kwargs))

    def refused(self, *args, code, says, **kwargs):
        self(*args, code=code, **kwargs)
        for text in [says] if isinstance(says, str) else says:
            assert text in RUN.cli_err, (args, RUN.cli_err)

    def read(self, lba, blocks, nsid=1):
        n = str(nsid)
        where = ["nvme0/" + n] if self.daemon else self.words + ["-n", n]
        return RUN.cli(self.daemon, "read", *where, "--offset", str(lba * BLOCK), "--length",
                       str(blocks * BLOCK), "-")

    def write(self, lba, data, nsid=1):
        n = str(nsid)
        where = ["nvme0/" + n] if self.daemon else self.words + ["-n", n]
        RUN.cli(self.daemon, "write", *where, "--offset", str(lba * BLOCK), "-", data=data)


def each(what):
    """A test that is run for both ways to a controller."""
    def add(function):
        for target in range(2):
            def test(target=target):
                function(TARGETS[target])
            suite.test(f"{what} ({('daemon', 'in-process')[target]})")(test)
        return function
    return add


TARGETS = []


@suite.test("two controllers, one of the daemon", essential=True)
def start():
    global DAEMON
    for name in ("emu", "emu2"):
        EMULATORS.append(RUN.emulator(*NAMESPACES, name=name))
    DAEMON = RUN.daemon()
    RUN.cli(DAEMON, "attach", "-t", "vfio-user", "-a", EMULATORS[0].dir)
    TARGETS.append(Target("daemon", DAEMON, None))
    TARGETS.append(Target("in-process", None,
                          ["--transport", "vfio-user", "--traddr", EMULATORS[1].dir]))


def file_of(name, data):
    with open(RUN.path(name), "wb") as file:
        file.write(data)
    return RUN.path(name)


# ---- blocks ----

@each("write-zeroes zeroes its blocks and no others, in pieces where it is long")
def write_zeroes(t):
    t.write(0, b"\xaa" * 64 * BLOCK)
    result = t.json("write-zeroes", "-s", 4, "-c", 9, nsid=1)
    assert result["slba"] == 4 and result["blocks"] == 10 and result["nsid"] == 1, result
    assert t.read(0, 64) == b"\xaa" * 4 * BLOCK + bytes(10 * BLOCK) + b"\xaa" * 50 * BLOCK
    blocks = (16 << 20) // BLOCK
    t("write-zeroes", "--start-block", 0, "--block-count", hex(blocks - 1), "--deac", nsid=1)
    assert t.read(0, 64) == bytes(64 * BLOCK)
    t.refused("write-zeroes", "-s", 1, "-c", blocks - 1, code=FAILED, says=["beyond", "32768"],
              nsid=1)


@each("write-uncor makes reads and verify fail until the block is written")
def write_uncor(t):
    t.write(100, b"\x11" * 4 * BLOCK)
    t.refused("write-uncor", "-s", 101, code=USAGE, says="--force", nsid=1)
    assert t.read(101, 1) == b"\x11" * BLOCK
    t("write-uncor", "-s", 101, "--force", nsid=1)
    t.refused("verify", "-s", 100, "-c", 3, code=IO_ERROR, says=["blocks 100 to 103",
                                                               "type 2h, code 81h"], nsid=1)
    t("verify", "-s", 100, nsid=1)
    t.write(101, b"\x12" * BLOCK)
    assert t.json("verify", "-s", 100, "-c", 3, nsid=1)["blocks"] == 4


@each("compare tells equal from different data, in several commands where it is long")
def compare(t):
    data = os.urandom(2048 * BLOCK)
    t.write(200, data)
    same = file_of("same", data)
    assert "are the same" in t("compare", "-s", 200, "-c", 2047, "-d", same, nsid=1)
    wrong = file_of("wrong", data[:-1] + bytes([data[-1] ^ 1]))
    t.refused("compare", "-s", 200, "-c", 2047, "-d", wrong, code=IO_ERROR,
              says=["to 2247", "type 2h, code 85h"], nsid=1)
    t("compare", "-s", 200, "-c", 0, nsid=1, data=data[:BLOCK])
    t.refused("compare", "-s", 200, "-c", 1, code=IO_ERROR, says=["512", "1024"], nsid=1,
              data=data[:BLOCK])
    t.refused("compare", "-z", 100, code=USAGE, says=["--data-size", "512"], nsid=1, data=b"x")
    t("compare", "-s", 200, "-v", nsid=1, data=data[:BLOCK])
    assert "opcode       : 05" in RUN.cli_err and "cdw10        : 000000c8" in RUN.cli_err


@each("copy and dsm move and give up exactly the ranges that are named")
def ranges(t):
    data = os.urandom(16 * BLOCK)
    t.write(300, data)
    t("copy", "--sdlba", 400, "--slbs", "300,0x13a", "--blocks", "3,0", nsid=1)
    assert t.read(400, 5) == data[:4 * BLOCK] + data[14 * BLOCK:15 * BLOCK]
    assert t.json("dsm", "--ad", "-s", "301,304", "-b", "1,2", nsid=1)["ranges"] == 2
    left = bytearray(data)
    left[BLOCK:2 * BLOCK] = bytes(BLOCK)
    left[4 * BLOCK:6 * BLOCK] = bytes(2 * BLOCK)
    assert t.read(300, 16) == bytes(left)
    t.refused("dsm", "-s", 1, "-b", 1, code=USAGE, says="--ad", nsid=1)
    t.refused("dsm", "--ad", "-s", "1,2", "-b", 1, code=USAGE, says=["--blocks", "--slbs"], nsid=1)
    t.refused("copy", "-d", 0, "-s", "1,x", "-b", "0,0", code=USAGE, says=["--slbs", "x"], nsid=1)
    t.refused("copy", "-d", 0, "-s", 1, "-b", 70000, code=USAGE, says=["--blocks", "65535"], nsid=1)


@each("protection information is checked where --prinfo asks for it")
def protection(t):
    data, md = b"\x5a" * BLOCK, bytes(8)
    block = file_of("block", data)
    # PRACT: the controller makes the protection information, with the right reference tag.
    t("io-passthru", "-o", 1, "--cdw10", 9, "--cdw12", 1 << 29, "--cdw14", 9, "-l", BLOCK, "-i",
      block, "-w", nsid=3)
    t("verify", "-s", 9, "--prinfo", 7, nsid=3)
    t.refused("verify", "-s", 9, "--prinfo", 1, "--ref-tag", 8, code=IO_ERROR,
              says="type 1h, code 81h", nsid=3)
    meta = file_of("meta", md)
    t("io-passthru", "-o", 1, "--cdw10", 10, "-l", BLOCK, "-i", block, "-m", 8, "-M", meta,
      nsid=3)
    t.refused("verify", "-s", 10, "--prinfo", 4, code=IO_ERROR, says="type 2h, code 82h", nsid=3)
    t.refused("verify", "-s", 10, "--prinfo", 1, code=IO_ERROR, says="type 2h, code 84h", nsid=3)
    t.refused("verify", "--storage-tag", 1, code=USAGE, says="--storage-tag", nsid=3)
    t.refused("compare", "-s", 9, "-d", block, code=USAGE, says="--metadata", nsid=3)


@each("fields are checked: option, value and rule are named")
def bad_values(t):
    for args, says in [
            (("write-zeroes", "-c", "many"), ["--block-count", "many", "isn't a number"]),
            (("verify", "--prinfo", 16), ["--prinfo", "16", "0 to 15"]),
            (("resv-register", "--cptpl", 1), ["--cptpl", "1"]),
            (("resv-acquire", "--rtype", 9), ["--rtype", "9", "1 to 6"]),
            (("format", "--lbaf", 64, "--force"), ["--lbaf", "64", "0 to 63"]),
            (("format", "--block-size", 1000, "--force"), ["--block-size", "1000", "power"]),
            (("format", "-l", 0, "-b", 512, "--force"), ["--lbaf", "--block-size"]),
            (("sanitize", "--force"), ["--sanact"]),
            (("sanitize", "--sanact", "burn", "--force"), ["burn", "start-block-erase"]),
            (("fw-download",), ["--fw is needed"]),
            (("fw-commit", "--action", 5), ["--action", "5"]),
            (("device-self-test", "-s", 3), ["--self-test-code", "3"]),
            (("create-ns",), ["--nsze"]),
            (("create-ns", "--nsze-si", "big"), ["--nsze-si", "big"]),
            (("delete-ns", "--force"), ["which namespace"]),
            (("attach-ns",), ["which namespace"]),
            (("admin-passthru",), ["--opcode is needed"]),
            (("admin-passthru", "-o", 256), ["--opcode", "256", "0 to 255"]),
            (("admin-passthru", "-o", 6, "-w", "-l", 4), ["--write", "06h"]),
            (("io-passthru", "-o", 1, "-r", "-l", 512), ["--read", "01h"]),
            (("io-passthru", "-o", 0, "-l", 512), ["--data-len", "00h"]),
            (("io-passthru", "-o", 1, "-f", 1), ["--flags"]),
            (("zns", "open-zone"), ["--start-lba or --select-all"]),
            (("zns", "open-zone", "-s", 0, "-a"), ["exclude"]),
            (("zns", "zone-mgmt-send", "-s", 0), ["--zsa is needed"]),
            (("security-recv",), ["--size is needed"]),
            (("io-mgmt-recv", "-l", 3), ["--data-len", "3", "4"]),
    ]:
        t.refused(*args, code=USAGE, says=says)


# What somebody might type: namespace, words, exit code, and what the message has to say: which
# parameter, the value, and the rule.
WRONG = [
    (1, "format --lbaf x --force", USAGE, ["--lbaf", '"x"', "isn't a number"]),
    (1, "format --ses 9 --force", USAGE, ["--ses", "9", "0 to 2"]),
    (1, "format --pi 7 --force", USAGE, ["--pi", "7", "0 to 3"]),
    (9, "format --force", IO_ERROR, ["/9", "invalid namespace"]),
    (0, "sanitize --sanact 9 --force", USAGE, ["--sanact", '"9"', "4 start-crypto-erase"]),
    (0, "sanitize -a start-overwrite -n 77 --force", USAGE, ["--owpass", "77", "0 to 15"]),
    (0, "sanitize -a 3 -p 0x1ffffffff --force", USAGE, ["--ovrpat", "0x1ffffffff", "4294967295"]),
    (1, "dsm --ad", USAGE, ["--slbs is needed"]),
    (1, "dsm --ad -s a -b 1", USAGE, ["--slbs", '"a"', "list of numbers"]),
    (1, "dsm --ad -s 0 -b 4294967296", USAGE, ["--blocks", "4294967296", "at most 4294967295"]),
    (0, "dsm --ad -s 0 -b 1", USAGE, ["which namespace", "-n: 1, 2, 3"]),
    (1, "copy -d 0 -s 0,1 -b 0", USAGE, ["--blocks has 1", "--slbs has 2"]),
    (1, "copy -d 0 -s 0 -b 0 -P 99", USAGE, ["--prinfor", "99", "0 to 15"]),
    (1, "copy -d 0 -s 0 -b 0 --format 1", USAGE, ["--format", "1", "0, for guards of 16 bits"]),
    (1, "resv-register", USAGE, ["--nrkey", "none is given", "isn't 0"]),
    (1, "resv-register --nrkey 0 --rrega 2", USAGE, ["--nrkey", "0", "isn't 0"]),
    (1, "resv-register --nrkey 0x1ffffffffffffffff", USAGE,
     ["--nrkey", "0x1ffffffffffffffff", "18446744073709551615"]),
    (1, "resv-acquire --crkey 1", USAGE, ["--rtype is needed"]),
    (1, "resv-acquire --rtype 1 --racqa 3", USAGE, ["--racqa", "3", "0 to 2"]),
    (1, "resv-release --rtype 0", USAGE, ["--rtype", "0", "1 to 6"]),
    (1, "resv-report -d 2", USAGE, ["--numd", "2", "6 to 262144"]),
    (1, "zns report-zones", FAILED, ["/1", "isn't zoned"]),
    (2, "zns report-zones -S 9", USAGE, ["--state", "9", "0 to 7"]),
    (2, "zns report-zones -d x", USAGE, ["--descs", '"x"', "isn't a number"]),
    (2, "zns zone-mgmt-send -s 0 -z 77", USAGE, ["--zsa", "77", "4 reset"]),
    (2, "zns zone-append", USAGE, ["--zslba is needed"]),
    (2, "zns zone-append -s 0 -d /nowhere", IO_ERROR, ["/nowhere", "No such file"]),
    (0, "get-log -i 2 -l -4", USAGE, ["--log-len", '"-4"', "size in bytes"]),
    (0, "get-log -i 2 -l 8 --uuid-index 200", USAGE, ["--uuid-index", "200", "0 to 127"]),
    (0, "get-log -i 2 -l 8 --bogus", USAGE, ["unknown option --bogus"]),
    (0, "set-feature -f 4", USAGE, ["--value is missing", "Temperature Threshold"]),
    (0, "set-feature -f 4 -v 0x1ffffffff", USAGE, ["--value", "0x1ffffffff", "4294967295"]),
    (0, "set-feature -f 4 -v 1 --data-len 5", USAGE, ["--data-len", "5", "multiple of 4"]),
    (0, "set-feature -f 7 -v 1", FAILED, ["feature 07h", "library's own"]),
    (0, "admin-passthru -o 6 -l 3", USAGE, ["--data-len", "3", "multiple of 4"]),
    (0, "admin-passthru -o 6 -l 99999999", USAGE, ["--data-len", "99999999", "16777216"]),
    (0, "admin-passthru -o 6 --cdw10 0x100000000", USAGE, ["--cdw10", "0x100000000", "4294967295"]),
    (0, "admin-passthru -o 6 -m 8", USAGE, ["--metadata-len", "8", "no metadata"]),
    (0, "admin-passthru -o 0x80 -l 4 --force", USAGE, ["--data-len", "4", "80h has no data"]),
    (0, "admin-passthru -o 5", FAILED, ["05h", "library's own"]),
    (1, "io-passthru -o 1 -l 510", USAGE, ["--data-len", "510", "multiple of 4"]),
    (1, "io-passthru -o 2 -l 512 -m 3", USAGE, ["--metadata-len", "3", "multiple of 4"]),
    (1, "io-passthru -o 2 -l 512 -4 99999999", IO_ERROR, ["namespace 1", "LBA out of range"]),
    (0, "fw-download -f /dev/null", IO_ERROR, ["/dev/null", "0 bytes", "multiple of 4"]),
    (0, "fw-commit -s 9", USAGE, ["--slot", "9", "0 to 7"]),
    (0, "create-ns --nsze 0", USAGE, ["--nsze", "0", "1 to "]),
    (0, "create-ns --nsze 100 --ncap 200", USAGE, ["--ncap", "200 blocks", "only 100"]),
    (0, "create-ns --nsze 100 -f 0 -b 512", USAGE, ["--flbas", "--block-size", "exclude"]),
    (0, "create-ns --nsze 100 -b 1000", FAILED, ["1000 bytes", "no format"]),
    (77, "delete-ns --force", IO_ERROR, ["namespace 77", "invalid namespace"]),
    (1, "attach-ns -c 99999", USAGE, ["--controllers", "99999", "at most 65535"]),
    (77, "detach-ns", IO_ERROR, ["namespace 77", "invalid namespace"]),
    (1, "dir-receive", USAGE, ["--dir-oper is needed"]),
    (1, "dir-send -O 0", USAGE, ["--dir-oper", "0", "1 to 255"]),
    (1, "write-zeroes -s 99999999", FAILED, ["99999999", "has 32768 blocks"]),
    (1, "compare -s 0 -c 0 -z 100 -d /dev/null", USAGE, ["--data-size", "100", "512"]),
]


@each("what is typed wrongly is answered with the parameter, the value and the rule")
def wrong_invocations(t):
    for nsid, line, code, says in WRONG:
        t.refused(*line.split(), code=code, says=says, nsid=nsid or None, data=b"")
        assert RUN.cli_err.startswith("nvmux: " + line.split()[0]), RUN.cli_err
        assert len(RUN.cli_err.splitlines()) == 1, RUN.cli_err
    if t.daemon:  # in-process nobody checks lengths but the controller
        t.refused("admin-passthru", "-o", 6, "-l", 512, code=IO_ERROR,
                  says=["--data-len", "512", "command's fields"])
        t.refused("format", "nvme9", "--force", code=USAGE, says='unexpected argument "nvme9"')
        RUN.cli(DAEMON, "format", "nvme9/1", "--force", code=FAILED)
        assert 'no controller "nvme9"' in RUN.cli_err and "known: nvme0" in RUN.cli_err


# ---- reservations ----

@each("reservations: registered, acquired, reported, preempted with a question, released")
def reservations(t):
    # The structure follows the host identifier's length, which is the library's choice.
    RUN.cli(t.daemon, "resv-report", *t.where(1), "--eds", code=None)
    eds = ["--eds"] if RUN.cli_code == 0 else []
    words = "regctlext" if eds else "regctls"

    def report():
        return t.json("resv-report", *eds, nsid=1)
    before = report()
    assert before["regctl"] == 0 and before[words] == [], before
    key = 0xfedcba9876543210
    t("resv-register", "--nrkey", hex(key), nsid=1)
    t("resv-acquire", "--crkey", hex(key), "--rtype", 1, nsid=1)
    now = report()
    assert now["rtype"] == 1 and now["regctl"] == 1, now
    (one,) = now[words]
    assert one["rkey"] == key and one["rcsts"] == 1, one
    assert not eds or len(one["hostid"]) == 32, one
    text = t("resv-report", *eds, nsid=1)
    assert f": {key:x}" in text and "rtype     : 1" in text and "regctl    : 1" in text, text
    raw = RUN.cli(t.daemon, "resv-report", *t.where(1), *eds, "-d", "32", "-b")
    assert len(raw) == 128 and raw[4] == 1, raw
    t.refused("resv-acquire", "--crkey", 1, "--rtype", 1, code=IO_ERROR, says="code 83h", nsid=1)
    t.refused("resv-acquire", "--crkey", hex(key), "--prkey", hex(key), "-a", 1, "-t", 1,
              code=USAGE, says="--force", nsid=1)
    t("resv-release", "--crkey", hex(key), "--rtype", 1, nsid=1)
    assert report()["rtype"] == 0
    t.refused("resv-release", "--crkey", hex(key), "--rrela", 1, code=USAGE, says="--force", nsid=1)
    t("resv-release", "--crkey", hex(key), "--rrela", 1, "--force", nsid=1)
    assert report()["regctl"] == 0


# ---- zones ----

def zones(t, *args):
    return t.json("zns", "report-zones", *args, nsid=2)["zone_list"]


@each("zones are opened, closed, finished, reset, appended to, and reported")
def zoned(t):
    zone = (1 << 20) // BLOCK
    assert [z["state"] for z in zones(t)] == ["EMPTY"] * 8
    ident = t.json("zns", "id-ns", nsid=2)
    assert ident["lbafe"][0] == {"zsze": zone, "zdes": 1}, ident
    assert "zasl" in t.json("zns", "id-ctrl")
    t("zns", "open-zone", "-s", 0, nsid=2)
    t("zns", "finish-zone", "-s", zone, nsid=2)
    data = os.urandom(4 * BLOCK)
    for n in range(2):
        result = t.json("zns", "zone-append", "-s", 2 * zone, nsid=2, data=data)
        assert result["lba"] == 2 * zone + 4 * n and result["blocks"] == 4, result
    assert t.read(2 * zone + 4, 4, nsid=2) == data
    t("zns", "close-zone", "-s", 2 * zone, nsid=2)
    now = zones(t)
    assert [z["state"] for z in now[:4]] == ["EXP_OPENED", "FULL", "CLOSED", "EMPTY"], now
    assert now[2] == {"slba": 2 * zone, "wp": 2 * zone + 8, "cap": zone, "state": "CLOSED",
                      "type": "SEQWRITE_REQ", "attrs": 0}, now[2]
    assert [z["slba"] for z in zones(t, "-S", 5)] == [zone]
    assert [z["slba"] for z in zones(t, "-s", 3 * zone, "-d", 2)] == [3 * zone, 4 * zone]
    text = t("zns", "report-zones", "-d", 2, nsid=2)
    assert "nr_zones: 8" in text and "State: FULL" in text, text
    report = t.json("zns", "zone-mgmt-recv", "-S", 5, "-p", nsid=2)
    assert report["nr_zones"] == 1 and report["zone_list"][0]["slba"] == zone, report
    raw = RUN.cli(t.daemon, "zns", "report-zones", *t.where(2), "-o", "binary")
    assert struct.unpack_from("<Q", raw)[0] == 8 and len(raw) == 64 + 8 * 64, len(raw)
    t.refused("zns", "open-zone", "-s", 1, code=IO_ERROR, says="invalid", nsid=2)
    t.refused("zns", "zone-append", "-s", 0, code=FAILED, says="512", nsid=2, data=b"abc")


@each("descriptor extensions are set and reported; resetting all zones needs --force")
def zone_extension(t):
    zone = (1 << 20) // BLOCK
    t("zns", "set-zone-desc", "-s", 5 * zone, nsid=2, data=b"\xd5" * 64)
    (shown,) = zones(t, "-e", "-s", 5 * zone, "-d", 1)
    assert shown["ext_data"] == "d5" * 64 and shown["attrs"] == 0x80, shown
    raw = RUN.cli(t.daemon, "zns", "report-zones", *t.where(2), "-e", "-o", "binary")
    assert len(raw) == 64 + 8 * 128 and raw[64 + 5 * 128 + 64:][:64] == b"\xd5" * 64, len(raw)
    t.refused("zns", "set-zone-desc", "-s", 6 * zone, code=IO_ERROR, says="64", nsid=2, data=b"1")
    t.refused("zns", "reset-zone", "-a", code=USAGE, says="--force", nsid=2)
    t.refused("zns", "zone-mgmt-send", "-a", "-z", 4, code=USAGE, says="--force", nsid=2)
    t("zns", "zone-mgmt-send", "-z", 3, "-s", 7 * zone, nsid=2)
    assert zones(t, "-S", 3)[-1]["slba"] == 7 * zone
    t("zns", "reset-zone", "--select-all", "--force", nsid=2)
    assert [z["state"] for z in zones(t)] == ["EMPTY"] * 8
    t.refused("zns", "offline-zone", "-s", 0, code=USAGE, says="--force", nsid=2)
    t.refused("zns", "id-ns", code=IO_ERROR, says="identify", nsid=1)
    t.refused("zns", "report-zones", code=FAILED, says="isn't zoned", nsid=1)


# ---- any command ----

@each("passthru: data in and out, raw, hexadecimal, results, statuses")
def passthru(t):
    raw = RUN.cli(t.daemon, "admin-passthru", *t.where(), "-o", "6", "--cdw10", "1", "-l", "4096",
                  "-r", "-b")
    assert len(raw) == 4096 and b"nvmux emulated" in raw[24:64], raw[:64]
    shown = t("admin-passthru", "-o", 6, "--cdw10", 1, "-l", 4096, "-r")
    assert "0000: 76 6e 76 6e" in shown and "succeeded" in shown, shown[:400]
    result = t.json("admin-passthru", "-o", 0x0a, "--cdw10", 7)
    assert result["result"] & 0xffff > 0, result
    data = os.urandom(BLOCK)
    block = file_of("block", data)
    t("io-passthru", "-o", 1, "-4", 500, "-l", BLOCK, "-w", "-i", block, nsid=1)
    assert t.read(500, 1) == data
    result = t.json("io-passthru", "-o", 2, "-4", 500, "-l", BLOCK, "-r", nsid=1)
    assert result["data"] == data.hex(), result
    t("io-passthru", "-o", 2, "-4", 500, "-l", BLOCK, "-r", "-i", RUN.path("back"), nsid=1)
    with open(RUN.path("back"), "rb") as file:
        assert file.read() == data
    t.refused("io-passthru", "-o", 2, "-4", 1 << 30, "-l", BLOCK, code=IO_ERROR, says="code 80h",
              nsid=1)
    out = t("io-passthru", "-o", 2, "-4", 1, "-l", BLOCK, "-d", nsid=1)
    assert out == "" and "opcode       : 02" in RUN.cli_err, (out, RUN.cli_err)
    t.refused("io-passthru", "-o", 1, "-l", BLOCK, code=IO_ERROR, says=["3 bytes", "512"], nsid=1,
              data=b"abc")


@suite.test("what the daemon never forwards is refused with exit code 3")
def never():
    t = TARGETS[0]
    t.refused("admin-passthru", "-o", 0, code=FAILED, says="admin command")
    t.refused("io-passthru", "-o", 0x18, code=FAILED, says="I/O command", nsid=1)


@suite.test("--timeout gives a command up that isn't answered")
def timeout():
    emulator = RUN.emulator("mem,size=1M", name="mute",
                            options=["--fault", "drop:opc=c1:qid=0:nth=1:times=1"])
    start_time = time.monotonic()
    RUN.cli(None, "admin-passthru", "--transport", "vfio-user", "--traddr", emulator.dir, "-o",
            "0xc1", "-t", "300", code=FAILED)
    assert "300 ms" in RUN.cli_err, RUN.cli_err
    assert time.monotonic() - start_time < 10 * SLOWNESS
    emulator.stop()


# ---- namespaces ----

@each("namespaces are created, attached, used, detached and deleted")
def namespaces(t):
    def attached():
        # The daemon resets the controller behind such commands.
        data = wait_until(lambda: RUN.cli(t.daemon, "admin-passthru", *t.where(), "-o", "6", "-4",
                                          "2", "-l", "4096", "-b", code=None),
                          what="identify is answered")
        return [n for n in struct.unpack("<1024I", data) if n]
    before = attached()
    assert before == [1, 2, 3], before
    t("delete-ns", "-n", 3, "--force")
    assert attached() == [1, 2]
    nsid = t.json("create-ns", "--nsze", 2048, "--block-size", 512)["nsid"]
    assert nsid == 3 and attached() == [1, 2]
    t("attach-ns", "-n", 3)
    assert attached() == before
    wait_until(lambda: RUN.cli(t.daemon, "read", *(["nvme0/3"] if t.daemon else
                                                 [*t.words, "-n", "3"]), "--length", "512", "-",
                               code=None) == bytes(BLOCK), what="the namespace is there")
    t.write(7, b"\x77" * BLOCK, nsid=3)
    assert t.json("detach-ns", "-n", 3, "-c", 1)["controllers"] == [1]
    t("attach-ns", "--namespace-id", 3, "--controllers", 1)
    assert t.read(7, 1, nsid=3) == b"\x77" * BLOCK
    t.refused("attach-ns", "-n", 3, code=IO_ERROR, says="already attached")
    t.refused("delete-ns", "-n", 3, code=USAGE, says="--force")
    t.refused("create-ns", "--nsze-si", "64G", "-b", 4096, code=IO_ERROR, says="capacity")


@each("format changes the block size and erases; the question is asked first")
def formats(t):
    t.write(0, b"\x99" * BLOCK)
    t.refused("format", "--lbaf", 0, code=USAGE, says=["--force", "erases"], nsid=1)
    assert t.read(0, 1) == b"\x99" * BLOCK
    result = t.json("format", "--block-size", 4096, "--force", nsid=1)
    assert result["lbaf"] == 1, result
    assert t.read(0, 8) == bytes(4096)
    assert "opcode" in t("compare", "-w", "-v", nsid=1, data=bytes(4096)) + RUN.cli_err
    assert "data_len     : 00001000" in RUN.cli_err, RUN.cli_err
    t("format", "-l", 0, "--ses", 1, "--reset", "--force", nsid=1)
    t("compare", nsid=1, data=bytes(512))
    t.refused("format", "-l", 63, "--force", code=IO_ERROR, says="format", nsid=1)
    t.refused("format", "--force", "-n", 9, code=IO_ERROR, says="format failed")


# ---- erasure, firmware, tests ----

@each("sanitize overwrites everything; --wait waits for its end")
def sanitize(t):
    t.write(0, b"\x42" * BLOCK)
    t.refused("sanitize", "-a", 2, code=USAGE, says=["--force", "all namespaces"])
    assert t.read(0, 1) == b"\x42" * BLOCK
    start_time = time.monotonic()
    assert t.json("sanitize", "-a", "start-overwrite", "-p", "0x5a5a5a5a", "-n", 1, "-d", "--wait",
                  "--force")["done"]
    assert time.monotonic() - start_time > 0.25
    assert t.read(0, 1) == b"\x5a" * BLOCK
    t("sanitize", "-a", 2, "--force", "--wait")
    assert t.read(0, 1) == bytes(BLOCK)
    t("sanitize", "-a", 1)


@each("self-tests: begun, shown, waited for, aborted")
def self_test(t):
    assert "no self-test" in t("device-self-test")
    t("device-self-test", "-s", 2)
    shown = t.json("device-self-test")
    assert shown["Current Device Self-Test Operation"] == 2, shown
    t.refused("device-self-test", "-s", 1, code=IO_ERROR, says="code 1dh")
    t("device-self-test", "-s", 15)
    assert "no self-test" in t("device-self-test", "-s", 0)
    assert "without error" in t("device-self-test", "-s", 1, "--wait")


@each("firmware: downloaded in pieces, committed, activated with a question and a reset")
def firmware(t):
    def revision():
        return RUN.cli(t.daemon, "admin-passthru", *t.where(), "-o", "6", "-4", "1", "-l", "4096",
                       "-b")[64:72]
    image = file_of("image", b"REV-0042" + os.urandom(3 * 4096 - 8))
    result = t.json("fw-download", "--fw", image)
    assert result["bytes"] == 3 * 4096 and result["xfer"] == 4096, result
    # In a process of its own, a command starts the controller anew, which forgets the download.
    here = [] if t.daemon else ["--fw", image, "-x", 8192]
    assert t.json("fw-commit", "-s", 2, "-a", 0, *here)["slot"] == 2
    assert revision() != b"REV-0042"
    t.refused("fw-commit", "-s", 2, "-a", 3, code=USAGE, says="--force")
    result = t.json("fw-commit", "-s", 2, "-a", 2, "--force")
    t("reset")
    assert revision() == b"REV-0042", (result, revision())
    t.refused("fw-commit", "-s", 7, "-a", 2, "--force", code=IO_ERROR, says="firmware commit")
    t.refused("fw-download", "-f", "/nowhere", code=IO_ERROR, says="/nowhere")
    odd = file_of("odd", b"abc")
    t.refused("fw-download", "-f", odd, code=IO_ERROR, says=["odd", "3 bytes"])
    t.refused("fw-download", "-f", image, "-x", 6, code=USAGE, says=["--xfer", "6"])


@each("security, directives and I/O management reach the controller")
def others(t):
    raw = RUN.cli(t.daemon, "security-recv", *t.where(), "-p", "0", "-x", "16", "-b")
    assert raw == bytes(7) + b"\1" + bytes(8), raw
    t.refused("security-send", "-p", 1, "-f", file_of("message", b"1234"), code=IO_ERROR,
              says="security send")
    assert not t.json("dir-receive", "-D", 0, "-O", 1, nsid=1)["streams_enabled"]
    t("dir-send", "-D", 0, "-O", 1, "-T", 1, "-e", 1, nsid=1)
    assert t.json("dir-receive", "-D", 0, "-O", 1, nsid=1)["streams_enabled"]
    assert t.json("dir-receive", "-D", 1, "-O", 3, "-r", 2, nsid=1)["result"] == 2
    assert t.json("dir-receive", "-D", 1, "-O", 1, nsid=1)["nsa"] == 2
    assert "msl" in t("dir-receive", "-D", 1, "-O", 1, nsid=1)
    t("dir-send", "-D", 0, "-O", 1, "-T", 1, "-e", 0, nsid=1)
    t.refused("io-mgmt-recv", "-m", 1, "-l", 64, code=IO_ERROR, says="I/O management", nsid=1)
    t.refused("io-mgmt-send", "-m", 0, code=IO_ERROR, says="I/O management", nsid=1)


@each("reset and subsystem-reset; data stays")
def resets(t):
    t.write(600, b"\x66" * BLOCK)
    t("reset")
    t.refused("subsystem-reset", code=USAGE, says="--force")
    t("subsystem-reset", "--force")
    assert t.read(600, 1) == b"\x66" * BLOCK


# ---- on a terminal ----

def on_terminal(argv, answer):
    """Run nvmux with a terminal; answer its question. (exit code, what it showed)."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(WRAP + [program("nvmux"), *argv], stdin=theirs, stdout=theirs,
                              stderr=theirs, start_new_session=True) as process:
            os.close(theirs)
            theirs = -1
            shown, answered = "", False
            end = time.monotonic() + 30 * SLOWNESS
            while time.monotonic() < end:
                # Asked first: what it wrote before its end is there to be read then.
                ended = process.poll() is not None
                if not select.select([ours], [], [], 0.1)[0]:
                    if ended:
                        break
                    continue
                try:
                    shown += os.read(ours, 65536).decode(errors="replace")
                except OSError:
                    break
                if "[y/N] " in shown and not answered:
                    os.write(ours, answer)
                    answered = True
            return process.wait(timeout=30), shown
    finally:
        os.close(ours)
        if theirs >= 0:
            os.close(theirs)


@each("on a terminal the question is asked: no, nothing, yes")
def question(t):
    base = ["-S", DAEMON.socket] if t.daemon else []
    argv = [*base, "write-uncor", *t.where(1), "-s", "700"]
    t.write(700, b"\x70" * BLOCK)
    for answer in (b"n\n", b"\n", b"yesterday\n", b"\x04"):
        code, shown = on_terminal(argv, answer)
        assert code == FAILED and "[y/N]" in shown and "nothing was done" in shown, (answer, shown)
        assert t.read(700, 1) == b"\x70" * BLOCK
    for answer in (b"y\n", b"YES\n"):
        code, shown = on_terminal(argv, answer)
        assert code == 0 and "write uncorrectable" in shown, shown
        t.refused("verify", "-s", 700, code=IO_ERROR, says="code 81h", nsid=1)
        t.write(700, b"\x70" * BLOCK)
    code, shown = on_terminal([*argv, "--force"], b"")
    assert code == 0 and "[y/N]" not in shown, shown
    t.write(700, b"\x70" * BLOCK)


# Which commands are asked about, by opcode and what says what they do; None: they aren't.
PASSTHRU = [
    ("admin-passthru", 0x80, [], "erases all data of the namespace"),
    ("admin-passthru", 0x84, ["-4", 2], "erases all data of the subsystem"),
    ("admin-passthru", 0x84, ["-4", 1], None),
    ("admin-passthru", 0x0d, ["-4", 1], "will be gone"),
    ("admin-passthru", 0x10, ["-4", 0x1a], "other firmware"),
    ("admin-passthru", 0x06, ["-4", 1, "-l", 4096], None),
    ("admin-passthru", 0x02, ["-4", 0x7f0002, "-l", 512], None),
    ("admin-passthru", 0x0a, ["-4", 4], None),
    ("io-passthru", 0x04, [], "fail until they are written"),
    ("io-passthru", 0x11, ["-4", 0x101, "-l", 16], "another host loses its registration"),
    ("io-passthru", 0x11, ["-4", 0x102, "-l", 16], "its commands are aborted"),
    ("io-passthru", 0x15, ["-4", 1, "-l", 8], "all hosts lose"),
    ("io-passthru", 0x79, ["-7", 5], "offline for good"),
    ("io-passthru", 0x79, ["-7", 0x104], "all data of the namespace's zones"),
    ("io-passthru", 0x79, ["-7", 4], None),
    ("io-passthru", 0x02, ["-l", 512], None),
    ("io-passthru", 0x0c, [], None),
]


@each("passthru asks about what the commands for it ask about, and about nothing else")
def passthru_question(t):
    t.write(0, b"\x3c" * BLOCK)
    base = ["-S", DAEMON.socket] if t.daemon else []
    for verb, opc, fields, says in PASSTHRU:
        nsid = 0 if verb == "admin-passthru" and opc in (0x06, 0x84) else 2 if opc == 0x79 else 1
        fields = [*map(str, ["-o", opc, *fields]), *([] if nsid else ["-n", "0"])]
        argv = [verb, *t.where(nsid or None), *fields]
        if says is None:
            RUN.cli(t.daemon, *argv, data=b"", code=None)
            assert "--force" not in RUN.cli_err, RUN.cli_err
            code, shown = on_terminal([*base, *argv], b"n\n")
            assert "[y/N]" not in shown and "not confirmed" not in shown, shown
            assert code == RUN.cli_code, shown
            continue
        RUN.cli(t.daemon, *argv, code=USAGE)
        assert "--force" in RUN.cli_err and says in RUN.cli_err, RUN.cli_err
        code, shown = on_terminal([*base, *argv], b"n\n")
        assert code == FAILED and says in shown and "nothing was done" in shown, shown
        RUN.cli(t.daemon, *argv, "--dry-run")  # nothing is sent, so nothing is asked
        assert t.read(0, 1) == b"\x3c" * BLOCK, argv
    assert [n["nsid"] for n in t.json("list-ns")["nsid_list"]] == [1, 2, 3]
    # asked, and answered; or told not to ask
    uncor = ["io-passthru", *t.where(1), "-o", "4", "-4", "0"]
    code, shown = on_terminal([*base, *uncor], b"y\n")
    assert code == 0 and "[y/N]" in shown, shown
    t.refused("verify", "-s", 0, code=IO_ERROR, says="code 81h", nsid=1)
    t.write(0, b"\x3d" * BLOCK)
    RUN.cli(t.daemon, *uncor, "--force")
    t.refused("verify", "-s", 0, code=IO_ERROR, says="code 81h", nsid=1)
    t.write(0, b"\x3d" * BLOCK)


@each("on a terminal the long ones show their progress")
def progress(t):
    base = ["-S", DAEMON.socket] if t.daemon else []
    code, shown = on_terminal([*base, "device-self-test", *t.where(), "-s", "2", "--wait"], b"")
    assert code == 0 and "%" in shown and "without error" in shown, repr(shown)
    code, shown = on_terminal([*base, "sanitize", *t.where(), "-a", "2", "--wait", "--force"], b"")
    assert code == 0 and "%" in shown and "block erase done" in shown, repr(shown)


@each("commands that move no data work on namespaces with metadata, the others say what does")
def metadata(t):
    formats = t.json("id-ns", nsid=3)["lbafs"]
    lbaf = next(i for i, f in enumerate(formats) if (f["ms"], f["ds"]) == (8, 9))
    t("format", "--lbaf", lbaf, "--pi", 1, "--force", nsid=3)
    assert "/3: flushed" in t("flush", nsid=3)
    for verb in ("read", "write"):
        t.refused(verb, code=FAILED, says=["8 bytes of metadata", "io-passthru -m", "compare"],
                  nsid=3)
    # the tags of types 1 and 2 are those of the blocks
    t("write-zeroes", "-s", 0, "-c", 63, "-p", 8, nsid=3)
    t("copy", "-d", 40, "-s", 8, "-b", 3, "-p", 9, "-P", 9, nsid=3)
    t("verify", "-s", 40, "-c", 3, "-p", 7, nsid=3)


@each("a dry run shows the namespace that the command line names")
def dry_run(t):
    for verb in ("admin-passthru", "io-passthru"):
        t(verb, "-o", 2, "--dry-run", nsid=1)
        assert "nsid         : 00000001" in RUN.cli_err, RUN.cli_err
    result = t("admin-passthru", "-o", 0xa, "--cdw10", 1)
    assert "result 0x00000000" in result, result


@each("messages name the namespace, sizes may have a unit, there may be nothing to leave")
def words(t):
    shown = t("format", "--lbaf", 0, "--force", nsid=1)
    assert "/1: formatted" in shown, shown
    t.refused("compare", "-s", 0, "-c", 0, "-z", "1K", "-d", "/dev/zero", code=USAGE,
              says="is 1024; the blocks", nsid=1)
    t("compare", "-s", 0, "-c", 1, "-z", "1K", "-d", "/dev/zero", nsid=1)
    assert "no failure mode to leave" in t("sanitize", "-a", 1)
    t.refused("format", "-t", "vfio-user", code=USAGE, says="the transport is --transport")


@suite.test("zns has help of its own, and knows its commands")
def help_texts():
    out = RUN.cli(None, "zns", "--help").decode()
    assert "zns report-zones" in out and "zns zone-append" in out, out
    text = RUN.cli(None, "zns", "report-zones", "--help").decode()
    assert text.startswith("Usage: nvmux zns report-zones"), text
    assert RUN.cli(None, "help", "zns", "report-zones").decode() == text
    assert RUN.cli(None, "zns", "help", "report-zones").decode() == text
    assert RUN.cli(None, "zns", "help").decode() == out
    RUN.cli(None, "zns", "reprot-zones", code=USAGE)
    assert "report-zones" in RUN.cli_err, RUN.cli_err


@suite.test("nothing is left in the daemon")
def left():
    before = Counts(DAEMON)
    TARGETS[0]("verify", "-c", 100, nsid=1)
    TARGETS[0].refused("verify", "-s", 1 << 40, code=FAILED, says="beyond", nsid=1)
    before.same()
    RUN.stop()


try:
    suite.main()
finally:
    RUN.clean_up()
