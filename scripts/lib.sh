# SPDX-License-Identifier: BSD-3-Clause
# What scripts/quickstart and scripts/test share: packages and builds. To be sourced by bash.

nvmux_tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Debian 12 package names, by purpose.
nvmux_packages_build=(gcc libc6-dev meson ninja-build pkgconf python3 libcmocka-dev libevent-dev
	libibverbs-dev libinih-dev libisal-dev libjansson-dev libnuma-dev libnvme-dev
	librdmacm-dev libsmartcols-dev libsystemd-dev)
nvmux_packages_check=(g++ cppcheck)
nvmux_packages_bench=(valgrind)
nvmux_packages_vm=(qemu-system-x86 busybox-static kmod cpio nvme-cli dmsetup e2fsprogs mount
	util-linux ibverbs-providers iproute2 fio)

nvmux_build_seconds=1200

# say WORD…: a message that isn't part of a result.
say() {
	printf '%s\n' "$*" >&2
}

nvmux_installed() {
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
}

# need_packages PACKAGE…: install what is missing when root, else print the command and fail.
need_packages() {
	local package missing=()
	if ! command -v dpkg-query > /dev/null; then
		say "Not a Debian system; these packages or their like are needed: $*"
		return 0
	fi
	for package in "$@"; do
		nvmux_installed "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		say "Packages are missing. As root:"
		say "    apt-get update && apt-get install --no-install-recommends ${missing[*]}"
		return 1
	fi
	say "Installing ${missing[*]}"
	local log
	log=$(mktemp)
	if ! { timeout 600 apt-get update &&
		DEBIAN_FRONTEND=noninteractive timeout 1200 apt-get install -y \
			--no-install-recommends "${missing[@]}"; } < /dev/null > "$log" 2>&1; then
		tail -n 30 "$log" >&2
		rm -f "$log"
		say "apt-get failed"
		return 1
	fi
	rm -f "$log"
}

# build_tree DIR [MESON-OPTION…]: set up a build directory of the tree, anew if it has other
# options, and build it. Silent unless it fails.
build_tree() {
	local dir=$nvmux_tree/$1 log code
	shift
	log=$(mktemp)
	{
		if [ "$(cat "$dir/options" 2> /dev/null)" != "$*" ]; then
			rm -rf "$dir"
			meson setup "$dir" "$nvmux_tree" "$@" && echo "$*" > "$dir/options"
		fi && timeout "$nvmux_build_seconds" ninja -C "$dir"
	} < /dev/null > "$log" 2>&1
	code=$?
	[ $code -eq 0 ] || tail -n 60 "$log" >&2
	rm -f "$log"
	return $code
}
