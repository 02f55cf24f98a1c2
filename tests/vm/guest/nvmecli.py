#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The same commands by nvme-cli through the kernel's driver and by nvmux, on the same device.

    nvmecli.py run DIR NSID KINDS CONTROLLER NAMESPACE COMMAND...
    nvmecli.py compare DIR DIR

The first leaves what each command said in DIR; KINDS (identify, logs, plain, pi, zoned) choose
commands, CONTROLLER and NAMESPACE are what COMMAND (nvme, or nvmux and options) calls them. The
second prints a line "0 TEXT" for each command that said the same in both, else "1 TEXT".
"""

import json
import os
import re
import subprocess
import sys

# What counts what was read and written before, and the time.
COUNTERS = re.compile(r"data_units|host_.*_commands|controller_busy|power_on|power_cycles|"
                      r"temperature|unsafe_shutdowns|num_err_log")
SMART_COUNTERS = slice(32, 192)


def identify(cns, nsid="0", csi=0):
    return ["admin-passthru", "C", "-o", "6", "-n", nsid, f"--cdw10={cns}",
            f"--cdw11={csi << 24}", "-l", "4096", "-r", "-b"]


def io(opcode, lba, blocks, prinfo, size, *more):
    """A read or a write: data in $DIR/data.N, of SIZE bytes."""
    way = ["-w", "-i", "DATA"] if opcode == 1 else ["-r", "-b"]
    return ["io-passthru", "N", "-o", str(opcode), "-n", "NSID", f"--cdw10={lba}",
            f"--cdw12={prinfo << 26 | blocks - 1}", "-l", str(size)] + way + list(more)


def identifies():
    """(what is compared, name, arguments): C the controller, N the namespace."""
    yield "bytes", "id-ctrl -b", ["id-ctrl", "C", "-b"]
    yield "json", "id-ctrl -o json", ["id-ctrl", "C", "-o", "json"]
    yield "bytes", "id-ns -b", ["id-ns", "C", "-n", "NSID", "-b"]
    yield "json", "id-ns -o json", ["id-ns", "C", "-n", "NSID", "-o", "json"]
    yield "json", "list-ns -o json", ["list-ns", "C", "-o", "json"]
    yield "json", "ns-descs -o json", ["ns-descs", "C", "-n", "NSID", "-o", "json"]
    for cns, nsid, csi in [(0, "NSID", 0), (1, "0", 0), (2, "0", 0), (3, "NSID", 0),
                           (5, "NSID", 0), (5, "NSID", 2), (6, "0", 0), (6, "0", 2), (7, "0", 0),
                           (7, "0", 2), (8, "NSID", 0), (0x10, "0", 0), (0x11, "NSID", 0),
                           (0x12, "NSID", 0), (0x13, "0", 0), (0x1a, "0", 0), (0x1c, "0", 0),
                           (0x7f, "0", 0), (0, "0xfffffff0", 0), (0, "77", 0)]:
        yield "bytes", f"Identify, CNS {cns:02x}h, namespace {nsid}, CSI {csi}", \
            identify(cns, nsid, csi)


def logs():
    """And features, and what isn't there."""
    for lid, size in [(1, 64), (3, 512), (4, 4096), (5, 4096), (0xd, 512), (0xbf, 512)]:
        yield "bytes", f"get-log -i {lid:02x}h", \
            ["get-log", "C", "-i", str(lid), "-l", str(size), "-b"]
    yield "smart", "get-log -i 02h", ["get-log", "C", "-i", "2", "-l", "512", "-b"]
    yield "counters", "smart-log -o json", ["smart-log", "C", "-o", "json"]
    yield "json", "error-log -o json", ["error-log", "C", "-e", "4", "-o", "json"]
    yield "json", "fw-log -o json", ["fw-log", "C", "-o", "json"]
    for fid in [1, 2, 4, 5, 6, 7, 8, 0xa, 0xb, 0x7f]:
        # 08h, 0Bh: each driver has its own settings; defaults and capabilities are the device's.
        for sel in [1, 3] if fid in (8, 0xb) else [0]:
            yield "value", f"get-feature -f {fid:02x}h -s {sel}", \
                ["get-feature", "C", "-f", str(fid), "-s", str(sel)]
    yield "bytes", "an opcode that isn't there", ["io-passthru", "N", "-o", "0x70", "-n", "NSID"]


def plain():
    yield "status", "write", io(1, 8, 1, 0, 512)
    yield "bytes", "read", io(2, 8, 1, 0, 512)
    yield "bytes", "read beyond the end", io(2, 1 << 30, 1, 0, 512)


def protected():
    """Interleaved, 520 bytes: the protection information of what is written is wrong."""
    tags = ["--cdw14=8", "--cdw15=0xffff1234"]
    yield "status", "write, not checked", io(1, 8, 1, 0, 520)
    yield "bytes", "read, not checked", io(2, 8, 1, 0, 520)
    for bit, field in [(4, "guard"), (2, "application tag"), (1, "reference tag")]:
        yield "bytes", f"read, {field} checked", io(2, 8, 1, bit, 520, *tags)
        yield "status", f"write, {field} checked", io(1, 8, 1, bit, 520, *tags)
    yield "status", "write with PRACT", io(1, 9, 1, 8, 512, "--cdw14=9", "--cdw15=0xffff1234")
    yield "bytes", "read of what PRACT made", io(2, 9, 1, 7, 520, "--cdw14=9",
                                                 "--cdw15=0xffff1234")
    yield "bytes", "read with PRACT", io(2, 9, 1, 15, 512, "--cdw14=9", "--cdw15=0xffff1234")


def zoned():
    report = ["io-passthru", "N", "-o", "0x7a", "-n", "NSID", "--cdw12=255", "--cdw13=0x10000",
              "-l", "1024", "-r", "-b"]
    yield "json", "zns id-ns -o json", ["zns", "id-ns", "N", "-o", "json"]
    yield "json", "zns id-ctrl -o json", ["zns", "id-ctrl", "C", "-o", "json"]
    for action in ["reset", "open", "close", "close", "finish", "finish", "open", "reset", "close"]:
        yield "status", f"zns {action}-zone", ["zns", f"{action}-zone", "N", "-s", "0"]
        yield "bytes", f"zones after {action}", report
    yield "status", "write beside the write pointer", io(1, 1, 1, 0, 512)
    yield "status", "write", io(1, 0, 1, 0, 512)
    yield "bytes", "zones after a write", report
    yield "json", "zns report-zones -o json", ["zns", "report-zones", "N", "-d", "4", "-o", "json"]
    yield "status", "zns reset-zone, to end with", ["zns", "reset-zone", "N", "-s", "0"]


def status_of(text):
    """An NVMe status by type and code, however the program puts it; None: none is named."""
    match = re.search(r"NVMe status:.*\((?:0x)?([0-9a-f]+)\)", text, re.IGNORECASE)
    if match:
        return int(match.group(1), 16) & 0x7ff
    match = re.search(r"type ([0-7])h, code ([0-9a-f]{2})h", text)
    return int(match.group(1) + match.group(2), 16) if match else None


def one(argv, names, command):
    words = [names.get(word, word) for word in argv]
    done = subprocess.run(command + words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False)
    errors = done.stderr.decode(errors="replace")
    print("+", " ".join(command[:1] + words), done.returncode, errors.strip()[:300],
          file=sys.stderr)
    text = errors + done.stdout.decode(errors="replace")
    return {"code": done.returncode, "status": status_of(text) if done.returncode else 0,
            "said": text[:400], "bytes": done.stdout.hex()}


def run(directory, nsid, kinds, controller, namespace, *command):
    data = os.path.join(directory, "data")
    with open(data, "wb") as file:
        file.write(bytes(range(256)) * 2 + b"\x12\x34\x12\x35\0\0\0\x09")
    names = {"C": controller, "N": namespace, "NSID": nsid, "DATA": data}
    results = []
    for kind in kinds.split(","):
        table = {"identify": identifies, "logs": logs, "plain": plain, "pi": protected,
                 "zoned": zoned}[kind]
        for what, name, argv in table():
            results.append([what, name, one(argv, names, list(command))])
    with open(os.path.join(directory, "results"), "w", encoding="utf-8") as file:
        json.dump(results, file)


def differences(path, a, b, ignore):
    """Keys and values that aren't the same."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in sorted(set(a) | set(b)):
            if key not in a or key not in b:
                yield f"{path}{key} is there {'once' if key in a else 'only the second time'}"
            elif not (ignore and ignore.search(key)):
                yield from differences(f"{path}{key}.", a[key], b[key], ignore)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for index, pair in enumerate(zip(a, b)):
            yield from differences(f"{path}{index}.", *pair, ignore)
    elif a != b or isinstance(a, bool) != isinstance(b, bool):
        yield f"{path[:-1]}: {str(a)[:60]} and {str(b)[:60]}"


def compare_json(theirs, ours, ignore=None):
    try:
        theirs, ours = (json.loads(bytes.fromhex(r["bytes"])) for r in (theirs, ours))
    except ValueError as error:
        return f"no JSON: {error}"
    return "; ".join(list(differences("", theirs, ours, ignore))[:6])


def value_of(result):
    match = re.search(r"value: ?(?:0x)?([0-9a-f]+)", result["said"], re.IGNORECASE)
    return int(match.group(1), 16) if match else None


def compare_bytes(theirs, ours, without=slice(0, 0)):
    a, b = (bytearray.fromhex(r["bytes"]) for r in (theirs, ours))
    del a[without], b[without]
    if a == b:
        return ""
    at = next((i for i, pair in enumerate(zip(a, b)) if pair[0] != pair[1]), min(len(a), len(b)))
    return f"bytes differ from {at} on: {a[at:at + 8].hex()} and {b[at:at + 8].hex()}, " \
           f"{len(a)} and {len(b)}"


def judge(what, theirs, ours):
    """What differs; empty: nothing."""
    if theirs["status"] != ours["status"] or theirs["status"] is None:
        return f"status {theirs['status']} and {ours['status']}: {theirs['said']} / {ours['said']}"
    if theirs["status"] or what == "status":
        return ""
    if what == "json":
        return compare_json(theirs, ours)
    if what == "counters":
        return compare_json(theirs, ours, COUNTERS)
    if what == "value":
        a, b = value_of(theirs), value_of(ours)
        return "" if a is not None and a == b else f"{theirs['said']} / {ours['said']}"
    return compare_bytes(theirs, ours, SMART_COUNTERS if what == "smart" else slice(0, 0))


def compare(theirs, ours):
    files = [os.path.join(directory, "results") for directory in (theirs, ours)]
    lists = []
    for path in files:
        with open(path, encoding="utf-8") as file:
            lists.append(json.load(file))
    for (what, name, first), (_, _, second) in zip(*lists):
        why = judge(what, first, second)
        if why:
            print("#", name + ":", " ".join(why.split()), file=sys.stdout)
        print(int(bool(why)), name)
    print(int(len(lists[0]) != len(lists[1]) or len(lists[0]) < 10), "every command was given")


if __name__ == "__main__":
    {"run": run, "compare": compare}[sys.argv[1]](*sys.argv[2:])
