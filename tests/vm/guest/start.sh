#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# First program on the guest's root: mounts, modules, then the script that this boot is for.
# Its standard output goes to the second serial port, everything else to the console.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8
set -a
. /lab.env
set +a

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run
mkdir -p /dev/pts /dev/shm /lib/modules
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
ln -sfn "$LAB_MODULES" "/lib/modules/$(uname -r)"
exec < /dev/null > /dev/ttyS0 2>&1
stty -F /dev/ttyS1 raw -echo
dmesg | grep -F 'tsc: Detected'
cd "$LAB_TREE" || exit 1

LAB_WORK=$(mktemp -d /run/lab.XXXXXX)
export LAB_WORK
timeout -k 5 "$LAB_SECONDS" bash "tests/vm/guest/$LAB_SCRIPT.sh" > /dev/ttyS1
code=$?
echo "# exit code $code" > /dev/ttyS1
echo "lab: $LAB_SCRIPT.sh ended with exit code $code"
dmesg | tail -n 20
sync
echo o > /proc/sysrq-trigger
# The root may be gone now: nothing but builtins, and never return.
while read -r -t 60 _ < /dev/ttyS1 || :; do :; done
