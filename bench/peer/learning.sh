#!/bin/sh
# Trains avjepa and the peer on the same views from the same weights, with two seeds, and
# says whether they learn the same: curves in runs/learning/report.html, and with --write
# table and figures of docs/results.md. Interrupted, it goes on with the run it was at.
# PLAN is another list of the two runs, RUNS another folder of runs, THREADS fewer threads.
# Needs bin/avjepa, bin/views, PyTorch (bench/peer/install.sh) and the demo's clips
# (bin/avjepa demo).
set -eu
cd "$(dirname "$0")/../.."
plan=${PLAN:-bench/peer/learning.toml}
runs=${RUNS:-runs}
threads=${THREADS:-$(nproc)}
out=$runs/$(sed -n 's/^name = "\(.*\)"$/\1/p' "$plan" | head -n 1)
bin/avjepa ablate "$plan" --runs "$runs" --only avjepa --set "engine.threads=$threads" >/dev/null
for ours in "$out"/avjepa-seed*; do
	seed=${ours##*seed}
	theirs=$out/pytorch-seed$seed
	[ -e "$theirs/metrics.jsonl" ] && continue
	rm -rf "$theirs"
	init=$(mktemp)
	trap 'rm -f "$init"' EXIT
	bin/views -config "$ours/config.toml" -init "$init" |
		bench/peer/run.sh learn.py --init "$init" --like "$ours" --out "$theirs" \
			--seed "$seed" --threads "$threads"
	rm -f "$init"
done
bin/avjepa ablate "$plan" --runs "$runs" --set "engine.threads=$threads"
exec /usr/bin/python3 -B bench/peer/agree.py "$out" "$@"
