#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""NVMe over RDMA without an RDMA device: parameters, configuration, refusals."""

import os
import re
import subprocess
import time

from nvmux_test import (SLOWNESS, WRAP, Run, Session, Suite, attach, expect_error, program,
                        wait_until)

INVALID_PARAMS = -32602
# A network that is nobody's (RFC 5737).
NOWHERE = {"trtype": "RDMA", "traddr": "192.0.2.1"}
TARGET = {**NOWHERE, "subnqn": "nqn.2026-01.org.example:a"}
suite = Suite()


def refused(rpc, method, params, *words):
    error = expect_error(rpc.call, method, code=INVALID_PARAMS, **params)
    for word in words:
        assert word in error.message, (method, params, word, str(error))
    return error


@suite.test("parameters of a connection: each out of its range or form is named, with the rule")
def ranges():
    with Run() as run, run.daemon().rpc() as rpc:
        for name, value, words in [
                ("num_io_queues", 0, ["1 to 65535"]),
                ("admin_queue_depth", 15, ["16 to 4096"]),
                ("io_queue_depth", 65537, ["2 to 65536"]),
                ("reconnect_delay_sec", 0, ["1 to 3600"]),
                ("reconnect_delay_sec", "2", ["an integer"]),
                ("fast_io_fail_timeout_sec", -2, ["-1 to 2592000"]),
                ("ctrlr_loss_timeout_sec", 2592001, ["-1 to 2592000"]),
                ("keep_alive_timeout_ms", -1, ["0 to 3600000"]),
                ("command_quiesce_time_ms", 3600001, ["0 to 3600000"]),
                ("path_retry_timeout_ms", -1, ["0 to 3600000"]),
                ("transport_ack_timeout", 32, ["0 to 31"]),
                ("hostid", "x" * 36, ["UUID"]),
                ("hostid", "00000000-0000-0000-0000-000000000000", ["UUID", "zero"]),
                ("hostnqn", "host1", ["'host1'", "nqn."]),
                ("hostnqn", "nqn.a b", ["spaces"]),
                ("hostnqn", "nqn." + "x" * 220, ["5 to 223"]),
                ("host_iface", "x" * 64, ["0 to 63"]),
                ("adrfam", "IPv6", ["192.0.2.1", "IPv6"]),
                ("adrfam", "IPX", ["IPX", "IPv4 or IPv6"]),
                ("adrfam", "IB", ["adrfam is IB", "isn't supported"]),
                ("subnqn", "iqn.x", ["subnqn is 'iqn.x': an NQN begins with 'nqn.' and says more"]),
                ("subnqn", "nqn.a b", ["spaces"]),
                ("host_traddr", "::1", ["::1", "IPv4"]),
                ("trsvcid", "http", ["http", "port"]),
                ("traddr", "storage.example.org", ["storage.example.org", "IPv4 or IPv6"]),
        ]:
            refused(rpc, "attach_controller", {**TARGET, name: value}, name, *words)
        refused(rpc, "attach_controller", {**TARGET, "reconnect_delay": 1},
                "did you mean 'reconnect_delay_sec'")
        refused(rpc, "attach_controller", NOWHERE, "subnqn is missing")
        refused(rpc, "attach_controller", {"trtype": "RDMA"}, "traddr is missing")
        assert rpc.call("get_controllers") == []


@suite.test("the times of recovery must be in order")
def order():
    with Run() as run, run.daemon().rpc() as rpc:
        for times, words in [
                ({"reconnect_delay_sec": 9, "fast_io_fail_timeout_sec": 8},
                 ["fast_io_fail_timeout_sec is 8", "reconnect_delay_sec, which is 9"]),
                ({"reconnect_delay_sec": 9, "ctrlr_loss_timeout_sec": 8},
                 ["ctrlr_loss_timeout_sec is 8", "reconnect_delay_sec, which is 9"]),
                ({"fast_io_fail_timeout_sec": 20, "ctrlr_loss_timeout_sec": 19},
                 ["ctrlr_loss_timeout_sec is 19", "fast_io_fail_timeout_sec, which is 20"]),
                ({"fast_io_fail_timeout_sec": 20, "ctrlr_loss_timeout_sec": 0},
                 ["ctrlr_loss_timeout_sec is 0"]),
        ]:
            refused(rpc, "attach_controller", {**TARGET, **times}, *words)
            refused(rpc, "start_discovery", {**NOWHERE, "name": "d", **times}, *words)
        # The service itself isn't given up by default, what it reports is after 600 s.
        times = {"reconnect_delay_sec": 700, "name": "d"}
        words = ["ctrlr_loss_timeout_sec is 600", "reconnect_delay_sec, which is 700"]
        refused(rpc, "attach_controller", {**TARGET, **times}, *words)
        refused(rpc, "start_discovery", {**NOWHERE, **times, "attach": True}, *words)


@suite.test("what makes sense for fabrics only is refused by name for other transports")
def fabrics_only():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        with daemon.rpc() as rpc:
            for name, value in [
                    ("hostnqn", "nqn.x"), ("hostid", "4f6f0a5e-5d2c-4c8e-9d3b-7a6c1e2f3b40"),
                    ("host_traddr", "192.0.2.2"), ("host_iface", "eth0"),
                    ("reconnect_delay_sec", 2), ("fast_io_fail_timeout_sec", 0),
                    ("ctrlr_loss_timeout_sec", 600), ("keep_alive_timeout_ms", 10000),
                    ("command_quiesce_time_ms", 1000), ("path_retry_timeout_ms", 30000),
                    ("transport_ack_timeout", 0)]:
                refused(rpc, "attach_controller",
                        {"trtype": "VFIOUSER", "traddr": emulator.dir, name: value},
                        f"{name} makes sense for fabrics (RDMA) only", "trtype is VFIOUSER")
            refused(rpc, "attach_controller",
                    {"trtype": "PCIE", "traddr": "0000:00:04.0", "keep_alive_timeout_ms": 0},
                    "keep_alive_timeout_ms", "trtype is PCIE")
        # These aren't only for fabrics.
        attach(daemon, emulator, "nvme0", num_io_queues=2, io_queue_depth=16, admin_queue_depth=24)


@suite.test("get_controllers says of a local controller that its connection is up")
def local():
    with Run() as run:
        emulator = run.emulator()
        daemon = run.daemon()
        attach(daemon, emulator, "nvme0")
        with daemon.rpc() as rpc:
            (controller,) = rpc.call("get_controllers")
            assert controller["connection"] == {
                "state": "up", "lost": 0, "attempts": 0, "lost_for_ms": 0, "next_attempt_ms": 0,
                "fast_io_fail_ms": None, "ctrlr_loss_ms": None, "hold_ms": 0, "keep_alive_ms": 0,
                "reason": ""}, controller["connection"]
            assert controller["discovery"] is False and controller["ana"] is False, controller
            assert controller["hostnqn"] is None and "host_traddr" not in controller, controller
            assert "ana_state" not in controller["namespaces"][0], controller
            rpc.call("reset_controller", name="nvme0")
            (controller,) = rpc.call("get_controllers")
            assert controller["connection"]["state"] == "up", controller
        with Session(daemon, "nvme0") as client:
            region = client.memory(4096)
            assert client.qpair().submit(2, data=region << 48, data_len=512, cdw=(0, 0, 0)) == 0


@suite.test("nobody is there: an exact error, and nothing is left")
def nobody():
    with Run() as run:
        daemon = run.daemon()
        with daemon.rpc() as rpc:
            for method, params in [
                    ("attach_controller", {**TARGET, "name": "far"}), ("discover", NOWHERE),
                    ("probe", NOWHERE), ("start_discovery", {**NOWHERE, "name": "far"})]:
                error = expect_error(rpc.call, method, code=-32000, **params)
                assert re.search(r"no transport RDMA|no RDMA device|192\.0\.2\.1", error.message), \
                    (method, str(error))
            assert rpc.call("get_controllers") == []
            wait_until(lambda: rpc.call("get_discovery") == [], what="it is forgotten")
            # Another NQN than that of discovery names one subsystem: there is nothing to ask.
            if "no transport RDMA" not in error.message:
                assert [(e["traddr"], e["attachable"]) for e in rpc.call("probe", **TARGET)] == \
                    [("192.0.2.1", True)]


@suite.test("discovery services: wrong parameters, unknown names")
def discovery_params():
    with Run() as run, run.daemon().rpc() as rpc:
        assert rpc.call("get_discovery") == []
        named = {**NOWHERE, "name": "disc"}
        refused(rpc, "start_discovery", NOWHERE, "name", "missing")
        refused(rpc, "start_discovery", {**named, "name": "a/b"}, "a/b")
        refused(rpc, "start_discovery", {**named, "name": "x" * 28}, "name", "1 to 27")
        refused(rpc, "start_discovery", {**named, "attach": "yes"}, "attach", "true or false")
        refused(rpc, "start_discovery", {**named, "trtype": "PCIE"}, "trtype is PCIE", "RDMA")
        refused(rpc, "start_discovery", {"name": "disc", "trtype": "RDMA"}, "traddr is missing")
        refused(rpc, "start_discovery", {**named, "traddr": "nowhere"}, "nowhere")
        refused(rpc, "discover", {"trtype": "VFIOUSER", "traddr": "/x"}, "trtype is VFIOUSER")
        refused(rpc, "discover", {**NOWHERE, "attach": True}, "attach")
        refused(rpc, "discover", {**NOWHERE, "hostnqn": "host1"}, "hostnqn", "host1")
        refused(rpc, "probe", {"trtype": "RDMA"}, "traddr is missing")
        refused(rpc, "probe", {"trtype": "PCIE", "host_iface": "eth0"}, "host_iface")
        expect_error(rpc.call, "stop_discovery", name="none", errno_name="ENODEV",
                     says="no discovery service 'none'")


CONFIGURED = """
[controller far]
trtype = RDMA
traddr = 192.0.2.1
subnqn = nqn.2026-01.org.example:a
reconnect_delay_sec = 1
[discovery disc]
trtype = RDMA
traddr = 192.0.2.1
reconnect_delay_sec = 1
attach = yes
"""


@suite.test("a controller of the configuration that isn't reached is tried again, until detached")
def configured():
    with Run() as run:
        daemon = run.daemon(config=CONFIGURED)
        with daemon.rpc() as rpc:
            wait_until(lambda: daemon.err().count("error:") >= 2, what="both have failed once")
            if "no transport RDMA" in daemon.err():  # that won't change
                assert rpc.call("get_controllers") == []
                assert rpc.call("get_discovery")[0]["state"] == "failed"
                return
            (controller,) = rpc.call("get_controllers")
            assert controller["state"] == "attaching", controller
            wait_until(lambda: rpc.call("get_controllers")[0]["connection"]["attempts"] >= 2,
                       what="a second attempt")
            connection = rpc.call("get_controllers")[0]["connection"]
            assert connection["state"] == "none" and connection["reason"], connection
            assert daemon.err().count("far: can't be attached") == 1, daemon.err()
            expect_error(rpc.call, "open_controller", name="far", errno_name="EBUSY")
            expect_error(rpc.call, "attach_controller", **TARGET, name="far", errno_name="EEXIST")
            wait_until(lambda: rpc.call("get_discovery")[0]["connection"]["attempts"] >= 2,
                       what="the discovery service is tried again too")
            assert rpc.call("get_discovery")[0]["state"] in ("waiting", "connecting")
            assert rpc.call("detach_controller", name="far") is True
            assert rpc.call("stop_discovery", name="disc") is True
            assert rpc.call("get_controllers") == [] and rpc.call("get_discovery") == []


@suite.test("the daemon ends at once while it waits for a network")
def ends_at_once():
    with Run() as run:
        daemon = run.daemon(config=CONFIGURED)
        wait_until(lambda: daemon.err().count("error:") >= 2, what="both have failed once")
        start = time.monotonic()
        daemon.stop()
        assert time.monotonic() - start < 5 * SLOWNESS


@suite.test("--check knows the sections and keys of connections")
def check():
    with Run() as run:
        path = run.path("fabrics.conf")

        def said_of(text):
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
            done = subprocess.run(WRAP + [program("nvmuxd"), "-c", path, "--check"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=60, check=False)
            return done.returncode, done.stdout
        code, said = said_of("[host]\nhostnqn = nqn.2026-01.org.example:h\n" + CONFIGURED)
        assert code == 0, said
        code, said = said_of(CONFIGURED.replace("attach", "atach"))
        assert code != 0 and "11" in said and "'attach'" in said, said
        code, said = said_of("[controller a]\ntrtype = PCIE\ntraddr = 0000:01:00.0\n"
                             "fast_io_fail_timeout_sec = 5\n")
        assert code != 0 and "fast_io_fail_timeout_sec makes sense for fabrics" in said, said
        code, said = said_of("[host]\nhostid = 1234\n")
        assert code != 0 and "fabrics.conf:2" in said and "UUID" in said, said


@suite.test("who lacks the admin right doesn't make the daemon connect to anything")
def rights():
    with Run() as run:
        if os.getuid() != 0:
            return
        daemon = run.daemon(config="[daemon]\nsocket_mode = 0666\n")
        os.chmod(run.dir, 0o755)
        script = ("import json, socket, sys\n"
                  "s = socket.socket(socket.AF_UNIX)\n"
                  f"s.connect({daemon.socket!r})\n"
                  "s.sendall(sys.stdin.buffer.read())\n"
                  "print(s.recv(65536).decode())\n")
        for method in ("probe", "discover", "start_discovery", "stop_discovery", "get_discovery"):
            request = f'{{"jsonrpc": "2.0", "id": 1, "method": "{method}", "params": {{}}}}'
            done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                                   "python3", "-c", script], input=request, text=True,
                                  stdout=subprocess.PIPE, timeout=60, check=True)
            assert "-32001" in done.stdout, (method, done.stdout)


suite.main()
