#!/bin/sh
# Runs the peer, step.py, set up to be as fast as it can be: OpenBLAS with
# OpenMP, one thread per core, memory kept by the process rather than mapped
# anew for every tensor, in huge pages.
set -eu
threads=${THREADS:-$(nproc)}
exec env \
	LD_LIBRARY_PATH="/usr/lib/$(uname -m)-linux-gnu/openblas-openmp" \
	OMP_NUM_THREADS="$threads" \
	MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=68719476736 MALLOC_TOP_PAD_=67108864 \
	GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
	PYTHONDONTWRITEBYTECODE=1 \
	/usr/bin/python3 "$(dirname "$0")/step.py" "$@"
