# SPDX-License-Identifier: BSD-3-Clause
# The conformance suite over QEMU's NVMe controllers by VFIO: plain, several namespaces, zoned, a
# small MDTS, two controllers of one subsystem; metadata without protection, and each type of it,
# separate and interleaved.
. "$LAB_TREE/tests/vm/guest/lib.sh"
. "$LAB_TREE/tests/vm/guest/conform_lib.sh"

start_daemon
ok $? "the daemon runs"

conform_these() {
	conform "QEMU" "$1" --nsid 1
	conform "QEMU, blocks of 4096" "$1" --nsid 2
}
both 0000:00:04.0 plain

conform_these() {
	conform "QEMU, zoned" "$1"
}
both 0000:00:05.0 zoned

conform_these() {
	conform "QEMU, small MDTS" "$1"
}
both 0000:00:06.0 small

# Both controllers of the subsystem are ours at the same time.
conform_these() {
	conform "QEMU, shared, first" "$1"
}
check "the other controller of the subsystem: bind" nvmux bind 0000:00:08.0
conform "QEMU, shared, second" "trtype:PCIE traddr:0000:00:08.0"
check "the other controller of the subsystem: attach" \
	nvmux attach -t pcie -a 0000:00:08.0 --name second
both 0000:00:07.0 first
conform "QEMU, shared, second" "trtype:DAEMON traddr:$socket trsvcid:second"
check "the other controller of the subsystem: detach" nvmux detach second

conform_these() {
	conform "QEMU, metadata 8 separate" "$1" --nsid 1
	conform "QEMU, metadata 8 interleaved" "$1" --nsid 2
	conform "QEMU, type 1 interleaved" "$1" --nsid 3
	conform "QEMU, type 1 separate" "$1" --nsid 4
	conform "QEMU, type 2 separate, first" "$1" --nsid 5
	conform "QEMU, type 2 interleaved" "$1" --nsid 6
	conform "QEMU, type 3 interleaved" "$1" --nsid 7
	conform "QEMU, type 3 separate" "$1" --nsid 8
	conform "QEMU, type 1, metadata 16" "$1" --nsid 9
}
both 0000:00:09.0 meta
stop_daemon
ok $? "the daemon ends cleanly"
finish
