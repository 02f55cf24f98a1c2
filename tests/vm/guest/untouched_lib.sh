# SPDX-License-Identifier: BSD-3-Clause
# For the guest's scripts about memory that only devices touch, after lib.sh.

# untouched DESCRIPTION TRID [PID]: I/O of a program that has no access to its buffers meanwhile;
# and if there is a PID, neither has that process.
untouched() {
	local what=$1 id=$2 other=${3:-} line='' code pid
	rm -f "$LAB_WORK/say"
	mkfifo "$LAB_WORK/say"
	"$LAB_BUILD/tests/system/nvmux-untouched" "$id" < "$LAB_WORK/say" \
		> "$LAB_WORK/untouched" 2> "$LAB_WORK/untouched.err" &
	pid=$!
	exec 9> "$LAB_WORK/say"
	wait_for 60 eval '! kill -0 $pid || grep -q region "$LAB_WORK/untouched"'
	if [ -n "$other" ]; then
		line=$(python3 "$LAB_TREE/tests/system/pages.py" seal "$other" $pid 2>&1)
		echo "# $line"
	fi
	printf '\n\n' >&9
	exec 9>&-
	wait_for 120 eval '! kill -0 $pid' || kill -KILL $pid
	wait $pid
	code=$?
	sed 's/^/# /' "$LAB_WORK/untouched" "$LAB_WORK/untouched.err"
	[ $code -eq 0 ] && grep -q done "$LAB_WORK/untouched" &&
		[[ -z $other || $line == sealed:* ]]
	ok $? "$what"
}
