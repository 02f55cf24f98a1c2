# SPDX-License-Identifier: BSD-3-Clause
# The conformance suite over QEMU's namespaces with protection information, each type, separate and
# interleaved.
. "$LAB_TREE/tests/vm/guest/lib.sh"
. "$LAB_TREE/tests/vm/guest/conform_lib.sh"

start_daemon
ok $? "the daemon runs"

conform_these() {
	conform "QEMU, type 1 interleaved" "$1" --nsid 1
	conform "QEMU, type 1 separate" "$1" --nsid 2
	conform "QEMU, type 2 separate, first" "$1" --nsid 3
	conform "QEMU, type 3 interleaved" "$1" --nsid 4
	conform "QEMU, type 1, metadata 16" "$1" --nsid 5
	conform "QEMU, type 3 separate" "$1" --nsid 6
	conform "QEMU, type 2 interleaved" "$1" --nsid 7
}
both 0000:00:04.0 protected
stop_daemon
ok $? "the daemon ends cleanly"
finish
