package report

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"avjepa/internal/train"
)

// evaluation is a line of two heads, or of the linear one with mAP.
func evaluation(step int, x float64, several bool) train.ProbeLog {
	y := x / 2
	s := train.ProbeScores{LinearTop1: &y, LinearTop5: &x, AttentiveTop1: &x, AttentiveTop5: &x}
	if several {
		s = train.ProbeScores{LinearMAP: &x}
	}
	return train.ProbeLog{Step: step, Clips: 10, Classes: 7, Both: s, Audio: s, Video: s}
}

func TestProbeCurves(t *testing.T) {
	log := []train.Metrics{{Step: 1}, {Step: 2, ProbeLinear: 2, ProbeAttentive: 1, ProbeUnimodal: 3}}
	for _, c := range []struct {
		log   []train.Metrics
		lines []train.ProbeLog
		want  []string
	}{
		{log, []train.ProbeLog{evaluation(1, .2, false), evaluation(2, .4, false)},
			[]string{"probe-linear", "probe-attentive", "probe-heads", "probe-top5", "probe-loss"}},
		{log, []train.ProbeLog{evaluation(1, .2, true)}, []string{"probe-linear", "probe-loss"}},
		{log[:1], nil, nil},
	} {
		dir := filepath.Join(t.TempDir(), "figures")
		if err := WriteProbeCurves(dir, c.log, c.lines); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 2*len(c.want) {
			t.Errorf("%d files, %v; want those of %v", len(entries), err, c.want)
		}
		for _, e := range entries {
			name := strings.TrimSuffix(strings.TrimSuffix(e.Name(), "-light.svg"), "-dark.svg")
			if !slices.Contains(c.want, name) {
				t.Errorf("%s is none of %v", e.Name(), c.want)
			}
		}
		figures, err := ProbeCurves(c.log, c.lines)
		if err != nil || len(figures) != len(c.want) {
			t.Errorf("%d figures, %v", len(figures), err)
		}
		if len(c.lines) == 1 && !strings.Contains(figures[0].Title, "mAP") {
			t.Errorf("clips of several labels: %q", figures[0].Title)
		}
	}
	all := probeCurves(log, []train.ProbeLog{evaluation(1, .2, false)})
	if s := all[0].Lines.Series[1]; s.Y[0] != 10 || s.X[0] != 1 {
		t.Errorf("a top-1 of 0.1 at step 1 is drawn at %v, %v", s.X, s.Y)
	}
	if s := all[2].Lines.Series; s[0].Y[0] != 10 || s[1].Y[0] != 20 {
		t.Errorf("heads of 10 and 20 %% are drawn at %v and %v", s[0].Y, s[1].Y)
	}
	if s := all[4].Lines.Series[3]; len(s.X) != 1 || s.Y[0] != 3 {
		t.Errorf("cross-entropies of 2 and 1 are together %v", s.Y)
	}
	if s := all[4].Lines.Series[2]; len(s.X) != 1 || s.X[0] != 2 {
		t.Errorf("losses of a step without probes are drawn: %v", s.X)
	}
}
