# SPDX-License-Identifier: BSD-3-Clause
# 64 MiB by the kernel's driver, read by nvmux, and the reverse, at both block sizes. Through the
# daemon and in-process.
. "$LAB_TREE/tests/vm/guest/lib.sh"

bytes=$((64 << 20))

# holds DESCRIPTION FILE COMMAND…: good if the command succeeds and its output is the file's bytes.
holds() {
	local what=$1 file=$2 codes
	shift 2
	echo "+ $*" >&2
	"$@" | cmp - "$file" >&2
	codes="${PIPESTATUS[*]}"
	[ "$codes" = "0 0" ]
	ok $? "$what"
}

start_daemon
ok $? "the daemon runs"
for serial in LAB512 LAB4096; do
	bdf=$(bdf_of $serial)
	disk=$(disk_of "$bdf")
	head -c $bytes /dev/urandom > "$LAB_WORK/kernel"
	head -c $bytes /dev/urandom > "$LAB_WORK/ours"
	check "$serial: the kernel writes 64 MiB" \
		dd if="$LAB_WORK/kernel" of="$disk" bs=1M oflag=direct conv=fsync

	check "$serial: bind" nvmux bind "$bdf"
	same "$serial: the driver is vfio-pci" vfio-pci "$(driver_of "$bdf")"
	check "$serial: attach" nvmux attach -t pcie -a "$bdf" --name "$serial"
	holds "$serial: nvmux reads what the kernel wrote" "$LAB_WORK/kernel" \
		nvmux read "$serial/1" --length $bytes -
	check "$serial: nvmux writes 64 MiB elsewhere" \
		nvmux write "$serial/1" --offset $bytes "$LAB_WORK/ours"
	holds "$serial: nvmux reads what it wrote" "$LAB_WORK/ours" \
		nvmux read "$serial/1" --offset $bytes --length $bytes -
	check "$serial: detach" nvmux detach "$serial"
	holds "$serial: in-process, without the daemon, the same data" "$LAB_WORK/ours" \
		nvmux read -t pcie -a "$bdf" -n 1 --offset $bytes --length $bytes -

	check "$serial: unbind" nvmux unbind "$bdf"
	disk=$(disk_of "$bdf")
	ok $? "$serial: the kernel has its disk back"
	holds "$serial: the kernel reads what nvmux wrote" "$LAB_WORK/ours" \
		dd if="$disk" bs=1M skip=64 count=64 iflag=direct status=none
	holds "$serial: and what it had written itself" "$LAB_WORK/kernel" \
		dd if="$disk" bs=1M count=64 iflag=direct status=none
done
stop_daemon
ok $? "the daemon ends cleanly"
finish
