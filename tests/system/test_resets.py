#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Resets of a controller beneath clients that verify what they read: they see a pause."""

import random
import time

from nvmux_test import (SLOWNESS, Counts, RpcError, Run, Session, Suite, attach, check_load,
                        daemon_trid, result_of, wait_until)
from test_faults import Control

SHARE = 16 << 11  # blocks of one client
RESETS = 10
KILLS = 12

suite = Suite()


def client(run, daemon, number, *options, name="a", seconds=6):
    """A load on a range of its own."""
    return run.load(f"load{number}", daemon_trid(daemon, name), "--start", number * SHARE,
                    "--blocks", SHARE, "--owner", number + 1, "--depth", 32, *options,
                    seconds=seconds)


def running(*loads):
    for load in loads:
        wait_until(lambda load=load: "running" in load.out() or not load.alive(),
                   what=f"{load.name} runs")


def reset(rpc, name="a", method="reset_controller"):
    """Returns how long it took."""
    began = time.monotonic()
    assert rpc.call(method, name=name) is True
    return time.monotonic() - began


@suite.test("resets: nobody's command fails, whoever asks for them")
def resets():
    with Run() as run:
        emulator = run.emulator("mem,size=64M,bs=512")
        daemon = run.daemon()
        attach(daemon, emulator, "a")
        loads = [client(run, daemon, i, "--qpairs", 1 + i) for i in range(2)]
        running(*loads)
        with daemon.rpc() as rpc:
            slowest = 0
            for _ in range(RESETS):
                slowest = max(slowest, reset(rpc))
                time.sleep(0.1 * random.random())
            assert rpc.call("get_controllers")[0]["state"] == "ready"
        for load in loads:
            check_load(result_of(load))
        daemon.check_log()
        print(f"# {RESETS} resets, the slowest took {slowest * 1000:.0f} ms")


@suite.test("a reset of the NVM subsystem: nobody's command fails")
def subsystem():
    with Run() as run:
        emulator = run.emulator("mem,size=64M,bs=512")
        daemon = run.daemon()
        attach(daemon, emulator, "a")
        loads = [client(run, daemon, i, seconds=4) for i in range(2)]
        running(*loads)
        with daemon.rpc() as rpc:
            for _ in range(3):
                reset(rpc, method="reset_subsystem")
                time.sleep(0.1)
        for load in loads:
            check_load(result_of(load))


def reset_event(events, name):
    """Wait for the event that a controller has been reset; returns why."""
    def look():
        events.call("get_version")
        while events.notifications:
            event = events.notifications.pop(0)["params"]
            if event["type"] == "controller_reset" and event["name"] == name:
                return event["reason"]
        return None
    return wait_until(look, what=f"{name} is reset")


@suite.test("a reset of a subsystem with two controllers: clients of both see a pause")
def two_controllers():
    with Run() as run:
        daemon = run.daemon()
        for name in ("a", "b"):  # the serial number makes the subsystem's name
            attach(daemon, run.emulator("mem,size=64M,bs=512", name=name,
                                        options=["--serial", "ONE"]), name)
        with daemon.rpc() as rpc:
            first, second = rpc.call("get_controllers")
            assert first["subnqn"] == second["subnqn"], (first, second)
            rpc.call("subscribe_events")
            loads = [client(run, daemon, i, name=n) for i, n in enumerate("ab")]
            running(*loads)
            reset(rpc, method="reset_subsystem")
            assert reset_event(rpc, "b") == "its NVM subsystem has been reset"
            assert [c["resets"] for c in rpc.call("get_controllers")] == [1, 1]
        for load in loads:
            check_load(result_of(load))


@suite.test("a reset for which nobody asked is told, with its reason")
def by_itself():
    with Run() as run:
        emulator = run.emulator("mem,size=64M,bs=512")
        daemon = run.daemon()
        attach(daemon, emulator, "a")
        with daemon.rpc() as rpc, Control(emulator) as control:
            rpc.call("subscribe_events")
            control.set("cfs")
            assert reset_event(rpc, "a") == "CSTS.CFS: controller reset"
            reset(rpc)
            assert "wanted by process" in reset_event(rpc, "a")
            assert rpc.call("get_controllers")[0]["resets"] == 2


@suite.test("a format that isn't answered holds others up to its time-out, no longer")
def unanswered_format():
    for dies in (False, True):
        with Run() as run:
            emulator = run.emulator("mem,size=64M,bs=512")
            daemon = run.daemon(config="[limits]\nchange_timeout_ms = 2000\n"
                                       "drain_timeout_ms = 200\n")
            attach(daemon, emulator, "a")
            counts = Counts(daemon)
            with Session(daemon, "a") as other, Control(emulator) as control:
                region = other.memory(65536)
                control.set("drop:opc=80:qid=0")
                owner = Session(daemon, "a")
                began = time.monotonic()  # before its time-out does
                ident = owner.rpc.request("format", {"controller": "a", "nsid": 1})
                wait_until(lambda c=control: "drop" not in " ".join(c.ask("list")),
                           what="the command has been dropped")
                if dies:
                    owner.close()
                other.rpc.call("read", controller="a", nsid=1, lba=0, lba_count=1, region=region)
                took = time.monotonic() - began
                assert 1.9 < took < 2 + 10 * SLOWNESS, (dies, took)
                if not dies:
                    try:
                        raise AssertionError(owner.rpc.answer(ident))
                    except RpcError as error:
                        assert error.data["nvme_status"] in (7, 8), error.data
                    owner.close()
            counts.same()
            daemon.check_log()


@suite.test("what clients ask for during resets waits, and is right")
def admin_waits():
    with Run() as run:
        emulator = run.emulator("mem,size=64M,bs=512")
        daemon = run.daemon()
        attach(daemon, emulator, "a")
        with daemon.rpc() as rpc, Session(daemon, "a") as session:
            other = session.rpc
            region = session.memory(65536)
            for _ in range(RESETS):
                ident = rpc.request("reset_controller", {"name": "a"})
                for _ in range(3):
                    other.call("read", controller="a", nsid=1, lba=5, lba_count=8, region=region,
                               offset=0)
                    assert other.call("identify", controller="a", cns=1)["sn"]
                    other.call("admin_raw", controller="a", opc=6, cdw10=1, region=region,
                               offset=0, length=4096)
                assert rpc.answer(ident) is True


@suite.test("clients die during resets: neighbours don't notice, nothing is left over")
def killed():
    with Run() as run:
        emulator = run.emulator("mem,size=64M,bs=512")
        daemon = run.daemon()
        attach(daemon, emulator, "a")
        counts = Counts(daemon)
        neighbour = client(run, daemon, 0, "--qpairs", 2, seconds=10)
        running(neighbour)
        rng = random.Random(5)
        with daemon.rpc() as rpc:
            for i in range(KILLS):
                victim = client(run, daemon, 1, "--qpairs", 1 + i % 3, seconds=int(60 * SLOWNESS))
                running(victim)
                ident = rpc.request("reset_controller", {"name": "a"})
                time.sleep(0.02 * rng.random())
                victim.kill()
                assert rpc.answer(ident) is True
        check_load(result_of(neighbour))
        counts.same()
        daemon.check_log()


@suite.test("clients die while commands aren't answered: what follows is over in time")
def killed_on_the_ladder():
    for spec in ("drop:qid=2:opc=02:times=5", "drop:qid=2:times=20", "cfs"):
        with Run() as run:
            emulator = run.emulator("mem,size=64M,bs=512")
            daemon = run.daemon()
            attach(daemon, emulator, "a", io_timeout_ms=int(700 * SLOWNESS))
            counts = Counts(daemon)
            victim = client(run, daemon, 1, seconds=int(60 * SLOWNESS))
            running(victim)
            neighbour = client(run, daemon, 0, seconds=int(5 * SLOWNESS))
            running(neighbour)
            with Control(emulator) as control:
                control.set(spec)
            time.sleep(random.random() * SLOWNESS)
            victim.kill()
            check_load(result_of(neighbour))
            with Control(emulator) as control:
                control.ask("clear")
            counts.same()
            daemon.check_log()
            assert daemon.alive()


if __name__ == "__main__":
    suite.main()
