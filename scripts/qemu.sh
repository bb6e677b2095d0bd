#!/bin/sh
# Installs qemu-aarch64-static, which runs the tests of an arm64 build on other
# machines, when it is missing: by apt as root, else it says the command.
set -eu
if command -v qemu-aarch64-static >/dev/null 2>&1; then
	exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "qemu-aarch64-static is missing: installing it with apt-get" >&2
	if apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends qemu-user-static >/dev/null; then
		exit 0
	fi
fi
echo "qemu-aarch64-static is missing. Install it and run make again:" >&2
echo "    sudo apt-get install qemu-user-static      (Debian, Ubuntu)" >&2
exit 12
