# SPDX-License-Identifier: BSD-3-Clause
# bind and unbind: what is in use is refused, what was taken is given back.
. "$LAB_TREE/tests/vm/guest/lib.sh"

bdf=$(bdf_of LAB512)
other=$(bdf_of LAB4096)
disk=$(disk_of "$bdf")
disk_of "$other" > /dev/null
modprobe ext4

# A mounted file system.
check "a file system is made" mkfs.ext4 -q -F "$disk"
mkdir -p "$LAB_WORK/mnt"
check "and mounted" mount "$disk" "$LAB_WORK/mnt"
echo precious > "$LAB_WORK/mnt/file"
sync
refuses "bind refuses a mounted device" "mount|in use" nvmux bind "$bdf"
same "its driver is still the kernel's" nvme "$(driver_of "$bdf")"
same "its file is still there" precious "$(cat "$LAB_WORK/mnt/file")"
start_daemon
ok $? "the daemon runs"
refuses "attach refuses a device of the kernel's driver" "vfio|bind|driver" \
	nvmux attach -t pcie -a "$bdf"
umount "$LAB_WORK/mnt"

# Swap.
check "swap space is made" mkswap "$disk"
check "and in use" swapon "$disk"
refuses "bind refuses a device with swap" "swap|in use" nvmux bind "$bdf"
swapoff "$disk"

# Device mapper.
if modprobe dm_mod && command -v dmsetup > /dev/null; then
	dmsetup create lab --table "0 2048 linear $disk 0" >&2
	refuses "bind refuses a device under a device mapper" "dm-|in use|held" nvmux bind "$bdf"
	dmsetup remove lab
else
	tests_run=$((tests_run + 1))
	echo "ok $tests_run - bind refuses a device under a device mapper # SKIP no dmsetup"
fi

# What isn't an NVMe controller, or isn't there.
refuses "bind refuses what isn't an NVMe controller" "NVMe" nvmux bind 0000:00:00.0
refuses "bind refuses what isn't there" "00:1e.7|no such|not found|doesn't exist" \
	nvmux bind 0000:00:1e.7
refuses "bind refuses what isn't an address" "address" nvmux bind nonsense
refuses "attach of what isn't there" "00:1e.7" nvmux attach -t pcie -a 0000:00:1e.7

# bind, again, attach, unbind while attached, and back.
check "the kernel writes" dd if=/dev/urandom of="$disk" bs=1M count=4 oflag=direct
wanted=$(dd if="$disk" bs=1M count=4 iflag=direct 2> /dev/null | sha)
check "bind" nvmux bind "$bdf"
same "the driver is vfio-pci" vfio-pci "$(driver_of "$bdf")"
check "bind of what is bound already is fine" nvmux bind "$bdf"
same "the other controller is the kernel's all the while" nvme "$(driver_of "$other")"
nvmux probe >&2
check "probe shows it as one to attach" \
	sh -c "$LAB_BUILD/cli/nvmux -S $socket probe -o json | tr -d ' \n' | grep -q '$bdf'"
check "attach" nvmux attach -t pcie -a "$bdf"
refuses "attach twice" "nvme0" nvmux attach -t pcie -a "$bdf"
refuses "another process can't take it meanwhile" "in use|usy|another process" \
	nvmux read -t pcie -a "$bdf" -n 1 --length 512 /dev/null
refuses "unbind refuses while the daemon drives it" "use|usy|daemon|held|open" nvmux unbind "$bdf"
same "the daemon still reads it" "$wanted" "$(nvmux read nvme0/1 --length 4M - | sha)"
check "detach" nvmux detach nvme0
check "unbind" nvmux unbind "$bdf"
disk=$(disk_of "$bdf")
same "the driver is the kernel's" nvme "$(driver_of "$bdf")"
same "the data is as it was" "$wanted" \
	"$(dd if="$disk" bs=1M count=4 iflag=direct 2> /dev/null | sha)"
check "unbind of what the kernel has already is fine" nvmux unbind "$bdf"

# The end of the daemon, orderly and not.
check "bind again" nvmux bind "$bdf"
check "attach again" nvmux attach -t pcie -a "$bdf"
stop_daemon
ok $? "SIGTERM ends the daemon cleanly"
check "the device can be given back" nvmux unbind "$bdf"
disk=$(disk_of "$bdf")
same "with its data" "$wanted" "$(dd if="$disk" bs=1M count=4 iflag=direct 2> /dev/null | sha)"

check "bind once more" nvmux bind "$bdf"
start_daemon
check "attach once more" nvmux attach -t pcie -a "$bdf"
kill -KILL "$daemon_pid"
wait "$daemon_pid" 2> /dev/null
check "after SIGKILL of the daemon the device can be given back" nvmux unbind "$bdf"
disk=$(disk_of "$bdf")
same "with its data as well" "$wanted" \
	"$(dd if="$disk" bs=1M count=4 iflag=direct 2> /dev/null | sha)"

# Attached by the configuration.
check "bind for the configuration" nvmux bind "$bdf"
rm -f "$socket"
start_daemon "[controller disk]
trtype = PCIE
traddr = $bdf"
wait_for 60 eval 'nvmux list | grep -q "^disk *ready"'
same "a controller of the configuration is there" "$wanted" \
	"$(nvmux read disk/1 --length 4M - | sha)"
stop_daemon
ok $? "and the daemon ends cleanly"
nvmux unbind "$bdf" >&2
finish
