#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Adaptive reactors, the default: a daemon whose clients do nothing sleeps. What it costs exactly
is measured by tests/bench/idle; here it is told from one that polls."""

import pathlib
import time

from nvmux_test import Run, Session, Suite, attach, wait_until

CLIENTS = 64
READS = 8
SECONDS = 3
CORE_PERCENT = 3  # one thread that polls takes 100
WAKEUPS_PER_SEC = 50  # of all threads; a timer of a millisecond makes 1000
CONFIG = f"[limits]\nmax_clients = {CLIENTS + 8}\n[controller loop]\ntrtype = LOOPBACK\n" \
         "traddr = mem,size=16M,bs=512\n"

suite = Suite()


def usage(pid):
    """Nanoseconds on a processor of all threads of a process, and how often they went to sleep."""
    total, sleeps = 0, 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text(encoding="utf-8").split()[0])
        for line in (task / "status").read_text(encoding="utf-8").splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                sleeps += int(line.split()[1])
    return total, sleeps


def open_client(daemon, controller):
    """A session with a region and a queue pair that has carried I/O."""
    session = Session(daemon, controller)
    region = session.memory(4096)
    ring = session.qpair(depth=8)
    for lba in range(READS):
        status = ring.submit(0x02, data=region << 48, data_len=512, cdw=(lba,))
        assert status == 0, f"status {status:#x}"
    return session


def reactors(daemon):
    with daemon.rpc() as rpc:
        return rpc.call("get_reactors")


def sleeps_well(daemon):
    """All reactors sleep, and nothing of the daemon does much for a while."""
    wait_until(lambda: all(r["asleep"] for r in reactors(daemon)), what="all reactors sleep")
    time.sleep(0.5)
    start, before = time.monotonic(), usage(daemon.pid)
    time.sleep(SECONDS)
    took, after = time.monotonic() - start, usage(daemon.pid)
    percent = (after[0] - before[0]) / took / 1e7
    wakeups = (after[1] - before[1]) / took
    print(f"# {percent:.3f} % of a core, {wakeups:.1f} wake-ups per second")
    assert percent < CORE_PERCENT, f"the idle daemon takes {percent:.1f} % of a core"
    assert wakeups < WAKEUPS_PER_SEC, f"the idle daemon wakes up {wakeups:.0f} times per second"


@suite.test(f"{CLIENTS} clients that do nothing let the daemon sleep, and it still serves them")
def idle_clients():
    with Run() as run:
        emulator = run.emulator("mem,size=16M,bs=512")
        daemon = run.daemon(config=CONFIG)
        attach(daemon, emulator, "nvme0")
        wait_until(lambda: daemon.stats()["controllers"] == 2, what="two controllers")
        sessions = [open_client(daemon, name) for name in ("nvme0", "loop")
                    for _ in range(CLIENTS // 2)]
        try:
            sleeps_well(daemon)
            with daemon.rpc() as rpc:
                assert all(q["parked"] for q in rpc.call("get_qpairs")), rpc.call("get_qpairs")
            before = sum(r["sleeps"] for r in reactors(daemon))
            for session in sessions:
                (ring,) = session.rings.values()
                (region,) = session.maps
                status = ring.submit(0x02, data=region << 48, data_len=512)
                assert status == 0, f"status {status:#x}"
            sleeps_well(daemon)
            assert sum(r["sleeps"] for r in reactors(daemon)) > before, "it hasn't slept in between"
        finally:
            for session in sessions:
                session.close()


@suite.test("a daemon without clients and controllers sleeps, and one with controllers only")
def nobody():
    with Run() as run:
        sleeps_well(run.daemon())
        sleeps_well(run.daemon(name="loop", config=CONFIG))


suite.main()
