#!/bin/sh
# Runs the peer, step.py or the script that is named first, set up to be as fast as
# it can be: OpenBLAS with OpenMP, memory kept by the process rather than mapped anew
# for every tensor, in huge pages; threads that wait sleep, which on a busy machine is nearly twice
# as fast as spinning. OpenBLAS 0.3.21 takes processors newer than itself for a
# Pentium 4 and is then five times slower, so it is told which kernels to use.
set -eu
if grep -qw avx512bw /proc/cpuinfo; then
	core=SkylakeX
else
	core=Haswell
fi
script=step.py
case "${1:-}" in
*.py)
	script=$1
	shift
	;;
esac
exec env \
	LD_LIBRARY_PATH="/usr/lib/$(uname -m)-linux-gnu/openblas-openmp" \
	OPENBLAS_CORETYPE="${OPENBLAS_CORETYPE:-$core}" \
	OMP_NUM_THREADS="$(nproc)" \
	OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}" \
	MALLOC_MMAP_MAX_="${MALLOC_MMAP_MAX_:-0}" \
	MALLOC_TRIM_THRESHOLD_="${MALLOC_TRIM_THRESHOLD_:-68719476736}" \
	GLIBC_TUNABLES="${GLIBC_TUNABLES-glibc.malloc.hugetlb=1}" \
	PYTHONDONTWRITEBYTECODE=1 \
	/usr/bin/python3 "$(dirname "$0")/$script" "$@"
