#!/bin/sh
# Runs, in an emulator, the tests of an arm64 build whose results depend on
# arithmetic: there Go fuses x·y + z into one rounding, and internal/kernel has
# other assembly. Left out are packages that start programs (the emulator cannot
# bound those), engine/ref, with which engine/cpu compares itself here, and, by name, what
# takes it long and shows nothing new.
set -eu
cd "$(dirname "$0")/.."

skip='TestGemmBeyondSharedMemory|TestGradients|TestSteadyStepAllocatesNothing'
skip="$skip|TestMicroBatches|TestRecomputeIsTheSame|TestGolden.*/ref"
skip="$skip|TestEngine/[13]_threads|TestEngine/.*/.*/397x|TestSuite/.*/397x"
for test in '.*' '.*/.*' '.*/.*/.*'; do # with -tags noasm, the host's suite runs these
	skip="$skip|Test(Gemm|Attention|Int8)$test/portable"
done
skip="$skip|TestFillAllocatesOnlyItsStream|TestFillMakesWhatIsPlanned"
packages='kernel engine/cpu jepa rng checkpoint jpeg view retrieval nn optim sigreg vit'

# -tags static: without the torch engine a program needs no arm64 system around it.
AVJEPA_REQUIRE=$(printf %s "${AVJEPA_REQUIRE:-}" | sed 's/\btorch\b//')
export AVJEPA_REQUIRE CGO_ENABLED=0 GOARCH=arm64
# shellcheck disable=SC2086 # one argument a package
exec "${GO:-go}" test -vet=off -tags static -exec qemu-aarch64-static -skip "$skip" \
	$(printf './internal/%s ' $packages)
