# SPDX-License-Identifier: BSD-3-Clause
# Over VFIO no processor of ours touches data: without access to it, in the program and in the
# daemon, everything is as it is with it.
. "$LAB_TREE/tests/vm/guest/lib.sh"
. "$LAB_TREE/tests/vm/guest/untouched_lib.sh"

start_daemon
ok $? "the daemon runs"
for serial in LAB512 LAB4096; do
	bdf=$(bdf_of $serial)
	check "$serial: bind" nvmux bind "$bdf"
	untouched "$serial: in-process" "trtype:PCIE traddr:$bdf"
	check "$serial: attach" nvmux attach -t pcie -a "$bdf" --name $serial
	untouched "$serial: through the daemon" "trtype:DAEMON traddr:$socket trsvcid:$serial" \
		"$daemon_pid"
	check "$serial: detach" nvmux detach $serial
done
stop_daemon
ok $? "the daemon ends cleanly"
finish
