# SPDX-License-Identifier: BSD-3-Clause
# Keep-alive: an idle connection stays up; a daemon that was stopped for longer than the target
# waits connects again by itself.
. "$LAB_TREE/tests/vm/guest/lib.sh"
. "$LAB_TREE/tests/vm/guest/rdma_lib.sh"

# expired: controllers whose keep-alive timer has expired on the target.
expired() {
	dmesg | grep -c 'keep-alive timer .*expired'
}

rdma_up
start_daemon
ok $? "the daemon runs"
events_record
check "attach" attach data data --keep-alive-timeout-ms 4000 --command-quiesce-time-ms 500 \
	--reconnect-delay-sec 1
same "the time in effect is shown" 4000 "$(connection data keep_alive_ms)"
sleep 20.5
same "idle for five times as long: the connection is up" up "$(connection data state)"
same "and was never lost" 0 "$(connection data lost)"
same "nor was it for the target" 0 "$(expired)"
check "a read works" nvmux read data/1 --length 1M /dev/null

start_load "$LAB_WORK/load" 300 data --qpairs 2 --depth 32 --max 65536
sleep 1
replayed=$(event controller_replayed)
kill -STOP "$daemon_pid"
# The target looks every 4 s whether anything came since it last looked: 8 s at most, and what it
# takes a busy machine; then it disconnects.
wait_for 60 eval '[ "$(expired)" -ge 1 ]'
ok $? "the daemon is stopped: the target gives the controller up"
sleep 2
kill -CONT "$daemon_pid"
await_event 60 controller_replayed $((replayed + 1))
ok $? "running again it connects by itself, and repeats what was in flight"
load_stops "$LAB_WORK/load" "its client finds all data right" "longest_wait > 5 and writes > 30"
same "the connection is up" up "$(connection data state)"
[ "$(connection data lost)" -ge 1 ]
ok $? "it had been lost"
cat "$LAB_WORK/events" >&2
check "detach" nvmux detach data
nothing_left
ok $? "nothing is left, on the target neither"
stop_daemon
ok $? "the daemon ends cleanly"
finish
