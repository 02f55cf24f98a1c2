# SPDX-License-Identifier: BSD-3-Clause
# A controller over PCIe and one over RDMA in one daemon; three clients on both at once, each in its
# own part of each namespace, all verified.
. "$LAB_TREE/tests/vm/guest/lib.sh"
. "$LAB_TREE/tests/vm/guest/rdma_lib.sh"

rdma_up
start_daemon
ok $? "the daemon runs"
bdf=$(bdf_of LAB512)
check "bind" nvmux bind "$bdf"
check "attach over PCIe" nvmux attach -t pcie -a "$bdf" --name local
check "attach over RDMA" attach remote data

pids=()
for client in 1 2 3; do
	for name in local remote; do
		# 24 MiB of 512-byte blocks each; the RDMA namespace has 96 MiB.
		start_load "$LAB_WORK/$name$client" 12 $name --owner $client --qpairs 2 --depth 32 \
			--start $(((client - 1) * 49152)) --blocks 49152 --max 262144
		pids+=("$load_pid")
	done
done
i=0
for client in 1 2 3; do
	for name in local remote; do
		load_ends "$LAB_WORK/$name$client" "client $client, $name: all data right" \
			"writes > 30 and reads > 30" "${pids[i++]}"
	done
done
same "both are one daemon's" "local remote" \
	"$(nvmux list -o json | python3 -c 'import json, sys
print(*sorted(c["name"] for c in json.load(sys.stdin)))')"
check "no transport retries were exceeded" no_retry_exceeded
check "detach over RDMA" nvmux detach remote
check "the other one is still there" nvmux read local/1 --length 1M /dev/null
check "detach over PCIe" nvmux detach local
nothing_left
ok $? "nothing is left, on the target neither"
stop_daemon
ok $? "the daemon ends cleanly"
check "unbind" nvmux unbind "$bdf"
rxe_counters >&2
finish
