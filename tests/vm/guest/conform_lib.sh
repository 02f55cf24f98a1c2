# SPDX-License-Identifier: BSD-3-Clause
# For the guest's scripts of the conformance suite, after lib.sh: run it, in-process and through the
# daemon, and hand its results out.

suite=$LAB_BUILD/tests/conformance/nvmux-conformance

# conform PEER TRANSPORT-ID OPTION…: one run; its results become those of this script, its JSON a
# line of comment.
conform() {
	local peer=$1 id=$2 line code
	shift 2
	timeout 120 "$suite" --peer "$peer" --destructive \
		--out "$LAB_WORK/conform.json" "$@" "$id" \
		> "$LAB_WORK/conform.tap"
	code=$?
	while read -r line; do
		case $line in
		"ok "*) ok 0 "$peer, ${id%% *}: ${line#*- }" ;;
		"not ok "*) ok 1 "$peer, ${id%% *}: ${line#*- }" ;;
		1..*) ;;
		*) echo "# ${line#\# }" ;;
		esac
	done < "$LAB_WORK/conform.tap"
	[ $code -le 1 ] && grep -q '^1\.\.' "$LAB_WORK/conform.tap"
	ok $? "$peer, ${id%% *}: the suite ran to its end"
	[ -s "$LAB_WORK/conform.json" ] &&
		echo "# conformance: $(tr -d '\n' < "$LAB_WORK/conform.json")"
	rm -f "$LAB_WORK/conform.json"
}

# both BDF NAME: what runs from conform_these() in-process, then through the daemon. It is called
# with a transport id.
both() {
	local bdf=$1 name=$2
	check "$name: bind" nvmux bind "$bdf"
	conform_these "trtype:PCIE traddr:$bdf"
	check "$name: attach" nvmux attach -t pcie -a "$bdf" --name "$name"
	conform_these "trtype:DAEMON traddr:$socket trsvcid:$name"
	check "$name: detach" nvmux detach "$name"
	check "$name: unbind" nvmux unbind "$bdf"
}
