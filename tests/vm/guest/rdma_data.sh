# SPDX-License-Identifier: BSD-3-Clause
# Against the kernel's target: discover, attach, identify; what nvmux writes the kernel's own host
# driver reads, and the reverse, in commands of 4 KiB to 1 MiB; then verified load.
. "$LAB_TREE/tests/vm/guest/lib.sh"
. "$LAB_TREE/tests/vm/guest/rdma_lib.sh"

sizes=(4K 8K 16K 64K 256K 1M)
mib=$((1 << 20))
second=$((16 * mib)) # where the kernel writes
rest=32              # MiB: from here on nothing was written before the load

rdma_up
start_daemon
ok $? "the daemon runs"
check "discover" eval 'nvmux discover -t rdma -a $target4 -s 4420 -w $host4 > "$LAB_WORK/log"'
check "it reports the subsystem" grep -q "$nqn:data" "$LAB_WORK/log"
check "attach" attach data data
controller=$(kernel_connect data)
ok $? "the kernel's driver connects to it as well"

# Identify, but for what belongs to one controller of the subsystem.
nvmux identify data -o json > "$LAB_WORK/ours"
nvme id-ctrl "/dev/$controller" -o json > "$LAB_WORK/theirs"
python3 - "$LAB_WORK/ours" "$LAB_WORK/theirs" >&2 <<-'END'
import json, sys
ours, theirs = (json.load(open(name)) for name in sys.argv[1:])
for both in ours, theirs:
    assert both.pop("cntlid") > 0
different = {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
sys.exit(bool(different) and f"different: {different}")
END
ok $? "Identify Controller is what nvme-cli shows"

head -c $((${#sizes[@]} * mib)) /dev/urandom > "$LAB_WORK/random"
wanted=$(sha "$LAB_WORK/random")
split -b 1M -d "$LAB_WORK/random" "$LAB_WORK/piece"
for nsid in 1 2; do
	disk=$(kernel_disk "$controller" $nsid)
	what="blocks of $(blockdev --getss "$disk")"
	for i in "${!sizes[@]}"; do
		nvmux write data/$nsid --offset $((i * mib)) --chunk "${sizes[i]}" \
			"$LAB_WORK/piece0$i" >&2 || ok 1 "$what: write ${sizes[i]} each"
		dd if="$LAB_WORK/piece0$i" of="$disk" bs="${sizes[i]}" oflag=direct,seek_bytes \
			seek=$((second + i * mib)) 2> /dev/null
	done
	check "$what: flush" nvmux flush data/$nsid
	same "$what: the kernel reads what nvmux wrote" "$wanted" \
		"$(dd if="$disk" bs=1M count=${#sizes[@]} iflag=direct 2> /dev/null | sha)"
	for i in "${!sizes[@]}"; do
		nvmux read data/$nsid --offset $((second + i * mib)) --length 1M \
			--chunk "${sizes[i]}" - || echo failed
	done | sha > "$LAB_WORK/sum"
	same "$what: nvmux reads what the kernel wrote" "$wanted" "$(cat "$LAB_WORK/sum")"
done
same "in-process the same data" "$wanted" \
	"$(nvmux read -t "$(trid data)" -n 2 --length ${#sizes[@]}M - | sha)"
check "the kernel disconnects" kernel_disconnect data

start_load "$LAB_WORK/load1" 20 data --qpairs 8 --depth 64 --max 65536 --start $((rest * mib / 512))
load_ends "$LAB_WORK/load1" "8 queue pairs, 64 commands deep, 20 s: all data right" \
	"writes > 300 and reads > 300 and verified_blocks > 500 and max_in_flight >= 48"
# All eight as threads of one process, each polling its own queue pair.
start_load_direct "$LAB_WORK/load2" 8 "$(trid data)" --nsid 2 --qpairs 8 --depth 64 --max 1048576 \
	--threads --start $((rest * mib / 4096))
load_ends "$LAB_WORK/load2" "the same in-process, with large blocks and commands" \
	"writes > 30 and reads > 30 and max_in_flight >= 16"
check "no transport retries were exceeded" no_retry_exceeded
same "the connection was never lost" 0 "$(connection data lost)"

check "detach" nvmux detach data
nothing_left
ok $? "nothing is left, on the target neither"
stop_daemon
ok $? "the daemon ends cleanly"
rxe_counters >&2
finish
