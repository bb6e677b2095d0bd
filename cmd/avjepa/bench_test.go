package main

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

// A line has every field, and its figures agree with each other.
func TestBenchPrintsALineACase(t *testing.T) {
	o := run(t, t.TempDir(), "bench", "--presets", "tiny", "--modes", "forward,step",
		"--repeat", "1", "--json").wants(t, 0)
	lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines, want 2:\n%s", len(lines), o.stdout)
	}
	for i, mode := range []string{"forward", "step"} {
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
		number(t, m, "rss_mb")
	}
}

func TestBenchRefuses(t *testing.T) {
	for args, want := range map[string]string{
		"--presets huge": `"huge"`, "--tokens 33": "397 or 1969", "--modes train": `"train"`,
		"--repeat 0": "at least 1", "--threads -1": "-1",
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
