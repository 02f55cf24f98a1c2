# SPDX-License-Identifier: BSD-3-Clause
# The laboratory itself, without nvmux: kernel driver, formats, IOMMU, vfio-pci.
. "$LAB_TREE/tests/vm/guest/lib.sh"

check "the kernel's NVMe driver loads" modprobe nvme
check "vfio-pci loads" modprobe vfio-pci
for serial in LAB512 LAB4096; do
	bdf=$(bdf_of $serial)
	disk=$(disk_of "$bdf")
	ok $? "$serial has a disk: $disk"
	same "$serial has its block size" "${serial#LAB}" "$(blockdev --getss "$disk")"
	check "$serial has an IOMMU group" test -e "/sys/bus/pci/devices/$bdf/iommu_group"
	head -c 1M /dev/urandom > "$LAB_WORK/data"
	check "$serial is written" dd if="$LAB_WORK/data" of="$disk" bs=1M oflag=direct
	same "$serial gives back what was written" "$(sha "$LAB_WORK/data")" \
		"$(dd if="$disk" bs=1M count=1 iflag=direct 2> /dev/null | sha)"

	device=/sys/bus/pci/devices/$bdf
	group=$(basename "$(readlink "$device/iommu_group")")
	echo vfio-pci > "$device/driver_override"
	echo "$bdf" > "$device/driver/unbind"
	echo "$bdf" > /sys/bus/pci/drivers_probe
	same "$serial is bound to vfio-pci by hand" vfio-pci "$(driver_of "$bdf")"
	check "$serial's group has its file" test -c "/dev/vfio/$group"
	echo > "$device/driver_override"
	echo "$bdf" > "$device/driver/unbind"
	echo "$bdf" > /sys/bus/pci/drivers_probe
	disk=$(disk_of "$bdf")
	same "$serial's data is there after it came back" "$(sha "$LAB_WORK/data")" \
		"$(dd if="$disk" bs=1M count=1 iflag=direct 2> /dev/null | sha)"
done
finish
