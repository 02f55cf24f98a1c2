#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Attach, detach and reset, at rest and under load."""

import json
import os
import signal
import socket
import time

from nvmux_test import (SLOWNESS, WRAP, Counts, Run, Session, Suite, attach, daemon_trid,
                        expect_error, program, wait_until)

ERRNO = -32000
CONFLICT = 0x83
suite = Suite()


def loads_end(loads):
    """End loads that may have seen errors; their data must have been right all the same."""
    totals = {}
    for load in loads:
        load.popen.terminate()
    for load in loads:
        code = load.wait()
        load.check_log()
        assert "miscompare" not in load.err(), load.err()
        assert code == 0, f"exit code {code}: {load.out()}{load.err()}"
        for key, value in json.loads(load.out().splitlines()[-1]).items():
            if isinstance(value, int):  # the others are times and texts
                totals[key] = totals.get(key, 0) + value
    assert totals["miscompares"] == 0, totals
    return totals


@suite.test("attach and detach a hundred times leave nothing behind")
def attach_detach():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        attach(daemon, emulator, "a")
        with daemon.rpc() as rpc:
            rpc.call("detach_controller", name="a")
            before = Counts(daemon, 2)
            for _ in range(100):
                assert attach(daemon, emulator, "a") == "a"
                rpc.call("detach_controller", name="a")
            assert rpc.call("get_controllers") == []
            before.same()


@suite.test("names are given in turn, and freed ones again")
def names():
    with Run() as run:
        daemon = run.daemon()
        with daemon.rpc() as rpc:
            got = [rpc.call("attach_controller", trtype="LOOPBACK", traddr="mem,size=8M")["name"]
                   for _ in range(3)]
            assert got == ["nvme0", "nvme1", "nvme2"], got
            rpc.call("detach_controller", name="nvme1")
            assert rpc.call("attach_controller", trtype="LOOPBACK",
                            traddr="mem,size=8M")["name"] == "nvme1"
            error = expect_error(rpc.call, "attach_controller", trtype="LOOPBACK",
                                 traddr="mem,size=8M", name="nvme1", errno_name="EEXIST")
            assert "nvme1" in error.message


@suite.test("a controller in use can't be detached, and the error says by whom")
def detach_busy():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        attach(daemon, emulator, "nvme0")
        load = run.load("load", daemon_trid(daemon, "nvme0"), seconds=300)
        wait_until(lambda: "running" in load.out(), what="the load runs")
        with daemon.rpc() as rpc:
            error = expect_error(rpc.call, "detach_controller", name="nvme0", errno_name="EBUSY")
            assert error.data["holders"][0]["pid"] == load.pid, str(error)
            assert str(load.pid) in error.message, str(error)
        loads_end([load])
        with daemon.rpc() as rpc:
            def detached():
                try:
                    return rpc.call("detach_controller", name="nvme0") or True
                except Exception:  # pylint: disable=broad-except
                    return False
            wait_until(detached, what="it can be detached")


@suite.test("reset under load: commands fail or succeed, data is right, and all go on")
def reset_under_load():
    with Run() as run:
        emulator = run.emulator("mem,size=256M,bs=512")
        daemon = run.daemon()
        attach(daemon, emulator, "nvme0")
        loads = [run.load(f"load{i}", daemon_trid(daemon, "nvme0"), "--errors", "--qpairs", 2,
                          "--start", i * 100000, "--blocks", 100000, "--owner", i + 1, seconds=300)
                 for i in range(3)]
        for load in loads:
            wait_until(lambda load=load: "running" in load.out(), what="the load runs")
        with daemon.rpc() as rpc:
            for _ in range(10):
                rpc.call("reset_controller", name="nvme0")
                time.sleep(0.1)
                before = rpc.call("get_controllers", name="nvme0")[0]["qpairs"]
                wait_until(lambda: sum(q["completions"] for q in
                                       rpc.call("get_qpairs", controller="nvme0")) >
                           sum(q["completions"] for q in before), what="I/O goes on after a reset")
        totals = loads_end(loads)
        assert totals["result"] == 0, totals
        print(f"# {totals}")


@suite.test("resets from several connections at once: each is done or told that one is under way")
def resets_at_once():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        attach(daemon, emulator, "nvme0")
        rpcs = [daemon.rpc() for _ in range(8)]
        for rpc in rpcs:
            rpc.ident = rpc.request("reset_controller", {"name": "nvme0"})
        done = 0
        for rpc in rpcs:
            try:
                rpc.answer(rpc.ident)
                done += 1
            except Exception as error:  # pylint: disable=broad-except
                assert "EBUSY" in str(error) or "EALREADY" in str(error), str(error)
            rpc.close()
        assert done >= 1
        with Session(daemon, "nvme0") as client:
            region = client.memory(4096)
            assert client.qpair().submit(2, data=region << 48, data_len=512, cdw=(0, 0, 0)) == 0


@suite.test("clients that leave during a reset, and resets during their arrival")
def reset_and_go():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        attach(daemon, emulator, "nvme0")
        before = Counts(daemon)
        with daemon.rpc() as rpc:
            for i in range(30):
                client = Session(daemon, "nvme0")
                client.memory(65536)
                ring = client.qpair(16)
                for cid in range(16):
                    ring.push(ring.command(2, cid=cid, data=1 << 48, data_len=512))
                ring.kick()
                ident = rpc.request("reset_controller", {"name": "nvme0"})
                if i % 2:
                    client.close()
                rpc.answer(ident)
                if not i % 2:
                    client.close()
        before.same()


@suite.test("the emulator dies under load: errors, no hang, and a new one can be attached")
def device_gone():
    with Run() as run:
        emulator = run.emulator("mem,size=64M,bs=512")
        daemon = run.daemon()
        attach(daemon, emulator, "nvme0")
        load = run.load("load", daemon_trid(daemon, "nvme0"), "--errors", seconds=300)
        wait_until(lambda: "running" in load.out(), what="the load runs")
        emulator.kill()
        time.sleep(1)
        load.popen.terminate()
        load.wait(60 * SLOWNESS)
        load.check_log()
        with daemon.rpc() as rpc:
            assert rpc.call("get_version")
            (state,) = rpc.call("get_controllers", name="nvme0")
            assert state["state"].lower() not in ("ready",), state["state"]
            rpc.call("detach_controller", name="nvme0")
        again = run.emulator("mem,size=64M,bs=512", name="again")
        attach(daemon, again, "nvme0")
        with Session(daemon, "nvme0") as client:
            region = client.memory(4096)
            assert client.qpair().submit(2, data=region << 48, data_len=512, cdw=(0, 0, 0)) == 0


@suite.test("a controller that hangs: others are served, its clients can go, it can come back")
def device_hangs():
    with Run() as run:
        hung = run.emulator("mem,size=64M,bs=512", name="hung")
        good = run.emulator("mem,size=64M,bs=512", name="good")
        daemon = run.daemon(config="[limits]\ndrain_timeout_ms = 1000\n")
        attach(daemon, hung, "hung")
        attach(daemon, good, "good")
        victim = run.load("victim", daemon_trid(daemon, "hung"), "--errors", seconds=300)
        other = run.load("other", daemon_trid(daemon, "good"), seconds=300)
        for load in (victim, other):
            wait_until(lambda load=load: "running" in load.out(), what="the load runs")
        hung.popen.send_signal(signal.SIGSTOP)
        try:
            time.sleep(0.3)
            victim.kill()
            start = time.monotonic()
            with daemon.rpc() as rpc:
                for _ in range(50):
                    rpc.call("get_version")
                    time.sleep(0.05)

                def completions():
                    return sum(q["completions"] for q in rpc.call("get_qpairs", controller="good"))
                before = completions()
                wait_until(lambda: completions() > before, what="the other controller goes on")
            assert time.monotonic() - start < 20 * SLOWNESS
            # Meanwhile its commands were waited for in vain, and it was reset in vain.
            with daemon.rpc() as rpc:
                wait_until(lambda: victim.pid not in [c["pid"] for c in rpc.call("get_clients")],
                           60 * SLOWNESS, "the client that was killed has gone")
        finally:
            hung.popen.send_signal(signal.SIGCONT)
        loads_end([other])
        with daemon.rpc() as rpc:
            rpc.call("detach_controller", name="hung")
            attach(daemon, hung, "again")
            with Session(daemon, "again") as client:
                region = client.memory(4096)
                assert client.qpair().submit(2, data=region << 48, data_len=512,
                                             cdw=(0, 0, 0)) == 0


@suite.test("a controller that doesn't answer delays neither readiness nor the end")
def slow_start():
    with Run() as run:
        hung = run.emulator(name="hung")
        good = run.emulator(name="good")
        config = "".join(f"[controller {e.name}]\ntrtype = VFIOUSER\ntraddr = {e.dir}\n"
                         for e in (hung, good))
        hung.popen.send_signal(signal.SIGSTOP)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
                notify.bind(run.path("notify"))
                notify.settimeout(4 * SLOWNESS)
                os.environ["NOTIFY_SOCKET"] = run.path("notify")
                try:
                    daemon = run.daemon(config=config)
                finally:
                    del os.environ["NOTIFY_SOCKET"]
                assert notify.recv(256) == b"READY=1"
            with daemon.rpc() as rpc:
                def state(name):
                    return rpc.call("get_controllers", name=name)[0]["state"]
                wait_until(lambda: state("good") == "ready", what="the good one is attached")
                assert state("hung") == "attaching", state("hung")
            start = time.monotonic()
            daemon.stop()
            assert time.monotonic() - start < 3 * SLOWNESS
            assert ("[controller hung]: can't be attached, given up: the daemon ends"
                    in daemon.err()), daemon.err()
        finally:
            hung.popen.send_signal(signal.SIGCONT)


@suite.test("the drain time of one queue pair isn't what an earlier one has left")
def drain_time():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon(config="[limits]\ndrain_timeout_ms = 4000\n")
        attach(daemon, emulator, "nvme0")
        with Session(daemon, "nvme0") as client, daemon.rpc() as rpc:
            region = client.memory(4096)
            first, second = client.qpair(), client.qpair()
            client.rpc.call("free_io_qpair", qpair=first.number)
            # What is left of the first one's time ends while the second waits; its own doesn't.
            time.sleep(3.5)
            emulator.popen.send_signal(signal.SIGSTOP)
            try:
                second.push(second.command(2, data=region << 48, data_len=512))
                second.kick()
                time.sleep(0.1)
                ident = client.rpc.request("free_io_qpair", {"qpair": second.number})
                time.sleep(0.8)
            finally:
                emulator.popen.send_signal(signal.SIGCONT)
            assert client.rpc.answer(ident) is True
            assert rpc.call("get_controllers", name="nvme0")[0]["resets"] == 0


@suite.test("the daemon is killed under load: its clients end with errors, and none hangs")
def daemon_killed():
    with Run() as run:
        emulator = run.emulator("mem,size=64M,bs=512")
        daemon = run.daemon()
        attach(daemon, emulator, "nvme0")
        loads = [run.load(f"load{i}", daemon_trid(daemon, "nvme0"), "--errors", "--start",
                          i * 50000, "--blocks", 50000, "--owner", i + 1, seconds=300)
                 for i in range(2)]
        for load in loads:
            wait_until(lambda load=load: "running" in load.out(), what="the load runs")
        daemon.kill()
        for load in loads:
            load.wait()
            load.check_log()
            assert "miscompare" not in load.err(), load.err()
        again = run.daemon(name="again")
        attach(again, emulator, "nvme0")


@suite.test("events tell what others do")
def events():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        with daemon.rpc() as rpc:
            assert rpc.call("subscribe_events") is True
            attach(daemon, emulator, "nvme0")
            with daemon.rpc() as other:
                other.call("reset_controller", name="nvme0")
                other.call("detach_controller", name="nvme0")
            seen = []
            while "controller_detached" not in seen:
                value = rpc.receive()
                assert value["method"] == "event", value
                seen.append(value["params"]["type"])
            for kind in ("controller_attached", "controller_reset", "client_connected"):
                assert kind in seen, seen


@suite.test("reservations that another host has taken away: an event for each notice, no more")
def reservation_taken():
    hosts = ["%08d-1111-4222-8333-444455556666" % i for i in (1, 2)]
    keys = ["0xa1", "0xfedcba9876543210"]
    with Run() as run:
        emulator = run.emulator(*["mem,size=4M,bs=512"] * 3)
        daemons = [run.daemon(name=f"host{i}", config=f"[host]\nhostid = {host}\n")
                   for i, host in enumerate(hosts)]
        for daemon, key, other in (daemons[0], keys[0], None), (daemons[1], keys[1], keys[0]):
            attach(daemon, emulator, "nvme0")
            with Session(daemon, "nvme0") as client:
                region = client.memory(4096)
                for nsid in (1, 2, 3):
                    ring = client.qpair()
                    status = ring.submit(1, nsid=nsid, data=region << 48, data_len=512)
                    assert status == (CONFLICT if other else 0), status
                    if other:
                        half_conflicts(client, ring, nsid, region)
                    where = {"controller": "nvme0", "nsid": nsid}
                    client.rpc.call("reservation_register", new_key=key, **where)
                    preempt = {"action": "preempt", "preempt_key": other} if other else {}
                    client.rpc.call("reservation_acquire", rtype="write_exclusive",
                                    current_key=key, **preempt, **where)
                client.rpc.call("close_controller", name="nvme0")
                client.rpc.call("detach_controller", name="nvme0")
        back_home(run, daemons[0], emulator)


def half_conflicts(client, ring, nsid, region):
    """Of two fused commands the controller refuses the write; the comparison may pass."""
    client.maps[region][0:1024] = bytes(512) + b"x" * 512
    for cid, opc in (1, 5), (2, 1):
        ring.push(ring.command(opc, cid=cid, flags=cid, nsid=nsid, data_len=512,
                               data=region << 48 | (cid - 1) * 512))
    ring.kick()
    done = sorted(ring.completion() for _ in range(2))
    assert done[1][1] & 0x7ff == CONFLICT, done
    assert ring.submit(2, nsid=nsid, data=region << 48 | 2048, data_len=512) == 0
    assert client.maps[region][2048:2560] == bytes(512)
    client.maps[region][0:1024] = bytes(1024)


def back_home(run, daemon, emulator):
    """The host whose reservations are gone comes back: what it is told, and what isn't left."""
    with daemon.rpc() as rpc:
        rpc.call("subscribe_events")
        shown = run.process("events", WRAP + [program("nvmux"), "-S", daemon.socket, "-o", "json",
                                              "events"], wrap=False)
        wait_until(lambda: len(rpc.call("get_clients")) == 2, what="nvmux events has come")
        time.sleep(0.2 * SLOWNESS)
        seen = []

        def told():
            rpc.call("get_version")
            seen.extend(n["params"] for n in rpc.notifications)
            rpc.notifications.clear()
            return [e for e in seen if e["type"] == "reservation_notification"]

        def notice(nsid):  # a reset begins the count anew
            return {"type": "reservation_notification", "name": "nvme0", "nsid": nsid,
                    "count": 1, "notification": 1, "available": 3 - nsid,
                    "notification_text": "registration_preempted"}
        attach(daemon, emulator, "nvme0")
        wait_until(told, what="the event at the attachment")
        time.sleep(0.5)  # for those that mustn't come
        assert told() == [notice(1)], told()
        rpc.call("reset_controller", name="nvme0")  # the controller tells of those that are left
        wait_until(lambda: len(told()) == 2, what="the event after a reset")
        log = json.loads(run.cli(daemon, "-o", "json", "resv-notif-log", "nvme0"))
        assert log == {"count": 2, "rn_log_type": 1, "num_logs": 0, "nsid": 3}, log
        log = json.loads(run.cli(daemon, "-o", "json", "resv-notif-log", "nvme0"))
        assert log["rn_log_type"] == 0 and log["num_logs"] == 0, log
        rpc.call("reset_controller", name="nvme0")
        time.sleep(0.5)
        assert told() == [notice(1), notice(2)], told()
        events = [e["information_text"] for e in seen
                  if e["type"] == "aer" and e["log_page"] == 0x80]
        assert events == ["reservation log page available"] * 2, events
    shown.popen.send_signal(signal.SIGINT)
    shown.wait()
    shown.check_log()
    lines = [json.loads(line) for line in shown.out().splitlines()]
    assert [e for e in lines if e["type"] == "reservation_notification"] == [notice(1), notice(2)]


@suite.test("probe shows what could be attached, and what is")
def probe():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        with daemon.rpc() as rpc:
            for entry in rpc.call("probe"):
                assert entry["trtype"] == "PCIE" and "attachable" in entry, entry
            attach(daemon, emulator, "nvme0")
            found = rpc.call("probe", trtype="VFIOUSER", traddr=emulator.dir)
            assert [entry.get("name") for entry in found] == ["nvme0"], found


suite.main()
