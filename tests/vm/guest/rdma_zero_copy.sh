# SPDX-License-Identifier: BSD-3-Clause
# Over RDMA no processor of ours touches data, but what the kernel's software does in the place of
# an adapter: without access to it, in the program and in the daemon, everything is as it is with
# it.
. "$LAB_TREE/tests/vm/guest/lib.sh"
. "$LAB_TREE/tests/vm/guest/rdma_lib.sh"
. "$LAB_TREE/tests/vm/guest/untouched_lib.sh"

rdma_up
start_daemon
ok $? "the daemon runs"
untouched "in-process" "$(trid data)"
check "attach" attach data data
untouched "through the daemon" "trtype:DAEMON traddr:$socket trsvcid:data" "$daemon_pid"
check "detach" nvmux detach data
stop_daemon
ok $? "the daemon ends cleanly"
finish
