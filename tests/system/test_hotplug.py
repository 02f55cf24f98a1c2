#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Devices that are pulled out, or wanted back, under verified load of several clients.

The emulator stands for the device: registers of all ones, a BAR whose file is cut off (an access
raises SIGBUS), and the event by which a device is wanted back.
"""

import contextlib
import json
import os
import signal
import struct
import time

from nvmux_test import (CALL_SECONDS, SLOWNESS, Counts, Run, RpcError, Session, Suite, attach,
                        daemon_trid, expect_error, fd_count, map_count, program, wait_until)
from test_faults import Control

suite = Suite()
SURPRISES = 200 if SLOWNESS == 1 else 24
ORDERLY = 20 if SLOWNESS == 1 else 6
# From the fault to the end of the controller; what is looked for is far from that.
DEADLINE = 5 * SLOWNESS
IO_TIMEOUT_MS = int(400 * SLOWNESS)
COMMANDS = 20  # of each client before the device goes
# Blocks of a client. So few that even a slow machine reads some that it has written between two
# faults: what is verified grows with the share of the range that has been written.
RANGE = 1024
READ = 0x02
GONE = 0x709
RING_STATE, RING_DEAD = 72, 3  # <nvmux/ring.h>


class Events:
    """The daemon's events, as they come."""

    def __init__(self, daemon):
        self.rpc = daemon.rpc()
        self.rpc.call("subscribe_events")
        self.seen = []

    def close(self):
        self.rpc.close()

    def wait(self, kind, name, seconds):
        """The next event of this type about this controller; those before are kept in seen."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            assert left > 0, f"no {kind} of {name} within {seconds:.1f} s: {self.seen[-10:]}"
            self.rpc.socket.settimeout(left)
            try:
                event = self.rpc.notifications.pop(0) if self.rpc.notifications \
                    else self.rpc.receive()
            except TimeoutError:
                continue
            params = event["params"]
            self.seen.append(params)
            if params["type"] == kind and params.get("name") == name:
                return params


class Lab:
    """A daemon, the controller "a" that goes and comes, and "b" that nothing happens to."""

    def __init__(self, run, seconds=600):
        self.run = run
        self.emulator = run.emulator(name="emu-a")
        self.other = run.emulator(name="emu-b")
        self.daemon = run.daemon()
        self.attach()
        attach(self.daemon, self.other, "b")
        self.events = Events(self.daemon)
        self.rpc = self.daemon.rpc()
        self.before = Counts(self.daemon, clients=2 + 1)
        small = ["--depth", 16, "--max", 16384, "--pool", 1 << 20]
        self.loads = [
            run.load(f"load{i}", daemon_trid(self.daemon, "a"), "--again", "--owner", i + 1,
                     "--start", i * RANGE, "--blocks", RANGE, *small, seconds=seconds)
            for i in range(2)]
        self.steady = run.load("steady", daemon_trid(self.daemon, "b"), "--owner", 9,
                               "--blocks", 256, "--depth", 4, "--max", 4096, "--pool", 1 << 20,
                               seconds=seconds)

    def attach(self):
        attach(self.daemon, self.emulator, "a", io_timeout_ms=IO_TIMEOUT_MS)

    def busy(self):
        """Both clients of "a" have verified I/O under way."""
        pids = {load.pid for load in self.loads}
        clients = {c["client"]: c["pid"] for c in self.rpc.call("get_clients")}
        done = {}
        for q in self.rpc.call("get_qpairs", controller="a"):
            pid = clients.get(q["client"])
            if pid in pids:
                done[pid] = done.get(pid, 0) + q["commands"]
        return len(done) == 2 and min(done.values()) >= COMMANDS

    def wait_busy(self):
        try:
            wait_until(self.busy, CALL_SECONDS, "both clients are at work")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{[load.err()[-1500:] for load in self.loads]}") \
                from None

    def steady_commands(self):
        return sum(q["commands"] for q in self.rpc.call("get_qpairs", controller="b"))

    def held(self):
        """Descriptors and mappings of everybody, at a point that comes again and again."""
        counts = {}
        for process in [self.daemon, self.emulator, self.other, *self.loads, self.steady]:
            counts[process.name, "fd"] = fd_count(process.pid)
            counts[process.name, "memfd"] = map_count(process.pid, "memfd")
        stats = self.rpc.call("get_stats")
        for key in Counts.KEYS:
            counts[key] = stats[key]
        return counts

    def end(self, losses):
        """Stop the loads; what they found, and what is left in the daemon."""
        for load in [*self.loads, self.steady]:
            load.stop(signal.SIGTERM)
        results = [json.loads(load.out().splitlines()[-1]) for load in self.loads]
        for result in results:
            assert result["miscompares"] == result["duplicates"] == 0, result
            assert result["other_errors"] == 0, result
            assert result["losses"] >= losses, result
            assert result["verified_blocks"] > losses, result
        steady = json.loads(self.steady.out().splitlines()[-1])
        assert steady["errors"] == steady["miscompares"] == steady["duplicates"] == 0, steady
        assert steady["result"] == 0 and steady["verified_blocks"] > losses, steady
        self.before.same()
        self.events.close()
        self.rpc.close()
        return results, steady


def same_held(lab, before):
    """The same as before; what is on its way is given a moment."""
    try:
        wait_until(lambda: lab.busy() and lab.held() == before, 20 * SLOWNESS)
    except AssertionError:
        after = lab.held()
        raise AssertionError("left over: " + str({key: (before[key], after[key]) for key in before
                                                  if before[key] != after[key]})) from None


@suite.test(f"{SURPRISES} removals by surprise under load leave nothing behind, and nobody else "
            "notices")
def surprises():
    with Run() as run:
        lab = Lab(run)
        before = None
        longest = {"allones": 0.0, "truncate": 0.0}
        with Control(lab.emulator) as control:
            for turn in range(SURPRISES):
                fault = ("allones", "truncate")[turn % 2]
                lab.wait_busy()
                if turn == 4:
                    before = lab.held()
                steady = lab.steady_commands()
                began = time.monotonic()
                control.set(fault)
                event = lab.events.wait("controller_failed", "a", DEADLINE)
                assert event.get("removed"), event
                lab.events.wait("controller_removed", "a", DEADLINE)
                lab.events.wait("controller_detached", "a", DEADLINE)
                longest[fault] = max(longest[fault], time.monotonic() - began)
                assert control.ask("clear") == ["ok"]
                wait_until(lambda: lab.steady_commands() > steady, DEADLINE, "b goes on")
                lab.attach()
            lab.wait_busy()
            same_held(lab, before)
        kinds = [event["type"] for event in lab.events.seen if event.get("name") == "a"]
        assert kinds.count("controller_failed") == SURPRISES, kinds.count("controller_failed")
        results, steady = lab.end(SURPRISES)
    print(f"# longest: {longest['allones']:.2f} s all ones, {longest['truncate']:.2f} s truncated; "
          f"verified blocks: {[r['verified_blocks'] for r in results]}, other controller "
          f"{steady['verified_blocks']}, longest wait {steady['longest_wait']:.2f} s", flush=True)


@suite.test(f"a device that is wanted back is let go of in order, {ORDERLY} times under load")
def orderly():
    with Run() as run:
        lab = Lab(run)
        before = None
        longest = 0.0
        with Control(lab.emulator) as control:
            for turn in range(ORDERLY):
                lab.wait_busy()
                if turn == 2:
                    before = lab.held()
                steady = lab.steady_commands()
                began = time.monotonic()
                control.set("remove")
                event = lab.events.wait("controller_removing", "a", DEADLINE)
                assert event["timeout_ms"] == 10000, event
                seen = len(lab.events.seen)
                lab.events.wait("controller_detached", "a", DEADLINE)
                kinds = [e["type"] for e in lab.events.seen[seen:] if e.get("name") == "a"]
                assert kinds == ["controller_removed", "controller_detached"], kinds
                longest = max(longest, time.monotonic() - began)
                wait_until(lambda: lab.steady_commands() > steady, DEADLINE, "b goes on")
                lab.attach()
            lab.wait_busy()
            same_held(lab, before)
        lab.end(ORDERLY)
    print(f"# longest: {longest:.2f} s", flush=True)


@suite.test("a program that drives the device itself goes on as well once it is back")
def in_process():
    with Run() as run:
        emulator = run.emulator()
        load = run.load("load", f"trtype:VFIOUSER traddr:{emulator.dir}", "--again", "--depth", 16,
                        "--max", 16384, "--pool", 1 << 20, seconds=600)
        before = None
        with Control(emulator) as control:
            for turn in range(20):
                wait_until(lambda: load.out().count("running") > turn, what="the load runs")
                time.sleep(0.1)
                if turn == 2:
                    before = fd_count(load.pid), map_count(load.pid, "memfd")
                control.set(("truncate", "remove")[turn % 2])
            wait_until(lambda: load.out().count("running") == 21, what="the load runs again")
            wait_until(lambda: (fd_count(load.pid), map_count(load.pid, "memfd")) == before,
                       what="nothing is left over")
        load.stop(signal.SIGTERM)
        result = json.loads(load.out().splitlines()[-1])
        assert result["miscompares"] == result["duplicates"] == result["other_errors"] == 0, result
        assert result["losses"] == 20 and result["verified_blocks"] > 100, result


@suite.test("what is in flight is waited for; who still holds the controller hears ENODEV, and can "
            "open the next")
def drained():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        attach(daemon, emulator, "a")
        events = Events(daemon)
        with Control(emulator) as control, Session(daemon, "a") as session:
            region = session.memory(4096)
            ring = session.qpair()
            # Long enough for what is asked meanwhile, and well short of drain_timeout_ms.
            control.set("delay:opc=02:ms=3000")
            ring.push(ring.command(READ, data=region << 48, data_len=512))
            ring.kick()
            with daemon.rpc() as rpc:
                wait_until(lambda: rpc.call("get_qpairs")[0]["in_flight"] == 1)
                control.set("remove")
                events.wait("controller_removing", "a", DEADLINE)
                expect_error(rpc.call, "open_controller", name="a", errno_name="ENODEV")
            assert ring.completion()[1] & 0x7ff == 0
            events.wait("controller_detached", "a", DEADLINE)
            attach(daemon, emulator, "a")
            expect_error(session.rpc.call, "alloc_io_qpair", controller="a", errno_name="ENODEV")
            expect_error(session.rpc.call, "flush", controller="a", nsid=1, errno_name="ENODEV")
            session.rpc.call("open_controller", name="a")
            for fd in session.rpc.take_fds():
                os.close(fd)
            assert session.qpair().submit(READ, data=region << 48, data_len=512) == 0
        events.close()


@suite.test("what doesn't end in time is cut short: the device is closed, commands end with "
            "'controller gone'")
def overdue():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        attach(daemon, emulator, "a", removal_timeout_ms=500)
        events = Events(daemon)
        with Control(emulator) as control, Session(daemon, "a") as session:
            region = session.memory(4096)
            ring = session.qpair()
            control.set("drop:opc=02")
            ring.push(ring.command(READ, data=region << 48, data_len=512))
            ring.kick()
            with daemon.rpc() as rpc:
                wait_until(lambda: rpc.call("get_qpairs")[0]["in_flight"] == 1)
            began = time.monotonic()
            control.set("remove")
            assert ring.completion()[1] & 0x7ff == GONE
            assert 0.4 < time.monotonic() - began < DEADLINE
            events.wait("controller_detached", "a", DEADLINE)
        events.close()
        attach(daemon, emulator, "a")


def another_device(run, emulator, namespace, serial):
    """A new emulator at the address of one that has ended."""
    new = run.process(serial, [program("nvmux-emulator"), "--socket-dir", emulator.dir, "--ns",
                               namespace, "--serial", serial])
    new.dir = emulator.dir
    wait_until(lambda: "ready" in new.out() or not new.alive(), what=f"{serial} is ready")
    assert new.alive(), new.err()
    return new


def is_dead(session, ring, region):
    """Nothing that was had from a controller that is gone does anything any more."""
    call = session.rpc.call
    place = {"controller": "a", "nsid": 1, "lba": 0, "lba_count": 1, "region": region}
    errors = [expect_error(call, method, **params).data["errno"]
              for method, params in (("alloc_io_qpair", {"controller": "a"}), ("read", place),
                                     ("flush", {"controller": "a", "nsid": 1}),
                                     ("admin_raw", {"controller": "a", "opc": 0x0a, "cdw10": 4}))]
    done = ring.head
    ring.push(ring.command(READ, data=region << 48, data_len=512))
    ring.kick()
    time.sleep(0.1)
    assert struct.unpack_from("<H", ring.map, ring.cq_offset + done * 16 + 14)[0] & 1 == 0
    assert struct.unpack_from("<I", ring.map, RING_STATE)[0] == RING_DEAD
    return set(errors)


@suite.test("a controller that has failed is replaced by a new device at its address: what was had "
            "from the old one stays dead, the new one is attached")
def replaced():
    with Run() as run:
        data = f"file,path={run.path('data')},size=64M,bs=512"
        old = run.emulator(data, name="place", options=["--serial", "OLD"])
        daemon = run.daemon(config=f"[controller a]\ntrtype = VFIOUSER\ntraddr = {old.dir}\n")
        events = Events(daemon)
        with daemon.rpc() as rpc:
            def ready():
                (ctrl,) = rpc.call("get_controllers", name="a")
                return ctrl["state"] == "ready" and ctrl
            assert wait_until(ready, what="it is attached")["serial"] == "OLD"
            before = Counts(daemon, 3)
            client = Session(daemon, "a")
            region = client.memory(4096)
            ring = client.qpair()
            assert ring.submit(READ, data=region << 48, data_len=512) == 0
            load = run.load("load", daemon_trid(daemon, "a"), "--again", "--depth", 8, "--max",
                            4096, "--blocks", 256, "--pool", 1 << 20, seconds=600)
            wait_until(lambda: "running" in load.out(), what="the load runs")
            old.kill()
            events.wait("controller_failed", "a", DEADLINE)
            assert rpc.call("get_controllers", name="a")[0]["state"] == "failed"
            new = another_device(run, old, data, "NEW")
            # it isn't taken for the old one: an administrator says so
            for name in ("a", "other"):
                expect_error(attach, daemon, new, name, errno_name="EEXIST")
            assert is_dead(client, ring, region) == {"ENXIO"}
            rpc.call("detach_controller", name="a")
            assert is_dead(client, ring, region) == {"ENODEV"}
            assert attach(daemon, new, "a") == "a"
            assert wait_until(ready, what="the new one is attached")["serial"] == "NEW"
            assert is_dead(client, ring, region) == {"ENOTCONN"}
            client.rpc.call("open_controller", name="a")
            for fd in client.rpc.take_fds():
                os.close(fd)
            assert client.qpair().submit(READ, data=region << 48, data_len=512) == 0
            assert struct.unpack_from("<I", ring.map, RING_STATE)[0] == RING_DEAD
            wait_until(lambda: load.out().count("running") == 2, what="the load runs again")
            time.sleep(0.2 * SLOWNESS)
            load.stop(signal.SIGTERM)
            result = json.loads(load.out().splitlines()[-1])
            assert result["miscompares"] == result["duplicates"] == result["other_errors"] == 0
            assert result["losses"] == 1 and result["verified_blocks"] > 0, result
            client.close()
            before.same()
        events.close()


@suite.test("a device that is wanted back while it is attached, or reset, is let go of as well")
def during():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        events = Events(daemon)
        with Control(emulator) as control, daemon.rpc() as rpc:
            for turn in range(6):
                if turn % 2:
                    control.set("delay:opc=06:qid=0:ms=300")
                    ident = rpc.request("attach_controller",
                                        {"name": "a", "trtype": "VFIOUSER",
                                         "traddr": emulator.dir})
                    time.sleep(0.1)
                    control.set("remove")
                    with contextlib.suppress(RpcError):
                        rpc.answer(ident)
                else:
                    attach(daemon, emulator, "a")
                    control.set("delay:opc=06:qid=0:ms=300")
                    ident = rpc.request("reset_controller", {"name": "a"})
                    time.sleep(0.1)
                    control.set("remove")
                    with contextlib.suppress(RpcError):
                        rpc.answer(ident)
                    events.wait("controller_detached", "a", DEADLINE)
                wait_until(lambda: not rpc.call("get_controllers"), what="it has been let go of")
                control.ask("clear")
        events.close()


if __name__ == "__main__":
    suite.main()
