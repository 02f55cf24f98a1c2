# SPDX-License-Identifier: BSD-3-Clause
# The link is cut for 5 s under verified load (rdma_kernel.sh shows that the kernel's own driver
# stalls then), with time-outs of usual length and with short ones; the target is removed and
# made again; the loss lasts longer than the time-outs.
. "$LAB_TREE/tests/vm/guest/lib.sh"
. "$LAB_TREE/tests/vm/guest/rdma_lib.sh"

cut_for() {
	link_cut
	sleep "$1"
	link_restore
}

# within SECONDS FROM TO: two times in seconds, TO at most as long after FROM and not before, but
# for 1 s: what notes the time of an event may be late to run.
within() {
	python3 -c 'import sys
most, since, until = (float(word) for word in sys.argv[1:])
print(f"# {until - since:.3f} s after the deadline")
sys.exit(not -1 <= until - since <= most)' "$1" "$2" "$3"
}

# event_time TYPE NAME: when the last such event of that controller came.
event_time() {
	grep "\"type\": \"$1\"" "$LAB_WORK/events" | grep "\"name\": \"$2\"" | tail -n 1 |
		tool value at
}

rdma_up
start_daemon
ok $? "the daemon runs"
events_record
check "attach" attach data data --keep-alive-timeout-ms 10000 --command-quiesce-time-ms 500

# A short loss the RDMA devices ride out by themselves. In 5 s the target's may give up or not: it
# has an ACK time-out of its own.
start_load "$LAB_WORK/short" 300 data --qpairs 2 --depth 32 --max 65536
sleep 1
cut_for 1.5
load_stops "$LAB_WORK/short" "link cut for 1.5 s: the load goes on, all data right" \
	"longest_wait > 1 and writes > 30"
same "the connection was not lost" 0 "$(connection data lost)"
start_load "$LAB_WORK/short" 300 data --qpairs 2 --depth 32 --max 65536
sleep 1
cut_for 5
load_stops "$LAB_WORK/short" "link cut for 5 s: the load goes on, all data right" \
	"longest_wait > 4 and writes > 30"
check "detach" nvmux detach data

# It gives up after a few times 0.27 s, keep-alive and the target after 3 s: the connection is lost
# and made anew. The link stays cut until the daemon has noticed: 5 s of a busy machine may be too
# short for that.
lost=$(event controller_connection_lost)
check "attach with short time-outs" attach data data --transport-ack-timeout 16 \
	--keep-alive-timeout-ms 3000 --command-quiesce-time-ms 500 --reconnect-delay-sec 1
start_load "$LAB_WORK/long" 300 data --qpairs 4 --depth 32 --max 65536
daemon_load=$load_pid
start_load_direct "$LAB_WORK/direct" 300 "$(trid data)" --nsid 2 --qpairs 2 --depth 32 \
	--max 65536 --threads --kato 3000 --ack-timeout 16
sleep 1
link_cut
# Counted from here on: an earlier loss may have left some.
reconnected=$(event controller_reconnected)
replayed=$(event controller_replayed)
sleep 5
wait_for 60 eval '[ "$(connection data state)" = reconnecting ]'
link_restore
await_event 60 controller_reconnected $((reconnected + 1))
ok $? "the daemon connects again"
await_event 60 controller_replayed $((replayed + 1))
ok $? "and repeats what was in flight"
connections=$(connection data lost)
[ "$connections" -ge 1 ] && [ "$(event controller_connection_lost)" -gt "$lost" ]
ok $? "the connection was lost ($connections)"
load_stops "$LAB_WORK/long" "the load through the daemon goes on, all data right" \
	"longest_wait > 4 and writes > 30" "$daemon_load"
load_stops "$LAB_WORK/direct" "and so does the one in-process" "longest_wait > 4 and writes > 30"
same "the connection is up" up "$(connection data state)"

# The target goes away under load, and comes back.
start_load "$LAB_WORK/gone" 300 data --qpairs 4 --depth 32 --max 65536
replayed=$(event controller_replayed)
check "the target goes" target_remove
sleep 2
check "the target comes back" target_add
await_event 60 controller_replayed $((replayed + 1))
ok $? "the daemon connects again and repeats what was in flight"
load_stops "$LAB_WORK/gone" "the load goes on, all data right" "longest_wait > 2 and writes > 30"
check "detach" nvmux detach data

# Too long for one of two: "lost" gives up after 6 s, "fails" fails commands after 3 s.
check "attach, to be lost after 6 s" attach lost data --transport-ack-timeout 16 \
	--keep-alive-timeout-ms 3000 --reconnect-delay-sec 1 --ctrlr-loss-timeout-sec 6
port 2 $target4 4421
publish 2 data
check "attach, to fail after 3 s" attach fails data -s 4421 --transport-ack-timeout 16 \
	--keep-alive-timeout-ms 3000 --reconnect-delay-sec 1 --fast-io-fail-timeout-sec 3
start_load "$LAB_WORK/lost" 60 lost --depth 32 --max 65536
lost_pid=$load_pid
start_load "$LAB_WORK/fails" 60 fails --nsid 2 --depth 32 --max 65536
fails_pid=$load_pid
link_cut
for name in fails lost; do
	pid=${name}_pid
	wait "${!pid}"
	same "$name: the load ends with errors" 3 $?
	sed 's/^/# /' "$LAB_WORK/$name.err" "$LAB_WORK/$name"
	check "$name: path errors, no wrong data" tool holds "$LAB_WORK/$name" \
		'miscompares == 0 and duplicates == 0 and first_status == "host pathing error"'
	after=$([ $name = lost ] && echo 6 || echo 3)
	began=$(event_time controller_connection_lost $name)
	within 1 "$(python3 -c "print($began + $after)")" \
		"$(tail -n 1 "$LAB_WORK/$name" | tool value first_error)"
	ok $? "$name: within a second of the deadline"
done
check "the event of failing commands" await_event 10 controller_fast_io_fail
check "the event of the lost controller" await_event 10 controller_failed
check "the daemon is healthy" nvmux status
link_restore
wait_for 30 eval '[ "$(connection fails state)" = up ]'
ok $? "fails: connects again"
start_load "$LAB_WORK/again" 3 fails --nsid 2 --depth 32 --max 65536
load_ends "$LAB_WORK/again" "fails: and works" "writes > 5"
check "lost: detach" nvmux detach lost
check "lost: attach again" attach lost data
start_load "$LAB_WORK/again" 3 lost --depth 32 --max 65536
load_ends "$LAB_WORK/again" "lost: and works" "writes > 5"
check "detach" nvmux detach lost
check "detach" nvmux detach fails
nothing_left 30
ok $? "nothing is left, on the target neither"
cat "$LAB_WORK/events" >&2
stop_daemon
ok $? "the daemon ends cleanly"
rxe_counters >&2
finish
