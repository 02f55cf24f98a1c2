#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Starting and ending nvmuxd: configurations, sockets, signals."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import time

from nvmux_test import (SLOWNESS, TREE, WRAP, Rpc, Run, Suite, attach, daemon_trid, expect_error,
                        program, wait_until)

suite = Suite()


def run_daemon(run, *options):
    """nvmuxd to its end. Return (exit code, what it said)."""
    done = subprocess.run(WRAP + [program("nvmuxd"), *options], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          check=False, cwd=run.dir)
    return done.returncode, done.stdout


def refused(run, text, *words):
    """--check and a start both fail with the same message, which contains the words."""
    path = run.path("bad.conf")
    with open(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    for options in (["--check"], ["-s", run.path("bad.sock")]):
        code, said = run_daemon(run, "-c", path, *options)
        assert code > 0, f"exit code {code} for {text!r}\n{said}"
        for word in words:
            assert word in said, f"{word!r} isn't in what was said of {text!r}:\n{said}"
    assert not os.path.exists(run.path("bad.sock"))
    return said


@suite.test("errors in a configuration are told with file, line, and the key that was meant")
def bad_config():
    with Run() as run:
        refused(run, "[daemon]\n\nlog_levle = info\n", "bad.conf", "3", "log_levle", "log_level")
        refused(run, "[reactor]\nmode = fast\n", "bad.conf", "2", "mode", "fast")
        refused(run, "[reactor]\ncores = 1-\n", "bad.conf", "2", "cores")
        refused(run, "[reactor]\ncores = 0,0\n", "cores")
        refused(run, "[limits]\nmax_clients = many\n", "2", "max_clients", "many")
        refused(run, "[limits]\nmax_clients = 0\n", "2", "max_clients")
        refused(run, "[limits]\nmax_memory = 99999999999999T\n", "2", "max_memory")
        refused(run, "[daemon]\nmemory_window = 3M\n", "bad.conf:2", "memory_window", "2M", "256G")
        refused(run, "[daemon]\nmemory_window = 257G\n", "bad.conf:2", "memory_window", "256G")
        refused(run, "[limit]\nmax_clients = 5\n", "limit", "limits")
        refused(run, "[daemon\nsocket = /tmp/x\n", "bad.conf", "1")
        refused(run, "[daemon]\nsocket\n", "bad.conf", "2")
        refused(run, "[daemon]\nsocket = relative/path\n", "2", "socket")
        refused(run, "[daemon]\nsocket = /" + "x" * 150 + "\n", "2", "socket")
        refused(run, "[daemon]\nsocket = /" + "x" * 5000 + "\n", "bad.conf:2", "long")
        refused(run, "[controller a]\ntraddr = /x\n", "trtype")
        refused(run, "[controller a]\ntrtype = FAX\ntraddr = /x\n", "2", "FAX")
        refused(run, "[controller a/b]\ntrtype = PCIE\ntraddr = 0000:01:00.0\n", "a/b")
        refused(run, b"\xff\xfe\0\1" * 100, "bad.conf")
        refused(run, "[daemon]\n" + "#" * 100 + "\nlog_level = " + "x" * 5000 + "\n", "bad.conf")


@suite.test("--check refuses a CPU that can't be used, and a relative path for the socket")
def check_as_start():
    with Run() as run:
        others = set(range(1024)) - os.sched_getaffinity(0)
        said = refused(run, f"[reactor]\n\ncores = {max(others)}\n", "bad.conf:3",
                       f"CPU {max(others)}")
        assert "ok" not in said, said
        with open(run.path("good.conf"), "w", encoding="ascii"):
            pass
        for options in ([], ["--check"]):
            code, said = run_daemon(run, "-c", run.path("good.conf"), "-s", "x.sock", *options)
            assert code == 2 and "absolute" in said, (code, said)


@suite.test("a directory for the socket is not made silently")
def no_directory():
    with Run() as run:
        code, said = run_daemon(run, "-c", "/dev/null", "-s", run.path("mistyped/x.sock"))
        assert code == 1 and "mistyped: no such directory" in said, (code, said)
        assert not os.path.exists(run.path("mistyped"))


@suite.test("all errors of a file are told at once")
def all_errors():
    with Run() as run:
        said = refused(run, "[daemon]\nlog_level = loud\n[reactor]\nmode = fast\n", "loud", "fast")
        assert len(re.findall(r"bad\.conf", said)) >= 2, said


@suite.test("a configuration that can't be read isn't taken for an empty one")
def unreadable():
    with Run() as run:
        for path, word in [(run.path("none.conf"), "none.conf"), (run.dir, run.dir)]:
            for options in (["--check"], ["-s", run.path("x.sock")]):
                code, said = run_daemon(run, "-c", path, *options)
                assert code > 0 and word in said, (code, said)
        locked = run.path("locked.conf")
        with open(locked, "w", encoding="ascii") as file:
            file.write("[daemon]\n")
        os.chmod(locked, 0)
        os.chmod(run.dir, 0o755)
        # Root may read everything: be somebody else, who may not be able to reach the tree.
        copy = shutil.copy(program("nvmuxd"), run.path("copy"))
        argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        done = subprocess.run((argv if os.getuid() == 0 else []) + WRAP +
                              [copy, "-c", locked, "--check"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        assert done.returncode > 0 and "locked.conf" in done.stdout, done
        assert "ermission denied" in done.stdout, done.stdout
        drop_in = run.path("good.conf.d")
        os.mkdir(drop_in)
        with open(run.path("good.conf"), "w", encoding="ascii") as file:
            file.write("[daemon]\n")
        os.mkdir(os.path.join(drop_in, "10-odd.conf"))
        code, said = run_daemon(run, "-c", run.path("good.conf"), "--check")
        assert code > 0 and "10-odd.conf" in said, (code, said)


@suite.test("the sample configuration is accepted, also with every key in effect")
def sample():
    with Run() as run:
        path = run.path("sample.conf")
        shutil.copy(os.path.join(TREE, "conf", "nvmuxd.conf"), path)
        code, said = run_daemon(run, "--check", "-c", path)
        assert code == 0, said
        with open(path, encoding="utf-8") as file:
            text = file.read()
        main = text.split("#[controller")[0]
        enabled = re.sub(r"(?m)^#([a-z_]+ =.*)$", r"\1", main)
        assert enabled != main
        with open(path, "w", encoding="utf-8") as file:
            file.write(enabled)
        code, said = run_daemon(run, "--check", "-c", path)
        assert code == 0, said


@suite.test("files of conf.d are read in order, later ones win, and the socket has its mode")
def drop_ins():
    with Run() as run:
        os.mkdir(run.path("nvmuxd.conf.d"))
        for name, depth, mode in [("20-b.conf", 33, "0640"), ("10-a.conf", 11, "0600")]:
            with open(run.path("nvmuxd.conf.d/" + name), "w", encoding="ascii") as file:
                file.write(f"[limits]\nmax_queue_depth = {depth}\n[daemon]\nsocket_mode = {mode}\n")
        daemon = run.daemon(config="[limits]\nmax_queue_depth = 5\nmax_regions = 7\n")
        limits = daemon.stats()["limits"]
        assert limits["max_queue_depth"] == 33 and limits["max_regions"] == 7, limits
        assert stat.S_IMODE(os.stat(daemon.socket).st_mode) == 0o640


@suite.test("a socket in use is refused, and its owner goes on")
def socket_in_use():
    with Run() as run:
        first = run.daemon()
        code, said = run_daemon(run, "-c", first.conf, "-s", first.socket)
        assert code > 0 and first.socket in said and "use" in said, (code, said)
        assert first.answers(), "the first daemon lost its socket"
        second = run.daemon(name="second")
        assert second.answers() and first.answers()


@suite.test("a socket that isn't ours, or can't be made, is refused and left alone")
def socket_odd():
    with Run() as run:
        plain = run.path("file")
        with open(plain, "w", encoding="ascii") as file:
            file.write("precious")
        conf = run.path("empty.conf")
        with open(conf, "w", encoding="ascii"):
            pass
        code, said = run_daemon(run, "-c", conf, "-s", plain)
        assert code > 0 and plain in said, (code, said)
        with open(plain, encoding="ascii") as file:
            assert file.read() == "precious"
        foreign = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        foreign.bind(run.path("foreign.sock"))
        foreign.listen(1)
        code, said = run_daemon(run, "-c", conf, "-s", run.path("foreign.sock"))
        assert code > 0 and "foreign.sock" in said, (code, said)
        foreign.close()
        code, said = run_daemon(run, "-c", conf, "-s", run.path("no/such/dir/x.sock"))
        assert code > 0 and "no/such/dir" in said, (code, said)
        code, said = run_daemon(run, "-c", conf, "-s", "/" + "x" * 300)
        assert code > 0, (code, said)


@suite.test("after SIGKILL the next daemon takes the stale socket over")
def stale_socket():
    with Run() as run:
        emulator = run.emulator()
        first = run.daemon(name="first")
        attach(first, emulator, "nvme0")
        first.kill()
        assert os.path.exists(first.socket)
        second = run.daemon(name="second", options=["-s", first.socket], ready=False)
        second.socket = first.socket
        second.wait_ready()
        attach(second, emulator, "nvme0")
        with second.rpc() as rpc:
            assert [c["name"] for c in rpc.call("get_controllers")] == ["nvme0"]


@suite.test("SIGTERM and SIGINT end it cleanly: exit code 0, no socket, device given back")
def signals():
    with Run() as run:
        emulator = run.emulator()
        for sig in (signal.SIGTERM, signal.SIGINT):
            daemon = run.daemon(name=f"d{int(sig)}")
            attach(daemon, emulator, "nvme0")
            start = time.monotonic()
            daemon.stop(sig)
            assert time.monotonic() - start < 20 * SLOWNESS
            assert not os.path.exists(daemon.socket)


@suite.test("SIGTERM under load: clients get errors, not silence")
def signal_under_load():
    with Run() as run:
        emulator = run.emulator("mem,size=64M,bs=512")
        daemon = run.daemon()
        attach(daemon, emulator, "nvme0")
        load = run.load("load", daemon_trid(daemon, "nvme0"), "--qpairs", 3, "--errors",
                        seconds=300)
        wait_until(lambda: "running" in load.out(), what="the load runs")
        time.sleep(0.5)
        daemon.stop()
        load.wait()
        load.check_log()
        assert "miscompare" not in load.err(), load.err()
        # The emulator serves the next daemon.
        again = run.daemon(name="again")
        attach(again, emulator, "nvme0")


@suite.test("shutdown by RPC answers first and then ends")
def shutdown():
    with Run() as run:
        daemon = run.daemon()
        with daemon.rpc() as rpc:
            assert rpc.call("shutdown") is True
        assert daemon.wait() == 0
        daemon.check_log()
        assert not os.path.exists(daemon.socket)


@suite.test("controllers of the configuration are there at start; a missing one isn't fatal")
def configured():
    with Run() as run:
        emulator = run.emulator("mem,size=16M,bs=4096")
        daemon = run.daemon(config=f"""
[controller good]
trtype = VFIOUSER
traddr = {emulator.dir}
[controller missing]
trtype = VFIOUSER
traddr = {run.path("nowhere")}
[controller own]
trtype = LOOPBACK
traddr = mem,size=8M,bs=512
""")

        def names():
            with daemon.rpc() as rpc:
                return sorted(c["name"] for c in rpc.call("get_controllers")
                              if c["state"] in ("ready", "READY"))
        wait_until(lambda: names() == ["good", "own"], what="two controllers")
        assert "missing" in daemon.err() and "nowhere" in daemon.err(), daemon.err()


@suite.test("two daemons don't share one emulator by accident")
def one_emulator():
    with Run() as run:
        emulator = run.emulator()
        first = run.daemon(name="first")
        second = run.daemon(name="second")
        attach(first, emulator, "nvme0")
        with second.rpc() as rpc:
            rpc.socket.settimeout(60)
            error = expect_error(rpc.call, "attach_controller", trtype="VFIOUSER",
                                 traddr=emulator.dir)
            assert emulator.dir in error.message, str(error)
        with first.rpc() as rpc:
            assert rpc.call("get_namespaces", controller="nvme0")


@suite.test("reload changes log levels and keeps clients; a bad file changes nothing")
def reload():
    with Run() as run:
        daemon = run.daemon()

        def reload_with(level, says):
            before = daemon.err().count(says)
            with open(daemon.conf, "w", encoding="ascii") as file:
                file.write(f"[daemon]\nlog_level = {level}\n")
            daemon.popen.send_signal(signal.SIGHUP)
            wait_until(lambda: daemon.err().count(says) == before + 1, what=f"it says {says}")

        def debug_lines():
            """What a client that comes and goes leaves in the log at level debug."""
            before = len(re.findall(r"client \d+: gone", daemon.err()))
            with daemon.rpc() as other:
                assert len(other.call("get_clients")) == 2
            wait_until(lambda: len(rpc.call("get_clients")) == 1, what="the client has gone")
            return len(re.findall(r"client \d+: gone", daemon.err())) - before

        with Rpc(daemon.socket) as rpc:
            wait_until(lambda: len(rpc.call("get_clients")) == 1, what="it is alone")
            assert debug_lines() == 0
            reload_with("debug", "reloaded")
            assert debug_lines() == 1
            reload_with("shouting", "not reloaded")
            assert "shouting" in daemon.err(), daemon.err()
            assert debug_lines() == 1, "a bad file has changed the level"
            assert rpc.call("get_version")["pid"] == daemon.pid
            reload_with("info", "reloaded")
            assert debug_lines() == 0


@suite.test("the result of --check on a good file is silence or a word, and JSON isn't mixed in")
def check_good():
    with Run() as run:
        path = run.path("good.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write("[limits]\nmax_memory = 2G\n")
        code, said = run_daemon(run, "--check", "-c", path)
        assert code == 0 and "rror" not in said, said
        daemon = run.daemon(config="[limits]\nmax_memory = 2G\n")
        document = json.loads(run.cli(daemon, "status", "-o", "json"))
        assert document, document


suite.main()
