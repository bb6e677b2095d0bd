#!/bin/sh
# Installs the peer of the benchmark: Debian's PyTorch for /usr/bin/python3 and
# OpenBLAS with OpenMP, whose threads are then those of PyTorch itself.
set -eu
/usr/bin/python3 -c 'import torch' 2>/dev/null &&
	[ -d "/usr/lib/$(uname -m)-linux-gnu/openblas-openmp" ] && exit 0
if ! command -v apt-get >/dev/null; then
	echo "bench/peer/install.sh: needs Debian 12 or later: no apt-get here" >&2
	exit 1
fi
sudo=
[ "$(id -u)" = 0 ] || sudo=sudo
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends \
	python3-torch libopenblas0-openmp >/dev/null
