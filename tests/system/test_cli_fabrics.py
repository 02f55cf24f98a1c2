#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the nvmux command asks of the daemon for NVMe over RDMA, and how it shows the answers.

No RDMA device is needed: the daemon is played by this file.
"""

import copy
import json
import os
import re
import signal
import socket
import subprocess
import threading

from nvmux_test import WRAP, Run, Skip, Suite, program

USAGE, FAILED, INTERRUPTED = 1, 3, 130

suite = Suite()
RUN = Run()

NQN = "nqn.2024-01.org.example:"
DISCOVERY = "nqn.2014-08.org.nvmexpress.discovery"


def record(what, address="10.0.0.1", **more):
    """A record of a discovery log page as the daemon gives it."""
    result = {"trtype": "rdma", "adrfam": "ipv4", "subtype": "nvme subsystem",
              "treq": "not specified, sq flow control disable supported", "portid": 1,
              "trsvcid": "4420", "subnqn": NQN + what, "traddr": address, "eflags": "none",
              "rdma_prtype": "roce-v2", "rdma_qptype": "connected", "rdma_cms": "rdma-cm",
              "rdma_pkey": 0, "depth": 0}
    result.update(more)
    return result


def controller(name, **more):
    """An entry of get_controllers."""
    result = {"name": name, "state": "ready", "trtype": "RDMA", "traddr": "10.0.0.1",
              "adrfam": "IPv4", "trsvcid": "4420", "subnqn": NQN + name, "hostnqn": NQN + "host",
              "connection": {"state": "up", "lost": 0, "attempts": 0, "lost_for_ms": 0,
                             "next_attempt_ms": 0, "fast_io_fail_ms": None,
                             "ctrlr_loss_ms": None, "hold_ms": 0, "keep_alive_ms": 10000,
                             "reason": ""},
              "model": "Linux", "serial": "1234", "firmware": "6.12",
              "io_queues": {"granted": 4, "used": 1},
              "namespaces": [{"nsid": 1, "size": 1 << 30, "blocks": 1 << 18, "block_size": 4096,
                              "metadata_size": 0, "csi": 0, "ana_group": 1,
                              "ana_state": "optimized",
                              "uuid": "12345678-1234-1234-1234-123456789abc"}],
              "qpairs": []}
    result.update(more)
    return result


class Daemon:
    """A daemon of answers: method → what to return, or a function of the parameters."""

    def __init__(self, **answers):
        self.answers = answers
        self.calls = []
        self.socket = RUN.path("played.sock")
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.socket)
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.converse(connection)
                except ConnectionError:
                    pass  # nobody waits for the answer any more

    def converse(self, connection):
        text = ""
        while True:
            data = connection.recv(65536)
            if not data:
                return
            text += data.decode()
            while text.strip():
                try:
                    call, end = json.JSONDecoder().raw_decode(text.lstrip())
                except json.JSONDecodeError:
                    break
                text = text.lstrip()[end:]
                for answer in self.answer(call):
                    connection.sendall(json.dumps(answer).encode())

    def answer(self, call):
        params = call.get("params", {})
        self.calls.append((call["method"], params))
        reply = {"jsonrpc": "2.0", "id": call["id"]}
        result = self.answers.get(call["method"], [])
        if callable(result):
            result = result(params)
        if isinstance(result, Exception):
            return [{**reply, "error": {"code": -32000, "message": str(result),
                                        "data": {"errno": "EIO"}}}]
        events = [{"jsonrpc": "2.0", "method": "event", "params": event}
                  for event in self.answers.get("events", [])] \
            if call["method"] == "subscribe_events" else []
        return [{**reply, "result": copy.deepcopy(result)}, *events]

    def asked(self, method):
        """The parameters of all calls of one method."""
        return [params for name, params in self.calls if name == method]


def needs_rdma():
    if ", RDMA," not in RUN.cli(None, "--version").decode():
        raise Skip("this build has no RDMA")


WHERE = ["-t", "rdma", "-a", "10.0.0.1"]
TRID = {"trtype": "RDMA", "traddr": "10.0.0.1", "adrfam": "IPv4", "trsvcid": "4420"}


@suite.test("discover asks with the options that were given, and prints what nvme discover prints")
def discover():
    needs_rdma()
    log = {"genctr": 7, "records": [record("", subtype="current discovery subsystem",
                                           subnqn=DISCOVERY, name="site"),
                                    record("far", address="10.0.0.9", depth=2)]}
    with Daemon(discover=log) as daemon:
        out = RUN.cli(daemon, "discover", *WHERE).decode()
        assert json.loads(RUN.cli(daemon, "discover", *WHERE, "-o", "json")) == log
        RUN.cli(daemon, "discover", "-t", "rdma", "-a", "fe80::1%eth2", "-s", "8009", "-n", "nqn.d",
                "-w", "fe80::2", "-f", "eth2", "-q", "nqn.h", "-I",
                "12345678-1234-1234-1234-123456789abc", "--transport-ack-timeout", "19")
        first, _, third = daemon.asked("discover")
    assert first == TRID, first
    assert third == {"trtype": "RDMA", "traddr": "fe80::1%eth2", "adrfam": "IPv6",
                     "trsvcid": "8009", "subnqn": "nqn.d", "host_traddr": "fe80::2",
                     "host_iface": "eth2", "hostnqn": "nqn.h", "transport_ack_timeout": 19,
                     "hostid": "12345678-1234-1234-1234-123456789abc"}, third
    head, one, two = re.split(r"=====Discovery Log Entry \d======\n", out)
    assert head == "Discovery Log Number of Records 2, Generation counter 7\n", head
    assert "name:    site\n" in one and "depth" not in one, one
    assert two == ("trtype:  rdma\nadrfam:  ipv4\nsubtype: nvme subsystem\n"
                   "treq:    not specified, sq flow control disable supported\n"
                   f"portid:  1\ntrsvcid: 4420\nsubnqn:  {NQN}far\ntraddr:  10.0.0.9\n"
                   "eflags:  none\nrdma_prtype: roce-v2\nrdma_qptype: connected\n"
                   "rdma_cms:    rdma-cm\nrdma_pkey: 0x0000\ndepth:   2\n"), two


@suite.test("attach passes on what was given, under either name, and nothing else")
def attach():
    needs_rdma()
    with Daemon(attach_controller={"name": "disk", "namespaces": [1, 2]}) as daemon:
        out = RUN.cli(daemon, "attach", *WHERE, "-n", NQN + "disk", "--name", "disk")
        assert out == b"disk: attached, namespaces 1, 2\n", out
        RUN.cli(daemon, "attach", *WHERE, "--subnqn", NQN + "disk", "-i", "2", "-Q", "64",
                "-c", "1", "-l", "-1", "-k", "5", "--fast_io_fail_tmo", "3")
        RUN.cli(daemon, "attach", *WHERE, "-n", NQN + "disk", "--num-io-queues", "2",
                "--io-queue-depth", "64", "--admin-queue-depth", "16", "--reconnect-delay-sec", "1",
                "--fast-io-fail-timeout-sec", "3", "--ctrlr-loss-timeout-sec", "4",
                "--keep-alive-timeout-ms", "5500", "--command-quiesce-time-ms", "0",
                "--path-retry-timeout-ms", "9", "--transport-ack-timeout", "20")
        one, two, three = daemon.asked("attach_controller")
    subsystem = {**TRID, "subnqn": NQN + "disk"}
    assert one == {**subsystem, "name": "disk"}, one
    assert two == {**subsystem, "num_io_queues": 2, "io_queue_depth": 64,
                   "reconnect_delay_sec": 1, "ctrlr_loss_timeout_sec": -1,
                   "keep_alive_timeout_ms": 5000, "fast_io_fail_timeout_sec": 3}, two
    assert three == {**subsystem, "num_io_queues": 2, "io_queue_depth": 64,
                     "admin_queue_depth": 16, "reconnect_delay_sec": 1,
                     "fast_io_fail_timeout_sec": 3, "ctrlr_loss_timeout_sec": 4,
                     "keep_alive_timeout_ms": 5500, "command_quiesce_time_ms": 0,
                     "path_retry_timeout_ms": 9, "transport_ack_timeout": 20}, three


@suite.test("attach --all takes every subsystem that isn't attached, and says which failed")
def attach_all():
    needs_rdma()
    log = {"genctr": 1, "records": [
        record("", subtype="current discovery subsystem", subnqn=DISCOVERY),
        record("", subtype="discovery subsystem referral", subnqn=DISCOVERY, traddr="10.0.0.7"),
        record("old", name="old"), record("good"), record("other", trtype="tcp"), record("bad"),
        record("last", address="10.0.0.9")]}

    def take(params):
        if params["subnqn"].endswith("bad"):
            return OSError("10.0.0.1:4420: the target is not in the mood")
        return {"name": "nvme-" + params["subnqn"].split(":")[1], "namespaces": [1]}

    with Daemon(discover=log, attach_controller=take) as daemon:
        args = ["attach", "--all", *WHERE, "--ctrl-loss-tmo", "60", "--hostnqn", "nqn.h"]
        out = RUN.cli(daemon, *args, code=FAILED).decode()
        err = RUN.cli_err.splitlines()
        value = json.loads(RUN.cli(daemon, *args, "-o", "json", code=FAILED))
        assert daemon.asked("discover")[0] == {**TRID, "hostnqn": "nqn.h"}
        asked = daemon.asked("attach_controller")[:3]
    assert out == "nvme-good: attached, namespaces 1\nnvme-last: attached, namespaces 1\n", out
    assert err == [f"1 of 4: {NQN}old at 10.0.0.1 4420: attached already, as old",
                   f"2 of 4: {NQN}good at 10.0.0.1 4420", f"3 of 4: {NQN}bad at 10.0.0.1 4420",
                   f"nvmux: attach: {NQN}bad: 10.0.0.1:4420: the target is not in the mood",
                   f"4 of 4: {NQN}last at 10.0.0.9 4420"], err
    more = {"ctrlr_loss_timeout_sec": 60, "hostnqn": "nqn.h"}
    assert asked == [{**TRID, "subnqn": NQN + "good", **more},
                     {**TRID, "subnqn": NQN + "bad", **more},
                     {**TRID, "traddr": "10.0.0.9", "subnqn": NQN + "last", **more}], asked
    assert [(v["subnqn"], v["state"], v.get("name"), v.get("namespaces")) for v in value] == [
        (NQN + "old", "attached already", "old", None),
        (NQN + "good", "attached", "nvme-good", [1]), (NQN + "bad", "failed", None, None),
        (NQN + "last", "attached", "nvme-last", [1])], value
    assert "not in the mood" in value[2]["error"], value


@suite.test("attach --all: what is attached is what the daemon says, whatever get_controllers has")
def other_path():
    needs_rdma()
    records = [record("old"), record("six", address="fd00::9", adrfam="ipv6")]
    with Daemon(discover={"genctr": 1, "records": records},
                attach_controller={"name": "two", "namespaces": []},
                get_controllers=[controller("old", host_traddr="10.0.0.3", host_iface="eth1")]
                ) as daemon:
        out = RUN.cli(daemon, "attach", "--all", *WHERE, "-w", "10.0.0.3", "-f", "eth1").decode()
        assert out == "two: attached, no namespace\n" * 2, out
        # An address of this host is none for the other family.
        assert daemon.asked("attach_controller") == [
            {**TRID, "subnqn": NQN + "old", "host_traddr": "10.0.0.3", "host_iface": "eth1"},
            {**TRID, "traddr": "fd00::9", "adrfam": "IPv6", "subnqn": NQN + "six",
             "host_iface": "eth1"}]
        assert not daemon.asked("get_controllers")


@suite.test("attach --all says when there is nothing to attach, and why")
def attach_nothing():
    needs_rdma()
    with Daemon(discover={"genctr": 1, "records": []}) as daemon:
        assert RUN.cli(daemon, "attach", "--all", *WHERE) == b"no subsystem is reported there\n"
        assert json.loads(RUN.cli(daemon, "attach", "--all", *WHERE, "-o", "json")) == []
    with Daemon(discover=OSError("10.0.0.1:4420: no route")) as daemon:
        RUN.cli(daemon, "attach", "--all", *WHERE, code=FAILED)
        assert RUN.cli_err == "nvmux: attach: 10.0.0.1:4420: no route\n", RUN.cli_err
    with Daemon(discover={"genctr": 1, "records": [
            record("a", trtype="tcp"), record("", subtype="discovery subsystem referral",
                                              subnqn=DISCOVERY)]}) as daemon:
        out = RUN.cli(daemon, "attach", "--all", *WHERE)
        assert out == b"no subsystem is reported there by a transport that this build has\n", out


@suite.test("attach --all fails when the daemon couldn't give all records")
def left_out():
    needs_rdma()
    with Daemon(discover={"genctr": 1, "records": [record("a")], "left_out": 3},
                attach_controller={"name": "a", "namespaces": [1]}) as daemon:
        out = RUN.cli(daemon, "attach", "--all", *WHERE, code=FAILED)
        assert out == b"a: attached, namespaces 1\n", out
        assert RUN.cli_err.splitlines()[1:] == [
            "nvmux: attach: 3 more records didn't fit into the daemon's answer; what they "
            "describe isn't attached"], RUN.cli_err


@suite.test("attach --all -n chooses among the records, and isn't the discovery service's name")
def attach_chosen():
    needs_rdma()
    with Daemon(discover={"genctr": 1, "records": [record("a"), record("b"),
                                                   record("b", address="10.0.0.9")]},
                attach_controller={"name": "x", "namespaces": [1]}) as daemon:
        RUN.cli(daemon, "attach", "--all", "-a", "10.0.0.1", "-n", NQN + "b")
        assert daemon.asked("discover") == [TRID], daemon.calls
        assert daemon.asked("attach_controller") == [
            {**TRID, "subnqn": NQN + "b"}, {**TRID, "traddr": "10.0.0.9", "subnqn": NQN + "b"}]
        out = RUN.cli(daemon, "attach", "--all", *WHERE, "-n", NQN + "c").decode()
        assert out == f"no subsystem {NQN}c is reported there\n", out


@suite.test("nvme-cli's habits: no -t, -k for discover, -F, and the commands' other names")
def habits():
    needs_rdma()
    with Daemon(discover={"genctr": 1, "records": []}, start_discovery=True,
                attach_controller={"name": "x", "namespaces": [1]}) as daemon:
        RUN.cli(daemon, "discover", "-a", "10.0.0.1", "-k", "30")
        RUN.cli(daemon, "discovery", "start", "site", "-a", "10.0.0.1", "-F", "3")
        RUN.cli(daemon, "attach", *WHERE, "-n", NQN + "x", "-F", "3")
        assert daemon.calls == [
            ("discover", TRID),
            ("start_discovery", {**TRID, "name": "site", "fast_io_fail_timeout_sec": 3}),
            ("attach_controller", {**TRID, "subnqn": NQN + "x", "fast_io_fail_timeout_sec": 3})]
    for theirs, ours in [("connect", "attach"), ("connect-all", "attach --all"),
                         ("disconnect", "detach"), ("disconnect-all", "detach")]:
        for words in ([theirs], ["help", theirs]):
            RUN.cli(None, *words, code=USAGE)
            assert f"did you mean {ours}?" in RUN.cli_err, RUN.cli_err
    for command, says in [("discover", "NQN of the discovery subsystem, rarely needed"),
                          ("discovery", "NQN of the discovery subsystem, rarely needed"),
                          ("attach", "with --all, attach only those")]:
        text = re.sub(r"\s+", " ", RUN.cli(None, command, "--help").decode())
        assert says in text, text
        assert ("a PCI address" in text) == (command == "attach"), text


@suite.test("discovery services are started, stopped and shown")
def discovery():
    needs_rdma()
    service = {**TRID, "name": "site", "state": "up", "attach": True, "genctr": 4,
               "connection": controller("x")["connection"], "records": [record("a"), record("b")]}
    # As many as were read, of which the answer may have fewer.
    large = {**service, "name": "large", "n_records": 5000}
    waiting = {**service, "name": "away", "traddr": "10.0.0.8", "state": "waiting", "genctr": None,
               "attach": False, "connection": {"reason": "nobody listens on this port"}}
    with Daemon(start_discovery=True, stop_discovery=True,
                get_discovery=[service, waiting, large]) as daemon:
        assert RUN.cli(daemon, "discovery", "start", "site", *WHERE, "--attach",
                       "--reconnect-delay", "5") == b"site: started\n"
        RUN.cli(daemon, "discovery", "start", "more", *WHERE, "-o", "json")
        assert RUN.cli(daemon, "discovery", "stop", "site") == b"site: stopped\n"
        lines = RUN.cli(daemon, "discovery", "list").decode().splitlines()
        assert daemon.asked("start_discovery") == [
            {**TRID, "name": "site", "attach": True, "reconnect_delay_sec": 5},
            {**TRID, "name": "more"}]
        assert daemon.asked("stop_discovery") == [{"name": "site"}]
    assert re.fullmatch(r"site +rdma 10.0.0.1 4420 +up +2 +4 +yes *", lines[1]), lines
    assert re.fullmatch(r"away +rdma 10.0.0.8 4420 +waiting +- +- +no +nobody listens on this port",
                        lines[2]), lines
    assert re.fullmatch(r"large +rdma 10.0.0.1 4420 +up +5000 +4 +yes *", lines[3]), lines


@suite.test("list shows what a connection is doing, and with -v why and until when")
def connection():
    lost = {**controller("x")["connection"], "state": "reconnecting", "lost": 2, "attempts": 3,
            "lost_for_ms": 4200, "next_attempt_ms": 900, "fast_io_fail_ms": 800,
            "ctrlr_loss_ms": 595800, "reason": "10.0.0.1:4420: nobody listens on this port"}
    answer = [controller("disk", connection=lost, host_traddr="10.0.0.3", host_iface="eth1"),
              controller("well")]
    answer[1]["namespaces"][0]["ana_state"] = "inaccessible"
    with Daemon(get_controllers=answer, get_clients=[]) as daemon:
        brief = RUN.cli(daemon, "list").decode()
        full = RUN.cli(daemon, "list", "-v").decode()
        assert json.loads(RUN.cli(daemon, "list", "-v", "-o", "json")) == answer
    assert re.search(r"(?m)^disk +reconnecting +rdma 10.0.0.1 4420, Linux", brief), brief
    assert re.search(r"(?m)^well +ready ", brief), brief
    assert "ANA" not in brief and brief.count("inaccessible") == 1, brief
    for pattern in [r"connection +reconnecting +lost 4.2 s ago, 3 attempts, next in 0.9 s",
                    r"deadlines +commands fail in 0.8 s, given up in 9 min 55 s",
                    r"reason +10.0.0.1:4420: nobody listens on this port",
                    rf"subsystem +{NQN}disk", rf"host +{NQN}host",
                    r"from +10.0.0.3, interface eth1",
                    r"connection +up +keep-alive 10 s", r"access +optimized +ANA group 1",
                    r"access +inaccessible +ANA group 1",
                    r"uuid +12345678-1234-1234-1234-123456789abc",
                    r"model +Linux, firmware 6.12", r"I/O queues +1 of 4 used"]:
        assert re.search(rf"(?m){pattern}$", full), (pattern, full)
    # All but the values that can have any length fit into a terminal.
    for line in full.splitlines():
        assert len(line) <= 80 or NQN in line, line


@suite.test("events of connections are printed with all that they say")
def events():
    told = [{"type": "controller_connection_lost", "name": "disk", "reason": "no answer in time"},
            {"type": "controller_reconnect_failed", "name": "disk", "attempt": 1, "reason": "x"},
            {"type": "controller_reconnected", "name": "disk", "attempts": 2}]
    with Daemon(subscribe_events=True, events=told) as daemon:
        lines = RUN.cli(daemon, "events", "--count", "3").decode().splitlines()
        assert [re.sub(r"^\S+ \S+ ", "", line) for line in lines] == [
            'controller_connection_lost name=disk reason="no answer in time"',
            "controller_reconnect_failed name=disk attempt=1 reason=x",
            "controller_reconnected name=disk attempts=2"], lines
        lines = RUN.cli(daemon, "events", "--count", "3", "-o", "json").decode().splitlines()
        assert [json.loads(line) for line in lines] == told, lines


@suite.test("what others say in an event can't look like another member of it")
def forged():
    cases = [("plain", "plain"), ("", '""'), ("a b", '"a b"'), ('x" name=y', r'"x\" name=y"'),
             ('x"', r'"x\""'), ("a\\", r'"a\\"'), ("a\nb", r'"a\nb"'), ("\x1b[2J", r'"\u001B[2J"'),
             ("\u202ex", r'"\u202Ex"'), ("\x7f", '"?"'), ("a=b", '"a=b"')]
    told = [{"type": "controller_failed", "reason": text} for text, _ in cases]
    with Daemon(subscribe_events=True, events=told) as daemon:
        lines = RUN.cli(daemon, "events", "--count", str(len(told))).decode().splitlines()
    assert [line.split(" ", 3)[3] for line in lines] == [f"reason={shown}" for _, shown in cases], \
        lines


@suite.test("events ends by a signal before the daemon has answered, too")
def interrupted():
    for number in (signal.SIGINT, signal.SIGTERM):
        asked, answer = threading.Event(), threading.Event()

        def wait(_):
            asked.set()
            answer.wait(60)
            return True

        with Daemon(subscribe_events=wait) as daemon:
            with subprocess.Popen(WRAP + [program("nvmux"), "-S", daemon.socket, "events"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as process:
                try:
                    assert asked.wait(60)
                    process.send_signal(number)
                    out, err = process.communicate(timeout=30)
                finally:
                    process.kill()
                    answer.set()
        assert (process.returncode, out, err) == (INTERRUPTED, b"", b""), (process.returncode, err)


try:
    suite.main()
finally:
    RUN.clean_up()
