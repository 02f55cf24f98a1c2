# SPDX-License-Identifier: BSD-3-Clause
# Identify as nvmux shows it equals what nvme-cli shows, key by key.
. "$LAB_TREE/tests/vm/guest/lib.sh"

# compare DESCRIPTION OURS THEIRS: two JSON files are equal in every key, value and type.
compare() {
	python3 - "$2" "$3" <<-'END' > "$LAB_WORK/difference" 2>&1
	import json, sys

	def walk(path, ours, theirs):
	    if isinstance(ours, dict) and isinstance(theirs, dict):
	        for key in sorted(set(ours) | set(theirs)):
	            if key not in ours or key not in theirs:
	                yield f"{path}{key}: only in {'nvme-cli' if key in theirs else 'nvmux'}"
	            else:
	                yield from walk(f"{path}{key}.", ours[key], theirs[key])
	    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
	        for index, pair in enumerate(zip(ours, theirs)):
	            yield from walk(f"{path}{index}.", *pair)
	    elif type(ours) != type(theirs) or ours != theirs:
	        yield f"{path.rstrip('.')}: nvmux {ours!r}, nvme-cli {theirs!r}"

	ours, theirs = (json.load(open(name)) for name in sys.argv[1:3])
	differences = list(walk("", ours, theirs))
	if len(theirs) < 10:
	    differences.append(f"nvme-cli says only {theirs}")
	print(f"{len(theirs)} keys compared")
	print("\n".join(differences))
	sys.exit(bool(differences))
	END
	local code=$?
	sed 's/^/# /' "$LAB_WORK/difference"
	ok $code "$1"
}

start_daemon
ok $? "the daemon runs"
for serial in LAB512 LAB4096; do
	bdf=$(bdf_of $serial)
	disk=$(disk_of "$bdf")
	char=${disk%n1}
	check "$serial: nvme id-ctrl" sh -c "nvme id-ctrl $char -o json > $LAB_WORK/ctrl.theirs"
	check "$serial: nvme id-ns" sh -c "nvme id-ns $disk -o json > $LAB_WORK/ns.theirs"
	check "$serial: bind" nvmux bind "$bdf"
	check "$serial: attach" nvmux attach -t pcie -a "$bdf" --name nvme0
	nvmux identify nvme0 -o json > "$LAB_WORK/ctrl.ours"
	compare "$serial: Identify Controller is the same" \
		"$LAB_WORK/ctrl.ours" "$LAB_WORK/ctrl.theirs"
	nvmux identify nvme0/1 -o json > "$LAB_WORK/ns.ours"
	compare "$serial: Identify Namespace is the same" "$LAB_WORK/ns.ours" "$LAB_WORK/ns.theirs"
	check "$serial: detach" nvmux detach nvme0
	check "$serial: unbind" nvmux unbind "$bdf"
done
stop_daemon
ok $? "the daemon ends cleanly"
! grep "no doorbell buffers" "$LAB_WORK/nvmuxd.log" >&2
ok $? "the controllers took doorbell buffers"
finish
