#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Commands that change namespaces or the controller, under load: no reset, all are told."""

import json
import os
import socket
import struct
import threading
import time

from nvmux_test import (CALL_SECONDS, Counts, Run, RpcError, Session, Suite, attach, daemon_trid,
                        expect_error, wait_until)

NVME_STATUS = -32003
INVALID_NAMESPACE, LENGTH_MISMATCH, LBA_RANGE = 0x0b, 0x703, 0x80
REGION_BYTES = 1 << 20
FORMAT_NVM, NS_MGMT, NS_ATTACH, SANITIZE, IDENTIFY = 0x80, 0x0d, 0x15, 0x84, 0x06

suite = Suite()
RUN = Run()
DAEMON = EMULATOR = SESSION = EVENTS = REGION = RING = LOAD = None
COUNTS = []


def call(method, **params):
    return SESSION.rpc.call(method, controller="nvme0", **params)


def here(offset=0):
    return {"region": REGION, "offset": offset}


def controller():
    (ctrl,) = SESSION.rpc.call("get_controllers", name="nvme0")
    return ctrl


def namespaces():
    return {ns["nsid"]: ns for ns in SESSION.rpc.call("get_namespaces", controller="nvme0")}


def told(kind, **members):
    """Wait for an event with these members; earlier ones are forgotten."""
    def look():
        EVENTS.call("get_version")
        while EVENTS.notifications:
            event = EVENTS.notifications.pop(0)["params"]
            if event["type"] == kind and all(event.get(k) == v for k, v in members.items()):
                return event
        return None
    return wait_until(look, what=f"event {kind} {members}")


def fault(line):
    """Tell the emulator by its control socket; returns its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as control:
        control.connect(os.path.join(EMULATOR.dir, "control"))
        control.sendall(line.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"ok\n"):
            answer += control.recv(4096)
            assert b"error" not in answer, answer
        return answer.decode()


@suite.test("a controller with two namespaces, load on the first", essential=True)
def start():
    global DAEMON, EMULATOR, SESSION, EVENTS, REGION, RING, LOAD
    EMULATOR = RUN.emulator("mem,size=64M,bs=512", "mem,size=64M,bs=512")
    DAEMON = RUN.daemon()
    attach(DAEMON, EMULATOR, "nvme0")
    COUNTS.append(Counts(DAEMON))
    LOAD = RUN.load("load", daemon_trid(DAEMON, "nvme0"), "--qpairs", 2, "--nsid", 1, seconds=12)
    SESSION = Session(DAEMON, "nvme0")
    REGION = SESSION.memory(REGION_BYTES)
    RING = SESSION.qpair()
    EVENTS = DAEMON.rpc()
    EVENTS.call("subscribe_events")


@suite.test("format by RPC: the new geometry holds at once, for commands by RPC and in rings")
def format_by_rpc():
    for lbaf, size in ((1, 4096), (0, 512)):
        formats = call("identify", cns=0, nsid=2)["lbafs"]
        lbaf = next(i for i, f in enumerate(formats) if 1 << f["ds"] == size and f["ms"] == 0)
        call("format", nsid=2, lbaf=lbaf)
        assert namespaces()[2]["block_size"] == size
        told("namespace_formatted", name="nvme0", nsid=2, block_size=size)
        call("read", nsid=2, lba=0, lba_count=1, **here())
        count = (64 << 20) // size
        read = {"nsid": 2, "data": REGION << 48}
        assert RING.submit(2, **read, data_len=size, cdw=(count - 1,)) == 0
        assert RING.submit(2, **read, data_len=size, cdw=(count,)) == LBA_RANGE
        assert RING.submit(2, **read, data_len=size - 512 or 4, cdw=(0,)) == LENGTH_MISMATCH
    assert controller()["resets"] == 0


@suite.test("format in an admin ring: what follows is answered as usual")
def format_in_ring():
    for _ in range(5):
        assert SESSION.admin.submit(FORMAT_NVM, nsid=2) == 0
        assert SESSION.admin.submit(IDENTIFY, nsid=0, data=REGION << 48, data_len=4096,
                                    cdw=(2,)) == 0
        assert struct.unpack("<III", SESSION.maps[REGION][:12]) == (1, 2, 0)
    assert controller()["resets"] == 0


@suite.test("a namespace is deleted, created, attached and detached; subscribers are told")
def management():
    call("delete_ns", nsid=2)
    told("namespace_removed", name="nvme0", nsid=2)
    assert list(namespaces()) == [1]
    assert RING.submit(2, nsid=2, data=REGION << 48, data_len=512, cdw=(0,)) == INVALID_NAMESPACE
    nsid = call("create_ns", blocks=32768)["dw0"]
    assert list(namespaces()) == [1]
    call("attach_ns", nsid=nsid)
    told("namespace_added", name="nvme0", nsid=nsid, blocks=32768)
    assert namespaces()[nsid]["blocks"] == 32768
    assert RING.submit(2, nsid=nsid, data=REGION << 48, data_len=512, cdw=(32767,)) == 0
    call("detach_ns", nsid=nsid)
    told("namespace_removed", name="nvme0", nsid=nsid)
    call("attach_ns", nsid=nsid)
    assert sorted(namespaces()) == sorted({1, nsid})
    error = expect_error(call, "delete_ns", nsid=77, code=NVME_STATUS)
    assert error.data["nvme_status"] == INVALID_NAMESPACE, str(error)
    assert controller()["resets"] == 0


@suite.test("firmware that is activated at once: all are told the new revision, without a reset")
def firmware():
    old = controller()
    with Session(DAEMON, "nvme0") as before:
        region = before.memory(4096)
        ring = before.qpair()
        SESSION.maps[REGION][:4096] = b"REV-0099" + bytes(4088)
        call("fw_download", image_offset=0, length=4096, **here())
        call("fw_commit", slot=2, action=0)
        assert controller()["firmware"] == old["firmware"], "it isn't active yet"
        call("fw_commit", slot=2, action=3)
        told("aer", name="nvme0", event_type=2, information=1, log_page=3)
        with DAEMON.rpc() as rpc:
            (now,) = rpc.call("get_controllers", name="nvme0")
            said = rpc.call("identify", controller="nvme0", cns=1)
        assert now["firmware"] == said["fr"] == "REV-0099" != old["firmware"], (now, said)
        for key in ("state", "model", "serial", "subnqn", "max_transfer", "resets", "namespaces"):
            assert now[key] == old[key], (key, now[key], old[key])
        # a client from before goes on, and one that comes now is told the same
        assert ring.submit(2, nsid=1, data=region << 48, data_len=512, cdw=(0,)) == 0
        assert before.admin.submit(IDENTIFY, data=region << 48, data_len=4096, cdw=(1,)) == 0
        assert before.maps[region][64:72] == b"REV-0099"
    shown = json.loads(RUN.cli(DAEMON, "-o", "json", "id-ctrl", "nvme0"))
    assert shown["fr"] == "REV-0099", shown
    call("fw_commit", slot=1, action=2)  # at the next reset, which doesn't come
    assert controller()["firmware"] == "REV-0099"
    call("fw_commit", slot=1, action=3)
    told("aer", name="nvme0", information_text="firmware activation starting")
    assert controller()["firmware"] == old["firmware"] and controller()["resets"] == 0


@suite.test("requests that come while a change is under way wait for it; none fails")
def many():
    nsid = max(namespaces())
    failures = []

    def client(number):
        try:
            with Session(DAEMON, "nvme0") as session:
                region = session.memory(65536)
                for i in range(12):
                    if (i + number) % 3 == 0:
                        session.rpc.call("format", controller="nvme0", nsid=nsid,
                                         lbaf=0)
                    session.rpc.call("read", controller="nvme0", nsid=1, lba=8, lba_count=8,
                                     region=region)
                    session.rpc.call("get_log_page", controller="nvme0", lid=2, length=512,
                                     region=region)
                    session.rpc.call("identify", controller="nvme0", cns=1)
        except (RpcError, OSError, EOFError, AssertionError) as error:
            failures.append(f"client {number}: {error}")

    threads = [threading.Thread(target=client, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(4 * CALL_SECONDS)
    assert not failures and not any(t.is_alive() for t in threads), failures
    assert controller()["resets"] == 0


@suite.test("critical warnings are told in words")
def warnings():
    fault("smart warning=03")
    event = told("controller_health", name="nvme0", critical_warning=3)
    assert event["warnings"] == ["available_spare", "temperature"], event
    fault("smart warning=00")


@suite.test("a warning that there is before the attachment is told after it")
def early_warning():
    with Run() as run:
        emulator = run.emulator("mem,size=1M")
        with socket.socket(socket.AF_UNIX) as control:
            control.connect(os.path.join(emulator.dir, "control"))
            control.sendall(b"smart warning=08\n")
            assert control.recv(64) == b"ok\n"
        daemon = run.daemon()
        with daemon.rpc() as rpc:
            rpc.call("subscribe_events")
            attach(daemon, emulator)
            seen = []

            def warned():
                rpc.call("get_version")
                while rpc.notifications:
                    seen.append(rpc.notifications.pop(0)["params"])
                return any(e["type"] == "controller_health" and e["critical_warning"] == 8
                           for e in seen)
            wait_until(warned, what="the warning is told")
        kinds = [event["type"] for event in seen]
        assert kinds.index("controller_attached") < kinds.index("aer"), kinds


@suite.test("a request that waits for a change is forgotten with its client")
def gone_while_waiting():
    fault("delay:opc=80:qid=0:ms=600")
    ident = SESSION.rpc.request("format", {"controller": "nvme0", "nsid": max(namespaces())})
    wait_until(lambda: "delay" not in fault("list"), what="the command is under way")
    for method, params in (("identify", {"controller": "nvme0", "cns": 1}),
                           ("reset_controller", {"name": "nvme1"})):
        with DAEMON.rpc() as other:
            other.request(method, params)
    SESSION.rpc.answer(ident)
    assert call("identify", cns=1) and DAEMON.alive()


@suite.test("a command that doesn't end is let go of by a reset, and others go on")
def stuck():
    fault("drop:opc=80:qid=0")
    ident = SESSION.rpc.request("format", {"controller": "nvme0", "nsid": max(namespaces())})
    wait_until(lambda: "drop" not in fault("list"), what="the command has been dropped")
    with DAEMON.rpc() as other:
        other.call("reset_controller", name="nvme0")
    error = expect_error(SESSION.rpc.answer, ident, code=NVME_STATUS)
    assert error.data["nvme_status"] in (0x07, 0x08), str(error)
    call("read", nsid=1, lba=0, lba_count=1, **here())
    assert RING.submit(2, nsid=1, data=REGION << 48, data_len=512, cdw=(0,)) == 0
    assert controller()["resets"] == 1


@suite.test("I/O that doesn't end holds a change up for drain_timeout_ms, and no longer")
def undrained():
    fault("drop:opc=0c:times=1")
    ring = SESSION.qpair()
    ring.push(ring.command(0x0c))
    ring.kick()
    wait_until(lambda: "drop" not in fault("list"), what="the command has been dropped")
    error = expect_error(call, "format", nsid=max(namespaces()), code=NVME_STATUS)
    assert error.data["nvme_status"] in (0x07, 0x08), str(error)
    assert ring.completion()[1] & 0x7ff == 0  # repeated after the reset
    call("format", nsid=max(namespaces()))
    assert controller()["resets"] == 2
    SESSION.rpc.call("free_io_qpair", qpair=ring.number)
    ring.close()
    del SESSION.rings[ring.number]


@suite.test("a client that dies while its command changes something leaves nothing")
def death():
    for delay in (0, 1, 5, 50):
        session = Session(DAEMON, "nvme0")
        session.rpc.request("format", {"controller": "nvme0", "nsid": max(namespaces())})
        if delay:
            threading.Event().wait(delay / 1000)
        session.close()
        call("read", nsid=1, lba=0, lba_count=1, **here())


@suite.test("no I/O of the load has failed")
def load():
    assert LOAD.wait() == 0, LOAD.err()


@suite.test("sanitize: its log can be read at once, and its end is an event")
def sanitize():
    call("sanitize", action="crypto_erase")
    call("get_log_page", lid=0x81, length=512, **here())
    assert struct.unpack_from("<H", SESSION.maps[REGION], 2)[0] & 7 in (1, 2)
    told("aer", name="nvme0", information_text="sanitize operation completed",
         log_page_text="sanitize status")
    assert controller()["resets"] == 2


@suite.test("other controllers of the same NVM subsystem stop meanwhile, and look afterwards")
def siblings():
    serial = call("identify", cns=1)["sn"].strip()
    other = RUN.emulator("mem,size=64M,bs=512", name="sibling", options=("--serial", serial))
    attach(DAEMON, other, "nvme1")
    same = [SESSION.rpc.call("identify", controller=f"nvme{i}", cns=1)["subnqn"] for i in (0, 1)]
    assert same[0] and same[0] == same[1], same
    with Session(DAEMON, "nvme1") as second:
        region = second.memory(4096)
        fault("delay:opc=80:qid=0:ms=1000")
        last = max(namespaces())
        began = time.monotonic()  # before the delay does
        ident = SESSION.rpc.request("format", {"controller": "nvme0", "nsid": last})
        wait_until(lambda: "delay" not in fault("list"), what="the command has been delayed")
        second.rpc.call("read", controller="nvme1", nsid=1, lba=0, lba_count=1, region=region)
        assert time.monotonic() - began > 0.9, "it was served meanwhile"
        SESSION.rpc.answer(ident)
        call("read", nsid=1, lba=0, lba_count=1, **here())
        # both at once: one after the other
        idents = [(s, s.rpc.request("format", {"controller": name, "nsid": 1}))
                  for _ in range(4) for s, name in ((SESSION, "nvme0"), (second, "nvme1"))]
        for session, number in idents:
            session.rpc.answer(number)
        second.rpc.call("close_controller", name="nvme1")
    SESSION.rpc.call("detach_controller", name="nvme1")
    other.stop()


@suite.test("everything is given back")
def end():
    EVENTS.close()
    SESSION.close()
    COUNTS[0].same()
    RUN.stop()


try:
    suite.main()
finally:
    RUN.clean_up()
