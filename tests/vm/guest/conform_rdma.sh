# SPDX-License-Identifier: BSD-3-Clause
# The conformance suite over RDMA against the kernel's target: plain, passthru of QEMU's NVMe, and
# over a zoned null_blk.
. "$LAB_TREE/tests/vm/guest/lib.sh"
. "$LAB_TREE/tests/vm/guest/rdma_lib.sh"
. "$LAB_TREE/tests/vm/guest/conform_lib.sh"

rdma_up

# passthru NAME CONTROLLER: a subsystem that hands the commands to a controller of the kernel's.
passthru() {
	local dir=$nvmet/subsystems/$nqn:$1
	subsystem "$1" || return 1
	[ -d "$dir/passthru" ] || return 1
	echo -n "/dev/$2" > "$dir/passthru/device_path"
	echo 1 > "$dir/passthru/enable"
}

# zoned_disk NAME MIB: a zoned null_blk with zones of 4 MiB, all sequential.
zoned_disk() {
	local dir=/sys/kernel/config/nullb/$1
	[ -d /sys/module/null_blk ] || modprobe null_blk nr_devices=0 || return 1
	mkdir "$dir" || return 1
	echo "$2" > "$dir/size"
	echo 512 > "$dir/blocksize"
	echo 1 > "$dir/memory_backed"
	echo 1 > "$dir/zoned"
	echo 4 > "$dir/zone_size"
	echo 1 > "$dir/power" || return 1
	wait_for 10 test -b "/dev/$1"
}

start_daemon
ok $? "the daemon runs"

# over PEER NAME: in-process, then through the daemon.
over() {
	conform "$1" "$(trid "$2")" --ack-timeout $ack_timeout
	check "$2: attach" attach "$2" "$2"
	conform "$1" "trtype:DAEMON traddr:$socket trsvcid:$2"
	check "$2: detach" nvmux detach "$2"
}

over "Linux target" data

disk_of 0000:00:04.0 > /dev/null
controller=$(basename "$(compgen -G '/sys/bus/pci/devices/0000:00:04.0/nvme/nvme*')")
check "a passthru subsystem" passthru pass "$controller"
check "it is published" publish 1 pass
over "Linux target, passthru of QEMU" pass

check "a zoned disk" zoned_disk zoned0 128
check "a subsystem over it" eval 'subsystem zoned && namespace zoned 1 /dev/zoned0'
check "it is published as well" publish 1 zoned
over "Linux target, zoned" zoned

stop_daemon
ok $? "the daemon ends cleanly"
no_retry_exceeded
ok $? "no retry was exceeded"
finish
