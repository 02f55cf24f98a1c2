#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The verbs that show what a controller says: keys of nvme-cli 2.3, through the daemon and in this
process, the bytes themselves, and what is said when something is wrong."""

import json
import os
import re
import struct
import subprocess

from nvmux_test import Run, Skip, Suite, program

USAGE, FAILED, IO_ERROR = 1, 3, 4
NOBODY = 65534

ID_CTRL = """vid ssvid sn mn fr rab ieee cmic mdts cntlid ver rtd3r rtd3e oaes ctratt rrls cntrltype
    fguid crdt1 crdt2 crdt3 nvmsr vwci mec oacs acl aerl frmw lpa elpe npss avscc apsta
    wctemp cctemp mtfa hmpre hmmin tnvmcap unvmcap rpmbs edstt dsto fwug kas hctma mntmt
    mxtmt sanicap hmminds hmmaxd nsetidmax endgidmax anatt anacap anagrpmax nanagrpid
    pels domainid megcap sqes cqes maxcmd nn oncs fuses fna vwc awun awupf icsvscc nwpc
    acwu ocfs sgls mnan maxdna maxcna subnqn ioccsz iorcsz icdoff fcatt msdbd ofcs psds""".split()
ID_NS = """nsze ncap nuse nsfeat nlbaf flbas mc dpc dps nmic rescap fpi dlfeat nawun nawupf nacwu
    nabsn nabo nabspf noiob nvmcap nsattr nvmsetid mssrl mcl msrc nulbaf anagrpid endgid
    eui64 nguid lbafs""".split()
SMART = """critical_warning temperature avail_spare spare_thresh percent_used
    endurance_grp_critical_warning_summary data_units_read data_units_written
    host_read_commands host_write_commands controller_busy_time power_cycles
    power_on_hours unsafe_shutdowns media_errors num_err_log_entries warning_temp_time
    critical_comp_time thm_temp1_trans_count thm_temp2_trans_count thm_temp1_total_time
    thm_temp2_total_time""".split()
ERROR = """error_count sqid cmdid status_field phase_tag parm_error_location lba nsid vs trtype cs
    trtype_spec_info""".split()
SANITIZE = """sprog sstat cdw10_info time_over_write time_block_erase time_crypto_erase
    time_over_write_no_dealloc time_block_erase_no_dealloc time_crypto_erase_no_dealloc""".split()
U128 = {"tnvmcap", "unvmcap", "megcap", "maxdna", "nvmcap", "data_units_read", "power_cycles"}

suite = Suite()
RUN = Run()
DAEMON = None
WAYS = []  # (where, arguments that name the controller)


def show(way, verb, *args, **kwargs):
    """A verb's standard output, by one of the ways."""
    where, target = way
    daemon = DAEMON if where == "daemon" else None
    return RUN.cli(daemon, verb, *target, *args, **kwargs)


def as_json(way, verb, *args):
    text = show(way, verb, *args, "--output-format", "json")
    assert RUN.cli_err == "", RUN.cli_err
    return json.loads(text)


def same_keys(value, keys):
    assert list(value) == keys, (list(value), keys)
    for key in keys:
        if key in U128:
            assert isinstance(value[key], str) and value[key].isdigit(), (key, value[key])


@suite.test("a controller of the daemon, one by vfio-user and one in this process", essential=True)
def start():
    global DAEMON
    shared = RUN.emulator("mem,size=64M,bs=512", "mem,size=32M,bs=4096")
    alone = RUN.emulator("mem,size=64M,bs=512", "mem,size=32M,bs=4096", name="alone")
    DAEMON = RUN.daemon()
    RUN.cli(DAEMON, "attach", "-t", "vfio-user", "-a", shared.dir)
    WAYS.extend([
        ("daemon", ["nvme0"]),
        ("vfio-user", ["--transport", "vfio-user", "--traddr", alone.dir]),
        ("loopback", ["-t", "loopback", "--traddr", "mem,size=64M,bs=512+mem,size=32M,bs=4096"]),
    ])


@suite.test("id-ctrl, id-ns: nvme-cli's keys, as text, as bytes, with bits explained")
def identify():
    for way in WAYS:
        ctrl = as_json(way, "id-ctrl")
        same_keys(ctrl, ID_CTRL)
        raw = show(way, "id-ctrl", "-o", "binary")
        assert len(raw) == 4096 and raw == show(way, "id-ctrl", "-b")
        assert struct.unpack_from("<H", raw)[0] == ctrl["vid"]
        assert raw[24:64].decode() == ctrl["mn"]
        text = show(way, "id-ctrl", "-H").decode()
        assert "vid       : 0x" in text and "[1:1]" in text and "Format NVM" in text, text
        assert show(way, "id-ctrl", "-v").decode().count("\n") > 60
        for nsid, size in (1, 64 << 20), (2, 32 << 20):
            ns = as_json(way, "id-ns", "-n", str(nsid))
            same_keys(ns, ID_NS)
            used = ns["lbafs"][ns["flbas"] & 15]
            assert list(used) == ["ms", "ds", "rp"]
            assert ns["nsze"] << used["ds"] == size, ns
            raw = show(way, "id-ns", "-n", str(nsid), "-b")
            assert struct.unpack_from("<Q", raw)[0] == ns["nsze"]
        assert " (in use)" in show(way, "id-ns", "-n", "2").decode()
    assert as_json(("daemon", ["nvme0/2"]), "id-ns") == as_json(WAYS[0], "id-ns", "-n", "2")


@suite.test("the other identify verbs")
def identify_others():
    for way in WAYS:
        same_keys(as_json(way, "nvm-id-ctrl"), ["vsl", "wzsl", "wusl", "dmrl", "dmrsl", "dmsl"])
        extended = as_json(way, "nvm-id-ns", "-n", "1")
        same_keys(extended, ["lbstm", "pic", "elbafs"])
        assert list(extended["elbafs"][0]) == ["sts", "pif"]
        same_keys(as_json(way, "cmdset-ind-id-ns", "-n", "1"),
                  ["nsfeat", "nmic", "rescap", "fpi", "anagrpid", "nsattr", "nvmsetid", "endgid",
                   "nstat"])
        descs = as_json(way, "ns-descs", "-n", "2")["ns-descs"]
        for desc in descs:
            assert list(desc) == ["loc", "nidt", "nidl", "type", desc["type"]], desc
        assert as_json(way, "list-ns") == {"nsid_list": [{"nsid": 1}, {"nsid": 2}]}
        assert as_json(way, "list-ns", "-n", "2", "--all") == {"nsid_list": [{"nsid": 2}]}
        assert show(way, "list-ns").decode() == "[   0]:0x1\n[   1]:0x2\n"
        ctrls = as_json(way, "list-ctrl")
        assert list(ctrls) == ["num_ctrl", "ctrl_list"], ctrls
        assert len(ctrls["ctrl_list"]) == ctrls["num_ctrl"] == 1
        assert list(ctrls["ctrl_list"][0]) == ["ctrl_id"]


@suite.test("log pages: nvme-cli's keys, and the bytes that they were made of")
def logs():
    for way in WAYS:
        smart = as_json(way, "smart-log")
        same_keys({k: v for k, v in smart.items() if not k.startswith("temperature_")}, SMART)
        assert smart["temperature"] > 273
        raw = show(way, "smart-log", "-b")
        assert len(raw) == 512 and struct.unpack_from("<H", raw, 1)[0] == smart["temperature"]
        assert raw[:32] == show(way, "get-log", "-i", "2", "-l", "32", "-b")
        human = json.loads(show(way, "smart-log", "-H", "--output-format", "json"))
        assert list(human["critical_warning"]) == ["value", "available_spare", "temp_threshold",
                                                   "reliability_degraded", "ro", "vmbu_failed",
                                                   "pmr_ro"]
        errors = as_json(way, "error-log", "-e", "2")["errors"]
        assert len(errors) == 2
        same_keys(errors[0], ERROR)
        slots, = as_json(way, "fw-log").values()
        assert slots["Active Firmware Slot (afi)"] & 7, slots
        assert any(key.startswith("Firmware Rev Slot ") for key in slots), slots
        pages = as_json(way, "effects-log", "-c", "0")
        assert list(pages[0]) == ["command_set_identifier", "admin_cmd_set", "io_cmd_set"]
        assert pages[0]["admin_cmd_set"]["ACS_6 (Identify)"] & 1
        assert pages[0]["io_cmd_set"]["IOCS_2 (Read)"] & 1
        changed = as_json(way, "changed-ns-list-log")
        assert "Changed Namespace List Log" in changed, changed
        tests = as_json(way, "self-test-log", "-e", "3")
        assert list(tests) == ["Current Device Self-Test Operation",
                               "Current Device Self-Test Completion", "List of Valid Reports"]
        assert len(tests["List of Valid Reports"]) == 3
        sanitize, = as_json(way, "sanitize-log").values()
        same_keys(sanitize, SANITIZE)
        assert list(sanitize["sstat"]) == ["global_erased", "no_cmplted_passes", "status"]
        assert "lid_0x2 " in as_json(way, "supported-log-pages")["supported_logs"]
        for verb in ("smart-log", "error-log", "fw-log", "effects-log", "self-test-log",
                     "sanitize-log"):
            assert b":" in show(way, verb), verb


@suite.test("numbers beyond 2^63 - 1 have all their digits, in JSON and for people")
def large_numbers():
    for way in WAYS[:2]:
        for low, high, lba in ((0xffffffff, 0xffffffff, (1 << 64) - 1), (1, 1 << 31, (1 << 63) + 1),
                               (0xffffffff, (1 << 31) - 1, (1 << 63) - 1)):
            # a vendor's command, as none with a place for blocks gets past the daemon with these
            show(way, "io-passthru", "-o", "0x90", "-n", "1", "--cdw10", str(low), "--cdw11",
                 str(high), code=IO_ERROR)
            text = show(way, "error-log", "-e", "1", "-o", "json").decode()
            assert f'"lba": {lba},' in text, text
            assert json.loads(text)["errors"][0]["lba"] == lba, text
            assert f" {lba}\n" in show(way, "error-log", "-e", "1").decode()
        text = show(way, "error-log", "-o", "json").decode()
        assert not re.search(r"[0-9]e[+]?[0-9]|digits", text), text


@suite.test("get-log: any page, offset and length")
def get_log():
    for way in WAYS:
        whole = show(way, "get-log", "-i", "5", "-l", "4096", "-b")
        assert len(whole) == 4096
        part = show(way, "get-log", "--log-id", "5", "--log-len", "64", "--lpo", "8", "-b")
        assert part == whole[8:72]
        value = as_json(way, "get-log", "-i", "5", "-l", "16")
        assert bytes.fromhex(value["data"]) == whole[:16] and value["log_id"] == 5
        text = show(way, "get-log", "-i", "5", "-l", "16").decode()
        assert "log-id:5 namespace-id:0xffffffff" in text, text


@suite.test("features are read, explained, changed and read again")
def features():
    for way in WAYS:
        before = as_json(way, "get-feature", "-f", "4")
        assert list(before) == ["feature", "name", "select", "value"], before
        assert before["name"] == "Temperature Threshold"
        show(way, "set-feature", "-f", "4", "-v", "0x150")
        if way[0] == "daemon":  # attaching resets a controller, and features with it
            assert as_json(way, "get-feature", "-f", "4")["value"] == 0x150
            show(way, "set-feature", "-f", "4", "-v", str(before["value"]))
        text = show(way, "get-feature", "-f", "7", "-H").decode()
        assert text.startswith("get-feature:0x07 (Number of Queues), Current value:0x"), text
        assert "Number of IO Completion Queues Allocated (NCQA): " in text, text
        every = as_json(way, "get-feature")
        assert {1, 2, 4, 5 + 1, 7} <= {one["feature"] for one in every}, every
    assert "Feature is changeable" in show(WAYS[0], "get-feature", "-f", "4", "-s", "3").decode()


@suite.test("registers")
def registers():
    for way in WAYS:
        regs = as_json(way, "show-regs")
        assert {"cap", "vs", "cc", "csts"} <= set(regs), regs
        assert regs["csts"] & 1 and regs["cc"] & 1, regs
        assert "CSS: command sets" in show(way, "show-regs", "-H").decode()


@suite.test("wrong values are named, with what is allowed, before anything is sent")
def wrong():
    for way in WAYS:
        for verb, args, words in [
                ("get-log", ["-i", "256", "-l", "4"], ["--log-id", "256", "0 to 255"]),
                ("get-log", ["-i", "2"], ["--log-len"]),
                ("get-log", ["-l", "4"], ["--log-id"]),
                ("get-log", ["-i", "2", "-l", "6"], ["--log-len", "6", "multiple of 4"]),
                ("get-log", ["-i", "2", "-l", "8", "-o", "3"], ["--lpo", "3", "multiple of 4"]),
                ("get-log", ["-i", "2", "-l", "8", "-s", "128"], ["--lsp", "128", "0 to 127"]),
                ("get-feature", ["-f", "0"], ["--feature-id", "0", "1 to 255"]),
                ("get-feature", ["-f", "6", "-s", "4"], ["--sel", "4", "0 to 3"]),
                ("set-feature", ["-v", "1"], ["--feature-id"]),
                ("set-feature", ["-f", "6"], ["--value"]),
                ("set-feature", ["-f", "6", "-v", "x"], ["--value", "x", "number"]),
                ("error-log", ["-e", "0"], ["--log-entries", "0", "1 to 65535"]),
                ("self-test-log", ["-e", "21"], ["--dst-entries", "21", "0 to 20"]),
                ("list-ns", ["-n", "0"], ["--namespace-id"]),
                ("id-ns", [], ["-n", "1, 2"]),
                ("id-ns", ["-n", "x"], ["--namespace-id", "x"]),
                ("smart-log", ["-o", "xml"], ["--output-format", "xml", "binary"]),
                ("list-ns", ["-o", "binary"], ["--output-format", "binary"])]:
            show(way, verb, *args, code=USAGE)
            for word in words:
                assert word in RUN.cli_err, (verb, args, RUN.cli_err)


@suite.test("a status of the controller is told in words, a refusal of the library too")
def refused():
    for way in WAYS:
        show(way, "get-log", "-i", "0x7f", "-l", "512", code=IO_ERROR)
        assert "log page" in RUN.cli_err and "code 09h" in RUN.cli_err, RUN.cli_err
        show(way, "id-ns", "-n", "0xfffffff0", code=IO_ERROR)
        assert "identify" in RUN.cli_err, RUN.cli_err
        show(way, "get-feature", "-f", "0x70", code=IO_ERROR)
        show(way, "set-feature", "-f", "7", "-v", "1", code=FAILED)
    RUN.cli(DAEMON, "smart-log", "nvme9", code=FAILED)
    assert "nvme0" in RUN.cli_err, RUN.cli_err


@suite.test("a stranger is refused")
def stranger():
    if os.geteuid() != 0:
        raise Skip("only root can be somebody else")
    with Run() as run:
        os.chmod(run.dir, 0o755)
        emulator = run.emulator()
        daemon = run.daemon(config="[daemon]\nsocket_mode = 0666\n")
        run.cli(daemon, "attach", "-t", "vfio-user", "-a", emulator.dir)
        argv = [program("nvmux"), "-S", daemon.socket, "set-feature", "nvme0", "-f", "6", "-v", "0"]
        try:
            done = subprocess.run(argv, user=NOBODY, capture_output=True, check=False, timeout=60)
        except PermissionError as error:
            raise Skip("somebody else can't run the program here") from error
        assert done.returncode == FAILED, done
        assert b"right" in done.stderr, done.stderr


@suite.test("everything ends")
def end():
    DAEMON.stop()
    DAEMON.check_log()
    RUN.stop()


try:
    suite.main()
finally:
    RUN.clean_up()
