# SPDX-License-Identifier: BSD-3-Clause
# Two clients at once on one controller, each with verified random I/O in its own range for 10 s;
# then reset and SIGKILL under load, and the end of the daemon under load.
. "$LAB_TREE/tests/vm/guest/lib.sh"

start_daemon
ok $? "the daemon runs"
for serial in LAB512 LAB4096; do
	bdf=$(bdf_of $serial)
	half=$(((80 << 20) / ${serial#LAB}))
	check "$serial: bind" nvmux bind "$bdf"
	check "$serial: attach" nvmux attach -t pcie -a "$bdf" --name $serial
	load 10 $serial --owner 1 --start 0 --blocks $half --qpairs 2 --depth 64 \
		> "$LAB_WORK/first" 2>&1 &
	first=$!
	load 10 $serial --owner 2 --start $half --blocks $half --depth 32 \
		> "$LAB_WORK/second" 2>&1 &
	second=$!
	wait $first
	ok $? "$serial: the first client finds all of its data right"
	wait $second
	ok $? "$serial: the second client finds all of its data right"
	sed 's/^/# /' "$LAB_WORK/first" "$LAB_WORK/second"
	python3 - "$LAB_WORK/first" "$LAB_WORK/second" >&2 <<-'END'
	import json, sys
	for name in sys.argv[1:]:
	    result = json.loads(open(name).read().splitlines()[-1])
	    assert result["verified_blocks"] > 100 and result["writes"] > 100, result
	    assert result["seconds"] >= 10, result
	END
	ok $? "$serial: both did a good deal of work"
done

# count KEY: a number of the daemon.
count() {
	nvmux rpc get_stats |
		python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# start_load FILE SERIAL OPTION…: in the background, in the range that belongs to owner 1; sets pid.
start_load() {
	local file=$1 serial=$2
	shift 2
	load 60 $serial --owner 1 --blocks $(((80 << 20) / ${serial#LAB})) "$@" > "$file" 2>&1 &
	pid=$!
	wait_for 20 grep -q running "$file"
	sleep 0.5
}

regions=$(count regions)
killed=0
for _ in 1 2 3; do
	start_load "$LAB_WORK/killed" LAB512
	kill -KILL $pid && killed=$((killed + 1))
	wait $pid 2> /dev/null
done
same "three clients are killed at work" 3 $killed
wait_for 20 eval '[ "$(count qpairs)" = 0 ] && [ "$(count regions)" = "$regions" ]'
ok $? "they leave nothing behind"

start_load "$LAB_WORK/reset" LAB512 --errors
check "reset under load" nvmux reset LAB512
check "and again" nvmux reset LAB512
sleep 1
kill -TERM $pid
wait $pid
ok $? "the client went on after the resets, with its data right"
sed 's/^/# /' "$LAB_WORK/reset"

start_load "$LAB_WORK/last" LAB4096 --errors
stop_daemon
ok $? "the daemon ends cleanly under load"
wait $pid
ok $? "its client sees errors, no wrong data"
sed 's/^/# /' "$LAB_WORK/last"
for serial in LAB512 LAB4096; do
	check "$serial: unbind" nvmux unbind "$(bdf_of $serial)"
	disk_of "$(bdf_of $serial)" > /dev/null
	ok $? "$serial: the kernel has its disk back"
done
finish
