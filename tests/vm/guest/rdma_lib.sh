# SPDX-License-Identifier: BSD-3-Clause
# For the guest's scripts about RDMA, after lib.sh: a veth pair with a Soft-RoCE device on each end,
# and the kernel's own target on it. Both ends have an address of one subnet; the target listens on
# v0's, the host connects from v1's, so that what passes between them passes v1 and can be cut
# there.

target4=192.0.2.1 host4=192.0.2.2
target6=fd00:2::1 host6=fd00:2::2
nvmet=/sys/kernel/config/nvmet
nqn=nqn.2024-01.net.example
discovery_nqn=nqn.2014-08.org.nvmexpress.discovery
hostnqn=$nqn:host
hostid=6d2ff4a2-13b3-4f0b-8b0c-0f5c9a1b2c3d
kernel_hostid=7e3005b3-24c4-401c-9c1d-106dab2c3d4e
# Local ACK time-out of our connections, 4.096 us * 2^n, here 2.1 s: an emulated machine is slow.
ack_timeout=19

# ---- network ----

network_up() {
	local link sysctl
	modprobe -a veth rdma_rxe ib_uverbs rdma_ucm sch_netem || return 1
	# Where a packet finds no room in this queue, which veth shares, Soft-RoCE does not repeat
	# it but gives up the queue pair, and that of the connection manager too.
	echo 1000000 > /proc/sys/net/core/netdev_max_backlog
	ip link set lo up
	ip link add v0 mtu 9000 type veth peer name v1 mtu 9000 || return 1
	for sysctl in all v0 v1; do
		echo 1 > /proc/sys/net/ipv4/conf/$sysctl/accept_local
		echo 0 > /proc/sys/net/ipv4/conf/$sysctl/rp_filter
		echo 1 > /proc/sys/net/ipv4/conf/$sysctl/arp_ignore
		echo 0 > /proc/sys/net/ipv6/conf/$sysctl/accept_dad
	done
	ip addr add $target4/24 dev v0
	ip addr add $host4/24 dev v1
	ip -6 addr add $target6/64 dev v0 nodad
	ip -6 addr add $host6/64 dev v1 nodad
	for link in v0 v1; do
		# All that arrives goes through one processor's queue. Else it gets out of order, as
		# what sends moves from one to another, and Soft-RoCE repeats and repeats until it
		# gives up.
		echo $((${link#v} + 1)) > /sys/class/net/$link/queues/rx-0/rps_cpus
		ip link set $link up || return 1
		rdma link add rxe_$link type rxe netdev $link || return 1
	done
	# What cuts the link is there from the beginning: when it comes, or goes, packets are
	# refused for a moment, which Soft-RoCE takes as above.
	tc qdisc add dev v1 root netem loss 0% limit 1000000 || return 1
	# IPv4 leaves by the interface that was asked for although the address is this machine's
	# own; IPv6 does so only if the local routes come second.
	ip -6 route add fd00:2::/64 dev v0 table 100
	ip -6 route add fd00:2::/64 dev v1 table 101
	ip -6 rule add pref 10 oif v0 lookup 100
	ip -6 rule add pref 10 oif v1 lookup 101
	ip -6 rule add pref 20 lookup local
	ip -6 rule del pref 0
	wait_for 10 eval '[ "$(rdma link show | grep -c "state ACTIVE")" = 2 ]'
}

link_cut() {
	tc qdisc change dev v1 root netem loss 100% limit 1000000
}

link_restore() {
	tc qdisc change dev v1 root netem loss 0% limit 1000000
}

# rxe_counters: what Soft-RoCE had to repeat, for the console.
rxe_counters() {
	grep -H . /sys/class/infiniband/rxe_v?/ports/1/hw_counters/{sen*,*retry*,*seq*,dup*} |
		sed 's|.*rxe_\(v.\)/.*/|\1 |'
}

# nothing_left [SECONDS]: until neither side has a queue pair.
nothing_left() {
	wait_for "${1:-20}" eval '! rdma resource show qp | grep "type RC"'
}

# ---- target ----

# null_disk NAME MIB BLOCKSIZE MEMORY_BACKED: a null_blk device; prints its path.
null_disk() {
	local dir=/sys/kernel/config/nullb/$1
	[ -d /sys/module/null_blk ] || modprobe null_blk nr_devices=0 || return 1
	mkdir "$dir" || return 1
	echo "$2" > "$dir/size"
	echo "$3" > "$dir/blocksize"
	echo "$4" > "$dir/memory_backed"
	echo 1 > "$dir/power" || return 1
	wait_for 10 test -b "/dev/$1"
	echo "/dev/$1"
}

# subsystem NAME [HOSTNQN]: open to any host, or to this one only.
subsystem() {
	local dir=$nvmet/subsystems/$nqn:$1
	mkdir "$dir" || return 1
	echo "${1^^}" > "$dir/attr_serial"
	if [ -n "${2:-}" ]; then
		mkdir -p "$nvmet/hosts/$2"
		ln -s "$nvmet/hosts/$2" "$dir/allowed_hosts/"
	else
		echo 1 > "$dir/attr_allow_any_host"
	fi
}

# namespace NAME NSID DEVICE: its identifiers follow from name and nsid, so that one made again is
# the same.
namespace() {
	local dir=$nvmet/subsystems/$nqn:$1/namespaces/$2 digest
	digest=$(printf '%s/%s' "$1" "$2" | md5sum)
	mkdir "$dir" || return 1
	echo -n "$3" > "$dir/device_path"
	echo "${digest:0:8}-${digest:8:4}-4${digest:13:3}-8${digest:17:3}-${digest:20:12}" \
		> "$dir/device_uuid"
	echo "${digest:0:8}-${digest:8:4}-${digest:12:4}-${digest:16:4}-${digest:20:12}" \
		> "$dir/device_nguid"
	echo 1 > "$dir/enable"
}

# port NUMBER ADDRESS SERVICE: without subsystems yet.
port() {
	local dir=$nvmet/ports/$1 family=ipv4
	case $2 in *:*) family=ipv6 ;; esac
	mkdir "$dir" || return 1
	echo rdma > "$dir/addr_trtype"
	echo $family > "$dir/addr_adrfam"
	echo "$2" > "$dir/addr_traddr"
	echo "$3" > "$dir/addr_trsvcid"
	# What a command can carry in its capsule.
	echo 16384 > "$dir/param_inline_data_size"
}

# publish NUMBER NAME: this subsystem at that port. The first one makes the port listen.
publish() {
	ln -s "$nvmet/subsystems/$nqn:$2" "$nvmet/ports/$1/subsystems/$nqn:$2"
}

withdraw() {
	rm "$nvmet/ports/$1/subsystems/$nqn:$2"
}

# referral NUMBER ADDRESS SERVICE: port NUMBER refers to another discovery service.
referral() {
	local dir=$nvmet/ports/$1/referrals/to-$3
	mkdir "$dir" || return 1
	echo rdma > "$dir/addr_trtype"
	echo ipv4 > "$dir/addr_adrfam"
	echo "$2" > "$dir/addr_traddr"
	echo "$3" > "$dir/addr_trsvcid"
	echo 1 > "$dir/enable"
}

# ana_group NUMBER STATE: of port NUMBER; all namespaces are in group 1.
ana_state() {
	echo "$2" > "$nvmet/ports/$1/ana_groups/1/ana_state"
}

remove_subsystem() {
	local dir=$nvmet/subsystems/$nqn:$1 link
	for link in "$dir"/allowed_hosts/*; do
		[ -L "$link" ] && rm "$link"
	done
	rmdir "$dir"/namespaces/* 2> /dev/null
	rmdir "$dir"
}

remove_port() {
	local dir=$nvmet/ports/$1
	rm -f "$dir"/subsystems/*
	rmdir "$dir"/referrals/* 2> /dev/null
	rmdir "$dir"
}

# target_add, target_remove: the subsystem "data" at port 1. 512-byte blocks on memory (namespace
# 1) and 4096-byte ones in a file (2). The data stays when it goes.
data_mib=96
target_add() {
	subsystem data && namespace data 1 /dev/ram0 && namespace data 2 "$LAB_WORK/data.img" &&
		port 1 $target4 4420 && publish 1 data
}

target_remove() {
	remove_port 1 && remove_subsystem data
}

target_up() {
	modprobe -a nvmet nvmet-rdma nvme-rdma || return 1
	modprobe brd rd_nr=1 rd_size=$((data_mib << 10)) || return 1
	mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config ||
		return 1
	truncate -s ${data_mib}M "$LAB_WORK/data.img"
	target_add
}

# ---- the kernel's own host ----

mkdir -p /etc/nvme
echo "$hostnqn" > /etc/nvme/hostnqn
echo "$hostid" > /etc/nvme/hostid

# kernel_connect NAME OPTION…: nvme connect, as another host than ours; prints the controller,
# nvmeN.
kernel_connect() {
	local name=$1 controller
	shift
	nvme connect -t rdma -a $target4 -s 4420 -w $host4 -n "$nqn:$name" \
		-q "$hostnqn:kernel" -I "$kernel_hostid" "$@" >&2 || return 1
	for controller in /sys/class/nvme/nvme*; do
		[ "$(cat "$controller/subsysnqn" 2> /dev/null)" = "$nqn:$name" ] || continue
		wait_for 20 grep -q live "$controller/state"
		basename "$controller"
		return
	done
	return 1
}

# kernel_disk CONTROLLER NSID: its block device, once it is there.
kernel_disk() {
	local name path
	for _ in $(seq 100); do
		for path in /sys/class/nvme/"$1"/nvme*n* /sys/class/nvme-subsystem/*/nvme*n*; do
			name=$(basename "$path")
			case $name in *c*n*) continue ;; esac
			[ "$(cat "$path/nsid" 2> /dev/null)" = "$2" ] || continue
			[ -b "/dev/$name" ] || continue
			compgen -G "/sys/class/nvme-subsystem/*/$1" > /dev/null || continue
			[ "$(cat "$(dirname "$path")/subsysnqn" 2> /dev/null)" = \
				"$(cat "/sys/class/nvme/$1/subsysnqn")" ] || continue
			echo "/dev/$name"
			return
		done
		sleep 0.1
	done
	return 1
}

kernel_disconnect() {
	nvme disconnect -n "$nqn:$1" >&2
}

# ---- nvmux ----

# trid NAME: the transport id of a subsystem, for programs that drive it in their own process.
trid() {
	echo "trtype:RDMA adrfam:IPv4 traddr:$target4 trsvcid:4420 subnqn:$nqn:$1" \
		"host_traddr:$host4"
}

# attach NAME SUBSYSTEM [-s SERVICE] OPTION…: to the daemon, from v1's address.
attach() {
	local name=$1 subsystem=$2 service=4420
	shift 2
	if [ "${1:-}" = -s ]; then
		service=$2
		shift 2
	fi
	nvmux attach -t rdma -a $target4 -s $service -w $host4 -n "$nqn:$subsystem" --name "$name" \
		--transport-ack-timeout $ack_timeout "$@"
}

tool() {
	python3 "$LAB_TREE/tests/vm/guest/rdma_tool.py" "$@"
}

# events_record: what the daemon reports goes to $LAB_WORK/events from now on.
events_record() {
	tool events "$socket" > "$LAB_WORK/events" &
	wait_for 20 grep -q subscribed "$LAB_WORK/events"
}

# event TYPE [MORE]: how many events of this type (and with this text) there were.
event() {
	grep "\"type\": \"$1\"" "$LAB_WORK/events" | grep -c -- "${2:-}"
}

# await_event SECONDS TYPE [COUNT]: until there were as many.
await_event() {
	wait_for "$1" eval '[ "$(event '"$2"')" -ge '"${3:-1}"' ]'
}

# connection NAME KEY: of a controller's connection.
connection() {
	nvmux list -v -o json "$1" | tool value "0.connection.$2"
}

uptime_ms() {
	local up
	read -r up _ < /proc/uptime
	echo $((${up%.*} * 1000 + 10#${up#*.} * 10))
}

# start_load FILE SECONDS NAME OPTION…: verified load in the background, running when this returns;
# sets load_pid.
start_load() {
	local file=$1
	shift
	load "$@" > "$file" 2> "$file.err" &
	load_pid=$!
	wait_for 60 eval '! kill -0 $load_pid || grep -q running "'"$file"'"'
}

# start_load_direct FILE SECONDS TRID OPTION…: the same without the daemon.
start_load_direct() {
	local file=$1 seconds=$2 id=$3
	shift 3
	"$LAB_BUILD/tests/system/nvmux-load" --seconds "$seconds" --ack-timeout $ack_timeout "$@" \
		"$id" > "$file" 2> "$file.err" &
	load_pid=$!
	wait_for 60 eval '! kill -0 $load_pid || grep -q running "'"$file"'"'
}

# load_ends FILE DESCRIPTION EXPR [PID]: the load ends well, with no error, and EXPR is true of its
# result.
load_ends() {
	local file=$1 code pid=${4:-$load_pid}
	# A completion that never comes keeps it running.
	wait_for 60 eval "! kill -0 $pid" || kill -KILL "$pid"
	wait "$pid"
	code=$?
	sed 's/^/# /' "$file.err" "$file"
	[ $code -eq 0 ] && tool holds "$file" \
		"errors == 0 and miscompares == 0 and duplicates == 0 and result == 0 and ($3)"
	ok $? "$2"
}

# load_stops FILE DESCRIPTION EXPR [PID]: the same of a load that would run for longer than anything
# takes, after it has gone on for a little: one of fixed length may be over before what it is for.
load_stops() {
	sleep 3
	kill -TERM "${4:-$load_pid}"
	load_ends "$@"
}

# no_retry_exceeded: neither the kernel nor the daemon's log speaks of it.
no_retry_exceeded() {
	! dmesg | grep -iE 'retry.?exceed' && ! grep -iE 'retry.*exceed' "$LAB_WORK/nvmuxd.log"
}

rdma_up() {
	check "the network and its RDMA devices" network_up
	check "the target" target_up
}
