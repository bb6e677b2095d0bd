package ablation

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"avjepa/internal/report"
	"avjepa/internal/train"
)

// logOf is a log of n steps, ten an epoch, with the same value everywhere.
func logOf(n int, v float64) []train.Metrics {
	var log []train.Metrics
	for i := range n {
		log = append(log, train.Metrics{Step: i + 1, Epoch: float64(i+1) / 10, Total: v, Invariance: v,
			SIGReg: v, Std: v})
	}
	return log
}

func chartNamed(t *testing.T, charts []report.Curve, name string) report.Curve {
	t.Helper()
	for _, c := range charts {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no chart %s", name)
	return report.Curve{}
}

// TestCurvesAreClippedAndAveraged: every curve ends where the shortest run of its group
// does; of two seeds there is the mean in a band between them; weights are a run's own.
func TestCurvesAreClippedAndAveraged(t *testing.T) {
	p := readPlan(t, goodPlan+"[[run]]\nname = \"c\"\n[[compare]]\nname=\"g\"\nruns=[\"a\",\"b\"]\n"+
		"[[compare]]\nname=\"one\"\nruns=[\"c\"]\n[[compare]]\nname=\"nothing\"\nruns=[\"b\"]\n")
	p.Compare[2].Runs = []string{"zz"}
	half := .5
	charts := p.Charts([]Curves{
		{Run: "a", Seed: 0, Lambda: .25, Log: logOf(500, 1)},
		{Run: "a", Seed: 3, Lambda: .25, Log: logOf(480, 3)},
		{Run: "b", Seed: 0, Lambda: 1, Log: logOf(400, 5),
			Probes: []train.ProbeLog{{Epoch: 20, Both: train.ProbeScores{LinearTop1: &half}}, {Epoch: 99}}},
		{Run: "c", Seed: 0, Log: logOf(700, 1)},
	})
	total := chartNamed(t, charts, "g-total").Lines
	a, b := total.Series[0], total.Series[1]
	for _, s := range total.Series {
		if n := len(s.X); n == 0 || n > maxBins || s.X[n-1] > 40 || s.X[n-1] < 39 {
			t.Fatalf("%s: %d points up to epoch %v, want it to end at 40", s.Name, n, s.X[n-1])
		}
	}
	if !(a.Y[9] == 2 && a.Low[9] == 1 && a.High[9] == 3) || b.Low != nil || b.Y[9] != 5 {
		t.Errorf("a is %v (%v to %v), b %v", a.Y[9], a.Low[9], a.High[9], b.Y[9])
	}
	got := chartNamed(t, charts, "g-weighted-invariance").Lines.Series
	if !(got[0].Y[0] == 1.5 && got[1].Y[0] == 0) {
		t.Errorf("weighted by λ = 0.25 and 1: %v, %v", got[0].Y[0], got[1].Y[0])
	}
	got = chartNamed(t, charts, "g-weighted-sigreg").Lines.Series
	if !(got[0].Y[0] == .5 && got[1].Y[0] == 5) {
		t.Errorf("SIGReg weighted by λ = 0.25 and 1: %v, %v", got[0].Y[0], got[1].Y[0])
	}
	probe := chartNamed(t, charts, "g-probe-linear").Lines.Series
	if len(probe[0].X) != 0 || len(probe[1].X) != 1 || !(probe[1].Y[0] == 50) {
		t.Errorf("probes %v", probe)
	}
	if x := chartNamed(t, charts, "one-std").Lines.Series[0].X; !(x[len(x)-1] > 69) {
		t.Errorf("a run alone is clipped at %v", x[len(x)-1])
	}
	for _, c := range charts {
		if strings.HasPrefix(c.Name, "nothing") || c.Name == "g-probe-attentive" {
			t.Errorf("a chart %s of nothing", c.Name)
		}
	}
	if _, err := report.Figures(charts); err != nil {
		t.Error(err)
	}
}

func TestEnd(t *testing.T) {
	log := append(logOf(95, 9), logOf(5, 2)...)
	if e := EndOf(log); e.Steps != 5 || !(e.Std == 2 && math.Abs(e.Total-2) < 1e-12) {
		t.Errorf("%+v", e)
	}
	if e := EndOf(log[:3]); e.Steps != 1 || e.Std != 9 {
		t.Errorf("of three steps: %+v", e)
	}
	if e := EndOf(nil); e != (End{}) {
		t.Errorf("of none: %+v", e)
	}
}

func result(run, preset string, seed int64, std, invariance, sigreg float64) *Result {
	r := &Result{Run: run, Preset: preset, Seed: seed, Steps: 7,
		End: End{Std: std, Invariance: invariance, SIGReg: sigreg}}
	r.Retrieval.N, r.Retrieval.A2V.R1 = 200, .25
	return r
}

// TestVerdicts: claims are judged by the numbers, by the mean over seeds, and NaN holds none.
func TestVerdicts(t *testing.T) {
	p := readPlan(t, strings.Replace(goodPlan, `"lambda-0,locals-4"`, `"lambda-0"`, 1)+
		"[[run]]\nname=\"none\"\npreset=\"no-masking\"\n[[run]]\nname=\"one\"\npreset=\"lambda-1\"\n"+
		"[[run]]\nname=\"zero\"\npreset=\"lambda-0\"\nset=[\"engine.threads=2\"]\n")
	base := result("a", "", 0, .95, .1, 2)
	judge := func(rs ...*Result) string {
		text := ""
		for _, v := range p.Verdicts(append(rs, base)) {
			text += string("-+"[map[bool]int{true: 1}[v.Holds]])
			if !strings.Contains(v.Measured, "baseline") || v.Word() == "" {
				t.Errorf("%+v", v)
			}
		}
		return text
	}
	for _, c := range []struct {
		want string
		of   []*Result
	}{
		{"", []*Result{result("b", "lambda-0", 0, 1e-4, 1e-7, 90)}}, // it changes the width as well
		{"+++", []*Result{result("zero", "", 0, 1e-4, 1e-7, 90)}},
		{"--+", []*Result{result("zero", "", 0, 1e-4, 1e-7, 90), result("zero", "", 3, .1, 1e-3, 90)}},
		{"---", []*Result{result("zero", "", 0, .5, .01, 4)}},
		{"---", []*Result{result("zero", "", 0, math.NaN(), math.NaN(), math.NaN())}},
		{"++", []*Result{result("one", "", 0, 1.05, 1.2, 1.1)}},
		{"--", []*Result{result("one", "", 0, 1.2, .9, 1.1)}},
		{"++", []*Result{result("none", "", 0, .9, .01, 2)}},
		{"--", []*Result{result("none", "", 0, .5, .02, 2)}},
		{"--", []*Result{result("none", "", 0, math.NaN(), math.NaN(), 2)}},
	} {
		if got := judge(c.of...); got != c.want {
			t.Errorf("%+v: %q, want %q", *c.of[0], got, c.want)
		}
	}
	if got := p.Verdicts([]*Result{result("zero", "", 0, 1e-4, 1e-7, 90)}); len(got) > 0 {
		t.Errorf("without a baseline: %v", got)
	}
}

func TestTable(t *testing.T) {
	p := readPlan(t, goodPlan)
	rs := []*Result{result("b", "x", 0, .5, .1, 2), result("b", "x", 3, .7, .1, 2), result("a", "", 0, 1, .2, 3)}
	rs[2].Probe = &Probe{Classes: 8, Both: .5}
	var md, csv strings.Builder
	if err := p.WriteMarkdown(&md, rs); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteCSV(&csv, rs); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"| a | 1 | 1 | 0.2 | 3 | 25.0 |", "| 50.0 |",
		"| b | 2 | 0.6 (0.5–0.7) | 0.1 |", "| – |"} {
		if !strings.Contains(md.String(), text) {
			t.Errorf("table.md lacks %q:\n%s", text, md.String())
		}
	}
	lines := strings.Split(strings.TrimSpace(csv.String()), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[1], "a,,0,") || !strings.HasPrefix(lines[3], "b,x,3,") {
		t.Errorf("table.csv:\n%s", csv.String())
	}
	for _, l := range lines {
		if strings.Count(l, ",") != strings.Count(lines[0], ",") {
			t.Errorf("ragged line %q", l)
		}
	}
}

func TestReadResult(t *testing.T) {
	dir := t.TempDir()
	if r, err := ReadResult(dir); r != nil || err != nil {
		t.Errorf("an unfinished run: %v, %v", r, err)
	}
	if err := os.WriteFile(filepath.Join(dir, ResultName), []byte(`{"run":`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadResult(dir); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("a broken result: %v", err)
	}
}
