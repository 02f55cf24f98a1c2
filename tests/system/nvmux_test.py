# SPDX-License-Identifier: BSD-3-Clause
"""The harness of the system tests: programs, RPC, rings, and TAP.

A test file makes a Suite, decorates its functions with @suite.test("what holds") and ends with
suite.main(). Everything a test starts lives in a private directory and is ended by process id.
The programs come from the build directory in NVMUX_BUILD. NVMUX_WRAP is put before their command
lines (setarch -R for ThreadSanitizer, for one).
"""

import array
import contextlib
import ctypes
import json
import mmap
import os
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.abspath(os.environ.get("NVMUX_BUILD", os.path.join(TREE, "build-test")))
WRAP = shlex.split(os.environ.get("NVMUX_WRAP", ""))
# Sanitizers make everything slower; waiting is scaled, what is measured isn't.
SLOWNESS = float(os.environ.get("NVMUX_SLOWNESS", "1"))
READY_SECONDS = 20 * SLOWNESS
STOP_SECONDS = 30 * SLOWNESS
CALL_SECONDS = 30 * SLOWNESS
SANITIZER_SIGNS = ("ThreadSanitizer", "AddressSanitizer", "LeakSanitizer", "runtime error:",
                   "impossible: ")


def program(name):
    """Where the build has put a program."""
    place = {"nvmuxd": "daemon", "nvmux": "cli", "nvmux-emulator": "emulator",
             "nvmux-load": "tests/system", "nvmux-untouched": "tests/system"}[name]
    return os.path.join(BUILD, place, name)


def wait_until(condition, seconds=READY_SECONDS, what="condition"):
    """Wait until condition() is true, and return its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.01)


def fd_count(pid):
    """Open descriptors of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def fd_targets(pid):
    """What the descriptors of a process are, for messages."""
    targets = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            targets.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return sorted(targets)


def map_count(pid, word):
    """Mappings of a process whose name contains a word."""
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
        return sum(word in line for line in file)


class Process:
    """A program under test, its output in files of the run's directory."""

    def __init__(self, run, name, argv, wrap=True):
        self.name = name
        self.out_path = os.path.join(run.dir, f"{name}.out")
        self.err_path = os.path.join(run.dir, f"{name}.err")
        with open(self.out_path, "ab") as out, open(self.err_path, "ab") as err:
            self.popen = subprocess.Popen((WRAP if wrap else []) + argv, stdin=subprocess.DEVNULL,
                                          stdout=out, stderr=err, cwd=run.dir)
        self.pid = self.popen.pid
        self.stopped = False

    def out(self):
        with open(self.out_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def err(self):
        with open(self.err_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def alive(self):
        return self.popen.poll() is None

    def wait(self, seconds=STOP_SECONDS):
        """Wait for its end and return the exit code."""
        try:
            code = self.popen.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} didn't end within {seconds:.0f} s:\n{self.err()}") \
                from None
        self.stopped = True
        return code

    def kill(self):
        """SIGKILL; its logs aren't judged."""
        self.stopped = True
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.wait()

    def stop(self, sig=signal.SIGTERM, code=0):
        """End it with a signal, and insist on a clean end."""
        if self.stopped:
            return
        self.stopped = True
        if self.popen.poll() is None:
            self.popen.send_signal(sig)
        got = self.wait()
        self.check_log()
        assert got == code, f"{self.name} ended with code {got}, {code} was expected:\n{self.err()}"

    def check_log(self):
        """No sanitizer and no assertion has spoken."""
        text = self.err()
        for sign in SANITIZER_SIGNS:
            assert sign not in text, f"{self.name} wrote:\n{text[-6000:]}"


class Emulator(Process):
    """nvmux-emulator with its own socket directory."""

    def __init__(self, run, name, namespaces, options):
        self.dir = os.path.join(run.dir, name)
        os.makedirs(self.dir, exist_ok=True)
        argv = [program("nvmux-emulator"), "--socket-dir", self.dir]
        for spec in namespaces:
            argv += ["--ns", spec]
        super().__init__(run, name, argv + options)
        wait_until(lambda: "ready" in self.out() or not self.alive(), what=f"{name} is ready")
        assert self.alive(), f"{name} ended: {self.err()}"


class Daemon(Process):
    """nvmuxd with its own socket and configuration."""

    def __init__(self, run, name="nvmuxd", config="", options=(), ready=True, wrap=True):
        self.socket = os.path.join(run.dir, name + ".sock")
        self.conf = os.path.join(run.dir, name + ".conf")
        with open(self.conf, "w", encoding="utf-8") as file:
            file.write(config)
        argv = [program("nvmuxd"), "-c", self.conf, "-s", self.socket, *options]
        super().__init__(run, name, argv, wrap)
        if ready:
            self.wait_ready()

    def wait_ready(self):
        wait_until(lambda: self.answers() or not self.alive(), what=f"{self.name} answers")
        assert self.alive(), f"{self.name} ended:\n{self.err()}"

    def answers(self):
        try:
            with Rpc(self.socket) as rpc:
                return bool(rpc.call("get_version"))
        except (OSError, EOFError, RpcError):
            return False

    def rpc(self):
        return Rpc(self.socket)

    def stats(self):
        with self.rpc() as rpc:
            return rpc.call("get_stats")


class RpcError(Exception):
    """An error object that came back."""

    def __init__(self, error):
        super().__init__(json.dumps(error))
        self.code = error["code"]
        self.message = error["message"]
        self.data = error.get("data")


class Rpc:
    """JSON-RPC on a Unix socket, with descriptors; small enough to misuse on purpose."""

    def __init__(self, path, timeout=CALL_SECONDS):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.socket.settimeout(timeout)
        self.buffer = ""
        self.fds = []
        self.notifications = []
        self.next_id = 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()
        for fd in self.take_fds():
            os.close(fd)

    def take_fds(self):
        """Descriptors received since the last time; the caller's from now on."""
        fds, self.fds = self.fds, []
        return fds

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else json.dumps(data).encode())

    def receive(self):
        """The next JSON value. EOFError: the other side has closed."""
        while True:
            text = self.buffer.lstrip()
            if text:
                try:
                    value, end = json.JSONDecoder().raw_decode(text)
                    self.buffer = text[end:]
                    return value
                except json.JSONDecodeError:
                    pass
            size = struct.calcsize("i") * 8
            data, control, _, _ = self.socket.recvmsg(1 << 16, socket.CMSG_SPACE(size),
                                                      socket.MSG_CMSG_CLOEXEC)
            for level, kind, payload in control:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    fds = array.array("i")
                    fds.frombytes(payload[:len(payload) // fds.itemsize * fds.itemsize])
                    self.fds += fds
            if not data:
                raise EOFError("the daemon closed the connection")
            self.buffer += data.decode()

    def request(self, method, params=None):
        """Send a request and return its id."""
        message = {"jsonrpc": "2.0", "id": self.next_id, "method": method}
        if params is not None:
            message["params"] = params
        self.next_id += 1
        self.send(message)
        return message["id"]

    def answer(self, ident):
        """Wait for the answer to one request; notifications are collected."""
        while True:
            value = self.receive()
            if "method" in value:
                self.notifications.append(value)
            elif "error" in value and value.get("id") in (ident, None):
                raise RpcError(value["error"])
            elif value.get("id") == ident:
                return value["result"]

    def call(self, method, **params):
        return self.answer(self.request(method, params or None))


class Ring:
    """A queue pair by hand, as <nvmux/ring.h> lays it out."""

    CMD = struct.Struct("<BBHIIIQQII6I")
    F_LIST = 0x40
    F_PHASE = 0x80
    HEADER = struct.Struct("<QHHIIIIIIIQ")

    def __init__(self, ring_fd, wake_fd):
        self.size = os.fstat(ring_fd).st_size
        self.map = mmap.mmap(ring_fd, self.size)
        os.close(ring_fd)
        self.wake = socket.socket(fileno=wake_fd)
        (self.magic, self.major, self.minor, self.depth, self.sq_entries, self.cq_entries,
         self.sq_offset, self.cq_offset, self.list_offset, self.list_entries,
         self.header_size) = self.HEADER.unpack_from(self.map, 0)
        self.tail = 0
        self.head = 0

    def close(self):
        self.wake.close()
        with contextlib.suppress(BufferError):
            self.map.close()

    def store64(self, offset, value):
        """One aligned 8-byte store."""
        cell = ctypes.c_uint64.from_buffer(self.map, offset)
        cell.value = value
        del cell

    def put_segment(self, index, region, offset, length):
        struct.pack_into("<QII", self.map, self.list_offset + index * 16,
                         region << 48 | offset, length, 0)

    def push(self, raw):
        """Publish 64 bytes; the phase bit is set here."""
        at = self.sq_offset + self.tail % self.sq_entries * 64
        first = struct.unpack_from("<Q", raw)[0] & ~(self.F_PHASE << 8)
        if self.tail // self.sq_entries % 2 == 0:
            first |= self.F_PHASE << 8
        self.map[at + 8:at + 64] = raw[8:64]
        self.store64(at, first)
        self.tail += 1

    def kick(self):
        """Wake the daemon, whether it sleeps or not."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            self.wake.send(b"\0", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def command(self, opc, nsid=1, cid=0, flags=0, data=0, data_len=0, md=0, md_len=0,
                cdw2=0, cdw3=0, cdw=()):
        """64 bytes of a command; data = region << 48 | offset."""
        dwords = list(cdw) + [0] * (6 - len(cdw))
        return self.CMD.pack(opc, flags, cid, nsid, cdw2, cdw3, data, md, data_len, md_len, *dwords)

    def completion(self, seconds=CALL_SECONDS):
        """The next completion as (cid, status, dw0)."""
        at = self.cq_offset + self.head % self.cq_entries * 16
        phase = 1 - self.head // self.cq_entries % 2
        end = time.monotonic() + seconds
        while struct.unpack_from("<H", self.map, at + 14)[0] & 1 != phase:
            if time.monotonic() > end:
                raise AssertionError(f"no completion within {seconds:.0f} s")
            time.sleep(0.0005)
        dw0, _, _, _, cid, status = struct.unpack_from("<IIHHHH", self.map, at)
        self.head += 1
        return cid, status >> 1, dw0

    def submit(self, *args, **kwargs):
        """One command and its completion's status, without DNR, M and CRD."""
        self.push(self.command(*args, **kwargs))
        self.kick()
        return self.completion()[1] & 0x7ff


class Session:
    """A client of the daemon by hand: one controller, regions, queue pairs."""

    def __init__(self, daemon, controller):
        self.rpc = daemon.rpc()
        self.controller = controller
        self.info = self.rpc.call("open_controller", name=controller)
        self.admin = Ring(*self.rpc.take_fds())
        self.maps = {}
        self.rings = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for ring in [self.admin, *self.rings.values()]:
            ring.close()
        for region in self.maps.values():
            region.close()
        self.rpc.close()

    def memory(self, size):
        """A region; returns its number. Its mapping is maps[number]."""
        result = self.rpc.call("alloc_memory", size=size)
        (fd,) = self.rpc.take_fds()
        self.maps[result["region"]] = mmap.mmap(fd, result["size"])
        os.close(fd)
        return result["region"]

    def qpair(self, depth=16):
        """A queue pair; returns its ring."""
        result = self.rpc.call("alloc_io_qpair", controller=self.controller, depth=depth)
        ring = Ring(*self.rpc.take_fds())
        ring.number = result["qpair"]
        self.rings[ring.number] = ring
        return ring


class Run:
    """A private directory and everything that was started in it."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="nvmux-t.")
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.stop()
        finally:
            self.clean_up()

    def stop(self):
        """End everything in order, the last started first, and insist on clean ends."""
        for process in reversed(self.processes):
            process.stop()

    def clean_up(self):
        """Whatever has happened: leave nothing behind."""
        for process in self.processes:
            process.kill()
        if os.environ.get("NVMUX_KEEP"):
            print(f"# kept: {self.dir}", flush=True)
        else:
            shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def add(self, process):
        self.processes.append(process)
        return process

    def emulator(self, *namespaces, name="emu", options=()):
        return self.add(Emulator(self, name, namespaces or ("mem,size=64M,bs=512",),
                                 list(options)))

    def daemon(self, **kwargs):
        return self.add(Daemon(self, **kwargs))

    def process(self, name, argv, **kwargs):
        return self.add(Process(self, name, argv, **kwargs))

    def load(self, name, trid, *options, seconds=5):
        argv = [program("nvmux-load"), "--seconds", str(seconds), *map(str, options), trid]
        return self.process(name, argv)

    def cli(self, daemon, *args, code=0, data=None, timeout=120 * SLOWNESS):
        """Run the nvmux command against a daemon; returns its standard output as bytes."""
        argv = WRAP + [program("nvmux")] + (["-S", daemon.socket] if daemon else []) + list(args)
        done = subprocess.run(argv, input=data, stdin=subprocess.DEVNULL if data is None else None,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout,
                              check=False, cwd=self.dir)
        self.cli_err = done.stderr.decode(errors="replace")
        for sign in SANITIZER_SIGNS:
            assert sign not in self.cli_err, self.cli_err
        assert code is None or done.returncode == code, \
            f"nvmux {shlex.join(args)}: exit code {done.returncode}\n{self.cli_err}"
        self.cli_code = done.returncode
        return done.stdout


class Counts:
    """What a daemon holds, to be compared with what it holds later.

    @clients: connections that stay while it is taken, the one that asks included.
    """

    KEYS = ("clients", "controllers", "regions", "bytes", "qpairs", "hw_qpairs", "descriptors")

    def __init__(self, daemon, clients=1):
        self.daemon = daemon
        with daemon.rpc() as rpc:
            wait_until(lambda: rpc.call("get_stats")["clients"] == clients,
                       what="earlier clients are gone")
            self.before = self.now(rpc)

    def now(self, rpc):
        stats = rpc.call("get_stats")
        counts = {key: stats[key] for key in self.KEYS}
        counts["/proc/PID/fd"] = fd_count(self.daemon.pid)
        counts["/proc/PID/maps"] = map_count(self.daemon.pid, "memfd")
        return counts

    def same(self):
        """Wait until everything is as before."""
        with self.daemon.rpc() as rpc:
            try:
                wait_until(lambda: self.now(rpc) == self.before, what="the counts are as before")
            except AssertionError as error:
                raise AssertionError(f"{error}\nbefore: {self.before}\nafter:  {self.now(rpc)}\n"
                                     f"descriptors: {fd_targets(self.daemon.pid)}") from None


def attach(daemon, emulator, name=None, **params):
    """attach_controller for an emulator; returns the name."""
    if name:
        params["name"] = name
    with daemon.rpc() as rpc:
        return rpc.call("attach_controller", trtype="VFIOUSER", traddr=emulator.dir,
                        **params)["name"]


def daemon_trid(daemon, name):
    return f"trtype:DAEMON traddr:{daemon.socket} trsvcid:{name}"


def expect_error(function, *args, code=None, says=None, errno_name=None, **kwargs):
    """The call fails with this code, whose message contains a text; returns the error."""
    try:
        result = function(*args, **kwargs)
    except RpcError as error:
        assert code is None or error.code == code, f"code {code} expected: {error}"
        assert says is None or says in error.message, f"message with {says!r} expected: {error}"
        assert errno_name is None or (error.data or {}).get("errno") == errno_name, \
            f"errno {errno_name} expected: {error}"
        assert len(error.message) > 4, f"an error without a text: {error}"
        return error
    raise AssertionError(f"an error was expected, got {result!r}")


def result_of(process, code=0):
    """The JSON line of a load that has ended, with this exit code (None: any)."""
    got = process.wait(60 * SLOWNESS)
    process.check_log()
    text = process.out()
    assert code in (None, got), f"{process.name}: exit code {got}\n{text}{process.err()}"
    return json.loads(text.splitlines()[-1])


def check_load(result, least=50):
    """Nothing failed, nothing was mixed up, and something has been done."""
    assert result["miscompares"] == 0 and result["errors"] == 0, result
    assert result["reads"] + result["writes"] >= least and result["verified_blocks"] > 0, result


class Skip(Exception):
    """Raised by a test that can't be done here; the text says why."""


class Suite:
    """Tests of one file, run in order; TAP on standard output."""

    def __init__(self):
        self.tests = []

    def test(self, what, essential=False):
        """Add a test. Without an essential one the others make no sense, nor are they chosen."""
        def add(function):
            self.tests.append((what, function, essential))
            return function
        return add

    def main(self):
        failed = 0
        words = sys.argv[1:]
        tests = [t for t in self.tests
                 if not words or t[2] or any(word in t[0] for word in words)]
        for number, (what, function, essential) in enumerate(tests, 1):
            start = time.monotonic()
            try:
                function()
                good = True
            except Skip as reason:
                print(f"ok {number} - {what} # SKIP {reason}", flush=True)
                continue
            except Exception:  # pylint: disable=broad-except
                good = False
                failed += 1
                for line in traceback.format_exc().splitlines():
                    print("# " + line)
            print(f"{'ok' if good else 'not ok'} {number} - {what}"
                  f" # {time.monotonic() - start:.1f} s", flush=True)
            if essential and not good:
                print("Bail out! the rest needs this", flush=True)
                sys.exit(1)
        print(f"1..{len(tests)}", flush=True)
        sys.exit(1 if failed else 0)
