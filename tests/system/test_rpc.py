#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""JSON-RPC: bad input of every kind gets its own error, and other clients notice nothing."""

import contextlib
import json
import os
import socket
import threading
import time

from nvmux_test import (Counts, Rpc, RpcError, Run, Session, Suite, attach, expect_error, fd_count,
                        wait_until)

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
MESSAGE_MAX = 1 << 20

suite = Suite()


class Bystander:
    """Another client: reads and writes all the while, and must notice nothing."""

    def __init__(self, daemon, controller):
        self.session = Session(daemon, controller)
        self.region = self.session.memory(1 << 16)
        self.ring = self.session.qpair()
        self.stopping = threading.Event()
        self.rounds = 0
        self.error = None
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def work(self):
        try:
            memory = self.session.maps[self.region]
            while not self.stopping.is_set():
                pattern = os.urandom(4096)
                memory[0:4096] = pattern
                data = self.region << 48
                status = self.ring.submit(1, data=data, data_len=4096, cdw=(8, 0, 7))
                assert status == 0, f"write: {status:#x}"
                status = self.ring.submit(2, data=data + 8192, data_len=4096, cdw=(8, 0, 7))
                assert status == 0, f"read: {status:#x}"
                assert memory[8192:12288] == pattern, "miscompare"
                self.rounds += 1
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def check(self):
        """It is still at work, and everything was right so far."""
        before = self.rounds
        wait_until(lambda: self.rounds > before or self.error, what="the bystander goes on")
        if self.error:
            raise self.error

    def close(self):
        self.stopping.set()
        self.thread.join()
        self.session.close()


RUN = Run()
DAEMON = None
BYSTANDER = None


@suite.test("a daemon with a controller and a client at work", essential=True)
def start():
    global DAEMON, BYSTANDER
    emulator = RUN.emulator("mem,size=16M,bs=512")
    DAEMON = RUN.daemon()
    attach(DAEMON, emulator, "nvme0")
    BYSTANDER = Bystander(DAEMON, "nvme0")
    BYSTANDER.check()


def raw_error(data, code):
    """Send bytes and expect an error without a usable id, with this code."""
    with Rpc(DAEMON.socket) as rpc:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            rpc.send(data)  # it may have seen enough before the end
        answer = rpc.receive()
    assert answer["jsonrpc"] == "2.0" and answer["id"] is None, answer
    assert answer["error"]["code"] == code, answer
    assert len(answer["error"]["message"]) > 4, answer
    BYSTANDER.check()
    return answer["error"]["message"]


@suite.test("broken JSON is a parse error")
def broken_json():
    for data in [b'{"jsonrpc": "2.0", "id": 1, "method": ]', b"hello\n", b"}", b'{"a" 1}',
                 b'{"jsonrpc":"2.0","id":1,"method":"get_\xff\xfe"}', b"\0\0\0\0", b'"\\ud800"',
                 b'{"id":1e999999999}']:
        raw_error(data, PARSE_ERROR)


@suite.test("JSON that is no request is an invalid request")
def no_request():
    for value in [1, "text", True, None, {}, [], {"jsonrpc": "2.0", "id": 1},
                  {"jsonrpc": "1.0", "id": 1, "method": "get_version"},
                  {"id": 1, "method": "get_version"},
                  {"jsonrpc": "2.0", "id": {}, "method": "get_version"},
                  {"jsonrpc": "2.0", "id": [1], "method": "get_version"},
                  {"jsonrpc": "2.0", "id": 1, "method": 7},
                  {"jsonrpc": "2.0", "id": 1, "method": ["get_version"]}]:
        with Rpc(DAEMON.socket) as rpc:
            rpc.send(json.dumps(value).encode() + b"\n")
            answer = rpc.receive()
        assert answer["error"]["code"] in (INVALID_REQUEST, PARSE_ERROR), (value, answer)
    BYSTANDER.check()


@suite.test("parameters of a type that JSON-RPC doesn't have are refused")
def odd_params():
    for params in [1, "x", True, None, [1]]:
        with Rpc(DAEMON.socket) as rpc:
            rpc.send({"jsonrpc": "2.0", "id": 5, "method": "detach_controller", "params": params})
            answer = rpc.receive()
        assert answer["id"] == 5 or answer["id"] is None
        assert answer["error"]["code"] in (INVALID_REQUEST, INVALID_PARAMS), (params, answer)
    BYSTANDER.check()


@suite.test("a value deeper than the limit is refused, one as deep as anybody needs isn't")
def deep():
    for depth in (1000, 200000):
        raw_error(b"[" * depth + b"]" * depth, PARSE_ERROR)
        nested = b'{"a":' * depth + b"1" + b"}" * depth
        raw_error(b'{"jsonrpc":"2.0","id":1,"method":"get_version","params":' + nested + b"}",
                  PARSE_ERROR)


@suite.test("a value larger than the limit is refused before it ends")
def huge():
    before = Counts(DAEMON, 2)
    for filler in (b" ", b"["):
        # Endless: the answer must come while we are still sending.
        with Rpc(DAEMON.socket) as rpc:
            rpc.socket.settimeout(20)
            head = b'{"jsonrpc":"2.0","id":1,"method":"' if filler != b"[" else b""
            sent = 0
            try:
                rpc.send(head)
                while sent < 64 * MESSAGE_MAX:
                    rpc.send((b"a" if head else filler) * 65536)
                    sent += 65536
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert sent < 64 * MESSAGE_MAX, "64 MiB of one value were taken"
            try:
                answer = rpc.receive()
                assert answer["error"]["code"] in (PARSE_ERROR, INVALID_REQUEST), answer
            except (EOFError, ConnectionResetError, BrokenPipeError):
                pass  # our unread data may have destroyed the answer on its way
    BYSTANDER.check()
    before.same()


@suite.test("a value just over the limit gets an answer that says so")
def over_limit():
    with Rpc(DAEMON.socket) as rpc:
        body = b'{"jsonrpc":"2.0","id":1,"method":"' + b"a" * (MESSAGE_MAX + 1000)
        try:
            rpc.send(body)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = rpc.receive()
        assert answer["error"]["code"] in (PARSE_ERROR, INVALID_REQUEST), answer
    BYSTANDER.check()


@suite.test("an unknown method is named")
def unknown_method():
    with DAEMON.rpc() as rpc:
        error = expect_error(rpc.call, "get_controlers", code=METHOD_NOT_FOUND)
        assert "get_controlers" in error.message, error
        expect_error(rpc.call, "x" * 5000, code=METHOD_NOT_FOUND)
        expect_error(rpc.call, "", code=METHOD_NOT_FOUND)
        assert rpc.call("get_version")["pid"] == DAEMON.pid
    BYSTANDER.check()


@suite.test("wrong types, ranges, unknown and missing parameters are named")
def wrong_params():
    with DAEMON.rpc() as rpc:
        for method, params, word in [
                ("alloc_memory", {"size": "64M"}, "size"),
                ("alloc_memory", {"size": -1}, "size"),
                ("alloc_memory", {"size": 1.5}, "size"),
                ("alloc_memory", {"size": 0}, "size"),
                ("alloc_memory", {"size": [1]}, "size"),
                ("alloc_memory", {"size": None}, "size"),
                ("alloc_memory", {}, "size"),
                ("alloc_memory", {"size": 4096, "colour": "red"}, "colour"),
                ("alloc_io_qpair", {"controller": 5}, "controller"),
                ("alloc_io_qpair", {"controller": "nvme0", "depth": 0}, "depth"),
                ("alloc_io_qpair", {"controller": "nvme0", "depth": 1 << 40}, "depth"),
                ("attach_controller", {"traddr": "/x"}, "trtype"),
                ("attach_controller", {"trtype": "FAX", "traddr": "1"}, "trtype"),
                ("attach_controller", {"trtype": "VFIOUSER", "traddr": "x" * 4000}, "traddr"),
                ("attach_controller", {"trtype": {"a": 1}, "traddr": "/x"}, "trtype"),
                ("open_controller", {"name": True}, "name"),
                ("identify", {"controller": "nvme0", "cns": "one"}, "cns"),
                ("read", {"controller": "nvme0", "nsid": 1, "lba": 0, "lba_count": "8",
                          "region": 1, "offset": 0}, "lba_count"),
        ]:
            error = expect_error(rpc.call, method, **params)
            assert error.code == INVALID_PARAMS, (method, params, str(error))
            assert word in error.message, (method, params, str(error))
        huge_integer = b'{"jsonrpc":"2.0","id":99,"method":"alloc_memory","params":{"size":' + \
            b"9" * 400 + b"}}"
        rpc.send(huge_integer)
        answer = rpc.receive()
        assert answer["error"]["code"] in (INVALID_PARAMS, PARSE_ERROR), answer
    BYSTANDER.check()


@suite.test("a misspelt parameter gets a suggestion")
def suggestion():
    with DAEMON.rpc() as rpc:
        error = expect_error(rpc.call, "attach_controller", trtype="VFIOUSER", tradr="/x",
                             code=INVALID_PARAMS)
        assert "tradr" in error.message and "traddr" in error.message, str(error)


@suite.test("controllers that don't exist are named")
def unknown_controller():
    with DAEMON.rpc() as rpc:
        for method in ("detach_controller", "reset_controller", "open_controller",
                       "close_controller"):
            error = expect_error(rpc.call, method, name="nvme77")
            assert "nvme77" in error.message, str(error)
        error = expect_error(rpc.call, "alloc_io_qpair", controller="nvme77")
        assert "nvme77" in error.message, str(error)
        expect_error(rpc.call, "free_memory", region=12345)
        expect_error(rpc.call, "free_io_qpair", qpair=12345)
    BYSTANDER.check()


@suite.test("batches: answers for all of them, an empty or oversized one is refused")
def batches():
    with Rpc(DAEMON.socket) as rpc:
        rpc.send([{"jsonrpc": "2.0", "id": 1, "method": "get_version"}, 7,
                  {"jsonrpc": "2.0", "id": 2, "method": "no_such"},
                  {"jsonrpc": "2.0", "method": "get_version"}])
        answers = {json.dumps(a["id"]): a for a in rpc.receive()}
        assert set(answers) == {"1", "2", "null"}, answers
        assert "result" in answers["1"], answers
        assert answers["2"]["error"]["code"] == METHOD_NOT_FOUND, answers
        assert answers["null"]["error"]["code"] == INVALID_REQUEST, answers
        rpc.send([])
        assert rpc.receive()["error"]["code"] == INVALID_REQUEST
        rpc.send([{"jsonrpc": "2.0", "id": i, "method": "get_version"} for i in range(1000)])
        answer = rpc.receive()
        assert answer["error"]["code"] == INVALID_REQUEST, answer
    BYSTANDER.check()


@suite.test("values may follow each other with and without newlines, and arrive byte by byte")
def framing():
    request = {"jsonrpc": "2.0", "method": "get_version"}
    with Rpc(DAEMON.socket) as rpc:
        data = b"".join(json.dumps({**request, "id": i}).encode() + end
                        for i, end in enumerate([b"", b"\n", b"  \r\n", b""]))
        rpc.send(data)
        assert [rpc.receive()["id"] for _ in range(4)] == [0, 1, 2, 3]
        for byte in json.dumps({**request, "id": 8}).encode():
            rpc.send(bytes([byte]))
        assert rpc.receive()["id"] == 8
    BYSTANDER.check()


@suite.test("clients that hang up in the middle leave nothing behind")
def hang_up():
    before = Counts(DAEMON, 2)
    for i in range(60):
        rpc = Rpc(DAEMON.socket)
        if i % 3 == 0:
            rpc.send(b'{"jsonrpc":"2.0","id":1,"met')
        elif i % 3 == 1:
            rpc.request("rpc.discover")
        else:
            rpc.request("open_controller", {"name": "nvme0"})
            rpc.request("alloc_memory", {"size": 1 << 20})
            rpc.request("alloc_io_qpair", {"controller": "nvme0"})
        rpc.close()
    before.same()
    BYSTANDER.check()


@suite.test("descriptors that a client sends are refused, or (kernels before 6.16) closed")
def unwanted_fds():
    before = Counts(DAEMON, 2)
    with Rpc(DAEMON.socket) as rpc:
        null = os.open("/dev/null", os.O_RDONLY)
        for _ in range(20):
            with contextlib.suppress(PermissionError):
                socket.send_fds(rpc.socket, [b" "], [null] * 8)
        os.close(null)
        assert rpc.call("get_version")["pid"] == DAEMON.pid
        wait_until(lambda: fd_count(DAEMON.pid) <= before.before["/proc/PID/fd"],
                   what="what we sent, and the connection that counted, are closed")
    before.same()
    BYSTANDER.check()


@suite.test("a client that never reads its answers is dropped, with bounded memory")
def never_reads():
    with Rpc(DAEMON.socket) as rpc:
        rpc.socket.settimeout(10)
        request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "rpc.discover"}).encode()
        dropped = False
        try:
            for _ in range(20000):
                rpc.send(request)
        except (BrokenPipeError, ConnectionResetError):
            dropped = True
        except socket.timeout:
            dropped = True  # it stopped reading from us: bounded as well
        assert dropped, "20000 documents were queued for a client that reads none"
    BYSTANDER.check()


@suite.test("a subscriber that doesn't read loses events, is told how many, and lives on")
def events_lost():
    with DAEMON.rpc() as rpc:
        rpc.call("subscribe_events")
        for _ in range(1500):
            Rpc(DAEMON.socket).close()
        lost = seen = 0
        while not lost:
            event = rpc.receive()["params"]
            seen += 1
            if event["type"] == "events_lost":
                lost = event["count"]
        assert lost > 100 and seen > 100, (lost, seen)
        assert rpc.call("get_version")["pid"] == DAEMON.pid
    BYSTANDER.check()


@suite.test("rpc.discover describes every method, and each parameter has a type")
def discover():
    with DAEMON.rpc() as rpc:
        document = rpc.call("rpc.discover")
    names = {method["name"] for method in document["methods"]}
    wanted = {"get_version", "probe", "attach_controller", "detach_controller", "reset_controller",
              "get_controllers", "get_namespaces", "identify", "open_controller",
              "close_controller", "alloc_memory", "free_memory", "alloc_io_qpair",
              "free_io_qpair", "get_qpairs", "get_clients", "get_reactors", "get_stats", "read",
              "write", "flush", "admin_raw", "io_raw", "subscribe_events", "shutdown"}
    assert wanted <= names, wanted - names
    for method in document["methods"]:
        for param in method["params"]:
            assert param["name"] and "schema" in param, (method["name"], param)


@suite.test("a hundred clients that come at once all get an answer, or are told the limit")
def many():
    clients = []
    refused = 0
    try:
        for _ in range(100):
            rpc = Rpc(DAEMON.socket)
            clients.append(rpc)
            # One too many may have been told so, and closed, before it asks.
            with contextlib.suppress(BrokenPipeError):
                rpc.request("get_version")
        for rpc in clients:
            try:
                rpc.answer(1)
            except RpcError as error:
                assert "max_clients" in str(error), str(error)
                refused += 1
            except (EOFError, KeyError):
                refused += 1
    finally:
        for rpc in clients:
            rpc.close()
    assert 0 < refused < 100, f"{refused} were refused; the limit is 64"
    wait_until(lambda: DAEMON.answers(), what="the next client is served")
    BYSTANDER.check()


@suite.test("everything ends in order")
def end():
    BYSTANDER.close()
    time.sleep(0.1)
    RUN.stop()


try:
    suite.main()
finally:
    if BYSTANDER:
        BYSTANDER.stopping.set()
    RUN.clean_up()
