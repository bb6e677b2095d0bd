package main

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// A line has every field, its figures agree with each other, and its memory is
// that of its own case: a step takes six times as much as the forward pass behind
// it.
func TestBenchPrintsALineACase(t *testing.T) {
	o := run(t, t.TempDir(), "bench", "--presets", "tiny", "--modes", "step,forward",
		"--repeat", "1", "--json").wants(t, 0)
	lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want 2:\n%s", len(lines), o.stdout)
	}
	rss := [2]float64{}
	for i, mode := range []string{"step", "forward"} {
		m := parse(t, []byte(lines[i]))
		if m["case"] != "tiny/397/"+mode || m["preset"] != "tiny" || m["mode"] != mode {
			t.Errorf("case %v, preset %v, mode %v", m["case"], m["preset"], m["mode"])
		}
		if n := number(t, m, "tokens"); n != 397 {
			t.Errorf("%v tokens", n)
		}
		// 12·(24·397·192² + 4·397²·192) = 5.667 GFLOP a view; a step is 3·8 of it.
		work := map[string]float64{"forward": 5.667406848, "step": 24 * 5.667406848}[mode]
		done := number(t, m, "seconds") * number(t, m, "gflops")
		if !(math.Abs(done-work) <= 1e-6*work) {
			t.Errorf("%s: %v GFLOP, want %v", mode, done, work)
		}
		if s := number(t, m, "peak_share"); !(s > 0 && s < 1.5) {
			t.Errorf("%s: share %v of the peak", mode, s)
		}
		rss[i] = number(t, m, "rss_mb")
	}
	if rss[1] > 0 && !(rss[0] > 3*rss[1]) {
		t.Errorf("%v MB for the step, %v for the forward pass", rss[0], rss[1])
	}
}

// A profile accounts for a step: its operations take no more than all of it, and
// nearly all, in groups that are the sums of their operations.
func TestBenchProfile(t *testing.T) {
	o := run(t, t.TempDir(), "bench", "--presets", "tiny", "--modes", "step", "--clips", "3",
		"--repeat", "1", "--profile", "--json").wants(t, 0)
	m := o.object(t)
	if m["case"] != "tiny/397/step/3" || number(t, m, "clips") != 3 {
		t.Errorf("case %v of %v clips", m["case"], m["clips"])
	}
	outside := number(t, m, "profile.outside_share")
	if !(outside >= 0 && outside <= .05) {
		t.Errorf("%v of the step is in no operation, want 0 to 0.05", outside)
	}
	var groups, operations, products float64
	seen := map[string]bool{}
	for _, row := range m["profile"].(map[string]any)["rows"].([]any) {
		r := row.(map[string]any)
		share := number(t, r, "share")
		name, _ := r["operation"].(string)
		seen[r["group"].(string)+"/"+name] = true
		switch {
		case name == "":
			groups += share
		case number(t, r, "gflops") > 0:
			products += share
			fallthrough
		default:
			operations += share
		}
	}
	for _, name := range []string{"matrix products/LinearInput", "attention/AttentionBackward",
		"SIGReg/Linear", "SIGReg/ECFBackward", "optimiser/AdamW", "optimiser/SquaredNorm",
		"patches and tokens/PatchifyVideo", "objective/Center", "zeroing/Fill"} {
		if !seen[name] {
			t.Errorf("no row %s in %v", name, seen)
		}
	}
	for what, diff := range map[string]float64{
		"the groups":     groups - (1 - outside),
		"the operations": operations - (1 - outside),
		"the products":   products - (1 - number(t, m, "profile.beside_share")),
	} {
		if !(math.Abs(diff) <= 1e-9) {
			t.Errorf("%s are %v off their share", what, diff)
		}
	}
}

func TestBenchRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--presets huge": `"huge"`, "--tokens 33": "397 or 1969", "--modes train": `"train"`,
		"--repeat 0": "at least 1", "--threads -1": "-1", "--clips -1": "positive",
	} {
		run(t, t.TempDir(), append([]string{"bench"}, strings.Fields(args)...)...).wants(t, 2, want)
	}
}

// The first pass is not timed, the rest give their median, and an interrupt ends
// it between two.
func TestMedianSeconds(t *testing.T) {
	passes := 0
	sleep := func(i int) {
		passes++
		time.Sleep(map[int]time.Duration{0: 60, 2: 40}[i] * time.Millisecond)
	}
	s, err := medianSeconds(t.Context(), 51, sleep)
	if err != nil || !(s < 0.04) || passes != 52 {
		t.Errorf("%v s after %d passes, %v", s, passes, err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	passes = 0
	_, err = medianSeconds(ctx, 3, func(int) { passes++; stop(errInterrupted) })
	if !errors.Is(err, errInterrupted) || passes != 1 {
		t.Errorf("%v after %d passes", err, passes)
	}
}
