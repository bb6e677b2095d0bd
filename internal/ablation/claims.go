package ablation

import (
	"fmt"
	"math"
	"slices"
)

// Verdict is a claim of the paper beside what was measured.
type Verdict struct {
	Run      string `json:"run"`
	Figure   int    `json:"figure"` // of the paper
	Claim    string `json:"claim"`
	Measured string `json:"measured"`
	Holds    bool   `json:"reproduced"`
}

// Word is the verdict in words.
func (v Verdict) Word() string {
	if v.Holds {
		return "reproduced"
	}
	return "not reproduced"
}

// claim is what the paper says of a run with a preset, against the baseline. holds gets the
// means over the seeds.
type claim struct {
	preset string
	figure int
	says   string
	value  func(*Result) (float64, bool)
	name   string // of the value
	holds  func(run, baseline float64) bool
}

// Bounds by which "the same" is judged. The paper gives curves, not bounds: these are ours.
const (
	nearStd   = 0.1  // of the deviation of the embeddings
	nearProbe = 0.03 // of a probe's accuracy
)

func nearBy(bound float64) func(run, baseline float64) bool {
	return func(run, baseline float64) bool { return math.Abs(run-baseline) <= bound }
}

var (
	stdOf        = columnValue("std")
	invarianceOf = columnValue("invariance")
	sigregOf     = columnValue("sigreg")
	probeOf      = columnValue("probe_both")
)

func columnValue(name string) func(*Result) (float64, bool) {
	for _, c := range columns {
		if c.name == name {
			return c.of
		}
	}
	panic("ablation: no column " + name)
}

// claims are those of the paper's appendix L that a number decides.
var claims = []claim{
	{"dual", 13, "two encoders probe as one does (within 3 points)", probeOf, "probe A+V", nearBy(nearProbe)},
	{"lambda-0.03", 14, "λ = 0.03 probes as the baseline (within 3 points)", probeOf, "probe A+V",
		nearBy(nearProbe)},
	{"lambda-0.03", 14, "λ = 0.03: deviation close to the baseline's (within 0.1)", stdOf, "std",
		nearBy(nearStd)},
	{"lambda-0.10", 14, "λ = 0.10 probes as the baseline (within 3 points)", probeOf, "probe A+V",
		nearBy(nearProbe)},
	{"lambda-0.10", 14, "λ = 0.10: deviation close to the baseline's (within 0.1)", stdOf, "std",
		nearBy(nearStd)},
	{"locals-4", 15, "K = 4 probes as K = 2 (within 3 points)", probeOf, "probe A+V", nearBy(nearProbe)},
	{"locals-6", 15, "K = 6 probes as K = 2 (within 3 points)", probeOf, "probe A+V", nearBy(nearProbe)},
	{"locals-8", 15, "K = 8 probes as K = 2 (within 3 points)", probeOf, "probe A+V", nearBy(nearProbe)},
	{"lambda-0", 16, "without SIGReg embeddings collapse: deviation at most 1e-3", stdOf, "std",
		func(run, _ float64) bool { return run <= 1e-3 }},
	{"lambda-0", 16, "without SIGReg invariance falls to nothing: at most 1e-6", invarianceOf, "invariance",
		func(run, _ float64) bool { return run <= 1e-6 }},
	{"lambda-0", 16, "without SIGReg its value rises far above the baseline's: at least 10 times", sigregOf,
		"SIGReg", func(run, baseline float64) bool { return run >= 10*baseline }},
	{"lambda-1", 17, "SIGReg alone brings the deviation to 1 (within 0.1)", stdOf, "std",
		func(run, _ float64) bool { return math.Abs(run-1) <= nearStd }},
	{"lambda-1", 17, "without prediction invariance stays at least 10 times the baseline's", invarianceOf,
		"invariance", func(run, baseline float64) bool { return run >= 10*baseline }},
	{"no-masking", 18, "without masking invariance is at most a tenth of the baseline's", invarianceOf,
		"invariance", func(run, baseline float64) bool { return run <= baseline/10 }},
	{"no-masking", 18, "without masking the deviation is close to the baseline's (within 0.1)", stdOf, "std",
		nearBy(nearStd)},
	{"vit-s", 19, "the other size: deviation close to the baseline's (within 0.1)", stdOf, "std",
		nearBy(nearStd)},
}

// Verdicts holds the paper's claims to the results: one for every claim about a preset of
// a run that is finished, if the baseline is. A run that changes several things, and a value
// that was not measured, get none; a value that is not finite holds no claim.
func (p *Plan) Verdicts(results []*Result) []Verdict {
	var out []Verdict
	base := of(results, p.Baseline)
	for _, c := range claims {
		baseline := overSeeds(base, c.value)
		if baseline.N == 0 {
			continue
		}
		for _, run := range p.Runs {
			if run.claims() != c.preset || run.Name == p.Baseline {
				continue
			}
			mine := overSeeds(of(results, run.Name), c.value)
			if mine.N == 0 {
				continue
			}
			out = append(out, Verdict{Run: run.Name, Figure: c.figure, Claim: c.says,
				Measured: fmt.Sprintf("%s %s, baseline %s", c.name, mine.text(short), baseline.text(short)),
				Holds:    c.holds(mine.Mean, baseline.Mean)})
		}
	}
	slices.SortStableFunc(out, func(a, b Verdict) int { return a.Figure - b.Figure })
	return out
}
