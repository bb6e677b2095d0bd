#!/usr/bin/env bash
# Runs a command and prints the time of its GPU kernels by name, as JSON lines:
#
#     bench/kernels/run.sh bin/avjepa bench --engine torch --device cuda …
#
# Builds trace.cpp for it, which takes a C++ compiler and CUPTI: a part of CUDA's
# toolkit, and of PyTorch from pip. PYTHON names the Python with torch.
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
tmp="$(mktemp -d)"
trap 'rm -rf "$tmp"' EXIT

cuda="${CUDA_HOME:-${CUDA_PATH:-/usr/local/cuda}}"
places=("$cuda" "$cuda/extras/CUPTI" "$cuda/targets/$(uname -m)-linux" /usr)
"${PYTHON:-${python:-python3}}" -c 'import glob, site
for p in site.getsitepackages(): print(*glob.glob(p + "/nvidia/*"), sep="\n")' >"$tmp/places" || true
while read -r dir; do
	places+=("$dir")
done <"$tmp/places"

includes=() lib=
for p in "${places[@]}"; do
	[ -n "$p" ] || continue
	[ -d "$p/include" ] && includes+=("-I$p/include")
	for l in "$p/lib64" "$p/lib" "$p/lib/$(uname -m)-linux-gnu"; do
		for f in "$l"/libcupti.so*; do
			[ -e "$f" ] && lib="${lib:-$f}"
		done
	done
done
if [ -z "$lib" ]; then
	echo "bench/kernels: no libcupti.so in ${places[*]}: set CUDA_HOME" >&2
	exit 1
fi
# Records grow with versions under new names; the newest one that compiles is in use.
for n in 12 11 10 9 8 7; do
	if "${CXX:-c++}" -std=c++17 -O1 -shared -fPIC -D "KERNEL=CUpti_ActivityKernel$n" \
		"${includes[@]}" "$here/trace.cpp" -o "$tmp/trace.so" "$lib" \
		"-Wl,-rpath,$(dirname "$lib")" -lpthread 2>"$tmp/errors"; then
		break
	fi
done
if [ ! -e "$tmp/trace.so" ]; then
	cat "$tmp/errors" >&2
	exit 1
fi
rc=0
CUDA_INJECTION64_PATH="$tmp/trace.so" KERNELS_OUT="$tmp/out" "$@" >&2 || rc=$?
if [ ! -s "$tmp/out" ]; then
	echo "bench/kernels: no kernel was seen" >&2
	exit 1
fi
cat "$tmp/out"
exit "$rc"
