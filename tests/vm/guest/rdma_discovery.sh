# SPDX-License-Identifier: BSD-3-Clause
# Discovery services that refer to each other; a persistent discovery connection; all that is found
# attached at once; several paths to one subsystem; asymmetric namespace access.
. "$LAB_TREE/tests/vm/guest/lib.sh"
. "$LAB_TREE/tests/vm/guest/rdma_lib.sh"

# records: "subsystem address" of those in the JSON on standard input, sorted.
records() {
	python3 -c '
import json, sys
for line in sorted("%s %s" % (r["subnqn"].split(":")[-1], r["trsvcid"])
                   for r in json.load(sys.stdin)["records"] if r["subtype"] == "nvme subsystem"):
    print(line)'
}

# Two services, each of which refers to the other, and to one that isn't there.
rdma_up
disk=$(null_disk other 16 512 1)
ok $? "another disk"
check "another subsystem" subsystem other
namespace other 1 "$disk"
port 2 $target4 4421
publish 2 other
referral 1 $target4 4421
referral 2 $target4 4420
referral 2 $target4 4499

start_daemon
ok $? "the daemon runs"
nvmux discover -t rdma -a $target4 -s 4420 -w $host4 -o json > "$LAB_WORK/log"
ok $? "discover follows referrals, and ends though they make a loop"
same "each subsystem is reported once" "data 4420
other 4421" "$(records < "$LAB_WORK/log")"
check "probe finds them as well" eval \
	'nvmux probe -t rdma -a $target4 -s 4420 -w $host4 -o json > "$LAB_WORK/probe" &&
	grep -q "$nqn:data" "$LAB_WORK/probe" && grep -q "$nqn:other" "$LAB_WORK/probe"'

# nvme-cli shows the first service's records the same way, key by key.
nvme discover -t rdma -a $target4 -s 4420 -w $host4 -o json > "$LAB_WORK/theirs" 2>&1
python3 - "$LAB_WORK/log" "$LAB_WORK/theirs" >&2 <<-'END'
import json, sys
ours, theirs = (json.load(open(name)) for name in sys.argv[1:])
assert ours["genctr"] == theirs["genctr"], (ours["genctr"], theirs["genctr"])
def record(records, wanted):
    return next(r for r in records if r["subtype"] == wanted)
for wanted in "nvme subsystem", "discovery subsystem referral":
    mine, other = record(ours["records"], wanted), record(theirs["records"], wanted)
    mine.pop("depth")
    print(mine, other)
    assert {k: mine.get(k) for k in other if k != "rdma_pkey"} == \
        {k: v for k, v in other.items() if k != "rdma_pkey"}
END
ok $? "records look as those of nvme-cli"

check "attach --all" nvmux attach --all -t rdma -a $target4 -s 4420 -w $host4 \
	--transport-ack-timeout $ack_timeout
same "both are attached" "data other" "$(nvmux list -o json | python3 -c 'import json, sys
print(*sorted(c["subnqn"].split(":")[-1] for c in json.load(sys.stdin)))')"
for name in $(nvmux list -o json | python3 -c 'import json, sys
print(*(c["name"] for c in json.load(sys.stdin)))'); do
	check "detach $name" nvmux detach "$name"
done

# A connection that stays, and attaches what appears.
events_record
check "a persistent discovery connection" nvmux rpc start_discovery "{\"name\": \"disc\",
	\"trtype\": \"RDMA\", \"traddr\": \"$target4\", \"trsvcid\": \"4420\",
	\"host_traddr\": \"$host4\", \"attach\": true, \"transport_ack_timeout\": $ack_timeout}"
wait_for 20 eval 'nvmux list -o json | grep -q "$nqn:data"'
ok $? "it attaches what there is"
check "a new subsystem" subsystem late
namespace late 1 "$(null_disk late 16 512 1)"
publish 1 late
check "the change is noticed" await_event 20 discovery_changed
wait_for 20 eval 'nvmux list -o json | grep -q "$nqn:late"'
ok $? "and the new subsystem attached"
nvmux rpc get_discovery >&2
check "it ends" nvmux rpc stop_discovery '{"name": "disc"}'
for name in $(nvmux list -o json | python3 -c 'import json, sys
print(*(c["name"] for c in json.load(sys.stdin)))'); do
	nvmux detach "$name" >&2
done
nothing_left
ok $? "nothing is left, on the target neither"

# Two paths to one subsystem.
port 3 $target4 4422
publish 3 data
check "attach by one port" attach first data
check "attach by the other port" attach second data -s 4422
nvmux list -o json > "$LAB_WORK/list"
python3 - "$LAB_WORK/list" >&2 <<-'END'
import json, sys
first, second = sorted(json.load(open(sys.argv[1])), key=lambda c: c["name"])
assert first["cntlid"] != second["cntlid"] and first["subnqn"] == second["subnqn"]
for a, b in zip(first["namespaces"], second["namespaces"], strict=True):
    print(a, b)
    for key in "nsid", "uuid", "nguid", "size":
        assert a[key] and a[key] == b[key], key
END
ok $? "two controllers, whose namespaces have the same identity"
head -c 1M /dev/urandom > "$LAB_WORK/random"
check "write by one path" nvmux write first/1 "$LAB_WORK/random"
same "read by the other" "$(sha "$LAB_WORK/random")" \
	"$(nvmux read second/1 --length 1M - | sha)"

# ana NAME: the state of its first namespace.
ana() {
	nvmux list -o json "$1" | tool value 0.namespaces.0.ana_state
}

same "the state of the path is shown" optimized "$(ana first)"
start_load "$LAB_WORK/ana" 300 first --start 4096 --qpairs 2 --depth 32 --max 65536
sleep 1
changed=$(event controller_ana_changed)
ana_state 1 inaccessible
check "a change of it is noticed" await_event 10 controller_ana_changed $((changed + 1))
same "the path is inaccessible" inaccessible "$(ana first)"
same "the other one isn't" optimized "$(ana second)"
check "which still works" nvmux read second/1 --length 1M /dev/null
sleep 1
ana_state 1 optimized
wait_for 10 eval '[ "$(ana first)" = optimized ]'
ok $? "the path is back"
load_stops "$LAB_WORK/ana" "commands waited for it, none failed" "longest_wait > 1 and writes > 30"
check "detach" nvmux detach first
check "detach" nvmux detach second
nothing_left
ok $? "nothing is left, on the target neither"
cat "$LAB_WORK/events" >&2
stop_daemon
ok $? "the daemon ends cleanly"
rxe_counters >&2
finish
