#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Faults that the emulator makes on demand, and what the daemon says about them."""

import os
import socket
import time

from nvmux_test import SLOWNESS, Run, RpcError, Suite, attach, wait_until

suite = Suite()
DEADLINE = 60 * SLOWNESS


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
            if within_deadline(attach, daemon, emulator, "a") is None:
                rpc.call("detach_controller", name="a")
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


if __name__ == "__main__":
    suite.main()
