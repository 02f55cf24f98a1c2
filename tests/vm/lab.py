# SPDX-License-Identifier: BSD-3-Clause
"""The virtual-machine laboratory: a kernel, an initramfs, and QEMU around them.

The kernel is Debian's linux-image-6.12-amd64, fetched with apt-get download and unpacked into a
cache; nothing is installed. The guest's root is the host's / by 9p, read-only, under a tmpfs: what
a test writes is gone with the guest. A guest runs one script of guest/, whose standard output (TAP)
comes back over the second serial port; the console is kept in a log.
"""

import ctypes
import gzip
import lzma
import mmap
import os
import platform
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

import hotplug

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(TREE, "tests", "vm")
KERNEL_PACKAGE = "linux-image-6.12-amd64"
# What the initramfs loads itself, with what they depend on; everything else comes from the root.
BOOT_MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay"]
PROBE_SECONDS = 20
QEMU_DIED = "lab: QEMU ended with exit code"

# Scripts whose host puts devices in and takes them out (hotplug.py).
HOTPLUG = {"hotplug"}

# Where the tools of modules are, also for those who aren't root.
os.environ["PATH"] += ":/usr/sbin:/sbin"


class LabError(Exception):
    """The laboratory itself can't be set up: not a failure of what is tested."""


def run(argv, **kwargs):
    """Run a command of the host; its output becomes part of the error when it fails."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, **kwargs)
    if done.returncode != 0:
        raise LabError(f"{shlex.join(argv)}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def cache_dir():
    """Where the kernel is kept between runs: outside the tree if there is such a place."""
    base = os.environ.get("XDG_CACHE_HOME")
    if not base and os.environ.get("HOME"):
        base = os.path.join(os.environ["HOME"], ".cache")
    for path in ([os.path.join(base, "nvmux")] if base else []) + [os.path.join(TREE, "build-vm")]:
        try:
            os.makedirs(path, exist_ok=True)
        except OSError:
            continue
        if os.access(path, os.W_OK):
            return path
    raise LabError("no directory to keep the kernel in: set XDG_CACHE_HOME")


class Kernel:
    """An unpacked kernel package: its image and its modules."""

    def __init__(self, root):
        self.root = root
        versions = os.listdir(os.path.join(root, "lib", "modules"))
        if len(versions) != 1:
            raise LabError(f"{root}: one kernel expected, found {versions}")
        self.version = versions[0]
        self.image = os.path.join(root, "boot", "vmlinuz-" + self.version)
        self.modules = os.path.join(root, "lib", "modules", self.version)

    def with_dependencies(self, names):
        """Paths of modules in the order in which they are loaded."""
        order = []
        for name in names:
            out = run(["modprobe", "-d", self.root, "-S", self.version, "--show-depends", name])
            for line in out.splitlines():
                kind, _, rest = line.partition(" ")
                if kind == "insmod" and rest.split()[0] not in order:
                    order.append(rest.split()[0])
        return order


def newest_kernel_package():
    """The name of the package that the metapackage stands for today."""
    out = run(["apt-cache", "depends", "--important", KERNEL_PACKAGE])
    names = [line.split()[-1] for line in out.splitlines() if "Depends: linux-image-" in line]
    if not names:
        raise LabError(f"apt-cache knows no {KERNEL_PACKAGE}: run apt-get update")
    return names[0]


def fetch_into(cache):
    """Download and unpack the kernel package; returns its place in the cache."""
    package = newest_kernel_package()
    work = tempfile.mkdtemp(prefix="fetch.", dir=cache)
    try:
        print(f"# fetching {package}", flush=True)
        run(["apt-get", "download", package], cwd=work, timeout=600)
        debs = [name for name in os.listdir(work) if name.endswith(".deb")]
        root = os.path.join(work, "root")
        run(["dpkg", "-x", os.path.join(work, debs[0]), root])
        run(["depmod", "-b", root, Kernel(root).version])
        final = os.path.join(cache, package)
        shutil.rmtree(final, ignore_errors=True)
        os.rename(root, final)
        link = os.path.join(work, "kernel")
        os.symlink(package, link)
        os.replace(link, os.path.join(cache, "kernel"))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return final


def fetch_kernel():
    """The kernel from the cache, or fetched into it."""
    cache = cache_dir()
    kept = os.path.join(cache, "kernel")
    if os.path.isdir(kept):
        return Kernel(os.path.realpath(kept))
    try:
        return Kernel(fetch_into(cache))
    except LabError:
        # The package lists may be missing, or older than what the archive has.
        if os.geteuid() != 0:
            raise
    run(["apt-get", "update"], timeout=600)
    return Kernel(fetch_into(cache))


def read_module(path):
    """A module's bytes, unpacked: busybox may not know how the package packed it."""
    with open(path, "rb") as file:
        data = file.read()
    if path.endswith(".xz"):
        return lzma.decompress(data)
    if path.endswith(".gz"):
        return gzip.decompress(data)
    return data


def make_initramfs(kernel, path, env):
    """Write an initramfs with busybox, the boot modules, init and its environment."""
    busybox = shutil.which("busybox", path="/bin:/usr/bin:/sbin:/usr/sbin")
    if not busybox:
        raise LabError("busybox is missing: the package is busybox-static")
    with tempfile.TemporaryDirectory(prefix="nvmux-initramfs.") as work:
        for name in ["bin", "dev", "proc", "sys", "modules"]:
            os.mkdir(os.path.join(work, name))
        shutil.copy(busybox, os.path.join(work, "bin", "busybox"))
        os.symlink("busybox", os.path.join(work, "bin", "sh"))
        shutil.copy(os.path.join(HERE, "init"), os.path.join(work, "init"))
        os.chmod(os.path.join(work, "init"), 0o755)
        names = []
        for module in kernel.with_dependencies(BOOT_MODULES):
            name = os.path.basename(module).split(".ko")[0] + ".ko"
            names.append("/modules/" + name)
            with open(work + names[-1], "wb") as file:
                file.write(read_module(module))
        with open(os.path.join(work, "modules.order"), "w", encoding="ascii") as file:
            file.write("".join(name + "\n" for name in names))
        with open(os.path.join(work, "lab.env"), "w", encoding="utf-8") as file:
            for key, value in env.items():
                file.write(f"{key}={shlex.quote(str(value))}\n")
        listing = run(["find", "."], cwd=work)
        with open(path, "wb") as out:
            subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], input=listing.encode(),
                           stdout=out, cwd=work, check=True)


# rdtsc; shl $32,%rdx; or %rdx,%rax; ret
READ_TSC = bytes.fromhex("0f31 48c1e220 4809d0 c3")


def tsc_khz():
    """How fast the counter of this processor runs, which TCG hands on to its guests."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(READ_TSC)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(code)))

    def sample():
        best = None
        for _ in range(20):
            before, ticks, after = time.monotonic_ns(), read(), time.monotonic_ns()
            best = min(best or (after - before, 0, 0), (after - before, before, ticks))
        return best[1:]

    first = sample()
    time.sleep(0.2)
    last = sample()
    return round((last[1] - first[1]) / (last[0] - first[0]) * 1e6)


def clock_options(accel):
    """What makes a guest's clock right on a busy machine.

    Under TCG the kernel is told how fast its counter runs: measured against a timer that is late,
    it would be thought several times slower, and so would every second. It is told to trust it, and
    its timer: it would rewrite its own code when it changes to another clock, which TCG doesn't
    always survive, and panics when the timer seems not to work.
    """
    options = ["tsc=reliable", "no_timer_check"]
    if accel.startswith("tcg") and platform.machine() == "x86_64":
        options.append(f"tsc_early_khz={tsc_khz()}")
    return options


def qemu_argv(kernel, initramfs, accel, memory="512M", processors=2):
    """The machine without its devices."""
    return ["qemu-system-x86_64", "-accel", accel, "-M", "q35,kernel-irqchip=split", "-cpu", "max",
            "-smp", str(processors), "-m", memory, "-nographic", "-nodefaults", "-no-reboot",
            "-serial", "mon:stdio", "-kernel", kernel.image, "-initrd", initramfs,
            "-append", " ".join(["console=ttyS0", "panic=-1", "quiet", "intel_iommu=on"]
                                + clock_options(accel))]


def boot(argv, log_path, seconds):
    """Run QEMU to its end, its console in a file. Return its exit code, None: not in time."""
    with open(log_path, "wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            return process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def boot_id():
    """Identifies the host's run, to which the verdict on KVM belongs."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def choose_accel(kernel):
    """KVM where a probe boot works (the device alone proves nothing), else TCG."""
    tcg = "tcg,thread=multi"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return tcg
    verdict = os.path.join(cache_dir(), "kvm-" + boot_id())
    if os.path.exists(verdict):
        with open(verdict, encoding="ascii") as file:
            return "kvm" if file.read().strip() == "works" else tcg
    with tempfile.TemporaryDirectory(prefix="nvmux-probe.") as work:
        initramfs = os.path.join(work, "initramfs")
        log = os.path.join(work, "console")
        make_initramfs(kernel, initramfs, {"LAB_PROBE": 1})
        boot(qemu_argv(kernel, initramfs, "kvm"), log, PROBE_SECONDS)
        with open(log, "rb") as file:
            works = b"probe boot ok" in file.read()
    for name in os.listdir(cache_dir()):
        if name.startswith("kvm-"):
            os.unlink(os.path.join(cache_dir(), name))
    with open(verdict, "w", encoding="ascii") as file:
        file.write("works" if works else "doesn't work")
    return "kvm" if works else tcg


def controller(slot, *namespaces, **options):
    """A controller of its own: its slot, its namespaces as dictionaries of QEMU's options."""
    return {"slot": slot, "namespaces": namespaces, "options": options}


DISK_BYTES = 160 << 20
SMALL_BYTES = 32 << 20
# serial number, logical block size: one controller each, addressed by its serial number
PLAIN = [controller(4 + index, {"logical_block_size": block, "physical_block_size": block},
                    serial=serial)
         for index, (serial, block) in enumerate([("LAB512", 512), ("LAB4096", 4096)])]


def small(**options):
    return {"bytes": SMALL_BYTES, **options}


ZONED = {"zoned": "on", "zoned.zone_size": "1M", "zoned.zone_capacity": "768K",
         "zoned.max_open": 8, "zoned.max_active": 12, "zoned.descr_ext_size": 64}
# QEMU 7.2 loses what exceeds 512 bytes of a command's interleaved metadata, unless it is a multiple
# of that (the kernel's driver sees it too): with MDTS 3 there are no more than 63 blocks.
# What a script finds in its guest; those that aren't named find PLAIN. A controller's namespaces
# have the identifiers 1, 2, … in this order; those of a subsystem are shared by its controllers.
DEVICES = {
    "conform_pcie": [
        controller(4, small(), small(logical_block_size=4096, physical_block_size=4096),
                   serial="PLAIN"),
        controller(5, small(**ZONED), serial="ZONED"),
        controller(6, small(), serial="SMALL", mdts=1),
        controller(7, small(shared="on"), serial="SHARED", subsys="sub0"),
        controller(8, serial="SHARED", subsys="sub0"),
        controller(9, small(ms=8, mset=0), small(ms=8, mset=1), small(ms=8, mset=1, pi=1),
                   small(ms=8, mset=0, pi=1), small(ms=8, mset=0, pi=2, pil=1),
                   small(ms=8, mset=1, pi=2), small(ms=8, mset=1, pi=3),
                   small(ms=8, mset=0, pi=3), small(ms=16, mset=1, pi=1), serial="META", mdts=3),
    ],
    "nvmecli": [controller(4, small(), serial="PLAIN"),
                controller(5, small(ms=8, mset=1, pi=1), serial="PI", mdts=3),
                controller(6, small(**ZONED), serial="ZONED")],
    "conform_rdma": [controller(4, small(), serial="PASS")],
}


def devices_of(script):
    """The controllers for one script of guest/."""
    return DEVICES.get(script, PLAIN)


# The script that finds two NUMA nodes, each with half of the memory and a processor, and one more
# controller behind a host bridge of the second.
NUMA = "numa"
NUMA_ARGV = ["-object", "memory-backend-ram,id=m0,size=1G",
             "-object", "memory-backend-ram,id=m1,size=1G",
             "-numa", "node,nodeid=0,cpus=0,memdev=m0", "-numa", "node,nodeid=1,cpus=1,memdev=m1",
             "-device", "pxb-pcie,id=bridge1,bus=pcie.0,bus_nr=64,numa_node=1",
             "-device", "pcie-root-port,id=port1,bus=bridge1,chassis=1",
             "-device", "nvme,id=nvfar,bus=port1,serial=NODE1"]


def settings():
    """Settings of a guest's script, from the environment: LAB_BENCH_ROUNDS, for instance."""
    return {key: value for key, value in os.environ.items() if key.startswith("LAB_BENCH_")}


class Guest:
    """One boot of the laboratory for one script."""

    def __init__(self, kernel, accel, build, work, controllers=tuple(PLAIN)):
        self.kernel = kernel
        self.accel = accel
        self.build = build
        self.work = work
        self.controllers = controllers

    def namespace(self, bus, nsid, options):
        """QEMU's options for a namespace with an empty image of its own."""
        options = dict(options)
        name = f"d{bus}n{nsid}"
        image = os.path.join(self.work, name + ".img")
        with open(image, "wb") as file:
            file.truncate(options.pop("bytes", DISK_BYTES))
        text = "".join(f",{key}={value}" for key, value in options.items())
        return ["-drive", f"if=none,id={name},format=raw,file={image},cache=unsafe",
                "-device", f"nvme-ns,drive={name},bus={bus},nsid={nsid}{text}"]

    def devices(self):
        """QEMU's options for the IOMMU, the root file system and the NVMe controllers."""
        argv = ["-device", "intel-iommu,intremap=on,caching-mode=on",
                "-virtfs", "local,path=/,mount_tag=lab,security_model=none,multidevs=remap,"
                           "readonly=on"]
        for subsystem in sorted({c["options"]["subsys"] for c in self.controllers
                                 if "subsys" in c["options"]}):
            argv += ["-device", f"nvme-subsys,id={subsystem},nqn={subsystem}"]
        for c in self.controllers:
            text = "".join(f",{key}={value}" for key, value in c["options"].items())
            argv += ["-device", f"nvme,id=nv{c['slot']},addr={c['slot']:x}{text}"]
        # Behind the last controller, so that a shared one is attached to all of its subsystem.
        for c in self.controllers:
            for index, options in enumerate(c["namespaces"]):
                argv += self.namespace(f"nv{c['slot']}", index + 1, options)
        return argv

    def run(self, script, seconds, processors=2):
        """Boot and run guest/SCRIPT.sh. Return (TAP text, console text, seconds taken)."""
        initramfs = os.path.join(self.work, "initramfs")
        console = os.path.join(self.work, "console.log")
        results = os.path.join(self.work, "results.tap")
        make_initramfs(self.kernel, initramfs, {
            "LAB_TREE": TREE, "LAB_BUILD": self.build, "LAB_MODULES": self.kernel.modules,
            "LAB_SCRIPT": script, "LAB_SECONDS": seconds, **settings()})
        argv = qemu_argv(self.kernel, initramfs, self.accel, "2G", processors)
        argv += ["-serial", "file:" + results] + self.devices()
        if script == NUMA:
            argv += NUMA_ARGV + self.namespace("nvfar", 1, {})
        host = hotplug.Host(self.work) if script in HOTPLUG else None
        if host:
            argv += host.argv()
            host.start()
        start = time.monotonic()
        code = boot(argv, console, seconds)
        if host:
            host.stop()
        taken = time.monotonic() - start
        with open(console, encoding="utf-8", errors="replace") as file:
            log = file.read()
        tap = ""
        if os.path.exists(results):
            with open(results, encoding="utf-8", errors="replace") as file:
                tap = file.read().replace("\r", "")
        if code is None:
            log += f"\nlab: the guest was still running after {seconds} s and was ended\n"
        elif code:
            log += f"\n{QEMU_DIED} {code}\n"
        return tap, log, taken


def broke(console):
    """What of the laboratory itself broke: QEMU, or the guest's kernel inside Soft-RoCE, which
    nothing that is tested can be blamed for; None: neither."""
    for line in console.splitlines():
        if line.startswith(QEMU_DIED):
            return line
    panic = re.search(r"Kernel panic - not syncing.*", console)
    oops = re.search(r"(BUG:|Oops|kernel BUG|general protection)(.*)", console, re.DOTALL)
    if panic and oops and "[rdma_rxe]" in oops.group(2):
        return panic.group()
    return None
