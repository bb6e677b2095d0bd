#!/usr/bin/env bash
# Measures training on a GPU, ours beside PyTorch's, in one run of under ten minutes:
# on a machine with PyTorch 2, CUDA's headers and nvcc, without Go and network.
#
#     make gpu-bundle                  # here; prints what to carry
#     bench/gpu.sh                     # there, in the repository's root
#     bench/gpu.sh --rehearse          # every part, tiny, on this machine's CPU
#
# Results go to $OUT, or ./gpu-results: gpu.md (tables for docs/benchmarks.md),
# gpu.jsonl, gpu.log. A part that fails or takes too long is noted and the rest goes
# on; after every part the results are whole. PYTHON names the Python with torch,
# ONLY a pattern of the parts to run.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

rehearse=
case "${1:-}" in
--rehearse) rehearse=1 ;;
"") ;;
*)
	echo "usage: bench/gpu.sh [--rehearse]" >&2
	exit 2
	;;
esac

out="$(realpath -m "${OUT:-gpu-results}")"
python="${PYTHON:-python3}"
budget="${BUDGET_S:-560}" # seconds in all
only="${ONLY:-.}"
root="$PWD"
tmp="$(mktemp -d)"
watcher=
trap '[ -z "$watcher" ] || kill "$watcher" 2>/dev/null; rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$out"
: >"$out/gpu.jsonl"
: >"$out/gpu.log"
export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
export XDG_CACHE_HOME="${XDG_CACHE_HOME:-${HOME:-$tmp}/.cache}" # the built engine's

if [ -n "$rehearse" ]; then
	device=cpu precision=f32 preset=tiny tokens=397 batches=2 repeat=1 views=1
	kernels=(--matmul 256 --mib 16 --views 1 --heads 2 --tokens 197 --repeat 2)
	sizes=(tiny 64x64 4 2 3) # preset of config, frames, clips, batch, steps
	engine_tests=TestEngine/Linear
	# Debian's OpenBLAS takes new processors for a Pentium 4: see bench/peer/run.sh.
	export OPENBLAS_CORETYPE=Haswell OMP_WAIT_POLICY=passive
else
	device=cuda precision=bf16 preset=base tokens=1969 batches="40 32 24 16" repeat=5 views=64
	kernels=()
	sizes=(paper 456x256 400 40 25)
	engine_tests=.
fi
peer=("$python" bench/peer/step.py --device "$device" --dtype "$precision"
	--presets "$preset" --tokens "$tokens")
ours=("$root/bin/avjepa" bench --engine torch --device "$device" --precision "$precision"
	--presets "$preset" --tokens "$tokens" --json)

# note PART RC SECONDS: takes in $tmp/stdout and $tmp/stderr, writes the tables anew.
note() {
	{
		printf '\n== %s: exit %s after %s s\n' "$1" "$2" "$3"
		tail -c 200000 "$tmp/stdout"
		tail -c 50000 "$tmp/stderr"
	} >>"$out/gpu.log"
	python3 bench/gpu.py record --part "$1" --rc "$2" --seconds "$3" --watch "$tmp/watch" \
		--errors "$tmp/stderr" <"$tmp/stdout" >>"$out/gpu.jsonl"
	python3 bench/gpu.py table "$out/gpu.jsonl" >"$out/gpu.md"
	printf '%-26s exit %s, %s s\n' "$1" "$2" "$3"
}

# part NAME LIMIT COMMAND...: runs it for at most LIMIT seconds, or what is left.
part() {
	local name=$1 limit=$2 began=$SECONDS rc
	shift 2
	[[ $name =~ $only ]] || return 0
	: >"$tmp/stdout"
	: >"$tmp/stderr"
	rm -f "$tmp/watch"
	if ((budget - SECONDS < 10)); then
		echo "left out: no time left" >"$tmp/stderr"
		note "$name" 124 0
		return 124
	fi
	((limit > budget - SECONDS)) && limit=$((budget - SECONDS))
	if [ -z "$rehearse" ] && command -v nvidia-smi >/dev/null; then
		nvidia-smi --query-gpu=memory.used,power.draw,clocks.sm --format=csv,noheader,nounits \
			-i 0 -lms 250 >"$tmp/watch" 2>/dev/null &
		watcher=$!
	fi
	timeout -k 5 "$limit" "$@" >"$tmp/stdout" 2>"$tmp/stderr"
	rc=$?
	if [ -n "$watcher" ]; then
		kill "$watcher" 2>/dev/null
		wait "$watcher" 2>/dev/null
		watcher=
	fi
	note "$name" "$rc" $((SECONDS - began))
	return "$rc"
}

declare -A fits # clips of a step that fitted, by the name without its number

# fitting NAME LIMIT COMMAND...: the same with --clips of the largest batch that runs.
# What does not fit is noted too; the next call of the kind begins where this one ended.
fitting() {
	local name=$1 limit=$2 clips
	shift 2
	for clips in $batches; do
		((clips > ${fits[${name% *}]:-$clips})) && continue
		if part "$name" "$limit" "$@" --clips "$clips"; then
			fits[${name% *}]=$clips
			return
		fi
		((budget - SECONDS < 30)) && return 1
		grep -qiE 'memory|alloc' "$tmp/stderr" || return 1
	done
	return 1
}

facts() {
	local text
	text="$("$python" -c 'import torch; print("PyTorch %s, CUDA %s" % (torch.__version__, torch.version.cuda))')"
	text+="; $(nproc) cores of $(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)"
	if command -v nvidia-smi >/dev/null; then
		text+="; $(nvidia-smi --query-gpu=name,driver_version,memory.total,power.limit,clocks.max.sm \
			--format=csv,noheader | head -1)"
		nvidia-smi >&2
	fi
	command -v nvcc >/dev/null && nvcc --version >&2
	[ -f bin/gpu-commit ] && text+="; avjepa at $(cat bin/gpu-commit)"
	[ -n "$rehearse" ] && text+="; A REHEARSAL ON A CPU: NO FIGURE HERE IS OF A GPU"
	python3 -c 'import json, sys; print(json.dumps({"facts": sys.argv[1]}))' "$text"
}

# tests FOLDER BINARY PATTERN: a package's tests, in its folder.
tests() {
	cd "$1" || return
	AVJEPA_REQUIRE=torch AVJEPA_TEST_PYTHON="$python" AVJEPA_TEST_DEVICE="$device" \
		"$root/bin/$2" -test.timeout 170s -test.v -test.run "$3" | tee "$tmp/tests"
	local rc=${PIPESTATUS[0]}
	if grep -qE '^ *--- FAIL|^panic:' "$tmp/tests"; then
		grep -E '^ *--- FAIL|^panic:' "$tmp/tests" | head -3 | tr '\n' ' ' >&2
	elif ! grep -q '^ *--- PASS' "$tmp/tests"; then
		echo "no test of $2 ran, by the pattern $3" >&2
		return 1
	fi
	return "$rc"
}

# pretrain NAME CACHE_MB SKIP FLAGS...: trains on the made-up shards; prints the steps
# behind the first SKIP as one line.
pretrain() {
	local runs="$tmp/runs" name=$1 cache=$2 skip=$3 sizes
	shift 3
	read -ra sizes <<<"$sizes_text" # an array is not exported
	"$root/bin/avjepa" pretrain --data "$tmp/shards" --preset "${sizes[0]}" \
		--batch-size "${sizes[3]}" --steps "${sizes[4]}" --runs "$runs" --name "$name" \
		--set engine.name=torch --set engine.device="$device" \
		--set engine.precision="$precision" --set data.cache_mb="$cache" "$@" >&2 &&
		python3 bench/gpu.py metrics --skip "$skip" "$runs/$name/metrics.jsonl"
	local rc=$?
	rm -rf "${runs:?}/$name"
	return $rc
}

# profiled COMMAND...: the kernels' shares, by whichever profiler there is.
profiled() {
	if command -v nsys >/dev/null; then
		nsys profile -t cuda --stats=true --force-overwrite true -o "$tmp/nsys" "$@"
		return
	fi
	bench/kernels/run.sh "$@"
}

unbuilt() {
	if "$root/bin/avjepa" help | grep -q '^ *finetune'; then
		echo "avjepa has finetune now, and this script does not measure it: add a part" >&2
	else
		echo "avjepa has no fine-tuning yet: its step is not measured" >&2
	fi
	return 1
}

export -f facts tests pretrain profiled unbuilt
export root python device precision rehearse tmp
export sizes_text="${sizes[*]}"

part facts 30 bash -c facts
part "engine build" 150 bin/avjepa engine build --python "$python" --json
part "shards made" 60 bin/shards -out "$tmp/shards" -clips "${sizes[2]}" \
	-width "${sizes[1]%x*}" -height "${sizes[1]#*x}"
part kernels 60 "$python" bench/peer/kernels.py --device "$device" --dtype "$precision" \
	"${kernels[@]}"
part "peer golden" 40 "$python" bench/peer/step.py --check-golden --device "$device"

# By turns, so that a change of clocks hits both.
fitting "ours 1" 60 "${ours[@]}" --modes step --repeat "$repeat"
fitting "peer 1" 60 "${peer[@]}" --modes step --repeat "$repeat"
fitting "ours 2" 60 "${ours[@]}" --modes step --repeat "$repeat"
if "$python" -c 'import sys, torch; sys.exit(not hasattr(torch, "compile"))'; then
	fitting "peer compiled 1" 150 "${peer[@]}" --modes step --repeat "$repeat" --compile
else
	part "peer compiled 1" 5 bash -c 'echo "left out: this PyTorch has no torch.compile" >&2; exit 1'
fi
fitting "ours 3" 60 "${ours[@]}" --modes step --repeat "$repeat"

part "tests of the engine" 150 bash -c 'tests "$@"' tests internal/engine/torch torch.test "$engine_tests"
part "tests of golden vectors" 60 bash -c 'tests "$@"' tests internal/jepa jepa.test Golden
# The second of these decodes every clip in its first ten steps and keeps them.
part "shards, decoding" 90 bash -c 'pretrain "$@"' pretrain decoding 0 5
part "shards, from memory" 60 bash -c 'pretrain "$@"' pretrain memory 100000 12
part "ours recomputing" 60 bash -c 'pretrain "$@"' pretrain recompute 100000 12 \
	--set train.recompute=blocks
part "peer recomputing" 60 "${peer[@]}" --modes step --repeat "$repeat" --recompute \
	--clips "${sizes[3]}"
part "ours embedding" 40 "${ours[@]}" --modes forward --clips "$views"
part "peer embedding" 40 "${peer[@]}" --modes forward --clips "$views"
part "peer embedding, one view" 40 "${peer[@]}" --modes forward --clips 1
part "kernels of ours" 60 bash -c 'profiled "$@"' profiled "${ours[@]}" --modes step \
	--clips "${sizes[3]}" --repeat 3
part "fine-tuning" 10 bash -c unbuilt

echo "results: $out/gpu.md, gpu.jsonl, gpu.log"
