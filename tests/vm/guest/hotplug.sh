# SPDX-License-Identifier: BSD-3-Clause
# Hot plug for real: a controller behind a root port is unplugged and plugged in again, under
# verified load of two clients, while another one goes on undisturbed. QEMU does it; the host's side
# of the third serial port (hotplug.py) asks for it and says how long the guest took to let go.
. "$LAB_TREE/tests/vm/guest/lib.sh"

rounds=20
deadline=60
steady=0000:00:04.0
hot=0000:01:00.0

stty -F /dev/ttyS2 raw -echo
exec 3<> /dev/ttyS2

# host WORD…: have the host do something; its answer in $answer; success if it begins with ok.
host() {
	local line
	echo "$*" >&3
	read -r -t 300 answer <&3 || answer="no answer"
	echo "+ host $*: $answer" >&2
	[ "${answer%% *}" = ok ]
}

# No Python in what every round asks for, often: an emulated machine takes a second to start it.
attached() {
	nvmux list "$1" | grep -q "^$1 *ready"
}

# commands NAME: that each queue pair of clients has sent to a controller, a line for each.
commands() {
	nvmux rpc get_qpairs "{\"controller\": \"$1\"}" | awk '/"commands":/ { print $2 + 0 }'
}

# busy NAME CLIENTS COUNT: so many clients have a queue pair each, and each sent more than COUNT.
busy() {
	commands "$1" |
		awk -v clients="$2" -v least="$3" '$1 > least { n++ } END { exit n + 0 != clients }'
}

# Whatever is plugged in belongs to vfio-pci from the start.
check "steady: bind" nvmux bind $steady
modprobe -r nvme
echo 1b36 0010 > /sys/bus/pci/drivers/vfio-pci/new_id
host device_add
ok $? "a device is plugged in"
wait_for 120 test -e /sys/bus/pci/devices/$hot/driver
[ "$(driver_of $hot)" = vfio-pci ] || nvmux bind $hot >&2
same "vfio-pci has it" vfio-pci "$(driver_of $hot)"
start_daemon "[controller steady]
trtype = PCIE
traddr = $steady
[controller hot]
trtype = PCIE
traddr = $hot
removal_timeout_ms = 30000"
ok $? "the daemon runs"
nvmux events > "$LAB_WORK/events" 2>&1 &
events_pid=$!
wait_for 120 attached hot
ok $? "both are attached"
wait_for 60 attached steady

load 3000 steady --owner 9 --depth 4 --max 4096 > "$LAB_WORK/steady" 2>&1 &
steady_pid=$!
half=$(((8 << 20) / 512))
load 3000 hot --again --owner 1 --blocks $half --depth 8 --max 16384 > "$LAB_WORK/first" 2>&1 &
first=$!
load 3000 hot --again --owner 2 --start $half --blocks $half --depth 8 --max 16384 \
	> "$LAB_WORK/second" 2>&1 &
second=$!

# maps: how many descriptors and mappings the daemon has.
maps() {
	ls "/proc/$daemon_pid/fd" | wc -l
	grep -c -e vfio -e memfd "/proc/$daemon_pid/maps"
}

# settled: maps, once they stay as they are: the daemon takes a moment to close what the others have
# left, the last `nvmux rpc` too.
settled() {
	local held='' now
	now=$(maps)
	until [ "$now" = "$held" ]; do
		held=$now
		sleep 3
		now=$(maps)
	done
	echo "$now"
}

good=0
held_first=''
held_last=''
for round in $(seq $rounds); do
	wait_for 120 busy hot 2 40 || { echo "# round $round: no load"; break; }
	[ $round != 2 ] || held_first=$(settled)
	before=$(commands steady)
	began=${EPOCHREALTIME/./}
	host device_del $deadline || { echo "# round $round: $answer"; break; }
	away=${answer#ok }
	wait_for 60 busy steady 1 "${before:-0}" ||
		{ echo "# round $round: the other one stands"; break; }
	host device_add || { echo "# round $round: $answer"; break; }
	wait_for 120 attached hot || { echo "# round $round: not attached again"; break; }
	good=$((good + 1))
	echo "# round $round: let go of after $away s," \
		"attached again after $(((${EPOCHREALTIME/./} - began) / 1000)) ms"
done
same "unplugged in order and attached again, $rounds times" $rounds $good
[ $good != $rounds ] || wait_for 120 busy hot 2 40
wait_for 60 eval 'held_last=$(maps); [ "$held_last" = "$held_first" ]'
same "descriptors and mappings are as at the beginning" "$held_first" "$held_last"
kill -TERM $first $second $steady_pid
wait $first
ok $? "the first client finds its data right"
wait $second
ok $? "the second client finds its data right"
wait $steady_pid
ok $? "the client of the other controller saw no error"
sed 's/^/# /' "$LAB_WORK/first" "$LAB_WORK/second" "$LAB_WORK/steady"
kill $events_pid
for type in controller_removing controller_removed device_added controller_attached; do
	[ "$(grep -c "$type" "$LAB_WORK/events")" -ge $rounds ]
	ok $? "nvmux events shows each $type"
done
head -n 12 "$LAB_WORK/events" >&2
stop_daemon
ok $? "the daemon ends cleanly"
finish
