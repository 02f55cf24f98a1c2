# SPDX-License-Identifier: BSD-3-Clause
# A controller on the second of two NUMA nodes: its memory is there, though whoever touches it first
# isn't, the reactor there serves it, and one that isn't there is warned about.
. "$LAB_TREE/tests/vm/guest/lib.sh"

# field JSON EXPRESSION: of a Python object x.
field() {
	python3 -c 'import json, sys; x = json.loads(sys.argv[1]); print('"$2"')' "$1"
}

# The controller that sysfs has on node 1.
far_bdf() {
	local dir
	for dir in /sys/bus/pci/devices/*; do
		[ "$(cat "$dir/class") $(cat "$dir/numa_node")" = "0x010802 1" ] &&
			basename "$dir" && return
	done
	return 1
}

# pages NAME: the daemon's mappings of memory of this name, whose policy prefers node 1, when they
# were looked at.
pages() {
	grep "prefer:1.*file=/memfd:$1" "$LAB_WORK/maps"
}

# warnings: how often the log has warned of a reactor elsewhere.
warnings() {
	grep -c "each command crosses" "$LAB_WORK/nvmuxd.log"
}

# use SECONDS: a client on the first node.
use() {
	taskset -c 0 "$LAB_BUILD/cli/nvmux" -S "$socket" bench nvme0 --pattern randread --bs 4K \
		--depth 8 --time "$1" > "$LAB_WORK/bench" 2>&1
}

bdf=$(far_bdf)
ok $? "there is a controller on node 1"
start_daemon "[reactor]
cores = 0,1"
ok $? "the daemon runs"
taskset -p -c 0 "$daemon_pid" >&2
check "bind" nvmux bind "$bdf"
check "attach" nvmux attach -t pcie -a "$bdf" --name nvme0
same "get_controllers shows its node" \
	"$(field "$(nvmux rpc get_controllers)" 'x[0]["numa_node"]')" 1
same "get_reactors shows theirs" \
	"$(field "$(nvmux rpc get_reactors)" '[r["node"] for r in x]')" "[0, 1]"
check "list -v shows it" sh -c "$LAB_BUILD/cli/nvmux -S $socket list -v | grep -E 'NUMA node +1'"
use 10 &
client=$!
wait_for 20 sh -c "$LAB_BUILD/cli/nvmux -S $socket list | grep 'qpair 1'"
sleep 1
grep 'memfd:nvmux' "/proc/$daemon_pid/numa_maps" > "$LAB_WORK/maps"
controllers=$(nvmux rpc get_controllers)
cat "$LAB_WORK/maps" >&2
same "the reactor there serves the client" \
	"$(field "$controllers" 'x[0]["qpairs"][0]["core"]')" 1
for name in nvmux-region nvmux-ring; do
	pages $name | grep -q ' N1='
	ok $? "$name: its pages are on node 1"
	! pages $name | grep ' N0=' >&2
	ok $? "$name: none is on node 0"
done
! grep 'memfd:nvmux-region' "$LAB_WORK/maps" | grep -v prefer:1 >&2
ok $? "all regions, those of queues included, prefer it"
wait $client
ok $? "the client ends well"
same "nothing is warned about" "$(warnings)" 0
stop_daemon
ok $? "the daemon ends cleanly"

start_daemon "[reactor]
cores = 0"
ok $? "a daemon without a core on node 1 runs"
check "attach" nvmux attach -t pcie -a "$bdf" --name nvme0
use 1
ok $? "a client works"
use 1
same "it is warned once" "$(warnings)" 1
stop_daemon
ok $? "the daemon ends cleanly"
check "unbind" nvmux unbind "$bdf"
finish
