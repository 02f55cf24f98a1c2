# SPDX-License-Identifier: BSD-3-Clause
# Random reads of 4 KiB from a null_blk device behind the kernel's target: by the kernel's host
# driver and fio, by nvmux in-process, by nvmux through the daemon; interleaved, the median of five.
. "$LAB_TREE/tests/vm/guest/lib.sh"
. "$LAB_TREE/tests/vm/guest/rdma_lib.sh"

rdma_up
disk=$(null_disk bench 1024 512 0)
ok $? "a null_blk device"
check "a subsystem" subsystem bench
namespace bench 1 "$disk"
publish 1 bench
start_daemon
ok $? "the daemon runs"
check "attach" attach bench bench
controller=$(kernel_connect bench)
ok $? "the kernel's driver connects to it as well"
disk=$(kernel_disk "$controller" 1)
ok $? "and has a disk: $disk"
python3 "$LAB_TREE/tests/vm/guest/rdma_bench.py" "$disk" "$(trid bench)" bench/1 \
	"$LAB_BUILD/cli/nvmux" "$socket" > "$LAB_WORK/table"
ok $? "the benchmark runs"
sed 's/^/# /' "$LAB_WORK/table"
tail -n 1 "$LAB_WORK/table" | python3 -c '
import json, sys
for depth, ways in json.load(sys.stdin).items():
    ratio = ways["nvmuxd"] / ways["in-process"]
    print(f"# depth {depth}: through the daemon {ratio:.2f} of in-process")
    # at depth 1 it is wake-ups that are measured, which an emulated machine makes dear
    assert ratio >= (0.4 if depth == "1" else 0.6)' >&2
ok $? "through the daemon it is at least 0.6 of in-process, 0.4 at depth 1"
check "the kernel disconnects" kernel_disconnect bench
check "detach" nvmux detach bench
nothing_left
ok $? "nothing is left, on the target neither"
stop_daemon
ok $? "the daemon ends cleanly"
rxe_counters >&2
finish
