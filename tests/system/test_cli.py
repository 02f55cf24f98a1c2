#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The nvmux command against a daemon: data, tables, JSON and nothing but JSON, exit codes."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time

from nvmux_test import SLOWNESS, WRAP, Counts, Run, Skip, Suite, program, wait_until

USAGE, NO_DAEMON, FAILED, IO_ERROR, MISCOMPARE, INTERRUPTED = 1, 2, 3, 4, 5, 130

suite = Suite()
RUN = Run()
DAEMON = None
EMULATORS = []


def cli(*args, **kwargs):
    return RUN.cli(DAEMON, *args, **kwargs)


def is_client(pid):
    """Whether a process has come to the daemon."""
    with DAEMON.rpc() as rpc:
        return any(c["pid"] == pid for c in rpc.call("get_clients"))


def interrupt(*args, seconds=0.5, stderr=subprocess.PIPE, begun=is_client):
    """Run nvmux and send SIGINT a while after begun(pid), which must not be true before the signal
    is caught: that is when it connects. Return (exit code, what it said on standard error, seconds
    that the end took)."""
    with subprocess.Popen(WRAP + [program("nvmux"), *args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=stderr) as process:
        try:
            wait_until(lambda: begun(process.pid) or process.poll() is not None,
                       what=f"{args} has begun")
            time.sleep(seconds * SLOWNESS)
            assert process.poll() is None, process.stderr and process.stderr.read()
            start = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30 * SLOWNESS)
            return process.returncode, (err or b"").decode(), time.monotonic() - start
        finally:
            process.kill()  # or its end would be waited for


def has_input(file):
    """Whether a read, or an accept, wouldn't wait."""
    return select.select([file], [], [], 0)[0]


@suite.test("attach says the name and the namespaces", essential=True)
def start():
    global DAEMON
    EMULATORS.append(RUN.emulator("mem,size=64M,bs=512", "mem,size=32M,bs=4096",
                                  options=["--serial", "EMU-ONE"]))
    EMULATORS.append(RUN.emulator("null,size=1T", name="emu2"))
    DAEMON = RUN.daemon()
    out = cli("attach", "-t", "vfiouser", "-a", EMULATORS[0].dir).decode()
    assert "nvme0" in out and "1, 2" in out, out
    out = cli("attach", "-t", "vfio-user", "-a", EMULATORS[1].dir, "--name", "second").decode()
    assert "second" in out, out


@suite.test("attaching twice says which controller it is")
def twice():
    cli("attach", "-t", "vfiouser", "-a", EMULATORS[0].dir, code=FAILED)
    assert "nvme0" in RUN.cli_err, RUN.cli_err
    cli("attach", "-t", "loopback", "-a", "mem,size=8M", "--name", "second", code=FAILED)
    assert "second" in RUN.cli_err, RUN.cli_err


@suite.test("what is written to a namespace is read back, at both block sizes and odd places")
def round_trip():
    for target, block in (("nvme0/1", 512), ("nvme0/2", 4096)):
        for offset, size in [(0, block), (block * 3, 5 << 20), (1 << 20, (8 << 20) + block),
                             (block * 7, 123 * block)]:
            data = os.urandom(size)
            cli("write", target, "--offset", str(offset), "-", data=data)
            out = cli("read", target, "--offset", str(offset), "--length", str(size), "-")
            assert out == data, (target, offset, size)


@suite.test("files in and out")
def files():
    data = os.urandom(3 << 20)
    with open(RUN.path("in"), "wb") as file:
        file.write(data)
    cli("write", "nvme0/1", "in")
    cli("read", "nvme0/1", "--length", str(len(data)), "out")
    with open(RUN.path("out"), "rb") as file:
        assert file.read() == data
    cli("flush", "nvme0/1")


@suite.test("any offset and length: what lies beside them in the same blocks stays")
def odd_length():
    for offset, size in [(16 << 20, 10000), ((16 << 20) + 1, 1), ((16 << 20) + 4095, 4098),
                         ((16 << 20) + 100, 100)]:
        data = os.urandom(size)
        cli("write", "nvme0/2", "--offset", "16M", "-", data=b"\xaa" * 16384)
        cli("write", "nvme0/2", "--offset", str(offset), "-", data=data)
        before = offset - (16 << 20)
        out = cli("read", "nvme0/2", "--offset", "16M", "--length", "16384", "-")
        assert out == b"\xaa" * before + data + b"\xaa" * (16384 - before - size), (offset, size)
        assert cli("read", "nvme0/2", "--offset", str(offset), "--length", str(size), "-") == data


@suite.test("a range beyond the namespace is refused before anything is written")
def beyond():
    last = os.urandom(1 << 20)
    cli("write", "nvme0/2", "--offset", "31M", "-", data=last)
    with open(RUN.path("large"), "wb") as file:
        file.write(os.urandom(2 << 20))
    for args in [("--offset", "31M"), ("--offset", "33M"),
                 ("--offset", "31M", "--length", str((1 << 20) + 1))]:
        cli("write", "nvme0/2", *args, "large", code=FAILED)
        assert "beyond" in RUN.cli_err, RUN.cli_err
        assert cli("read", "nvme0/2", "--offset", "31M", "-") == last, "something was written"
    # The length of a pipe shows at its end only.
    data = os.urandom(2 << 20)
    cli("write", "nvme0/2", "--offset", "31M", "-", data=data, code=IO_ERROR)
    assert cli("read", "nvme0/2", "--offset", "31M", "-") == data[:1 << 20]
    for args in [("--offset", "64M", "--length", "4096"), ("--offset", "31M", "--length", "2M")]:
        out = cli("read", "nvme0/2", *args, "-", code=FAILED)
        assert out == b"" and "beyond" in RUN.cli_err, RUN.cli_err
    cli("read", "nvme0/9", "--length", "4096", "-", code=FAILED)
    assert "9" in RUN.cli_err, RUN.cli_err


@suite.test("the same read in-process and through the daemon")
def in_process():
    data = os.urandom(1 << 20)
    emulator = RUN.emulator("mem,size=16M,bs=512", name="emu3")
    trid = ["-t", "vfiouser", "-a", emulator.dir, "-n", "1"]
    RUN.cli(None, "write", *trid, "-", data=data)
    out = RUN.cli(None, "read", *trid, "--length", str(len(data)), "-")
    assert out == data
    cli("attach", "-t", "vfiouser", "-a", emulator.dir, "--name", "third")
    RUN.cli(None, "read", *trid, "-", code=FAILED)
    assert "another program has it: nvmux detach it first" in RUN.cli_err, RUN.cli_err
    assert cli("read", "third", "--length", str(len(data)), "-") == data
    cli("detach", "third")


@suite.test("-o json prints one JSON value and nothing else, for every command that has output")
def only_json():
    with open(RUN.path("small"), "wb") as file:
        file.write(b"\x5a" * 4096)
    for args in [("list",), ("list", "nvme0"), ("status",), ("version",), ("identify", "nvme0"),
                 ("identify", "nvme0/1"), ("identify", "nvme0", "--cns", "2"),
                 ("probe",), ("rpc", "get_stats"), ("rpc", "rpc.discover"),
                 ("attach", "-t", "loopback", "-a", "mem,size=8M,bs=512", "--name", "temp"),
                 ("write", "temp", "small"), ("read", "temp", "--length", "4096", "copy"),
                 ("bench", "temp", "--time", "0.2", "--warmup", "0"),
                 ("reset", "temp"), ("flush", "temp"), ("detach", "temp")]:
        for form in (["-o", "json", *args], [*args, "-o", "json"]):
            if args[0] in ("attach", "detach") and form[0] != "-o":
                continue
            out = cli(*form).decode()
            value = json.loads(out)
            assert out.count("\x1b") == 0
            if args[0] in ("read", "write"):
                assert value["bytes"] == 4096, value
            if args[0] == "bench":
                assert value["runs"][0]["iops"] > 0, value
    with open(RUN.path("copy"), "rb") as file:
        assert file.read() == b"\x5a" * 4096
    out = cli("-o", "json", "list").decode()
    text = json.dumps(json.loads(out))
    assert "nvme0" in text and "second" in text and "EMU-ONE" in text, text


@suite.test("numbers in JSON are numbers")
def json_numbers():
    (first,) = json.loads(cli("rpc", "get_controllers", '{"name": "nvme0"}'))
    assert first["max_transfer"] > 0 and isinstance(first["max_transfer"], int)
    one, two = json.loads(cli("rpc", "get_namespaces", '{"controller": "nvme0"}'))
    assert (one["nsid"], one["block_size"], one["size"], one["blocks"]) == \
        (1, 512, 64 << 20, 131072), one
    assert (two["nsid"], two["block_size"], two["size"]) == (2, 4096, 32 << 20), two


@suite.test("identify has the keys of nvme-cli")
def identify():
    ctrl = json.loads(cli("identify", "nvme0", "-o", "json"))
    for key in ("vid", "sn", "mn", "fr", "mdts", "cntlid", "ver", "oacs", "sqes", "nn", "oncs"):
        assert key in ctrl, sorted(ctrl)
    assert ctrl["sn"].strip() == "EMU-ONE" and ctrl["nn"] >= 2, ctrl
    ns = json.loads(cli("identify", "nvme0/2", "-o", "json"))
    assert ns["nsze"] == (32 << 20) // 4096, ns
    assert ns["lbafs"][ns["flbas"] & 15]["ds"] == 12, ns
    assert b"EMU-ONE" in cli("identify", "nvme0")


@suite.test("tables for people name controllers, sizes, clients")
def tables():
    out = cli("list").decode()
    for word in ("nvme0", "second", "64", "MiB", "vfio-user"):
        assert word in out, out
    for name in ("zz", "c10", "c9", "aa"):
        cli("attach", "-t", "loopback", "-a", "mem,size=8M", "--name", name)
    names = re.findall(r"(?m)^(\S+) +ready", cli("list").decode())
    assert names == ["aa", "c9", "c10", "nvme0", "second", "zz"], names
    assert [c["name"] for c in json.loads(cli("list", "-o", "json"))] == names
    for name in ("zz", "c10", "c9", "aa"):
        cli("detach", name)
    out = cli("status").decode()
    assert len(out.splitlines()) > 5, out


@suite.test("wrong use of the command line: exit code 1, with the option or command that was meant")
def usage():
    for args, word in [(("lsit",), "list"), (("list", "--jsno"), "jsno"), (("read",), "read"),
                       (("attach", "-t", "fax", "-a", "1"), "fax"), (("attach",), "-t"),
                       (("read", "nvme0/x", "-"), "nvme0/x"), (("-o", "yaml", "list"), "yaml"),
                       (("read", "nvme0/1", "--length", "many", "-"), "many"),
                       (("bind", "not-an-address"), "not-an-address")]:
        cli(*args, code=None)
        assert RUN.cli_code == USAGE or args[0] == "bind" and RUN.cli_code > 0, (args, RUN.cli_code)
        assert word in RUN.cli_err, (args, RUN.cli_err)
    out = cli("bench", "second", "--core", "1023", code=USAGE)
    assert out == b"" and "--core 1023" in RUN.cli_err, RUN.cli_err
    cli("identify", "nvme0", "--cns", "254", code=IO_ERROR)
    assert RUN.cli_err.count("identify:") == 1, RUN.cli_err


def has_rdma():
    """Whether this build has NVMe over RDMA; nvmux --version says so."""
    out = RUN.cli(None, "--version").decode()
    assert re.fullmatch(r"nvmux \S+\ntransports: PCIe, .*\n", out), out
    assert ("not RDMA: built without libibverbs and librdmacm" in out) != (", RDMA," in out), out
    return ", RDMA," in out


def refused(*args, says, code=USAGE):
    """The command fails at once and prints one line with this text."""
    cli(*args, code=code)
    assert says in RUN.cli_err and len(RUN.cli_err.splitlines()) == 1, (args, RUN.cli_err)


@suite.test("what only a fabric can use is refused for other transports, by name")
def fabrics():
    ours = {"-s": "x", "-w": "x", "-f": "x", "-q": "nqn.x", "--nqn": "x", "-I": "x",
            "--hostid": "x", "--subnqn": "x"}
    timing = {"--ctrl-loss-tmo": "5", "--reconnect-delay": "5", "--keep-alive-tmo": "5",
              "--fast_io_fail_tmo": "5", "--transport-ack-timeout": "5"}
    for command, options in [("attach", {**ours, **timing, "-n": "x"}), ("probe", ours),
                             ("read", {**ours, **timing}), ("write", {**ours, **timing}),
                             ("flush", {**ours, **timing}), ("bench", {**ours, **timing})]:
        for option, value in options.items():
            if has_rdma():
                refused(command, "-t", "pcie", "-a", "0000:01:00.0", option, value,
                        says=f"{option if option[1] == '-' else ''} needs a fabrics transport: "
                             "-t rdma")
            else:
                refused(command, "-t", "pcie", "-a", "0000:01:00.0", option, value,
                        says=f"{option} needs a fabrics transport; this build has none")
        text = cli(command, "--help").decode()
        lines = [line for line in text.splitlines() if line.startswith("Refused, ")]
        assert len(lines) == (not has_rdma()), text
        for option in options if command == "attach" else ours:
            assert option in text or option[1] == "-" and not has_rdma(), (command, option)


@suite.test("a build without RDMA says so, whatever is asked of it")
def without_rdma():
    for command in ("attach", "probe", "discover", "read", "bench"):
        if not has_rdma():
            refused(command, "-t", "rdma", "-a", "10.0.0.1",
                    says="this build has no transport RDMA: it was made without libibverbs and "
                         "librdmacm")


@suite.test("a transport id of RDMA that can't be right is refused before the daemon is asked")
def wrong_rdma():
    if not has_rdma():
        raise Skip("this build has no RDMA")
    where = ["-t", "rdma", "-a", "10.0.0.1"]
    for args, says in [
            (["-t", "rdma"], "--traddr is missing"),
            (["-t", "rdma", "-a", "some.host"], "some.host"),
            ([*where, "-s", "nvme"], "nvme"), ([*where, "-s", "70000"], "70000"),
            ([*where, "-I", "no-uuid"], "isn't a UUID"), ([*where, "-q", "me"], "isn't an NQN"),
            ([*where, "-w", "::1"], "::1"), ([*where, "-f", "a/b"], "--host-iface")]:
        for command in ("discover", "probe", "attach"):
            RUN.cli(None, "-S", "/nowhere", command, *args, "-n", "nqn.x", code=USAGE)
            assert says in RUN.cli_err, (command, args, RUN.cli_err)
    for args, says in [
            (["attach", *where], "nvmux discover -t rdma -a 10.0.0.1 -s 4420 lists them"),
            (["bench", *where], "lists them"), (["read", *where, "-"], "lists them"),
            (["attach", *where, "--all", "-N", "x"], "--name is for one controller"),
            (["attach", *where, "-n", "nqn.x", "--ctrl-loss-tmo", "1"], "longer than"),
            (["attach", *where, "-n", "nqn.x", "--keep-alive-tmo", "soon"], "soon"),
            (["discover"], "which discovery service?"),
            (["discover", "-t", "pcie"], "pcie has no discovery services"),
            (["discovery", "start"], "Name it"), (["discovery", "begin", "x"], "begin"),
            (["discovery", "start", "x"], "which discovery service?"),
            (["discovery", "stop", "x", *where], "no options"),
            (["bench", "nvme0", "-s", "4420"], "give -t and -a as well")]:
        RUN.cli(None, "-S", "/nowhere", *args, code=USAGE)
        assert says in RUN.cli_err, (args, RUN.cli_err)


@suite.test("without an RDMA device discover, attach and bench fail at once, with the reason")
def no_rdma_device():
    if not has_rdma():
        raise Skip("this build has no RDMA")
    if os.path.isdir("/sys/class/infiniband") and os.listdir("/sys/class/infiniband"):
        raise Skip("there is an RDMA device")
    where = ["-t", "rdma", "-a", "127.0.0.1", "-s", "4420"]
    for args in [("discover", *where), ("attach", "--all", *where), ("probe", *where),
                 ("attach", *where, "-n", "nqn.x"), ("bench", *where, "--nqn", "nqn.x"),
                 ("read", *where, "--nqn", "nqn.x", "-")]:
        start_time = time.monotonic()
        out = cli(*args, code=FAILED)
        assert out == b"" and time.monotonic() - start_time < 10, (args, out)
        assert "RDMA" in RUN.cli_err, (args, RUN.cli_err)
        assert len(RUN.cli_err.splitlines()) == 1, (args, RUN.cli_err)
    assert cli("discovery", "list") == b"no discovery services\n"
    assert json.loads(cli("discovery", "list", "-o", "json")) == []
    cli("discovery", "stop", "nothing", code=FAILED)
    assert "nothing" in RUN.cli_err, RUN.cli_err


@suite.test("list -v has the identities, and on a narrow terminal continues lines")
def list_verbose():
    (first,) = json.loads(cli("list", "nvme0", "-o", "json"))
    assert first["connection"]["state"] == "up", first
    out = cli("list", "-v", "nvme0").decode()
    assert re.search(rf"(?m)subsystem +{re.escape(first['subnqn'])}$", out), out
    for ns in first["namespaces"]:
        ident = ns.get("uuid") or ns.get("nguid")
        assert not ident or ident in out, (ident, out)
    assert len(out.splitlines()) > len(cli("list", "nvme0").splitlines())
    ours, theirs = pty.openpty()
    try:
        # 60 columns, so that something has to give
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 60, 0, 0))
        subprocess.run(WRAP + [program("nvmux"), "-S", DAEMON.socket, "list", "-v", "nvme0"],
                       stdin=subprocess.DEVNULL, stdout=theirs, timeout=60, check=True)
        shown = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert max(len(line.rstrip("\r\n")) for line in shown.splitlines()) <= 60, shown
    assert re.sub(r"\W", "", first["subnqn"]) in re.sub(r"\W", "", shown), shown


@suite.test("events come one by one, as text and as JSON")
def events():
    for form in ([], ["-o", "json"]):
        argv = WRAP + [program("nvmux"), "-S", DAEMON.socket, "events", "--count", "2", *form]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              text=True) as process:
            lines = []
            with DAEMON.rpc() as rpc:
                wait_until(lambda: any(c["pid"] == process.pid and c["connected_sec"] >= 1
                                       for c in rpc.call("get_clients")), what="it listens")
            cli("attach", "-t", "loopback", "-a", "mem,size=8M", "--name", "brief", "-o", "json")
            cli("detach", "brief")
            out, _ = process.communicate(timeout=30 * SLOWNESS)
            assert process.returncode == 0, out
        lines = out.splitlines()
        assert len(lines) == 2, out
        if form:
            assert all(json.loads(line)["type"] for line in lines), out
        else:
            assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+( \w+=\S+)+$", line)
                       for line in lines), out
    code, _, _ = interrupt("-S", DAEMON.socket, "events")
    assert code == INTERRUPTED, code


@suite.test("output that nobody takes: exit code 4, with the reason")
def full():
    for args in [("bench", "second", "--time", "0.2", "--warmup", "0"), ("list",), ("--help",),
                 ("bench", "second", "--time", "0.2", "--warmup", "0", "-o", "json"),
                 ("read", "nvme0/1", "--length", "4096", "-")]:
        with open("/dev/full", "wb") as out:
            done = subprocess.run(WRAP + [program("nvmux"), "-S", DAEMON.socket, *args],
                                  stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE,
                                  text=True, timeout=60, check=False)
        assert done.returncode == IO_ERROR, (args, done)
        assert "No space left on device" in done.stderr, (args, done)
        assert len(done.stderr.splitlines()) == 1, (args, done)


@suite.test("no daemon: exit code 2, naming the socket")
def no_daemon():
    for args in [("list",), ("read", "nvme0/1", "--length", "512", "-"), ("status",)]:
        RUN.cli(None, "-S", RUN.path("none.sock"), *args, code=NO_DAEMON)
        assert "none.sock" in RUN.cli_err, RUN.cli_err


@suite.test("a controller that isn't there: exit code 3, with the names that are")
def unknown():
    for args in [("detach", "nvme7"), ("reset", "nvme7"), ("identify", "nvme7"),
                 ("read", "nvme7/1", "--length", "512", "-")]:
        cli(*args, code=None)
        assert RUN.cli_code == FAILED, (args, RUN.cli_code, RUN.cli_err)
        assert "nvme7" in RUN.cli_err and "nvme0" in RUN.cli_err, RUN.cli_err


@suite.test("a short benchmark gives plausible figures in JSON and as text")
def bench():
    result = json.loads(cli("bench", "second", "--time", "1", "--depth", "1,16", "-o", "json"))
    assert [r["depth"] for r in result["runs"]] == [1, 16], result
    for r in result["runs"]:
        latency = r["latency_ns"]
        in_flight = r["iops"] * latency["avg"] / 1e9
        assert abs(in_flight / r["depth"] - 1) < 0.3, (in_flight, r)
        assert abs(r["commands"] / r["seconds"] / r["iops"] - 1) < 0.05, r
        assert abs(r["bytes_per_sec"] / (r["iops"] * 4096) - 1) < 0.001, r
        assert sum(count for _, _, count in r["histogram_ns"]) == r["commands"] > 0, r
        places = [latency[key] for key in ("min", "p50", "p90", "p99", "p999", "max")]
        assert places == sorted(places) and latency["min"] <= latency["avg"] <= latency["max"], r
        lowest, highest = r["histogram_ns"][0], r["histogram_ns"][-1]
        assert lowest[0] <= latency["min"] <= lowest[1], r
        assert highest[0] <= latency["max"] <= highest[1], r
    out = cli("bench", "second", "--time", "1").decode()
    assert re.search(r"depth 32: [1-9]\d* IOPS, \d+\.\d MB/s", out), out
    shares = [float(share) for share in re.findall(r"\| +([0-9.]+) %", out)]
    assert abs(sum(shares) - 100) < 0.5, out


@suite.test("a benchmark of a number of I/Os has exactly so many, in each run and of each job")
def bench_count():
    for jobs, depths, count in [(1, "1,16", 1000), (2, "32", 777), (1, "64", 10), (1, "1", 1)]:
        result = json.loads(cli("bench", "second", "--count", str(count), "--depth", depths,
                                "--jobs", str(jobs), "-o", "json", "--memory-window", "64M"))
        for r in result["runs"]:
            assert r["commands"] == count * jobs, (count, r)
            assert sum(n for _, _, n in r["histogram_ns"]) == count * jobs, r
            assert r["seconds"] > 0 and r["empty_polls"] >= 0, r
    out = cli("bench", "second", "--count", "100").decode()
    assert "100 I/Os per job and depth" in out, out
    for option in ("--time", "--warmup"):
        cli("bench", "second", "--count", "100", option, "1", code=USAGE)
    for window in ("3M", "1M", "257G", "x"):
        cli("bench", "second", "--memory-window", window, code=USAGE)
    # The I/O memory and the library's own don't fit.
    cli("bench", "second", "--memory-window", "2M", "--bs", "64K", "--depth", "64", "--time", "0.2",
        code=FAILED)


@suite.test("bench --verify finds data that isn't what was written: exit code 5")
def miscompare():
    backing = RUN.path("backing")
    with open(backing, "wb") as file:
        file.truncate(4 << 20)
    emulator = RUN.emulator(f"file,path={backing},bs=512", name="emu4")
    trid = ["-t", "vfio-user", "-a", emulator.dir]
    args = ["bench", *trid, "--verify", "--allow-write", "--warmup", "0"]
    RUN.cli(None, *args, "--time", "0.5")
    RUN.cli(None, "write", *trid, "-", data=bytes(4 << 20))
    with subprocess.Popen(WRAP + [program("nvmux"), *args, "--time", "60"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        with open(backing, "r+b", buffering=0) as file:
            def filled():
                file.seek(-4096, os.SEEK_END)
                return file.read(4096).strip(b"\0")
            wait_until(filled, what="the range is filled")
            time.sleep(0.2)
            file.seek(1000 * 512)
            file.write(b"wrong")
        _, err = process.communicate(timeout=50)
        assert process.returncode == MISCOMPARE, (process.returncode, err)
        assert b"block 1000 doesn't hold what was written" in err, err


@suite.test("SIGINT ends read, write and bench: exit code 130, nothing is left in the daemon")
def interrupted():
    before = Counts(DAEMON)
    for args in [("read", "second", "/dev/null"), ("write", "second", "/dev/zero"),
                 ("bench", "second", "--time", "60")]:
        code, err, _ = interrupt("-S", DAEMON.socket, *args)
        assert code == INTERRUPTED and "interrupted" in err, (args, code, err)
    before.same()


@suite.test("SIGINT ends the wait for a controller that doesn't answer")
def interrupted_attach():
    os.mkdir(RUN.path("silent"))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(RUN.path("silent/cntrl"))
        server.listen(8)
        for command in ("read", "write", "bench"):
            code, err, seconds = interrupt(command, "-t", "vfio-user", "-a", RUN.path("silent"),
                                           begun=lambda _: has_input(server))
            server.accept()[0].close()  # which leaves the next one's to be seen
            assert code == INTERRUPTED and "interrupted" in err, (command, code, err)
            assert seconds < 3 * SLOWNESS, f"{command} took {seconds:.1f} s to end"


@suite.test("there is a progress bar on a terminal, and nowhere else")
def progress():
    ours, theirs = pty.openpty()
    try:
        code, _, _ = interrupt("-S", DAEMON.socket, "read", "second", "/dev/null", seconds=1,
                               stderr=theirs, begun=lambda _: has_input(ours))
        shown = os.read(ours, 65536).decode()
        assert code == INTERRUPTED, code
        assert re.search(r"\r\[[# ]+\] +\d+ %  [0-9.]+ \w+, [0-9.]+ \w+/s", shown), repr(shown)
    finally:
        os.close(ours)
        os.close(theirs)
    _, err, _ = interrupt("-S", DAEMON.socket, "read", "second", "/dev/null", seconds=1)
    assert len(err.splitlines()) == 1 and "%" not in err and "\r" not in err, repr(err)


@suite.test("a reader that goes away isn't an endless wait")
def broken_pipe():
    argv = WRAP + [program("nvmux"), "-S", DAEMON.socket, "read", "second", "-"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.read(1 << 20)
        process.stdout.close()
        process.wait(timeout=30)
        process.stderr.read()
        assert process.returncode != 0


@suite.test("help for the program and for each command")
def help_texts():
    out = RUN.cli(None, "--help").decode()
    commands = [line.split()[0] for line in out.split("Commands:")[1].splitlines()
                if line.startswith("  ") and line[2:3].isalpha()]
    assert {"attach", "bench", "bind", "detach", "identify", "list", "read", "write"} <= \
        set(commands), commands
    for command in commands:
        text = RUN.cli(None, command, "--help").decode()
        assert text.startswith(f"Usage: nvmux {command}"), text
        assert RUN.cli(None, "help", command).decode() == text


@suite.test("shutdown waits until the daemon has ended")
def end():
    cli("shutdown")
    assert DAEMON.wait(10 * SLOWNESS) == 0
    DAEMON.check_log()
    RUN.stop()


try:
    suite.main()
finally:
    RUN.clean_up()
