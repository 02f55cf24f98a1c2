# SPDX-License-Identifier: BSD-3-Clause
# For the guest's scripts: TAP, the NVMe devices of the laboratory, drivers.
# Standard output is the TAP stream; what commands say goes to standard error, the console.

tests_run=0
tests_failed=0

# ok CODE DESCRIPTION: one result, good if CODE is 0.
ok() {
	tests_run=$((tests_run + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tests_run - $2"
	else
		tests_failed=$((tests_failed + 1))
		echo "not ok $tests_run - $2"
	fi
	return "$1"
}

# check DESCRIPTION COMMAND…: one result, good if the command succeeds.
check() {
	local what=$1
	shift
	echo "+ $*" >&2
	"$@" >&2
	ok $? "$what"
}

# refuses DESCRIPTION PATTERN COMMAND…: good if the command fails and says PATTERN.
refuses() {
	local what=$1 pattern=$2 said code
	shift 2
	echo "+ $*" >&2
	said=$("$@" 2>&1 > /dev/null)
	code=$?
	printf '%s\n' "$said" >&2
	if [ $code -eq 0 ]; then
		ok 1 "$what (it succeeded)"
	elif ! grep -qE -- "$pattern" <<< "$said"; then
		echo "# said: $said" | head -n 3
		ok 1 "$what (it didn't say /$pattern/)"
	else
		ok 0 "$what"
	fi
}

# same DESCRIPTION A B: good if the two are equal and not empty.
same() {
	if [ -n "$2" ] && [ "$2" = "$3" ]; then
		ok 0 "$1"
	else
		echo "# first: $2"
		echo "# second: $3"
		ok 1 "$1"
	fi
}

# The end of a script: the plan, and no fault reported by the IOMMU, after whatever was tested.
finish() {
	local faults
	faults=$(dmesg | grep -E 'DMAR:.*(fault|Present bit|PTE)' | grep -v 'Enabled fault')
	[ -z "$faults" ] || sed 's/^/# /' <<< "$faults"
	[ -z "$faults" ]
	ok $? "the IOMMU reports no fault"
	echo "1..$tests_run"
	[ $tests_failed -eq 0 ]
}

# wait_for SECONDS COMMAND…: until the command succeeds.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@" > /dev/null 2>&1; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}

# The PCI address of QEMU's controller by its slot: lab.py puts LAB512 on 4 and LAB4096 on 5.
bdf_of() {
	case $1 in
	LAB512) echo 0000:00:04.0 ;;
	LAB4096) echo 0000:00:05.0 ;;
	esac
}

driver_of() {
	local link
	link=$(readlink "/sys/bus/pci/devices/$1/driver") && basename "$link"
}

# disk_of BDF: the kernel's block device of its first namespace, once it is there.
disk_of() {
	local path
	wait_for 20 compgen -G "/sys/bus/pci/devices/$1/nvme/nvme*/nvme*n1" || return 1
	path=$(compgen -G "/sys/bus/pci/devices/$1/nvme/nvme*/nvme*n1") || return 1
	wait_for 10 test -b "/dev/$(basename "$path")" || return 1
	echo "/dev/$(basename "$path")"
}

sha() {
	sha256sum "$@" | cut -d' ' -f1
}

# ---- nvmux ----

socket=$LAB_WORK/nvmux.sock
daemon_pid=''

nvmux() {
	"$LAB_BUILD/cli/nvmux" -S "$socket" "$@"
}

# start_daemon [TEXT]: nvmuxd with this configuration, its log on the console.
start_daemon() {
	printf '%s\n' "${1:-}" > "$LAB_WORK/nvmuxd.conf"
	"$LAB_BUILD/daemon/nvmuxd" -c "$LAB_WORK/nvmuxd.conf" -s "$socket" \
		> "$LAB_WORK/nvmuxd.log" 2>&1 &
	daemon_pid=$!
	wait_for 30 nvmux status
}

# stop_daemon: by SIGTERM; its exit code.
stop_daemon() {
	local code
	kill -TERM "$daemon_pid"
	wait "$daemon_pid"
	code=$?
	cat "$LAB_WORK/nvmuxd.log" >&2
	daemon_pid=''
	return $code
}

# load SECONDS NAME OPTION…: the load program of the system tests on a controller of the daemon; to
# be run in the background, where it takes the place of the subshell.
load() {
	local seconds=$1 name=$2
	shift 2
	exec "$LAB_BUILD/tests/system/nvmux-load" --seconds "$seconds" "$@" \
		"trtype:DAEMON traddr:$socket trsvcid:$name"
}

modprobe nvme
modprobe vfio-pci
