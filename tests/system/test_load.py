#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Verified load: eight clients, killed one after another, and nothing lost, mixed up or leaked.

The same load program runs through the daemon and in-process; only the transport id differs.
"""

import os
import random
import signal
import time

from nvmux_test import (SLOWNESS, Counts, Run, Suite, attach, check_load, daemon_trid, result_of,
                        wait_until)

CLIENTS = 8
# Each is a thread of the emulator, whose answers come too late where too many are that slow.
QPAIRS = 4 if SLOWNESS <= 2 else 2
KILL_EVERY = 0.1 * SLOWNESS
SECONDS = float(os.environ.get("NVMUX_LOAD_SECONDS", "20"))
BLOCK = 512
SHARE = 16 << 20  # bytes of one queue pair's own range
TURNS = 4         # ranges of one client, used in turn: an ended one's last writes may still land
SIZE = CLIENTS * QPAIRS * SHARE * TURNS

suite = Suite()


@suite.test("in-process over vfio-user: verified random I/O")
def in_process():
    with Run() as run:
        emulator = run.emulator("mem,size=256M,bs=512")
        load = run.load("load", f"trtype:VFIOUSER traddr:{emulator.dir}", "--qpairs", 2, "--depth",
                        64, seconds=3)
        check_load(result_of(load))


@suite.test("doorbells by message and doorbell buffers: verified random I/O, also one at a time")
def doorbell_buffers():
    with Run() as run:
        emulator = run.emulator("mem,size=64M,bs=512", options=["--mode", "event"])
        trid = f"trtype:VFIOUSER traddr:{emulator.dir}"
        for depth in 1, 64:
            load = run.load(f"load{depth}", trid, "--qpairs", 1, "--depth", depth, seconds=2)
            check_load(result_of(load))


@suite.test("through the daemon, the same program and another transport id")
def through_daemon():
    with Run() as run:
        emulator = run.emulator("mem,size=256M,bs=512")
        daemon = run.daemon()
        attach(daemon, emulator, "nvme0")
        load = run.load("load", daemon_trid(daemon, "nvme0"), "--qpairs", 2, "--depth", 64,
                        seconds=3)
        check_load(result_of(load))


@suite.test("blocks of 4096 bytes, a small transfer limit and an optimal I/O boundary: split I/O")
def split():
    with Run() as run:
        emulator = run.emulator("mem,size=128M,bs=4096", options=["--mdts", "3", "--noiob", "12"])
        daemon = run.daemon()
        attach(daemon, emulator, "nvme0")
        a = run.load("a", daemon_trid(daemon, "nvme0"), "--blocks", 16384, "--depth", 16,
                     seconds=3)
        b = run.load("b", daemon_trid(daemon, "nvme0"), "--start", 16384, "--depth", 128,
                     "--owner", 2, seconds=3)
        check_load(result_of(a))
        check_load(result_of(b))


@suite.test("each queue pair in a thread of its own, in-process and through the daemon")
def threads():
    with Run() as run:
        emulator = run.emulator("mem,size=256M,bs=512")
        load = run.load("direct", f"trtype:VFIOUSER traddr:{emulator.dir}", "--qpairs", 4,
                        "--threads", seconds=2)
        check_load(result_of(load))
        daemon = run.daemon()
        attach(daemon, emulator, "nvme0")
        load = run.load("shared", daemon_trid(daemon, "nvme0"), "--qpairs", 4, "--threads",
                        seconds=2)
        check_load(result_of(load))


@suite.test("fewer hardware queues than client queue pairs: they share, and all get on")
def shared_queues():
    with Run() as run:
        emulator = run.emulator("mem,size=256M,bs=512", options=["--queues", "2"])
        daemon = run.daemon()
        attach(daemon, emulator, "nvme0")
        # Small ranges and I/O: what is verified must come soon, on a slow machine as well.
        loads = [run.load(f"load{i}", daemon_trid(daemon, "nvme0"), "--qpairs", 3, "--start",
                          i * 131072, "--blocks", 12288, "--max", 65536, "--owner", i + 1,
                          seconds=600)
                 for i in range(4)]
        wait_until(lambda: daemon.stats()["qpairs"] == 12, what="12 queue pairs")
        assert daemon.stats()["hw_qpairs"] <= 2, daemon.stats()
        with daemon.rpc() as rpc:
            assert all(qpair["shared"] for qpair in rpc.call("get_qpairs")), "they don't share"
            before = {(q["client"], q["qpair"]): q["completions"] for q in rpc.call("get_qpairs")}
            time.sleep(2)
            wait_until(lambda: all(q["completions"] > before[q["client"], q["qpair"]] + 100
                                   for q in rpc.call("get_qpairs")), what="all of them get on")
        for load in loads:
            load.popen.terminate()
        for load in loads:
            check_load(result_of(load))


@suite.test("a busy reactor does the same")
def busy():
    with Run() as run:
        emulator = run.emulator("mem,size=128M,bs=512")
        daemon = run.daemon(config="[reactor]\nmode = busy\n")
        attach(daemon, emulator, "nvme0")
        check_load(result_of(run.load("load", daemon_trid(daemon, "nvme0"), seconds=2)))


@suite.test("two reactors and two controllers")
def two_reactors():
    with Run() as run:
        first = run.emulator("mem,size=128M,bs=512", name="emu1")
        second = run.emulator("mem,size=128M,bs=4096", name="emu2")
        daemon = run.daemon(config="[reactor]\ncores = 0,1\n")
        attach(daemon, first, "one")
        attach(daemon, second, "two")
        loads = [run.load(name, daemon_trid(daemon, name), "--qpairs", 3, seconds=3)
                 for name in ("one", "two")]
        for load in loads:
            check_load(result_of(load))


class Clients:
    """The clients of the big test: started, killed and started again."""

    def __init__(self, run, daemon):
        self.run = run
        self.trid = daemon_trid(daemon, "nvme0")
        self.turn = [0] * CLIENTS
        self.current = [None] * CLIENTS
        self.number = 0
        self.random = random.Random(2026)

    def start(self, index):
        range_bytes = QPAIRS * SHARE
        start = (index * TURNS + self.turn[index] % TURNS) * range_bytes
        self.turn[index] += 1
        self.number += 1
        self.current[index] = self.run.load(
            f"c{index}-{self.number}", self.trid, "--qpairs", QPAIRS, "--depth",
            self.random.choice([1, 7, 32, 100, 128]), "--start", start // BLOCK, "--blocks",
            range_bytes // BLOCK, "--owner", index + 1, seconds=int(SECONDS) + 600)

    def all_run(self):
        """Wait until each has got to work."""
        for client in self.current:
            wait_until(lambda client=client: "running" in client.out() or not client.alive(),
                       what=f"{client.name} runs")
            assert client.alive(), f"{client.name} ended: {client.out()}{client.err()}"

    def victim(self):
        """Mostly one that is at work, but also one that is about to start; never the first."""
        at_work = [index for index in range(1, CLIENTS) if "running" in self.current[index].out()]
        if at_work and self.random.random() < 0.7:
            return self.random.choice(at_work)
        return self.random.randrange(1, CLIENTS)

    def kill(self, index):
        """SIGKILL. Return whether it had got to work."""
        victim = self.current[index]
        assert victim.alive(), f"{victim.name} ended: {victim.out()}{victim.err()}"
        victim.kill()
        assert "miscompare" not in victim.err(), victim.err()
        worked = "running" in victim.out()
        self.run.processes.remove(victim)
        os.unlink(victim.out_path)
        os.unlink(victim.err_path)
        return worked


@suite.test(f"{CLIENTS} clients with {QPAIRS} queue pairs each; one is killed every 100 ms")
def killed():
    with Run() as run:
        emulator = run.emulator(f"mem,size={SIZE >> 20}M,bs={BLOCK}",
                                options=["--queues", "40", "--mdts", "5"])
        daemon = run.daemon()
        attach(daemon, emulator, "nvme0")
        before = Counts(daemon)

        clients = Clients(run, daemon)
        for index in range(CLIENTS):
            clients.start(index)
        clients.all_run()
        # The first client lives to the end: what it wrote must still be what it reads.
        kills = worked = 0
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            index = clients.victim()
            worked += clients.kill(index)
            kills += 1
            clients.start(index)
            time.sleep(KILL_EVERY)
            assert daemon.alive() and emulator.alive()
        clients.all_run()
        time.sleep(1)
        totals = {}
        for client in clients.current:
            client.popen.send_signal(signal.SIGTERM)
        for client in clients.current:
            result = result_of(client)
            assert result["miscompares"] == 0 and result["errors"] == 0, result
            for key, value in result.items():
                if isinstance(value, int):
                    totals[key] = totals.get(key, 0) + value
        check_load(totals)
        print(f"# {kills} kills, {worked} of them of clients at work; the survivors: {totals}")
        assert kills >= SECONDS / KILL_EVERY / 4 and worked > 0, (kills, worked)
        before.same()


suite.main()
