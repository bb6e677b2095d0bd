#!/usr/bin/env bash
# Runs every fuzz target of the repository for FUZZTIME (5s) each, one after the
# other. Arguments: packages, such as ./internal/media; none: all. With BUDGET no target
# is begun after so many seconds, and those left out are named.
set -uo pipefail
cd "$(dirname "$0")/.."
GO=${GO:-go} FUZZTIME=${FUZZTIME:-5s} BUDGET=${BUDGET:-0} failed=()
# Short runs end within minutes or are stuck.
bound=
case $FUZZTIME in [0-9]s) bound="timeout -k 5 90" ;; esac

[ $# -gt 0 ] || set -- $(grep -rlE --include='*_test.go' '^func Fuzz[A-Z_]' ./internal ./cmd |
	xargs -n 1 dirname | sort -u)
# A crash is written below the package. Kept there it is a seed that every test
# runs, so it belongs into the repository once the fault is mended; what fuzzing
# finds on its way goes to Go's own cache (go clean -fuzzcache).
for package; do
	if ! list=$($GO test -list '^Fuzz' "$package"); then
		failed+=("$package does not build: $GO vet $package")
		continue
	fi
	for target in $(grep '^Fuzz' <<<"$list"); do
		if [ "$BUDGET" -gt 0 ] && [ "$SECONDS" -gt "$BUDGET" ]; then
			echo "left out after ${SECONDS}s: $package $target"
			continue
		fi
		printf '%-36s %s ' "$package" "$target"
		run() {
			$bound $GO test -run '^$' -fuzz "^$target\$" -fuzztime "$FUZZTIME" \
				-fuzzminimizetime 1s -parallel 2 "$package" 2>&1
		}
		log=$(run)
		code=$?
		if [ $code = 124 ]; then # minimising may stall: once is no fault of the parser
			log=$(run)
			code=$?
		fi
		if [ $code = 0 ]; then
			grep -oE 'execs: [0-9]+' <<<"$log" | tail -1
			continue
		fi
		printf 'FAILED\n%s\n' "$log"
		again=$(sed -n 's/^ *\(go test -run=.*\)/\1/p' <<<"$log" | head -1)
		failed+=("again: ${again:-$GO test -run $target} $package")
	done
done
[ ${#failed[@]} -eq 0 ] || { printf '%s\n' "${failed[@]}" >&2; exit 1; }
