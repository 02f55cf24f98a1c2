#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Faults that the emulator makes on demand, and what the daemon says about them."""

import errno
import os
import socket
import time

from nvmux_test import (SLOWNESS, Counts, Run, RpcError, Session, Suite, attach, check_load,
                        daemon_trid, result_of, wait_until)

suite = Suite()
DEADLINE = 60 * SLOWNESS
PACE = min(SLOWNESS, 2)  # of time-outs and of what waits for them: the whole has a limit


class Control:
    """The emulator's control socket."""

    def __init__(self, emulator):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(os.path.join(emulator.dir, "control"))
        self.file = self.socket.makefile("r", encoding="utf-8")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def ask(self, line):
        """The lines of an answer."""
        self.socket.sendall(line.encode() + b"\n")
        lines = []
        while True:
            got = self.file.readline()
            assert got, "the emulator closed its control socket"
            lines.append(got.rstrip("\n"))
            if lines[-1] == "ok" or lines[-1].startswith("error: "):
                return lines

    def set(self, *specs):
        for spec in specs:
            assert self.ask(spec) == ["ok"], spec


def within_deadline(function, *args, **kwargs):
    """Call it, which may fail but must end; the error, or None."""
    began = time.monotonic()
    error = None
    try:
        function(*args, **kwargs)
    except RpcError as caught:
        error = caught
    assert time.monotonic() - began < DEADLINE, "it took too long"
    return error


@suite.test("the control socket takes lines, and says what is wrong with them")
def control_lines():
    with Run() as run:
        emulator = run.emulator()
        with Control(emulator) as control:
            assert control.ask("list") == ["ok"]
            control.set("drop:qid=1:opc=02", "delay:ms=5:nth=3:times=0")
            assert control.ask("list") == ["drop:opc=02:qid=1:nth=1:times=1",
                                           "delay:nth=3:times=0:ms=5", "ok"]
            assert control.ask("explode")[0].startswith("error: explode: unknown fault")
            assert control.ask("drop:qid=x")[0].startswith("error: qid")
            assert control.ask("smart temperature=350") == ["ok"]
            assert control.ask("smart heat=1")[0].startswith("error: heat")
            assert control.ask("clear") == ["ok"]
            assert control.ask("list") == ["ok"]
            control.socket.sendall(b"x" * 1000)
            assert control.file.readline() == "error: the line is too long\n"
        with Control(emulator) as first, Control(emulator) as second:
            first.set("drop:qid=9")
            assert len(second.ask("list")) == 2
    assert not os.path.exists(os.path.join(emulator.dir, "control"))


@suite.test("a status that a command gets reaches the caller, and the next one is right")
def status():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        attach(daemon, emulator, "a")
        with Control(emulator) as control, daemon.rpc() as rpc:
            control.set("status=4002:opc=06:qid=0")
            error = within_deadline(rpc.call, "identify", controller="a", cns=1)
            assert error and "invalid field" in error.message, error
            assert within_deadline(rpc.call, "identify", controller="a", cns=1) is None


@suite.test("a delayed command takes its time, and is right")
def delay():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        attach(daemon, emulator, "a")
        with Control(emulator) as control, daemon.rpc() as rpc:
            control.set("delay:opc=06:qid=0:ms=400")
            began = time.monotonic()
            assert within_deadline(rpc.call, "identify", controller="a", cns=1) is None
            assert time.monotonic() - began >= 0.39


def attach_with(spec):
    """Attach while there is a fault, then without."""
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        with Control(emulator) as control:
            control.set(spec)
            error = within_deadline(attach, daemon, emulator, "a")
            assert control.ask("clear") == ["ok"]
        assert daemon.alive(), daemon.err()
        with daemon.rpc() as rpc:
            assert rpc.call("get_version")
            if error is None:
                rpc.call("detach_controller", name="a")
            assert rpc.call("get_controllers") == []
        wait_until(lambda: within_deadline(attach, daemon, emulator, "b") is None,
                   what=f"attached after {spec}")
        return error


@suite.test("attaching fails, and says why, while a fault is in its way, and works afterwards")
def attach_faults():
    for spec in ("allones", "cfs", "stuckready", "status=4006:opc=06:qid=0",
                 "badcid:qid=0:times=0", "badlen", "badlen:opc=09", "badlen:opc=04"):
        assert attach_with(spec), f"{spec}: attached all the same"


@suite.test("identify data that is cut off does no harm, and is whole the next time")
def short_identify():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        with Control(emulator) as control, daemon.rpc() as rpc:
            control.set("shortidentify")
            error = within_deadline(attach, daemon, emulator, "a")
            assert error and "SQES is 00h" in error.message, error
            assert within_deadline(attach, daemon, emulator, "a") is None
            assert len(rpc.call("get_controllers")[0]["namespaces"]) == 1


@suite.test("the daemon outlives what happens to a controller that it has")
def running_faults():
    for spec in ("cfs", "allones", "truncate", "duplicate:qid=0", "badcid:qid=0", "missirq:qid=0"):
        with Run() as run:
            emulator = run.emulator()
            daemon = run.daemon()
            attach(daemon, emulator, "a")
            with Control(emulator) as control, daemon.rpc() as rpc:
                control.set(spec)
                within_deadline(rpc.call, "identify", controller="a", cns=1)
                control.ask("clear")
                assert rpc.call("get_version"), spec
                within_deadline(rpc.call, "detach_controller", name="a")
            assert daemon.alive(), daemon.err()


# ---- faults under two clients that verify what they read ----

# What happens, and what becomes of the controller and of commands. Queue 2 is the first client's.
# "pause": all commands succeed. A status: that is what a command of the first client ends with, at
# most as often as the fault happens, and none of the second's. "gone": the device has gone.
UNDER_LOAD = {
    "drop:qid=2:opc=02": "pause",              # repeated by new queues
    "drop:qid=2:opc=01:times=3": "pause",
    f"delay:qid=2:ms={int(2500 * PACE)}": "command abort requested",
    "duplicate:qid=2:times=3": "pause",
    "reorder:qid=2:times=5": "pause",
    "badcid:qid=2:times=2": "pause",           # as if dropped
    "status=281:qid=2:opc=02:times=2": "unrecovered read error",
    "cfs": "pause",                            # a reset
    "missirq:qid=0": "pause",
    "allones": "gone",
    "truncate": "gone",
}
IO_TIMEOUT = int(500 * PACE)
BLOCKS = 32768  # of one client


def some_of(part):
    """All of them; in the slow builds, which have to do no more than run each once, a third."""
    for i, fault in enumerate(UNDER_LOAD.items()):
        if SLOWNESS == 1 or i % 3 == part:
            yield fault


class UnderLoad:
    """A daemon with a controller and two clients at work on ranges of their own."""

    def __init__(self, run):
        self.emulator = run.emulator("mem,size=64M,bs=512")
        self.daemon = run.daemon()
        attach(self.daemon, self.emulator, "a", io_timeout_ms=IO_TIMEOUT)
        self.counts = Counts(self.daemon)
        self.loads = [self.load(run, i) for i in range(2)]

    def load(self, run, number):
        """The first client's queue pair is made before the second's."""
        load = run.load(f"load{number}", daemon_trid(self.daemon, "a"), "--start", number * BLOCKS,
                        "--blocks", BLOCKS, "--owner", number + 1, "--depth", 16, "--errors",
                        seconds=int(2.5 * PACE + 0.5))
        wait_until(lambda: "running" in load.out() or not load.alive(), what=f"{load.name} runs")
        return load

    def inject(self, spec):
        with Control(self.emulator) as control:
            control.set(spec)

    def state(self):
        """Of the controller, None: it isn't there any more."""
        with self.daemon.rpc() as rpc:
            found = [c["state"] for c in rpc.call("get_controllers") if c["name"] == "a"]
            return found[0] if found else None

    def check(self, outcome, spec):
        """All of them have ended in time, as they should."""
        results = [result_of(load, None) for load in self.loads if not load.stopped]
        for result in results:
            assert result["miscompares"] == 0 and result["duplicates"] == 0, (spec, result)
        if outcome == "gone":
            for result in results:
                # Between two commands there was none to end; the queue pair itself is gone.
                assert result["result"] == -errno.ENODEV if not result["errors"] else \
                    "failed or removed" in result["first_status"], (spec, result)
            assert self.state() in (None, "failed"), spec
        else:
            check_load(results[-1], least=1)
            assert self.state() == "ready", spec
        if outcome == "pause":
            assert not any(result["errors"] for result in results), (spec, results)
        assert self.daemon.alive(), self.daemon.err()
        self.daemon.check_log()


@suite.test("faults under load: each ends as documented, and only for whom it concerns")
def under_load():
    for spec, outcome in some_of(0):
        with Run() as run:
            lab = UnderLoad(run)
            lab.inject(spec)
            first = result_of(lab.loads[0], None)
            if outcome not in ("pause", "gone"):
                assert 1 <= first["errors"] <= 2 and outcome in first["first_status"], (spec, first)
            lab.check(outcome, spec)


@suite.test("a command that is never answered costs a reset, and not the controller")
def unanswered():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        attach(daemon, emulator, "a", io_timeout_ms=int(500 * PACE))
        with Control(emulator) as control, Session(daemon, "a") as bad, \
                Session(daemon, "a") as good:
            control.set("drop:opc=0c:times=0", "drop:opc=0a:qid=0:times=0")
            ring, other = bad.qpair(), good.qpair()
            region = good.memory(4096)
            ring.push(ring.command(0x0c))
            ring.kick()
            for _ in range(int(5 * PACE) * 4):
                assert other.submit(2, data=region << 48, data_len=512) == 0
                time.sleep(0.25)
            assert ring.completion()[1] & 0x47ff == 0x4007
            error = within_deadline(bad.rpc.call, "get_feature", controller="a", fid=4)
            assert error and error.data["nvme_status"] == 8, error
            assert other.submit(2, data=region << 48, data_len=512) == 0
            (ctrl,) = good.rpc.call("get_controllers", name="a")
            assert ctrl["state"] == "ready" and ctrl["resets"] <= 3, ctrl


@suite.test("faults under load, and a reset by RPC: it ends, and so does everything else")
def reset_under_fault():
    for spec, outcome in some_of(1):
        with Run() as run:
            lab = UnderLoad(run)
            lab.inject(spec)
            time.sleep(0.5 * PACE)
            with lab.daemon.rpc() as rpc:
                error = within_deadline(rpc.call, "reset_controller", name="a")
            assert (error is not None) == (outcome == "gone"), (spec, error)
            lab.check("gone" if outcome == "gone" else "any", spec)


@suite.test("faults under load, and the client that they concern dies: nothing is left over")
def death_under_fault():
    for spec, outcome in some_of(2):
        with Run() as run:
            lab = UnderLoad(run)
            lab.inject(spec)
            time.sleep(0.3 * PACE)
            lab.loads[0].kill()
            lab.check(outcome if outcome == "gone" else "pause", spec)
            if outcome != "gone":
                lab.counts.same()


if __name__ == "__main__":
    suite.main()
