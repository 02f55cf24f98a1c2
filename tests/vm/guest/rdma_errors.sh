# SPDX-License-Identifier: BSD-3-Clause
# What can't be attached, and why: each reason is said in its own words, in time, and leaves nothing
# behind on either side. IPv6, and the choice of the interface.
. "$LAB_TREE/tests/vm/guest/lib.sh"
. "$LAB_TREE/tests/vm/guest/rdma_lib.sh"

texts=()

# fails DESCRIPTION PATTERN OPTION…: attach fails in time and says PATTERN.
fails() {
	local what=$1 pattern=$2 begin code said
	shift 2
	echo "+ nvmux attach -t rdma $*" >&2
	begin=$(uptime_ms)
	said=$(nvmux attach -t rdma "$@" 2>&1)
	code=$?
	begin=$(($(uptime_ms) - begin))
	echo "# $what, after $begin ms: $said"
	texts+=("$said")
	[ $code -ne 0 ] && grep -qiE -- "$pattern" <<< "$said"
	ok $? "$what: is refused, and the reason given"
	[ $begin -lt 12000 ]
	ok $? "$what: within its time-out"
	nothing_left
	ok $? "$what: no queue pair is left"
}

rdma_up
check "a subsystem for another host" subsystem private "$hostnqn:other"
publish 1 private
check "a network without an RDMA device" ip link add d0 type dummy
ip addr add 198.51.100.1/24 dev d0
ip link set d0 up
start_daemon
ok $? "the daemon runs"
# Descriptors that stay once they are needed, like librdmacm's, are opened by the first success.
check "attach" attach data data
check "detach" nvmux detach data
nothing_left
descriptors=$(ls "/proc/$daemon_pid/fd" | wc -l)

good="-a $target4 -s 4420 -w $host4 -n $nqn:data"
fails "wrong NQN" "NQN" -a $target4 -s 4420 -w $host4 -n $nqn:nosuch
fails "wrong port" "refused|listen" -a $target4 -s 4499 -w $host4 -n $nqn:data
fails "host not allowed" "host" -a $target4 -s 4420 -w $host4 -n $nqn:private
fails "no route" "route|unreachable" -a 203.0.113.1 -s 4420 -n $nqn:data
fails "nobody has the address" "." -a 192.0.2.99 -s 4420 -w $host4 -n $nqn:data
fails "no RDMA device" "RDMA device" -a 198.51.100.2 -s 4420 -n $nqn:data
fails "queue too deep" "hsqsize|deep|queue size" $good --admin-queue-depth 64
fails "no such interface" "nosuch" $good -f nosuch
fails "source address is nobody's" "192.0.2.77" -a $target4 -s 4420 -w 192.0.2.77 -n $nqn:data
same "the reasons differ" ${#texts[@]} \
	"$(printf '%s\n' "${texts[@]}" | sort -u | wc -l)"
# What is closed may take a moment.
wait_for 10 eval '[ "$(ls "/proc/$daemon_pid/fd" | wc -l)" -le "$descriptors" ]'
ok $? "the daemon has no more descriptors open than before"

check "the right host is allowed" attach private private --hostnqn "$hostnqn:other"
check "detach" nvmux detach private
check "by interface" nvmux attach -t rdma -a $target4 -s 4420 -f v1 -n $nqn:data --name data
check "a read works" nvmux read data/1 --length 1M /dev/null
check "detach" nvmux detach data
check "a port with an IPv6 address" port 2 $target6 4420
check "the target listens there" publish 2 data
check "discover by IPv6" \
	eval 'nvmux discover -t rdma -a $target6 -s 4420 -w $host6 | grep -q "$target6"'
check "attach by IPv6" nvmux attach -t rdma -a $target6 -s 4420 -w $host6 -n $nqn:data --name six \
	--transport-ack-timeout $ack_timeout
start_load "$LAB_WORK/six" 3 six --depth 32 --max 65536
load_ends "$LAB_WORK/six" "and verified load" "writes > 5"
check "detach" nvmux detach six
nothing_left
ok $? "nothing is left, on the target neither"
stop_daemon
ok $? "the daemon ends cleanly"
finish
