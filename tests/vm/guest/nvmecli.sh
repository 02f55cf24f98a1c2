# SPDX-License-Identifier: BSD-3-Clause
# nvme-cli through the kernel's driver, then nvmux through the daemon, on the same devices: the same
# bytes, values, statuses, and JSON.
. "$LAB_TREE/tests/vm/guest/lib.sh"

both() {
	python3 "$LAB_TREE/tests/vm/guest/nvmecli.py" "$@"
}

# compared WHAT DIR: against what the kernel's side said.
compared() {
	local code text
	both compare "$LAB_WORK/theirs" "$2" > "$LAB_WORK/compared"
	ok $? "$1: both have results"
	while read -r code text; do
		case $code in
		'#') echo "# $text" ;;
		*) ok "$code" "$1: $text" ;;
		esac
	done < "$LAB_WORK/compared"
}

# device WHAT BDF KINDS
device() {
	local what=$1 bdf=$2 kinds=$3 controller node
	wait_for 20 compgen -G "/sys/bus/pci/devices/$bdf/nvme/nvme*/ng*"
	controller=$(basename "$(compgen -G "/sys/bus/pci/devices/$bdf/nvme/nvme*")")
	node=$(basename "$(compgen -G "/sys/bus/pci/devices/$bdf/nvme/nvme*/ng*n1")")
	rm -rf "$LAB_WORK/theirs" "$LAB_WORK/daemon"
	mkdir "$LAB_WORK/theirs" "$LAB_WORK/daemon"
	check "$what: nvme-cli" both run "$LAB_WORK/theirs" 1 "$kinds" \
		"/dev/$controller" "/dev/$node" nvme
	check "$what: bind" nvmux bind "$bdf"
	# By the kernel's name: some of JSON's keys are names.
	check "$what: attach" nvmux attach -t pcie -a "$bdf" --name "$controller"
	check "$what: nvmux" both run "$LAB_WORK/daemon" 1 "$kinds" "$controller" "$controller/1" \
		"$LAB_BUILD/cli/nvmux" -S "$socket"
	compared "$what" "$LAB_WORK/daemon"
	check "$what: detach" nvmux detach "$controller"
	check "$what: unbind" nvmux unbind "$bdf"
}

start_daemon
ok $? "the daemon runs"
device plain 0000:00:04.0 identify,logs,plain
device "type 1" 0000:00:05.0 pi
device zoned 0000:00:06.0 identify,zoned
stop_daemon
ok $? "the daemon ends cleanly"
finish
