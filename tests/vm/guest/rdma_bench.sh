# SPDX-License-Identifier: BSD-3-Clause
# Random reads of 4 KiB from a null_blk device behind the kernel's target: by the kernel's host
# driver and fio, by nvmux in-process, by nvmux through the daemon; interleaved, the median of five
# or more; where the scheduler puts them, and on one processor.
. "$LAB_TREE/tests/vm/guest/lib.sh"
. "$LAB_TREE/tests/vm/guest/rdma_lib.sh"

rdma_up
disk=$(null_disk bench 1024 512 0)
ok $? "a null_blk device"
check "a subsystem" subsystem bench
namespace bench 1 "$disk"
publish 1 bench
# The processor that receives what comes from the target: to wake another one that idles takes an
# emulated machine longer than all the rest of a read.
core=1
start_daemon "[reactor]
cores = $core"
ok $? "the daemon runs"
check "attach" attach bench bench
controller=$(kernel_connect bench)
ok $? "the kernel's driver connects to it as well"
disk=$(kernel_disk "$controller" 1)
ok $? "and has a disk: $disk"
python3 "$LAB_TREE/tests/vm/guest/rdma_bench.py" "$disk" "$(trid bench)" bench/1 \
	"$LAB_BUILD/cli/nvmux" "$socket" $core > "$LAB_WORK/table"
ok $? "through the daemon it is at least 0.5 of in-process, 0.4 where idle processors are woken"
sed 's/^/# /' "$LAB_WORK/table"
placements=$(tail -n 1 "$LAB_WORK/table" |
	python3 -c 'import json, sys; print(*json.load(sys.stdin))')
same "there are figures of both placements" "any one" "$placements"
check "the kernel disconnects" kernel_disconnect bench
check "detach" nvmux detach bench
nothing_left
ok $? "nothing is left, on the target neither"
stop_daemon
ok $? "the daemon ends cleanly"
rxe_counters >&2
finish
