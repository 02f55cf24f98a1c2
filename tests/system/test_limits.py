#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A client over its limits is told which one, and other clients notice nothing."""

import mmap
import os
import resource
import resource

from nvmux_test import Counts, Run, Session, Suite, attach, expect_error, wait_until

LIMIT = -32002

suite = Suite()
RUN = Run()
DAEMON = None
BEFORE = []

CONFIG = """
[limits]
max_clients = 6
max_memory = 8M
max_regions = 4
max_qpairs = 3
max_queue_depth = 64
admin_in_flight = 2
"""


@suite.test("a daemon with small limits, which get_stats shows", essential=True)
def start():
    global DAEMON
    emulator = RUN.emulator("mem,size=16M,bs=512")
    DAEMON = RUN.daemon(config=CONFIG)
    attach(DAEMON, emulator, "nvme0")
    BEFORE.append(Counts(DAEMON))
    limits = DAEMON.stats()["limits"]
    assert limits["max_regions"] == 4 and limits["max_qpairs"] == 3, limits
    assert limits["max_memory"] == 8 << 20 and limits["max_clients"] == 6, limits


def over(function, name, **params):
    error = expect_error(function, **params)
    assert error.code == LIMIT, str(error)
    assert error.data["limit"] == name and error.data["errno"] == "EDQUOT", str(error)
    assert name in error.message, str(error)


@suite.test("bytes of memory")
def memory():
    with Session(DAEMON, "nvme0") as client, Session(DAEMON, "nvme0") as other:
        def alloc(**params):
            return client.rpc.call("alloc_memory", **params)
        over(alloc, "max_memory", size=(8 << 20) + 1)
        over(alloc, "max_memory", size=1 << 40)
        first = client.memory(6 << 20)
        over(alloc, "max_memory", size=3 << 20)
        client.memory(2 << 20)
        over(alloc, "max_memory", size=1)
        other.memory(8 << 20)  # each client has its own
        client.rpc.call("free_memory", region=first)
        client.memory(6 << 20)


@suite.test("number of regions")
def regions():
    with Session(DAEMON, "nvme0") as client:
        numbers = [client.memory(4096) for _ in range(4)]
        assert len(set(numbers)) == 4
        over(client.rpc.call, "max_regions", method="alloc_memory", size=4096)
        client.rpc.call("free_memory", region=numbers[1])
        client.memory(4096)
        over(client.rpc.call, "max_regions", method="alloc_memory", size=4096)


@suite.test("number of queue pairs")
def qpairs():
    with Session(DAEMON, "nvme0") as client:
        rings = [client.qpair() for _ in range(3)]
        over(client.rpc.call, "max_qpairs", method="alloc_io_qpair", controller="nvme0")
        client.rpc.call("free_io_qpair", qpair=rings[0].number)
        client.qpair()
        over(client.rpc.call, "max_qpairs", method="alloc_io_qpair", controller="nvme0")


@suite.test("Identify commands in flight")
def identify():
    request = {"jsonrpc": "2.0", "method": "identify", "params": {"controller": "nvme0", "cns": 1}}
    with DAEMON.rpc() as rpc:
        for _ in range(2):
            rpc.send([{**request, "id": i} for i in range(8)])
            answers = rpc.receive()
            errors = [a["error"] for a in answers if "error" in a]
            assert len(answers) == 8 and len(errors) == 6, answers
            for error in errors:
                assert error["code"] == LIMIT, error
                assert error["data"]["limit"] == "admin_in_flight", error


@suite.test("depth of a queue pair is cut to the limit or refused, never exceeded")
def depth():
    with Session(DAEMON, "nvme0") as client:
        assert client.qpair(64).depth == 64
        try:
            ring = client.qpair(1000)
        except Exception as error:  # pylint: disable=broad-except
            assert "max_queue_depth" in str(error), str(error)
        else:
            assert ring.depth <= 64, ring.depth


@suite.test("more commands on a ring than its depth: the rest waits or is refused, none is lost")
def in_flight():
    with Session(DAEMON, "nvme0") as client:
        ring = client.qpair(4)
        region = client.memory(1 << 20)
        assert ring.sq_entries >= 4
        for cid in range(ring.sq_entries):
            ring.push(ring.command(2, cid=cid, data=region << 48, data_len=4096, cdw=(0, 0, 7)))
        ring.kick()
        for _ in range(ring.sq_entries):
            _, status, _ = ring.completion()
            assert status & 0x7ff in (0, 0x707), hex(status)


@suite.test("number of clients: one more is told so, and the next finds a place again")
def clients():
    rpcs = [DAEMON.rpc()]
    wait_until(lambda: rpcs[0].call("get_stats")["clients"] == 1, what="earlier clients are gone")
    rpcs += [DAEMON.rpc() for _ in range(5)]
    for rpc in rpcs:
        rpc.call("get_version")
    extra = DAEMON.rpc()
    answer = extra.receive()
    assert "max_clients" in answer["error"]["message"], answer
    try:
        extra.receive()
        raise AssertionError("the connection goes on")
    except (EOFError, ConnectionResetError):
        pass
    extra.close()
    assert rpcs[0].call("get_stats")["clients"] == 6
    for rpc in rpcs:
        rpc.close()
    wait_until(DAEMON.answers, what="there is a place again")


@suite.test("a controller that can't be opened for want of descriptors isn't half open")
def no_descriptors():
    def limit(free):
        used = {int(name) for name in os.listdir(f"/proc/{DAEMON.pid}/fd")}
        number = 0
        while free or number in used:
            free -= number not in used
            number += 1
        resource.prlimit(DAEMON.pid, resource.RLIMIT_NOFILE, (number, before[1]))
    before = resource.prlimit(DAEMON.pid, resource.RLIMIT_NOFILE)
    with DAEMON.rpc() as rpc:
        rpc.call("get_version")
        try:
            for free in range(5):  # the ring takes 3, the answer 2
                limit(free)
                error = expect_error(rpc.call, "open_controller", name="nvme0")
                assert error.data["errno"] in ("EMFILE", "ENOMEM"), (free, str(error))
                (client,) = rpc.call("get_clients")
                assert client["controllers"] == [], (free, client)
        finally:
            resource.prlimit(DAEMON.pid, resource.RLIMIT_NOFILE, before)
        rpc.call("open_controller", name="nvme0")


@suite.test("memory that is freed while commands use it is freed when they have ended")
def free_in_flight():
    with Session(DAEMON, "nvme0") as client:
        region = client.memory(4 << 20)
        ring = client.qpair(64)
        for i in range(64):
            ring.push(ring.command(1, cid=i, data=region << 48 | i * 65536, data_len=65536,
                                   cdw=(i * 128, 0, 127)))
        ring.kick()
        client.rpc.call("free_memory", region=region)
        done = [ring.completion()[1] & 0x7ff for _ in range(64)]
        assert set(done) <= {0, 0x700}, done
        assert ring.submit(2, data=region << 48, data_len=4096, cdw=(0, 0, 7)) == 0x700


@suite.test("memory whose descriptor can't be passed on isn't kept")
def no_descriptor():
    with Session(DAEMON, "nvme0") as client:
        def stats():
            return client.rpc.call("get_stats")
        wait_until(lambda: stats()["clients"] == 1, what="earlier clients are gone")
        before = stats()
        used = {int(name) for name in os.listdir(f"/proc/{DAEMON.pid}/fd")}
        free = [fd for fd in range(max(used) + 3) if fd not in used]
        limits = resource.prlimit(DAEMON.pid, resource.RLIMIT_NOFILE)
        # room for the region, none for the copy of its descriptor
        resource.prlimit(DAEMON.pid, resource.RLIMIT_NOFILE, (free[0] + 1, limits[1]))
        try:
            expect_error(client.rpc.call, "alloc_memory", size=4096, says="no descriptor left")
        finally:
            resource.prlimit(DAEMON.pid, resource.RLIMIT_NOFILE, limits)
        after = stats()
        for key in ("regions", "bytes", "descriptors"):
            assert after[key] == before[key], f"{key}: {before[key]}, then {after[key]}"
        client.memory(4096)


@suite.test("numbers are used again, and a session is unlimited in time: 2000 regions in turn")
def turnover():
    with Session(DAEMON, "nvme0") as client:
        for i in range(2000):
            result = client.rpc.call("alloc_memory", size=8192)
            (fd,) = client.rpc.take_fds()
            if i % 100 == 0:
                with mmap.mmap(fd, 8192) as region:
                    assert region[:8192] == bytes(8192), "memory of somebody else"
                    region[:] = b"\xff" * 8192
            os.close(fd)
            client.rpc.call("free_memory", region=result["region"])
        for _ in range(100):
            ring = client.qpair()
            client.rpc.call("free_io_qpair", qpair=ring.number)
            client.rings.pop(ring.number).close()


@suite.test("everything is given back")
def end():
    BEFORE[0].same()
    RUN.stop()


try:
    suite.main()
finally:
    RUN.clean_up()
