#!/bin/sh
# Installs what the torch engine is built from, libtorch and a C++ compiler, when it
# is missing: by apt as root, else it says the command.
set -eu
cd "$(dirname "$0")/.."
libtorch() {
	for lib in /usr/lib/*/libtorch_cpu.so /usr/lib*/libtorch_cpu.so; do
		[ -e "$lib" ] && [ -e /usr/include/gloo/config.h ] && return
	done
	python3 -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)' \
		2>/dev/null
}
if libtorch && command -v "${CXX:-c++}" >/dev/null 2>&1; then
	exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "libtorch or a C++ compiler is missing: installing it with apt-get" >&2
	if apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
		--no-install-recommends libtorch-dev libgloo-dev g++ >/dev/null; then
		exit 0
	fi
fi
echo "libtorch or a C++ compiler is missing. Install them and run make torch again:" >&2
echo "    sudo apt-get install libtorch-dev libgloo-dev g++      (Debian, Ubuntu)" >&2
echo "    pip install torch, and a C++ compiler                  (elsewhere, or for GPUs)" >&2
exit 10
