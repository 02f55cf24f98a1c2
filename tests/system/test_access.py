#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Who may do what: a stranger may connect if the socket's mode lets him, and that is all."""

import os

from nvmux_test import Rpc, RpcError, Run, Session, Skip, Suite, attach, expect_error

ACCESS_DENIED = -32001
NOBODY = 65534

suite = Suite()


class Stranger:
    """Our connections are somebody else's meanwhile; only root can be somebody else."""

    def __enter__(self):
        os.setegid(NOBODY)
        os.seteuid(NOBODY)

    def __exit__(self, *_):
        os.seteuid(0)
        os.setegid(0)


def need_root():
    if os.geteuid() != 0:
        raise Skip("only root can be somebody else")


def with_stranger(function):
    """A daemon with a controller, an administrator, and a stranger's connection."""
    need_root()
    with Run() as run:
        os.chmod(run.dir, 0o755)
        emulator = run.emulator()
        daemon = run.daemon(config="[daemon]\nsocket_mode = 0666\n")
        attach(daemon, emulator, "nvme0")
        with Stranger():
            rpc = Rpc(daemon.socket)
        with rpc:
            function(daemon, rpc)


@suite.test("a stranger is refused whatever needs a right, with the right's name")
def refused():
    def work(daemon, rpc):
        with daemon.rpc() as admin:
            methods = [m["name"] for m in admin.call("rpc.discover")["methods"]]
        params = {
            "attach_controller": {"trtype": "LOOPBACK", "traddr": "mem,size=8M"},
            "detach_controller": {"name": "nvme0"}, "reset_controller": {"name": "nvme0"},
            "open_controller": {"name": "nvme0"}, "close_controller": {"name": "nvme0"},
            "identify": {"controller": "nvme0", "cns": 1},
            "alloc_memory": {"size": 4096}, "free_memory": {"region": 1},
            "alloc_io_qpair": {"controller": "nvme0"}, "free_io_qpair": {"qpair": 1},
            "read": {"controller": "nvme0", "nsid": 1, "lba": 0, "lba_count": 1, "region": 1,
                     "offset": 0},
            "flush": {"controller": "nvme0", "nsid": 1},
            "admin_raw": {"controller": "nvme0", "opc": 6},
            "io_raw": {"controller": "nvme0", "opc": 2}, "shutdown": {},
        }
        params["write"] = params["read"]
        assert set(params) <= set(methods), set(params) - set(methods)
        for method, values in params.items():
            error = expect_error(rpc.call, method, **values)
            assert error.code == ACCESS_DENIED, (method, str(error))
            assert error.data["errno"] == "EACCES" and error.data["right"], (method, str(error))
        assert rpc.take_fds() == []
        with daemon.rpc() as admin:
            assert [c["name"] for c in admin.call("get_controllers")] == ["nvme0"]
    with_stranger(work)


@suite.test("a stranger learns the version and nothing of controllers and clients")
def learns():
    def work(_daemon, rpc):
        assert rpc.call("get_version")["version"]
        for method in ("get_controllers", "get_namespaces", "get_qpairs", "get_clients", "probe"):
            try:
                result = rpc.call(method)
            except RpcError as error:
                assert error.code == ACCESS_DENIED, (method, str(error))
            else:
                assert "nvme0" not in str(result) and "/emu" not in str(result), (method, result)
    with_stranger(work)


@suite.test("the administrator works on beside him")
def beside():
    def work(daemon, rpc):
        with Session(daemon, "nvme0") as client:
            region = client.memory(4096)
            ring = client.qpair()
            expect_error(rpc.call, "free_memory", region=region)
            expect_error(rpc.call, "free_io_qpair", qpair=ring.number)
            assert ring.submit(2, data=region << 48, data_len=512, cdw=(0, 0, 0)) == 0
    with_stranger(work)


@suite.test("the socket's mode keeps strangers out from its first moment")
def mode():
    need_root()
    with Run() as run:
        os.chmod(run.dir, 0o755)
        daemon = run.daemon()
        with Stranger():
            try:
                Rpc(daemon.socket).close()
            except PermissionError:
                return
        raise AssertionError("a stranger could connect")


suite.main()
