# SPDX-License-Identifier: BSD-3-Clause
# The RDMA laboratory itself, without nvmux: the kernel's own host driver discovers, connects, reads
# and writes; stalls while the link is cut and goes on by itself afterwards.
. "$LAB_TREE/tests/vm/guest/lib.sh"
. "$LAB_TREE/tests/vm/guest/rdma_lib.sh"

check "the network and its RDMA devices" network_up
check "the target" target_up
nvme discover -t rdma -a $target4 -s 4420 -w $host4 > "$LAB_WORK/log" 2>&1
ok $? "nvme discover"
cat "$LAB_WORK/log" >&2
check "it reports the subsystem" grep -q "$nqn:data" "$LAB_WORK/log"
controller=$(kernel_connect data)
ok $? "nvme connect"
for nsid in 1 2; do
	disk=$(kernel_disk "$controller" $nsid)
	ok $? "namespace $nsid has a disk: $disk"
	same "with its block size" $((nsid == 1 ? 512 : 4096)) "$(blockdev --getss "$disk")"
done
disk=$(kernel_disk "$controller" 1)
check "fio verifies what it writes" fio --name=verify --filename="$disk" --rw=randwrite --bs=4k \
	--size=8M --ioengine=libaio --direct=1 --iodepth=32 --verify=crc32c --verify_fatal=1 \
	--output="$LAB_WORK/fio"

# A read, which ends within 2 s or not at all.
one_read() {
	timeout -s KILL 2 dd if="$disk" of=/dev/null bs=4k count=1 iflag=direct 2> /dev/null
}

# The first one may take longer than that to start.
check "a read works" wait_for 30 one_read
link_cut
! one_read
ok $? "with the link cut it doesn't end"
sleep 3
link_restore
wait_for 30 one_read
ok $? "with the link back it works again"
grep . /sys/class/nvme/nvme*/state >&2
check "nvme disconnect" kernel_disconnect data
nothing_left
ok $? "nothing is left, on the target neither"
check "the target goes" target_remove
finish
